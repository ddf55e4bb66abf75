#!/usr/bin/env bash
# bert-large-japanese-char-v2: BERT large, 7,027 characters.
# Run in the project's folder: ./recipes/bert_large_character.sh [stage ...]

# --- model
MODEL=bert_large_character
TOKENIZER=character_unidic_lite
SUBWORDS="character --vocab_has_no_subword_prefix"
NAME=bert-large-japanese-char-v2

source recipes/run.sh

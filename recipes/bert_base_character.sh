#!/usr/bin/env bash
# bert-base-japanese-char-v3: BERT base, 7,027 characters.
# Run in the project's folder: ./recipes/bert_base_character.sh [stage ...]

# --- model
MODEL=bert_base_character
TOKENIZER=character_unidic_lite
SUBWORDS="character --vocab_has_no_subword_prefix"
NAME=bert-base-japanese-char-v3

source recipes/run.sh

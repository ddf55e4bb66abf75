#!/usr/bin/env bash
# bert-base-japanese-v3: BERT base, 32,768 WordPiece entries.
# Run in the project's folder: ./recipes/bert_base_wordpiece.sh [stage ...]

# --- model
MODEL=bert_base_wordpiece
TOKENIZER=wordpiece_unidic_lite
SUBWORDS=wordpiece
NAME=bert-base-japanese-v3

source recipes/run.sh

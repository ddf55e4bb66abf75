#!/usr/bin/env bash
# bert-large-japanese-v2: BERT large, 32,768 WordPiece entries.
# Run in the project's folder: ./recipes/bert_large_wordpiece.sh [stage ...]

# --- model
MODEL=bert_large_wordpiece
TOKENIZER=wordpiece_unidic_lite
SUBWORDS=wordpiece
NAME=bert-large-japanese-v2

source recipes/run.sh

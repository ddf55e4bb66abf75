#!/usr/bin/env bash
# BERT base with talking heads attention and gated GELU. Transformers has no class for it: there is no conversion.
# Run in the project's folder: ./recipes/bert_base_talking_heads_wordpiece.sh [stage ...]

# --- model
MODEL=bert_base_talking_heads_wordpiece
TOKENIZER=wordpiece_unidic_lite
SUBWORDS=wordpiece
NAME=bert_base_talking_heads-japanese
RUNTIME="${RUNTIME:---config_file=configs/runtime/gpu.yaml} --gin_file=configs/model/talking_heads_gated_gelu.gin"

# --- stages
[ $# -gt 0 ] || set -- corpus tokenizers pretraining_data training
source recipes/run.sh

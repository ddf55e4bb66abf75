#!/usr/bin/env bash
# ELECTRA base, 32,768 WordPiece entries. It becomes two model directories: discriminator and generator.
# Run in the project's folder: ./recipes/electra_base_wordpiece.sh [stage ...]

# --- model
MODEL=electra_base_wordpiece
TOKENIZER=wordpiece_unidic_lite
SUBWORDS=wordpiece
NAME=electra_base-japanese
EXPERIMENT=electra/pretraining

# --- stages
[ $# -gt 0 ] || set -- corpus tokenizers pretraining_data training conversion generator
source recipes/run.sh

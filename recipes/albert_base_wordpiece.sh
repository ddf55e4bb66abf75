#!/usr/bin/env bash
# ALBERT base, 32,768 WordPiece entries. The second stage has half the learning rate: its batch is a quarter.
# Run in the project's folder: ./recipes/albert_base_wordpiece.sh [stage ...]

# --- model
MODEL=albert_base_wordpiece
TOKENIZER=wordpiece_unidic_lite
SUBWORDS=wordpiece
NAME=albert_base-japanese
OVERRIDES_512=trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.000625

source recipes/run.sh

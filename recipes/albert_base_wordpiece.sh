#!/usr/bin/env bash
# ALBERT base, 32,768 WordPiece entries. The second stage has half the learning rate: its batch is a quarter.
# Run in the project's folder: ./recipes/albert_base_wordpiece.sh [stage ...]

# --- model
MODEL=albert_base_wordpiece
TOKENIZER=wordpiece_unidic_lite
SUBWORDS=wordpiece
NAME=albert_base-japanese
HALF_RATE=trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.000625
OVERRIDES_512=$HALF_RATE${OVERRIDES_512:+,$OVERRIDES_512}

source recipes/run.sh

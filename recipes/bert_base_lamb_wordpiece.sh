#!/usr/bin/env bash
# BERT base with the optimizer LAMB and masked LM only. The second stage has half the learning rate.
# Run in the project's folder: ./recipes/bert_base_lamb_wordpiece.sh [stage ...]

# --- model
MODEL=bert_base_lamb_wordpiece
TOKENIZER=wordpiece_unidic_lite
SUBWORDS=wordpiece
NAME=bert_base_lamb-japanese
HALF_RATE=trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.000625
OVERRIDES_512=$HALF_RATE${OVERRIDES_512:+,$OVERRIDES_512}

source recipes/run.sh

#!/usr/bin/env bash
# Train on a CPU, to try things out: the released model with a small batch.

# --- training
export RUNTIME=--config_file=configs/runtime/cpu.yaml
export OVERRIDES=task.train_data.global_batch_size=32,task.validation_data.global_batch_size=32
./recipes/bert_base_wordpiece.sh training

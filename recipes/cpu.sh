#!/usr/bin/env bash
# Show that the training of the released model starts and ends: a trial on a CPU, with few steps and a small batch.

# --- training
export MODEL_DIR=model/trial RUNTIME=--config_file=configs/runtime/cpu.yaml
export OVERRIDES=task.train_data.global_batch_size=8,task.validation_data.global_batch_size=8
export CONFIG_128=demo_128 STEPS_128=300 CONFIG_512=demo_512 STEPS_512=60
./recipes/bert_base_wordpiece.sh training

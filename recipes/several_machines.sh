#!/usr/bin/env bash
# Train on several machines. Run the same on each. Only the index in TF_CONFIG differs.

# --- training
export TF_CONFIG='{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
export RUNTIME=--config_file=configs/runtime/multi_worker.yaml
export OVERRIDES=runtime.num_gpus=8,runtime.mixed_precision_dtype=bfloat16
./recipes/bert_base_wordpiece.sh training

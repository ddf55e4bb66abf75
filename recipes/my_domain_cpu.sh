#!/usr/bin/env bash
# The same on a CPU, to try it out: short instances, a small batch, few steps.

# --- CPU
export NAME=${NAME:-${DOMAIN:-my_domain}_trial} RUNTIME=--config_file=configs/runtime/cpu.yaml
export LENGTH=128 BATCH=8 STEPS=100
./recipes/my_domain.sh

#!/usr/bin/env bash
# Make pretraining data on the machines of a cluster: run_shards takes the place of xargs.

# --- install
./install.sh data cluster

# --- Slurm
export RUN_SHARDS="python -m tools.run_shards --scheduler slurm --scheduler_options slurm.yaml --workers 16 --cores 1 \
    --memory 1GB --walltime 02:00:00 --"
./recipes/bert_base_wordpiece.sh pretraining_data

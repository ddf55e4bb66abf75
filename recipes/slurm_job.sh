#!/usr/bin/env bash
#SBATCH --job-name=bert --nodes=2 --ntasks-per-node=1 --gpus-per-node=8 --cpus-per-task=32 --time=72:00:00 --requeue
# Train on several machines, as a job of Slurm: sbatch recipes/slurm_job.sh

# --- job
source .venv/bin/activate
export WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:12345"/' | paste -sd, -)
export RUNTIME=--config_file=configs/runtime/multi_worker.yaml
export OVERRIDES=runtime.num_gpus=$SLURM_GPUS_ON_NODE,runtime.mixed_precision_dtype=bfloat16
srun --cpus-per-task=$SLURM_CPUS_PER_TASK --kill-on-bad-exit=1 bash -c '
    export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
    exec ./recipes/bert_base_wordpiece.sh training'

#!/usr/bin/env bash
#SBATCH --job-name=bert --nodes=2 --ntasks-per-node=1 --gpus-per-node=8 --cpus-per-task=32 --time=72:00:00 --requeue
# Train in PyTorch on several machines, as a job of Slurm: sbatch recipes/torch_slurm_job.sh

# --- job
source .venv/bin/activate
HOST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
DATA=pretraining_data/wordpiece_unidic_lite/cc-100
srun --cpus-per-task=$SLURM_CPUS_PER_TASK --kill-on-bad-exit=1 \
    torchrun --nnodes=$SLURM_NNODES --nproc-per-node=$SLURM_GPUS_ON_NODE \
    --rdzv-backend=c10d --rdzv-endpoint=$HOST:12345 --rdzv-id=$SLURM_JOB_ID run_pretraining_torch.py \
    --model_dir model/bert_base_wordpiece/first --config_file configs/data/cc-100.yaml \
    --config_file configs/model/bert_base_wordpiece.yaml --train_files "$DATA/pretraining_data_*.tfrecord.gz" \
    --validation_files "$DATA/validation/*.tfrecord.gz" --hf_config_dir hf_model_configs/bert_base_wordpiece \
    --vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt

#!/usr/bin/env bash
# Train on a TPU VM. The sections "VM" and "end" run on your machine, the sections "install" and "training" on the VM.

# --- VM
gcloud compute tpus tpu-vm versions list --zone=europe-west4-a
gcloud compute tpus tpu-vm create bert --zone=europe-west4-a --accelerator-type=v3-8 --version=tpu-ubuntu2204-base
gcloud compute tpus tpu-vm ssh bert --zone=europe-west4-a

# --- install
sudo add-apt-repository --yes ppa:deadsnakes/ppa
sudo apt-get install --yes python3.12-venv
./install.sh train-tpu
source .venv-train-tpu/bin/activate
python -m tools.check_environment

# --- training
export RUNTIME=--tpu=local OVERRIDES=runtime.distribution_strategy=tpu
./recipes/bert_base_wordpiece.sh training

# --- end
gcloud compute tpus tpu-vm delete bert --zone=europe-west4-a

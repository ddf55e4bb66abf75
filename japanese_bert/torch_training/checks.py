"""The checks before a training in PyTorch, where they differ from those of Model Garden's: devices, weights, start."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from japanese_bert.models.config import BertConfig, load_bert_config, notes_of
from japanese_bert.tokenization.tokenizer_directory import VOCAB_FILE
from japanese_bert.torch_training.checkpoints import check_complete, find_checkpoints, step_of
from japanese_bert.torch_training.optimizer import decays
from japanese_bert.torch_training.parameters import OTHERS, ExperimentSection
from japanese_bert.torch_training.start import describe_trained_model, load_initial_weights
from japanese_bert.training.checks.described_model import bert_config_of, describe_trainer_model, has_next_sentence_head
from japanese_bert.training.checks.findings import Findings, check
from japanese_bert.training.checks.pretraining import check_disk, check_pretraining
from japanese_bert.training.checks.start import changes
from japanese_bert.training.command import Training


def check_torch_pretraining(training: Training, files: Mapping[str, Path]) -> Findings:
    """Return the findings of all checks. `files` are those of the tokenizer, by their names in a checkpoint."""
    return check_pretraining(training, check_torch_devices, partial(check_torch_weights, files=files))


def num_processes() -> int:
    """Return the number of processes that torchrun started, on all machines."""
    return int(os.environ.get("WORLD_SIZE", 1))


def uses_gpu(params: ExperimentSection) -> bool:
    return torch.cuda.is_available() and params.runtime.num_gpus != 0


def config_of(params: ExperimentSection) -> BertConfig:
    """Return the model. Without next sentence labels it has no next sentence head."""
    config = bert_config_of(params)
    if config is None:
        raise ValueError(f"task.model.encoder.bert.embedding_size differs from hidden_size. {OTHERS}")
    trains_head = params.task.train_data.use_next_sentence_label and has_next_sentence_head(params)
    return replace(config, architecture="BertForPreTraining" if trains_head else "BertForMaskedLM")


@check
def check_torch_devices(findings: Findings, params: ExperimentSection, model_dir: str) -> None:
    """Check devices, processes, precision and the batch size."""
    if "://" in model_dir:
        raise ValueError(f"--model_dir {model_dir}: expected a directory of a file system")
    gpus, wanted, processes = torch.cuda.device_count(), params.runtime.num_gpus or 0, num_processes()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if uses_gpu(params) else 0
    if wanted > gpus:
        raise ValueError(f"runtime.num_gpus is {wanted}, but PyTorch finds {gpus}. See nvidia-smi, or set num_gpus=0")
    if local > gpus:
        raise ValueError(f"{local} processes on this machine, but it has {gpus} GPU(s). Start one for each GPU")
    if wanted > 1 and "WORLD_SIZE" not in os.environ:
        raise ValueError(
            f"runtime.num_gpus is {wanted}: start one process for each GPU, torchrun --nproc-per-node {wanted} "
            "run_pretraining_torch.py ..."
        )
    if params.runtime.mixed_precision_dtype not in (None, "float32", "bfloat16"):
        raise ValueError(
            f"runtime.mixed_precision_dtype is {params.runtime.mixed_precision_dtype}, expected bfloat16 or float32"
        )
    for name in ("train_data", "validation_data"):
        batch = getattr(params.task, name).global_batch_size
        if batch % processes:
            raise ValueError(f"task.{name}.global_batch_size is {batch}, not a multiple of the {processes} processes")
    device = torch.cuda.get_device_name() if uses_gpu(params) else "CPU"
    findings.facts.append(f"hardware: {processes} process(es), {device}, {precision(params)}")


def precision(params: ExperimentSection) -> str:
    """Return the type of matrix products. The CPU computes in float32."""
    if not uses_gpu(params):
        return "float32"
    default = "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return params.runtime.mixed_precision_dtype or default


@check
def check_torch_weights(findings: Findings, training: Training, files: Mapping[str, Path]) -> None:
    """Check that the model is one of this trainer's, and that tokenizer, disk and start fit it."""
    params, config = training.params, config_of(training.params)
    model = describe_trainer_model(params)
    findings.facts.append(f"model: {config.architecture}, {model.num_trained:,} weights to train")
    decays("", params.trainer.optimizer_config.optimizer.adamw.exclude_from_weight_decay or ())
    if training.trains:
        check_disk(findings, params, model, training.model_dir)
    checkpoint, check_records = Path(training.model_dir, "ckpt-0"), training.check_provenance
    describe_trained_model(checkpoint, config, files, params.as_dict(), check_records)
    check_torch_start(findings, training, config, files.get(VOCAB_FILE))


@check
def check_torch_start(findings: Findings, training: Training, config: BertConfig, vocab_file: Path | None) -> None:
    """Check the checkpoint or the weights from which the training starts."""
    model_dir, initial = Path(training.model_dir), training.params.task.init_checkpoint
    if others := list(model_dir.glob("ckpt-*.index")):
        raise ValueError(f"{others[0]}: a checkpoint of run_pretraining.py. Give another --model_dir")
    checkpoints = find_checkpoints(model_dir)
    if not checkpoints:
        if initial:
            load_initial_weights(Path(initial), config, vocab_file, findings.remarks)
            findings.remarks += notes_of(Path(initial, "config.json"))
        elif not training.trains:
            raise ValueError(f"{model_dir}: no checkpoint to evaluate. Give its --model_dir or task.init_checkpoint")
        start = f"from the weights of {initial}, with a new optimizer" if initial else "new, with random weights"
        findings.facts.append(f"start: {start}")
        return
    latest, steps = checkpoints[-1], training.params.trainer.train_steps
    check_complete(latest)
    if load_bert_config(latest / "config.json") != config:
        raise ValueError(
            f"{latest}: another model than that of --config_file. Give the configs/model/*.yaml of its training, or "
            "another --model_dir"
        )
    findings.remarks += changes(training.params, training.model_dir)
    if initial:
        findings.remarks.append(f"task.init_checkpoint is not used: {model_dir} has checkpoints of its own")
    if training.trains and step_of(latest) >= steps:
        findings.remarks.append(f"{latest} is at step {step_of(latest):,} of {steps:,}: nothing is left to train")
    findings.facts.append(f"start: continues from {latest}, step {step_of(latest):,}")

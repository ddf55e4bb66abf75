"""One training in PyTorch from start to end: model, data, `PretrainingTrainer`, and its errors as one line."""

import json
import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import IterableDataset
from transformers import TrainingArguments

from japanese_bert.common.process import default_signals
from japanese_bert.common.progress_line import ProgressLine
from japanese_bert.models.training_history import PARAMS_FILE
from japanese_bert.torch_training.checkpoints import find_checkpoints, step_of
from japanese_bert.torch_training.checks import config_of, num_processes, precision, uses_gpu
from japanese_bert.torch_training.cpu import FastDropout, keep_freed_memory
from japanese_bert.torch_training.data import PretrainingBatches
from japanese_bert.torch_training.model import load_weights, make_model
from japanese_bert.torch_training.parameters import ExperimentSection
from japanese_bert.torch_training.start import load_initial_weights
from japanese_bert.torch_training.trainer import PretrainingTrainer
from japanese_bert.training.command import Training
from japanese_bert.training.data_files import match_files
from japanese_bert.training.reporting import TrainingReport
from japanese_bert.training.trainer_log import log_path, output_to
from japanese_bert.training.workers import worker_index

SEED = 12345  # of the order of the data, of random weights and of dropout, if task.train_data.seed is not set


def pretrain_in_torch(
    training: Training, files: dict[str, Path], num_workers: int, tokens_per_micro_batch: int
) -> None:
    """Train or evaluate. The output of the libraries goes to a log.

    Raises:
        ValueError: a file is damaged, or memory does not suffice.
    """
    default_signals()
    log = log_path(training.model_dir, worker_index())
    if not worker_index():
        print(f"the trainer's output: {log}", flush=True)
    try:
        with output_to(log) as stream:
            shown = open(os.devnull, "w", encoding="utf-8") if worker_index() else stream  # noqa: SIM115
            line = ProgressLine(shown, training.params.trainer.train_steps)
            report = TrainingReport(line, training.params.task.train_data.global_batch_size)
            try:
                train_or_evaluate(training, files, num_workers, tokens_per_micro_batch, report)
            finally:
                line.close()
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except (ValueError, RuntimeError, OSError) as error:
        raise clear_error(error, tokens_per_micro_batch) from None


def train_or_evaluate(
    training: Training, files: dict[str, Path], num_workers: int, tokens_per_micro_batch: int, report: TrainingReport
) -> None:
    """Train from the last checkpoint, from given weights or from random ones, or evaluate them."""
    params, model_dir = training.params, Path(training.model_dir)
    config = config_of(params)
    latest = next(reversed(find_checkpoints(model_dir)), None)
    seed = params.task.train_data.seed or SEED
    torch.manual_seed(seed)
    model = make_model(config, params.task.model)
    if latest is None and params.task.init_checkpoint:
        load_weights(model, load_initial_weights(Path(params.task.init_checkpoint), config, files.get("vocab.txt")))
    on_gpu = uses_gpu(params)
    if on_gpu:
        model.compile(dynamic=True)
    else:
        keep_freed_memory()
        model.set_attn_implementation("eager")  # its dropout is one that FastDropout sees
    trainer = PretrainingTrainer(
        model=model,
        config=config,
        params=params,
        args=make_arguments(params, training.model_dir, seed + worker_index(), num_workers),
        report=report,
        batches={
            section.removesuffix("_data"): partial(make_batches, params, section, seed, tokens_per_micro_batch)
            for section in training.sections
        },
        files=files,
        start_step=step_of(latest) if latest else 0,
    )
    if not training.trains:
        trainer.evaluate_checkpoint(latest)
    elif trainer.start_step < params.trainer.train_steps:
        if not worker_index():
            _write_params(model_dir, params)
        with nullcontext() if on_gpu else FastDropout():
            trainer.train(resume_from_checkpoint=str(latest) if latest else None)


def make_arguments(params: ExperimentSection, model_dir: str, seed: int, num_workers: int) -> TrainingArguments:
    """Return what `Trainer` must know. It saves, validates and prints when `Intervals` says so."""
    on_gpu = uses_gpu(params)
    arguments = TrainingArguments(
        output_dir=model_dir,
        max_steps=params.trainer.train_steps,
        max_grad_norm=params.trainer.optimizer_config.optimizer.adamw.gradient_clip_norm,
        bf16=precision(params) == "bfloat16",
        use_cpu=not on_gpu,
        ddp_backend=("nccl" if on_gpu else "gloo") if num_processes() > 1 else None,
        ddp_find_unused_parameters=False,
        seed=seed,
        dataloader_num_workers=num_workers,
        ignore_data_skip=True,  # the data begins at the step of the checkpoint
        remove_unused_columns=False,
        logging_nan_inf_filter=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    # A process has one GPU. With more, `Trainer` would cut batches by DataParallel, and masked positions with them.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def make_batches(params: ExperimentSection, section: str, seed: int, tokens: int, step: int) -> IterableDataset:
    """Return this process's share of the data from a step on. Validation data has one order and one epoch."""
    data = getattr(params.task, section)
    return PretrainingBatches(
        match_files(data.input_path),
        global_batch_size=data.global_batch_size,
        max_seq_length=data.seq_length,
        max_predictions_per_seq=data.max_predictions_per_seq,
        use_next_sentence=data.use_next_sentence_label,
        seed=seed,
        rank=worker_index(),
        world_size=num_processes(),
        start_step=step,
        is_training=section == "train_data",
        drop_remainder=data.drop_remainder,
        max_tokens=tokens,
        vocab_size=params.task.model.encoder.bert.vocab_size,
    )


def _write_params(model_dir: Path, params: ExperimentSection) -> None:
    import yaml

    model_dir.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(json.loads(json.dumps(params.as_dict())))
    (model_dir / PARAMS_FILE).write_text(text, encoding="utf-8", newline="\n")


def clear_error(error: Exception, tokens: int) -> Exception:
    """Return an error whose message is one line about the cause, for people who do not know PyTorch."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return ValueError(
            f"out of memory with micro-batches of {tokens:,} tokens. Give a smaller --tokens_per_micro_batch. It does "
            "not change the batch of a step. The last checkpoint is complete"
        )
    if "PytorchStreamWriter" in text or "iostream" in text:
        return OSError("a checkpoint cannot be written. Is the disk full? Make room and run the same command again")
    return error

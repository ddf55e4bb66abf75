"""Trainings in PyTorch of the tiny model of `small_pretraining`. Nothing here is a test."""

import argparse
import io
import sys
from pathlib import Path

import numpy as np

from japanese_bert.common.progress_line import ProgressLine
from japanese_bert.conversion.hf_reading import read_hf_weights
from japanese_bert.models.config import load_bert_config
from japanese_bert.torch_training.checks import config_of
from japanese_bert.torch_training.data import PretrainingBatches
from japanese_bert.torch_training.model import load_weights, make_model
from japanese_bert.torch_training.parameters import ExperimentSection, parse_torch_parameters
from japanese_bert.torch_training.run import make_arguments, train_or_evaluate
from japanese_bert.torch_training.trainer import PretrainingTrainer
from japanese_bert.training.command import Training
from japanese_bert.training.reporting import TrainingReport
from tests.helpers.places import ROOT
from tests.helpers.small_pretraining import overrides

SCRIPT = str(ROOT / "run_pretraining_torch.py")


def parse_torch(place: Path, more: str = "", model: str = "model.yaml") -> ExperimentSection:
    """Return the parameters of `data.yaml` and a model's YAML below `place`."""
    files = [str(place / "data.yaml"), str(place / model)]
    found = {"experiment": "bert/pretraining", "config_file": files, "params_override": overrides(place, more)}
    return parse_torch_parameters(argparse.Namespace(**found))


def torch_command(place: Path, model_dir: Path, *flags: str, more: str = "", model: str = "model.yaml") -> list[str]:
    """Return the arguments of a process, from that of Python on."""
    files = [f"--config_file={place / name}" for name in ("data.yaml", model)]
    override = f"--params_override={overrides(place, more)}"
    return [sys.executable, SCRIPT, f"--model_dir={model_dir}", "--num_workers=0", *files, override, *flags]


def train_torch(place: Path, model_dir: Path, more: str = "", mode: str = "train_and_eval", **files: Path) -> str:
    """Train or evaluate in this process. Return what was printed."""
    training = Training(parse_torch(place, more), mode, str(model_dir))
    printed = io.StringIO()
    report = TrainingReport(ProgressLine(printed, training.params.trainer.train_steps), 8)
    train_or_evaluate(training, files, 0, 1 << 20, report)
    return printed.getvalue()


def take_torch_steps(
    params: ExperimentSection, model_dir: Path, weights: dict, tfrecord: Path, tokens: int = 1 << 20
) -> None:
    """Train from given weights on the batches of a file, in their order."""
    config, data = config_of(params), params.task.train_data
    model = make_model(config, params.task.model)
    load_weights(model, weights)

    def batches(step: int) -> PretrainingBatches:
        return PretrainingBatches(
            [str(tfrecord)],
            global_batch_size=data.global_batch_size,
            max_seq_length=data.seq_length,
            max_predictions_per_seq=data.max_predictions_per_seq,
            use_next_sentence=data.use_next_sentence_label,
            seed=1,
            is_training=False,
            max_tokens=tokens,
        )

    trainer = PretrainingTrainer(
        model=model,
        config=config,
        params=params,
        args=make_arguments(params, str(model_dir), seed=1, num_workers=0),
        report=TrainingReport(ProgressLine(io.StringIO(), params.trainer.train_steps), data.global_batch_size),
        batches={"train": batches},
        files={},
    )
    trainer.train()


def largest_difference(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Return the largest difference of the weights of two models."""
    assert found.keys() == expected.keys()
    return max(float(np.abs(found[name] - expected[name]).max()) for name in found)


def saved_weights(checkpoint: Path) -> dict[str, np.ndarray]:
    return read_hf_weights(checkpoint, load_bert_config(checkpoint / "config.json"))

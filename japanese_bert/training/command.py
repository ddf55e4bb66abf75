"""What the commands that train share: Model Garden's flags, its configuration, and the start of its trainer."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from japanese_bert.common import command_line
from japanese_bert.common.locks import check_not_locked
from japanese_bert.common.process import default_signals
from japanese_bert.training.best_checkpoint import keep_best_json
from japanese_bert.training.parameters import parse_parameters
from japanese_bert.training.short_flags import SHORT_FLAGS, add_short_flags
from japanese_bert.training.workers import worker_index

if TYPE_CHECKING:
    from official.core.config_definitions import ExperimentConfig

MODES = ("train", "eval", "train_and_eval", "continuous_eval", "train_and_post_eval")
OWN_FLAGS = ("check_records", "check_only", "tf_config_file", "keep_best", *SHORT_FLAGS)


@dataclass(frozen=True, slots=True)
class Gin:
    """The trainer's flags --gin_file and --gin_params."""

    files: Sequence[str] = ()
    params: Sequence[str] = ()


NO_GIN = Gin()


@dataclass(frozen=True, slots=True)
class Training:
    """One training that is about to start: Model Garden's configuration, and the flags that the checks need."""

    params: "ExperimentConfig"
    mode: str
    model_dir: str
    check_provenance: bool = True
    gin: Gin = NO_GIN

    @property
    def trains(self) -> bool:
        return "train" in self.mode

    @property
    def sections(self) -> list[str]:
        """Return the sections of `task` whose data is read."""
        return ["train_data"] * self.trains + ["validation_data"] * ("eval" in self.mode)


def get_parser(description: str | None, *experiments: str) -> argparse.ArgumentParser:
    """Return the parser of a command. The first experiment is the default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=command_line.HelpFormatter, allow_abbrev=False
    )
    add_short_flags(parser)
    trainer = parser.add_argument_group("flags of official.nlp.train, passed on")
    add_training_flags(trainer, MODES, *experiments)
    trainer.add_argument("--tpu", help="local on a TPU VM, or the TPU's name")
    trainer.add_argument("--gin_file", action="append", help="configs/model/*.gin, several times")
    trainer.add_argument("--gin_params", action="append", help="gin bindings, several times")
    trainer.add_argument("--tf_data_service", help="address of a tf.data service")
    trainer.add_argument("--tpu_platform", help="TPU platform type")
    trainer.add_argument(
        "--enable_async_checkpointing", nargs="?", const="true", help="save checkpoints while training; default: true"
    )
    trainer.add_argument("--noenable_async_checkpointing", action="store_true", help="the same, false")
    add_check_flags(parser)
    return parser


def add_training_flags(group: argparse._ArgumentGroup, modes: Sequence[str], *experiments: str) -> None:
    """Add the flags that every trainer has."""
    group.add_argument("--experiment", default=experiments[0], help=" or ".join(experiments))
    group.add_argument("--mode", default="train_and_eval", choices=modes, help="train_and_eval validates at intervals")
    group.add_argument("--model_dir", required=True, help="checkpoints and TensorBoard events; may be gs://...")
    group.add_argument(
        "--config_file", action="append", help="configs/{data,model,runtime}/*.yaml, several times; later ones win"
    )
    group.add_argument("--params_override", help="name=value,... or a YAML file; wins over --config_file")
    group.add_argument(
        "--keep_best", action="store_true", help="also keep the checkpoint of the best validation, in best/"
    )


def add_check_flags(parser: argparse.ArgumentParser) -> None:
    own = parser.add_argument_group("checks")
    own.add_argument(
        "--check_records",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="every data file needs its .json, which shows whether it is complete. Initial weights need the same "
        "tokenization",
    )
    own.add_argument("--check_only", action="store_true", help="end after the checks")


def check_experiment(experiment: str, experiments: Sequence[str]) -> None:
    """Raise ValueError for an experiment that the command does not know. Model Garden may have it."""
    if experiment not in experiments:
        raise ValueError(f"--experiment is {experiment}, expected {' or '.join(experiments)}")


def import_model_garden() -> None:
    """Register the experiments, without the warnings of Model Garden's dependencies about each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        from official.common import registry_imports  # noqa: F401

        from japanese_bert.training import bucketed_data  # noqa: F401


def read_training(args: argparse.Namespace, parse: Callable = parse_parameters) -> Training:
    """Return what the flags describe. --keep_best becomes one more --config_file. Raise ValueError for a mistake.

    `parse` reads the parameters of the trainer that is to run.
    """
    params = parse(args)
    if args.keep_best:
        best = keep_best_json(args.experiment, args.mode, params.task)
        args.config_file = [*(args.config_file or []), best]
        params = parse(args)
    gin = Gin(*(vars(args).get(name) or () for name in ("gin_file", "gin_params")))
    return Training(params, args.mode, args.model_dir, args.check_records, gin)


def run_trainer(train: Callable[[list[str]], None], args: argparse.Namespace) -> None:
    """Call `train` with the trainer's flags. It ends at once on SIGTERM, because it continues from checkpoints."""
    default_signals()
    try:
        with locked(args.model_dir, args.mode):
            train(trainer_arguments(args))
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        sys.exit(130)


@contextmanager
def locked(model_dir: str, mode: str) -> Iterator[None]:
    """Keep a second training out of a directory, where the file system can lock one.

    Raises:
        BlockingIOError: another process trains there.
    """
    if "train" not in mode or worker_index() or "://" in model_dir:
        yield
        return
    os.makedirs(model_dir, exist_ok=True)
    held = [os.open(model_dir, os.O_RDONLY)]
    os.register_at_fork(after_in_child=lambda: [*map(os.close, held)])  # workers may outlive a kill
    try:
        check_not_locked(held[0], Path(model_dir))
        yield
    finally:
        os.close(held.pop())


def trainer_arguments(args: argparse.Namespace) -> list[str]:
    """Return the flags in the form of `official.nlp.train`."""
    arguments = []
    for name, value in vars(args).items():
        if name not in OWN_FLAGS and value not in (None, False):
            values = value if isinstance(value, list) else [value]
            arguments += [f"--{name}" if item is True else f"--{name}={item}" for item in values]
    return arguments

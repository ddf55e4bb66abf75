"""Pretrain with TF Model Garden: its flags and its training, after checks of data, configuration, weights and disk.

The checks take seconds; each problem is one line, and nothing starts if there is any. The same command continues a
run that was stopped from its last checkpoint.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable

from japanese_bert.common import command_line
from japanese_bert.common.process import default_signals
from japanese_bert.common.report import Stopwatch

MODES = (
    "train",
    "eval",
    "train_and_eval",
    "continuous_eval",
    "continuous_train_and_eval",
    "train_and_validate",
    "train_and_post_eval",
)
OWN_FLAGS = ("check_records", "check_only")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=command_line.HelpFormatter, allow_abbrev=False
    )
    trainer = parser.add_argument_group("flags of official.nlp.train, passed on")
    trainer.add_argument("--experiment", required=True, help="bert/pretraining or electra/pretraining")
    trainer.add_argument("--mode", required=True, choices=MODES, help="train_and_eval validates at intervals")
    trainer.add_argument("--model_dir", required=True, help="checkpoints and TensorBoard events; may be gs://...")
    trainer.add_argument(
        "--config_file", action="append", help="configs/{data,model,runtime}/*.yaml, several times; later ones win"
    )
    trainer.add_argument("--params_override", help="name=value,... or a YAML file; wins over --config_file")
    trainer.add_argument("--tpu", help="local on a TPU VM, or the TPU's name")
    trainer.add_argument("--gin_file", action="append", help="configs/model/*.gin, several times")
    trainer.add_argument("--gin_params", action="append", help="gin bindings, several times")
    trainer.add_argument("--tf_data_service", help="address of a tf.data service")
    trainer.add_argument("--tpu_platform", help="TPU platform type")
    trainer.add_argument("--pretrain_steps", type=int, help="steps, for continuous_train_and_eval")
    trainer.add_argument(
        "--enable_async_checkpointing", nargs="?", const="true", help="save checkpoints while training; default: true"
    )
    trainer.add_argument("--noenable_async_checkpointing", action="store_true", help="the same, false")
    own = parser.add_argument_group("checks")
    own.add_argument(
        "--check_records",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="every data file needs its .json, which tells whether it is whole",
    )
    own.add_argument("--check_only", action="store_true", help="end after the checks")
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import_model_garden()
    from japanese_bert.training import trainer
    from japanese_bert.training.checks.described_model import Gin
    from japanese_bert.training.checks.pretraining import check_all

    stopwatch = Stopwatch()
    params = read_params(args)
    gin = Gin(args.gin_file or (), args.gin_params or ())
    found = check_all(params, args.mode, args.model_dir, args.check_records, gin)
    report(found, stopwatch, "run_pretraining.py")
    if not args.check_only:
        run_trainer(trainer.train, args)


def import_model_garden() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of how Model Garden's dependencies call each other
        from official.common import registry_imports  # noqa: F401


def read_params(args: argparse.Namespace):
    """Model Garden's ExperimentConfig, of the flags."""
    from official.core import train_utils

    try:
        return train_utils.parse_configuration(parse_options(args), print_return=False)
    except (KeyError, AttributeError, TypeError) as error:
        reason = " ".join(map(str, error.args))
        if "PretrainerConfig" in reason:
            reason += (
                " ELECTRA's configs/model/*.yaml go with --experiment=electra/pretraining, others with bert/pretraining"
            )
        raise ValueError(f"--config_file or --params_override: {reason}") from None


def report(found, stopwatch: Stopwatch, prog: str) -> None:
    """Print what was found, and exit if something is wrong."""
    for line in found.facts:
        print(f"  {line}")
    for line in found.remarks:
        print(f"  NOTE {line}")
    print(f"checks: {stopwatch.measurements()['seconds']} s, {len(found.problems)} problem(s)", flush=True)
    if found.problems:
        for line in found.problems:
            print(f"{prog}: error: {line}", file=sys.stderr)
        sys.exit(1)


def run_trainer(train: Callable[[list[str]], None], args: argparse.Namespace) -> None:
    default_signals()
    try:
        train(trainer_arguments(args))
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        sys.exit(130)


def parse_options(args: argparse.Namespace):
    from official.core import train_utils

    return train_utils.ParseConfigOptions(
        experiment=args.experiment,
        config_file=args.config_file or [],
        tpu=args.tpu,
        tf_data_service=args.tf_data_service or "",
        params_override=args.params_override or "",
    )


def trainer_arguments(args: argparse.Namespace) -> list[str]:
    """The flags as `official.nlp.train` reads them."""
    arguments = []
    for name, value in vars(args).items():
        if name not in OWN_FLAGS and value not in (None, False):
            values = value if isinstance(value, list) else [value]
            arguments += [f"--{name}" if item is True else f"--{name}={item}" for item in values]
    return arguments


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

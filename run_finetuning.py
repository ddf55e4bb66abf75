"""Fine-tune an encoder with TF Model Garden on classification or regression: its flags and its training, after checks.

--experiment=bert/sentence_prediction; the encoder comes from task.init_checkpoint, a checkpoint of pretraining, with
--tf_config_file, or from task.hub_module_url, a SavedModel. The checks take seconds; each problem is one line, and
nothing starts if there is any. The same command continues a run that was stopped from its last checkpoint.
"""

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

import run_pretraining
from japanese_bert import stage


def get_parser() -> argparse.ArgumentParser:
    parser = run_pretraining.get_parser()
    parser.description = __doc__
    parser.add_argument(
        "--tf_config_file",
        type=Path,
        help="architecture of task.init_checkpoint, e.g. model_configs/*/config.json; becomes task.model.encoder",
    )
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as directory:
        if args.tf_config_file:
            args.config_file = [write_encoder(args.tf_config_file, Path(directory)), *(args.config_file or [])]
        del args.tf_config_file
        check(args)
        if args.check_only:
            return
        from japanese_bert import finetuning

        stage.default_signals()
        try:
            finetuning.train(run_pretraining.trainer_arguments(args))
        except KeyboardInterrupt:
            print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
            sys.exit(130)


def write_encoder(config_file: Path, directory: Path) -> str:
    """`config.json` as the trainer's YAML."""
    import yaml

    from japanese_bert.bert_config import load_bert_config
    from japanese_bert.model_garden import encoder_params

    params = {"task": {"model": {"encoder": encoder_params(load_bert_config(config_file))}}}
    path = directory / "encoder.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return str(path)


def check(args: argparse.Namespace) -> None:
    """Print what was found, and exit if something is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of how Model Garden's dependencies call each other
        from official.common import registry_imports  # noqa: F401
        from official.core import train_utils

    from japanese_bert.finetuning_checks import EXPERIMENT, check_all

    stopwatch = stage.Stopwatch()
    if args.experiment != EXPERIMENT:
        raise ValueError(f"--experiment {args.experiment}: expected {EXPERIMENT}")
    try:
        params = train_utils.parse_configuration(run_pretraining.parse_options(args), print_return=False)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"--config_file or --params_override: {' '.join(map(str, error.args))}") from None
    found = check_all(params, args.mode, args.model_dir, args.check_records)
    for line in (*found.facts, *(f"NOTE {remark}" for remark in found.remarks)):
        print(f"  {line}")
    print(f"checks: {stopwatch.measurements()['seconds']} s, {len(found.problems)} problem(s)", flush=True)
    for line in found.problems:
        print(f"run_finetuning.py: error: {line}", file=sys.stderr)
    if found.problems:
        sys.exit(1)


if __name__ == "__main__":
    stage.run_stage(get_parser(), main)

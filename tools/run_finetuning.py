"""Fine-tune an encoder with TF Model Garden on classification or regression: its flags and its training, after checks.

--experiment=bert/sentence_prediction; the encoder comes from task.init_checkpoint, a checkpoint of pretraining, with
--tf_config_file, or from task.hub_module_url, a SavedModel. The checks take seconds; each problem is one line, and
nothing starts if there is any. The same command continues a run that was stopped from its last checkpoint.
"""

import argparse
import os
import tempfile
from pathlib import Path

import run_pretraining
from japanese_bert.common import command_line
from japanese_bert.common.report import Stopwatch


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
        if not args.check_only:
            from japanese_bert.training import finetuning

            run_pretraining.run_trainer(finetuning.train, args)


def write_encoder(config_file: Path, directory: Path) -> str:
    """`config.json` as the trainer's YAML."""
    import yaml

    from japanese_bert.models.config import load_bert_config
    from japanese_bert.models.model_garden import encoder_params

    params = {"task": {"model": {"encoder": encoder_params(load_bert_config(config_file))}}}
    path = directory / "encoder.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return str(path)


def check(args: argparse.Namespace) -> None:
    """Print what was found, and exit if something is wrong."""
    run_pretraining.import_model_garden()
    from japanese_bert.training.checks.finetuning import EXPERIMENT, check_all

    stopwatch = Stopwatch()
    if args.experiment != EXPERIMENT:
        raise ValueError(f"--experiment {args.experiment}: expected {EXPERIMENT}")
    params = run_pretraining.read_params(args)
    found = check_all(params, args.mode, args.model_dir, args.check_records)
    run_pretraining.report(found, stopwatch, "run_finetuning.py")


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

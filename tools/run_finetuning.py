"""Fine-tune an encoder with TF Model Garden: its flags and its training, after checks.

--experiment is bert/sentence_prediction (classes, or a regression), bert/squad (question answering) or bert/tagging
(named entities).

The encoder comes from --init_checkpoint, a checkpoint of pretraining, with --tf_config_file, or from
task.hub_module_url, a SavedModel. The checks take seconds. Each problem is one line, and nothing starts if there is
one. To continue a run that was stopped, run the same command again. It starts from the last checkpoint.
"""

import argparse
import json
import os
from pathlib import Path

from japanese_bert.common.command_line import run_stage
from japanese_bert.common.report import Stopwatch
from japanese_bert.training import command
from japanese_bert.training.short_flags import config_files

EXPERIMENTS = ("bert/sentence_prediction", "bert/squad", "bert/tagging")


def get_parser() -> argparse.ArgumentParser:
    parser = command.get_parser(__doc__, *EXPERIMENTS)
    parser.add_argument(
        "--tf_config_file",
        type=Path,
        help="architecture of task.init_checkpoint, e.g. model_configs/*/config.json; becomes task.model.encoder",
    )
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    command.import_model_garden()
    from japanese_bert.training.checks.findings import report_findings
    from japanese_bert.training.checks.finetuning import check_finetuning
    from japanese_bert.training.trainer import fine_tune

    stopwatch = Stopwatch()
    command.check_experiment(args.experiment, EXPERIMENTS)
    if args.tf_config_file:
        args.config_file = [encoder_json(args.tf_config_file), *(args.config_file or [])]
    args.config_file = config_files(args)
    findings = check_finetuning(command.read_training(args))
    report_findings(findings, stopwatch, "run_finetuning.py")
    if not args.check_only:
        command.run_trainer(fine_tune, args)


def encoder_json(config_file: Path) -> str:
    """Return `config.json` in the form of the trainer's parameters."""
    from japanese_bert.models.config import load_bert_config
    from japanese_bert.models.model_garden import encoder_params

    return json.dumps({"task": {"model": {"encoder": encoder_params(load_bert_config(config_file))}}})


if __name__ == "__main__":
    run_stage(get_parser(), main)

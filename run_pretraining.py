"""Pretrain with TF Model Garden: its flags and its training, after checks of data, configuration, weights and disk.

The checks take seconds. Each problem is one line, and nothing starts if there is one. To continue a run that was
stopped, run the same command again. It starts from the last checkpoint.
"""

import argparse
import os

from japanese_bert.common.command_line import run_stage
from japanese_bert.common.environment import check_cuda_packages
from japanese_bert.common.report import Stopwatch
from japanese_bert.training import command
from japanese_bert.training.short_flags import config_files

EXPERIMENTS = ("bert/pretraining", "bert/pretraining_dynamic", "electra/pretraining")


def get_parser() -> argparse.ArgumentParser:
    return command.get_parser(__doc__, *EXPERIMENTS)


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    check_cuda_packages()
    command.import_model_garden()
    from japanese_bert.training.checks.findings import report_findings
    from japanese_bert.training.checks.pretraining import check_pretraining
    from japanese_bert.training.trainer import pretrain

    stopwatch = Stopwatch()
    command.check_experiment(args.experiment, EXPERIMENTS)
    args.config_file = config_files(args)
    findings = check_pretraining(command.read_training(args))
    report_findings(findings, stopwatch, "run_pretraining.py")
    if not args.check_only:
        command.run_trainer(pretrain, args)


if __name__ == "__main__":
    run_stage(get_parser(), main)

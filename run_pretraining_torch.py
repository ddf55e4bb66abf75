"""Pretrain a BERT in PyTorch: the flags, configurations and records of run_pretraining.py, on GPUs or a CPU.

It computes the losses that TF Model Garden computes. Each checkpoint, MODEL_DIR/ckpt-N, is a Hugging Face directory.
Several GPUs: torchrun --nproc-per-node GPUS run_pretraining_torch.py ... To continue a run that was stopped, run the
same command again. It starts from the last checkpoint.
"""

import argparse
import os
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.environment import check_cuda_packages
from japanese_bert.common.report import Stopwatch
from japanese_bert.training.command import add_check_flags, add_training_flags, locked, read_training
from japanese_bert.training.short_flags import add_short_flags, as_config, config_files

MODES = ("train", "eval", "train_and_eval")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=command_line.HelpFormatter, allow_abbrev=False
    )
    add_short_flags(parser)
    add_training_flags(parser.add_argument_group("training"), MODES, "bert/pretraining")
    model = parser.add_argument_group("tokenizer of the checkpoints. Default: that of --init_checkpoint")
    model.add_argument("--hf_config_dir", type=Path, help="hf_model_configs/*, or the directory of another model")
    model.add_argument(
        "--vocab_file",
        type=Path,
        help="vocab.txt of the data. Tokens after those of --init_checkpoint are added to the model",
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--num_workers", type=int, default=2, help="processes that read data for each GPU. They do not change the data"
    )
    run.add_argument(
        "--tokens_per_micro_batch",
        type=int,
        default=16384,
        help="tokens that are computed at once. It limits the memory, and does not change the batch of a step",
    )
    add_check_flags(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.pop("TF_CONFIG", None)  # the machines of the other trainer. torchrun numbers these processes
    check_cuda_packages()
    from japanese_bert.models.training_history import is_hf_directory
    from japanese_bert.tokenization.vocab import load_vocab
    from japanese_bert.torch_training.checks import check_torch_pretraining
    from japanese_bert.torch_training.parameters import parse_torch_parameters
    from japanese_bert.torch_training.run import pretrain_in_torch
    from japanese_bert.torch_training.start import find_tokenizer_files
    from japanese_bert.training.checks.findings import report_findings

    stopwatch = Stopwatch()
    command_line.check_positive({"tokens_per_micro_batch": args.tokens_per_micro_batch})
    args.config_file = config_files(args, parse_torch_parameters)
    initial = Path(args.init_checkpoint) if args.init_checkpoint else None
    if args.vocab_file and initial and is_hf_directory(initial):
        size = len(load_vocab(args.vocab_file))
        args.config_file.append(as_config({"task.model.encoder.bert.vocab_size": size}))
    training = read_training(args, parse_torch_parameters)
    initial = Path(training.params.task.init_checkpoint or "/")
    files = find_tokenizer_files(initial, args.hf_config_dir, args.vocab_file)
    report_findings(check_torch_pretraining(training, files), stopwatch, "run_pretraining_torch.py")
    if not args.check_only:
        with locked(training.model_dir, training.mode):
            pretrain_in_torch(training, files, args.num_workers, args.tokens_per_micro_batch)


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

"""What the stages that create data for fine-tuning share: their flags, and the way from a file to a TFRecord file."""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from japanese_bert.common import command_line
from japanese_bert.tokenization.arguments import add_tokenization_arguments, load_data_tokenizer, method_of

if TYPE_CHECKING:
    from japanese_bert.tokenization.arguments import DataTokenizer

RUN_ARGUMENTS = ("input_file", "output_file", "overwrite")  # they decide no byte of the output
SHORTEST_PAIR = 5  # tokens: [CLS] A [SEP] B [SEP]


def add_file_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    files = parser.add_argument_group("input and output")
    files.add_argument("--input_file", type=Path, required=True, help=what)
    files.add_argument("--output_file", type=Path, required=True, help="TFRecord file")


def add_form_arguments(parser: argparse.ArgumentParser, max_seq_length: int) -> None:
    """Add the flags of the tokenization, of the records and of the run."""
    add_tokenization_arguments(parser)
    form = parser.add_argument_group("form of the records")
    form.add_argument("--max_seq_length", type=int, default=max_seq_length, help="tokens, [CLS] and [SEP] included")
    form.add_argument(
        "--gzip_compress",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="file_type: tfrecord_compressed",
    )
    command_line.add_run_arguments(parser, num_workers=False)


def check_form(args: argparse.Namespace) -> None:
    """Raise ValueError for a length that no record can have, and FileNotFoundError for a missing input."""
    from japanese_bert.pretraining_data.instances import MAX_SEQ_LENGTH

    if not SHORTEST_PAIR <= args.max_seq_length <= MAX_SEQ_LENGTH:
        raise ValueError(f"--max_seq_length {args.max_seq_length}: expected {SHORTEST_PAIR} to {MAX_SEQ_LENGTH}")
    command_line.check_files_exist([args.input_file], "the data set's own download")


def create_data(
    args: argparse.Namespace, stage: str, write: Callable[[BinaryIO, "DataTokenizer"], Mapping[str, Any]]
) -> None:
    """Make the output, unless it is complete. `write` returns what to report."""
    from japanese_bert.common.output_files import open_outputs
    from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
    from japanese_bert.common.report import Stopwatch, print_summary
    from japanese_bert.tokenization.identity import check_vocab_of_data

    stopwatch = Stopwatch()
    tokenizer = load_data_tokenizer(args)
    dictionary = tokenizer.splitter.dictionary
    provenance = Provenance(
        stage=stage,
        method=method_of(args, RUN_ARGUMENTS)
        | {"outputs": [args.output_file.name], "vocab_size": len(tokenizer.vocab)},
        inputs=InputFiles(text=[args.input_file], vocab=[tokenizer.vocab_file]),
        arguments=vars(args),
        dictionary=dictionary.identity() if dictionary else None,
        packages=(*tokenizer.packages, "isal"),
    )
    if skip_if_complete(provenance, [args.output_file]):
        return
    check_vocab_of_data(provenance, tokenizer.vocab_file, args.check_records)
    command_line.check_compression([args.output_file], args.gzip_compress)
    with open_outputs([args.output_file], provenance, args.overwrite) as [file]:
        provenance.report.update(write(file, tokenizer), **stopwatch.measurements())
    print_summary(stage.replace("create_", "created ").replace("_", " "), provenance.report)


def rates(counts: Counter[str]) -> dict[str, float]:
    return {
        "unknown_tokens": counts["unknown_tokens"] / counts["tokens"],
        "mean_length": counts["tokens"] / counts["instances"],
    }

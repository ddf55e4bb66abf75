"""Create data for fine-tuning on classification or regression: texts with labels + vocab.txt -> TFRecords.

The input is JSON Lines (JGLUE's files), or TSV with a first line of names. Each line has one text or a pair of texts.
The records are those of Model Garden's bert/sentence_prediction. The ids are those of the model's tokenizer in
Transformers.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from japanese_bert.common import command_line
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.tokenization.arguments import add_tokenization_arguments, load_data_tokenizer, method_of

if TYPE_CHECKING:
    from japanese_bert.finetuning_data.encoding import Encoder

RUN_ARGUMENTS = ("input_file", "output_file", "overwrite")  # they decide no byte of the output
SHORTEST_PAIR = 5  # tokens: [CLS] A [SEP] B [SEP]


def get_parser() -> argparse.ArgumentParser:
    switch = argparse.BooleanOptionalAction
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    files = parser.add_argument_group("input and output")
    files.add_argument(
        "--input_file", type=Path, required=True, help="JSON Lines, or TSV if it ends in .tsv (.gz, .bz2, .xz too)"
    )
    files.add_argument("--output_file", type=Path, required=True, help="TFRecord file")

    fields = parser.add_argument_group("fields")
    fields.add_argument("--text_fields", nargs="+", required=True, help="name of the text, or names of a pair of texts")
    fields.add_argument("--label_field", default="label", help="name of the label")
    what = fields.add_mutually_exclusive_group(required=True)
    what.add_argument("--labels", nargs="+", default=[], help="classes in the order of their numbers, from 0")
    what.add_argument("--regression", action=switch, default=False, help="labels are numbers, as in JSTS")

    add_tokenization_arguments(parser)

    form = parser.add_argument_group("form of the records")
    form.add_argument("--max_seq_length", type=int, default=128, help="tokens, [CLS] and [SEP] included")
    form.add_argument("--gzip_compress", action=switch, default=False, help="file_type: tfrecord_compressed")
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    check_arguments(args)
    from japanese_bert.common.output_files import open_outputs
    from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
    from japanese_bert.finetuning_data.encoding import Encoder
    from japanese_bert.tokenization.identity import check_vocab_of_data

    stopwatch = Stopwatch()
    tokenizer = load_data_tokenizer(args)
    dictionary = tokenizer.splitter.dictionary
    provenance = Provenance(
        stage="create_classification_data",
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
        encoder = Encoder(tokenizer, args.max_seq_length)
        labels = write(file, args, encoder)
        provenance.report.update(summarize(encoder.counts, labels), **stopwatch.measurements())
    print_summary("created classification data", provenance.report)


def check_arguments(args: argparse.Namespace) -> None:
    """Raise ValueError for the first setting that cannot work."""
    from japanese_bert.pretraining_data.instances import MAX_SEQ_LENGTH

    if not SHORTEST_PAIR <= args.max_seq_length <= MAX_SEQ_LENGTH:
        raise ValueError(f"--max_seq_length {args.max_seq_length}: expected {SHORTEST_PAIR} to {MAX_SEQ_LENGTH}")
    if len(args.text_fields) > 2:
        raise ValueError(f"--text_fields {' '.join(args.text_fields)}: expected one text, or a pair")
    if not args.regression and len(set(args.labels)) < max(2, len(args.labels)):
        raise ValueError(f"--labels {' '.join(args.labels)}: expected two or more different labels")
    command_line.check_files_exist([args.input_file], "the data set's own download")


def write(file: BinaryIO, args: argparse.Namespace, encoder: "Encoder") -> dict[str, object]:
    """Write all examples. Return how many there are of each label, or mean, min and max of the scores."""
    import numpy as np

    from japanese_bert.finetuning_data.encoding import render_examples
    from japanese_bert.finetuning_data.labelled_texts import Columns, read_labelled_texts

    examples = read_labelled_texts(args.input_file, Columns(args.text_fields, args.label_field, args.labels))
    for piece in render_examples(examples, encoder, args.gzip_compress):
        file.write(piece)
    found = encoder.labels
    if not found:
        raise ValueError(f"{args.input_file}: no example. Expected one per line")
    if args.regression:
        return {"mean": float(np.mean(found)), "min": min(found), "max": max(found)}
    return {label: found.count(number) for number, label in enumerate(args.labels)}


def summarize(counts: Counter[str], labels: dict[str, object]) -> dict[str, object]:
    """Return counts in and out, rates, and the counts of what was dropped, by reason."""
    return {
        "counts": {name: counts[name] for name in ("instances", "tokens", "instances_cut", "texts_without_tokens")},
        "labels": labels,
        "rates": {
            "unknown_tokens": counts["unknown_tokens"] / counts["tokens"],
            "mean_length": counts["tokens"] / counts["instances"],
        },
        "dropped": {"nul_characters": counts["nul_characters"]},
    }


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

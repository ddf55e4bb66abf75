"""Create data for fine-tuning on classification or regression: texts with labels + vocab.txt -> TFRecords.

The input is JSON Lines (JGLUE's files), or TSV with a first line of names. Each line has one text or a pair of texts.
The records are those of Model Garden's bert/sentence_prediction. The ids are those of the model's tokenizer in
Transformers.
"""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from japanese_bert.common import command_line
from japanese_bert.finetuning_data import creation

if TYPE_CHECKING:
    from japanese_bert.tokenization.arguments import DataTokenizer


def get_parser() -> argparse.ArgumentParser:
    switch = argparse.BooleanOptionalAction
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    creation.add_file_arguments(parser, "JSON Lines, or TSV if it ends in .tsv (.gz, .bz2, .xz too)")

    fields = parser.add_argument_group("fields")
    fields.add_argument("--text_fields", nargs="+", required=True, help="name of the text, or names of a pair of texts")
    fields.add_argument("--label_field", default="label", help="name of the label")
    what = fields.add_mutually_exclusive_group(required=True)
    what.add_argument("--labels", nargs="+", default=[], help="classes in the order of their numbers, from 0")
    what.add_argument("--regression", action=switch, default=False, help="labels are numbers, as in JSTS")

    creation.add_form_arguments(parser, max_seq_length=128)
    return parser


def main(args: argparse.Namespace) -> None:
    creation.check_form(args)
    if len(args.text_fields) > 2:
        raise ValueError(f"--text_fields {' '.join(args.text_fields)}: expected one text, or a pair")
    if not args.regression and len(set(args.labels)) < max(2, len(args.labels)):
        raise ValueError(f"--labels {' '.join(args.labels)}: expected two or more different labels")
    creation.create_data(args, "create_classification_data", partial(write, args))


def write(args: argparse.Namespace, file: BinaryIO, tokenizer: "DataTokenizer") -> dict[str, Any]:
    """Write all examples. Return counts in and out, rates, and the counts of what was dropped, by reason."""
    from japanese_bert.finetuning_data.encoding import Encoder, render_examples
    from japanese_bert.finetuning_data.labelled_texts import Columns, read_labelled_texts

    encoder = Encoder(tokenizer, args.max_seq_length)
    examples = read_labelled_texts(args.input_file, Columns(args.text_fields, args.label_field, args.labels))
    for piece in render_examples(examples, encoder, args.gzip_compress):
        file.write(piece)
    if not encoder.labels:
        raise ValueError(f"{args.input_file}: no example. Expected one per line")
    counts = encoder.counts
    return {
        "counts": {name: counts[name] for name in ("instances", "tokens", "instances_cut", "texts_without_tokens")},
        "labels": summarize_labels(args, encoder.labels),
        "rates": creation.rates(counts),
        "dropped": {"nul_characters": counts["nul_characters"]},
    }


def summarize_labels(args: argparse.Namespace, found: list[int | float]) -> dict[str, object]:
    """Return how many examples there are of each label, or mean, min and max of the scores."""
    if args.regression:
        import numpy as np

        return {"mean": float(np.mean(found)), "min": min(found), "max": max(found)}
    return {label: found.count(number) for number, label in enumerate(args.labels)}


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

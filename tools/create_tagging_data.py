"""Create data for fine-tuning on tagging, such as named entities: words with tags + vocab.txt -> TFRecords.

The input has columns as in CoNLL's files: one word a line, and a blank line after each sentence. The records are those
of Model Garden's bert/tagging. The words should be those of the model's tokenizer, because each is tokenized by itself.
"""

import argparse
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from japanese_bert.common import command_line
from japanese_bert.finetuning_data import creation

if TYPE_CHECKING:
    from japanese_bert.tokenization.arguments import DataTokenizer


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    creation.add_file_arguments(parser, "words and tags in columns, separated by tabs or spaces (.gz, .bz2, .xz too)")
    columns = parser.add_argument_group("columns")
    columns.add_argument("--word_column", type=int, default=0, help="number of the word's column, from 0")
    columns.add_argument("--tag_column", type=int, default=-1, help="the tag's; -1 is the last one")
    columns.add_argument(
        "--labels", nargs="+", required=True, help="tags in the order of their numbers, e.g. O B-PER I-PER"
    )
    creation.add_form_arguments(parser, max_seq_length=128)
    return parser


def main(args: argparse.Namespace) -> None:
    creation.check_form(args)
    if len(set(args.labels)) < max(2, len(args.labels)):
        raise ValueError(f"--labels {' '.join(args.labels)}: expected two or more different labels")
    creation.create_data(args, "create_tagging_data", partial(write, args))


def write(args: argparse.Namespace, file: BinaryIO, tokenizer: "DataTokenizer") -> dict[str, Any]:
    """Write all sentences. Return counts in and out, and rates."""
    from japanese_bert.finetuning_data.tag_encoding import render_sentences
    from japanese_bert.finetuning_data.tagged_sentences import read_tagged_sentences

    counts: Counter[str] = Counter()
    sentences = read_tagged_sentences(args.input_file, args.labels, args.word_column, args.tag_column)
    for piece in render_sentences(sentences, tokenizer, args.max_seq_length, args.gzip_compress, counts):
        file.write(piece)
    if not counts["sentences"]:
        raise ValueError(f"{args.input_file}: no sentence. Expected one word a line")
    names = ("sentences", "words", "instances", "tokens", "sentences_cut")
    return {
        "counts": {name: counts[name] for name in names},
        "rates": creation.rates(counts),
        "dropped": {"tokens_cut": counts["tokens_cut"]},
    }


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

"""Create data for fine-tuning on question answering: questions with paragraphs + vocab.txt -> TFRecords.

The input is one JSON in the layout of SQuAD 1.1, as JSQuAD's. The records are those of Model Garden's bert/squad: one
for each window of a paragraph, the same windows as in evaluate_jglue.py. They also say which characters each token
comes from, so that predict_labels.py can predict answers as text.
"""

import argparse
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from japanese_bert.common import command_line
from japanese_bert.finetuning_data import creation

if TYPE_CHECKING:
    from japanese_bert.tokenization.arguments import DataTokenizer


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    creation.add_file_arguments(parser, "JSON in the layout of SQuAD 1.1, such as jsquad-v1.3/train-v1.3.json")
    creation.add_form_arguments(parser, max_seq_length=384)
    return parser


def main(args: argparse.Namespace) -> None:
    creation.check_form(args)
    creation.create_data(args, "create_question_answering_data", partial(write, args))


def write(args: argparse.Namespace, file: BinaryIO, tokenizer: "DataTokenizer") -> dict[str, Any]:
    """Write all windows. Return counts in and out, and rates."""
    from japanese_bert.finetuning_data.question_encoding import render_questions
    from japanese_bert.finetuning_data.questions import is_answer_there, read_squad

    counts: Counter[str] = Counter()
    examples = [*read_squad(args.input_file)]
    if not examples:
        raise ValueError(f"{args.input_file}: no question. Expected the layout of SQuAD 1.1")
    shifted = [example for example in examples if not is_answer_there(example)]
    if shifted:
        print(
            f"NOTE {args.input_file}: {len(shifted)} of {len(examples)} answers are not at their answer_start, which "
            f"counts characters from 0. The first one is that of question {shifted[0].id}",
            file=sys.stderr,
        )
    for piece in render_questions(examples, tokenizer, args.max_seq_length, args.gzip_compress, counts):
        file.write(piece)
    names = ("instances", "tokens", "instances_without_answer")
    return {
        "counts": {"questions": len(examples), **{name: counts[name] for name in names}},
        "rates": creation.rates(counts),
    }


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

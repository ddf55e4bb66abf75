"""The data code of the field, as users of Japanese BERTs run it today. For comparison only.

It drives Model Garden's `official.nlp.data.create_pretraining_data` with transformers' `BertJapaneseTokenizer`, one
call per sentence. In character mode, pieces inside a word have `##` until they become ids, because whole word masking
needs it. The best-known public pipeline does the same.

Each --output_file gets the next --max_instances of the shuffled instances: several draws from one run.
"""

import argparse
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from japanese_bert.common.environment import import_triton_first

import_triton_first()

from official.nlp.data import create_pretraining_data as model_garden  # noqa: E402
from transformers import BertJapaneseTokenizer  # noqa: E402


class ReferenceTokenizer:
    """The interface of a tokenizer that Model Garden's code expects."""

    def __init__(self, vocab_file: str, subword_tokenizer_type: str, do_lower_case: bool) -> None:
        self._tokenizer = BertJapaneseTokenizer(
            vocab_file,
            do_lower_case=do_lower_case,
            word_tokenizer_type="mecab",
            subword_tokenizer_type=subword_tokenizer_type,
            mecab_kwargs={"mecab_dic": "unidic_lite"},
        )
        self._marks_characters = subword_tokenizer_type == "character"
        self.vocab = self._tokenizer.vocab

    def tokenize(self, text: str) -> list[str]:
        if not self._marks_characters:
            return self._tokenizer.tokenize(text)
        return [
            f"##{character}" if index else character
            for word in self._tokenizer.word_tokenizer.tokenize(text)
            for index, character in enumerate(self._tokenizer.subword_tokenizer.tokenize(word))
        ]

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        if self._marks_characters:
            tokens = [token.removeprefix("##") if len(token) > 2 else token for token in tokens]
        return self._tokenizer.convert_tokens_to_ids(tokens)


def main(args: argparse.Namespace) -> None:
    tokenizer = ReferenceTokenizer(args.vocab_file, args.subword_tokenizer_type, args.do_lower_case)
    instances = model_garden.create_training_instances(
        [args.input_file],
        tokenizer,
        lambda line: line.decode("utf-8", errors="ignore").strip(),
        args.max_seq_length,
        args.dupe_factor,
        0.1,
        0.15,
        args.max_predictions_per_seq,
        random.Random(args.random_seed),
        do_whole_word_mask=True,
    )
    size = args.max_instances or len(instances)
    if len(instances) < size * len(args.output_file):
        sys.exit(f"{args.input_file}: {len(instances)} instances, fewer than {size * len(args.output_file)}")
    for index, output_file in enumerate(args.output_file):
        model_garden.write_instance_to_example_files(
            instances[index * size : (index + 1) * size],
            tokenizer,
            args.max_seq_length,
            args.max_predictions_per_seq,
            [output_file],
            gzip_compress=True,
            use_v2_feature_names=True,
        )


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("input_file", "vocab_file", "subword_tokenizer_type"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("max_seq_length", "max_predictions_per_seq", "dupe_factor", "random_seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--output_file", nargs="+", required=True)
    parser.add_argument("--max_instances", type=int, help="of an output. Default: all")
    parser.add_argument("--do_lower_case", action=argparse.BooleanOptionalAction, default=False)
    return parser


if __name__ == "__main__":
    main(get_parser().parse_args())

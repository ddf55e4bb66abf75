"""Flags of the tokenization, the same for pretraining and fine-tuning."""

import argparse


def add_tokenization_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that decide how text becomes ids."""
    switch = argparse.BooleanOptionalAction
    words = parser.add_argument_group("tokenization")
    words.add_argument("--word_tokenizer_type", choices=["mecab", "basic"], default="mecab", help="sentence -> words")
    words.add_argument("--mecab_dic_type", default="unidic_lite", help="unidic_lite, unidic, ipadic or a directory")
    words.add_argument(
        "--subword_tokenizer_type", choices=["wordpiece", "character"], default="wordpiece", help="word -> tokens"
    )
    words.add_argument(
        "--vocab_has_no_subword_prefix",
        action=switch,
        default=False,
        help="entries inside words have no ## (character)",
    )
    words.add_argument("--do_lower_case", action=switch, default=False, help="as the tokenizer_config.json says")
    words.add_argument(
        "--check_records",
        action=switch,
        default=True,
        help="the tokenization must be that of vocab.txt.json and of a tokenizer_config.json beside the vocabulary",
    )

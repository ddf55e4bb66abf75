import argparse

import pytest

import create_pretraining_data
from japanese_bert.tokenization.arguments import add_tokenization_arguments
from tools import create_classification_data


def test_flags_and_defaults():
    parser = argparse.ArgumentParser()
    add_tokenization_arguments(parser)
    assert vars(parser.parse_args([])) == {
        "word_tokenizer_type": "mecab",
        "mecab_dic_type": "unidic_lite",
        "subword_tokenizer_type": "wordpiece",
        "vocab_has_no_subword_prefix": False,
        "do_lower_case": False,
        "vocab_file": None,
        "spm_file": None,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "check_records": True,
    }


@pytest.mark.parametrize("stage", [create_pretraining_data, create_classification_data])
def test_both_kinds_of_data_have_these_flags(stage):
    flags = ["--subword_tokenizer_type", "character", "--vocab_has_no_subword_prefix", "--do_lower_case"]
    known, _ = stage.get_parser().parse_known_args(
        [*flags, "--input_file", "a", "--output_file", "b", "--vocab_file", "c", "--text_fields", "d", "--regression"]
    )
    assert (known.subword_tokenizer_type, known.vocab_has_no_subword_prefix, known.do_lower_case) == (
        "character", True, True,
    )  # fmt: skip

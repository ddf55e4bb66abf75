"""Ids of Google's models: those of Transformers' `BertTokenizer` and `AlbertTokenizer` for the same files."""

import argparse
from pathlib import Path

import pytest

from japanese_bert.pretraining_data.token_store import BlockTokenizer
from japanese_bert.tokenization.arguments import DataTokenizer, add_tokenization_arguments, load_data_tokenizer
from japanese_bert.tokenization.tokenizer_directory import load_settings
from tests.helpers.mixed_text import mixed_lines, write_albert, write_bert

BASIC = ["--word_tokenizer_type", "basic"]
SENTENCEPIECE = ["--subword_tokenizer_type", "sentencepiece"]
# Settings of tokenizer_config.json, and flags of data creation.
MODELS = {
    "cased (multilingual)": (write_bert, {"do_lower_case": False}, BASIC),
    "uncased (English)": (write_bert, {"do_lower_case": True}, [*BASIC, "--do_lower_case"]),
    "lower-cased with accents": (
        write_bert,
        {"do_lower_case": True, "strip_accents": False},
        [*BASIC, "--do_lower_case", "--no-strip_accents"],
    ),
    "kept together (pre-segmented)": (
        write_bert,
        {"do_lower_case": False, "tokenize_chinese_chars": False},
        [*BASIC, "--no-tokenize_chinese_chars"],
    ),
    "ALBERT": (write_albert, {"do_lower_case": True}, [*SENTENCEPIECE, "--do_lower_case"]),
    "ALBERT with accents": (write_albert, {"do_lower_case": False, "keep_accents": True}, SENTENCEPIECE),
}
# BertJapaneseTokenizer, and the SentencePiece library, compose a letter and its mark. BertTokenizer does not, and
# AlbertTokenizer of Transformers 5 only some.
COMPOSES = ("kept together (pre-segmented)", "ALBERT with accents")


def tokenizer_of_flags(directory: Path, flags: list[str]) -> DataTokenizer:
    (name,) = {"vocab.txt", "spiece.model"} & {path.name for path in directory.iterdir()}
    parser = argparse.ArgumentParser()
    add_tokenization_arguments(parser)
    flag = "--spm_file" if name == "spiece.model" else "--vocab_file"
    return load_data_tokenizer(parser.parse_args([*flags, flag, str(directory / name)]))


def check_ids(directory: Path, kind: str, lines: list[str]) -> None:
    from transformers import AutoTokenizer

    write, settings, flags = MODELS[kind]
    write(directory, lines[:2000], **settings)
    tokenizer = tokenizer_of_flags(directory, flags)
    reference = AutoTokenizer.from_pretrained(directory)
    expected = reference(lines, add_special_tokens=False)["input_ids"]
    assert len(reference) == len(tokenizer.vocab)
    found = [tokenizer.encode(line) for line in lines]
    wrong = [line for line, ids, others in zip(lines, found, expected, strict=True) if ids != others]
    if "ALBERT" in kind and len(wrong) < len(lines) / 1000:  # two ways to cut a repeated letter have one score
        wrong = [line for line in wrong if sorted(found[lines.index(line)]) != sorted(expected[lines.index(line)])]
    if kind in COMPOSES:
        wrong = [line for line in wrong if not set("\u3099\u0301ﾞ") & set(line)]
    assert wrong == []
    assert 0 < sum(ids.count(1) + ids.count(100) for ids in expected) < sum(map(len, expected)) / 2


@pytest.mark.parametrize("kind", MODELS)
def test_ids_are_those_of_transformers(tmp_path, kind):
    check_ids(tmp_path / "model", kind, mixed_lines(1500, []))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_ids_of_20_000_lines(tmp_path, kind, aozora_bytes):
    real = [line for line in aozora_bytes.decode("utf-8").split("\n") if 0 < len(line) < 200]
    check_ids(tmp_path / "model", kind, mixed_lines(20_000, real))


@pytest.mark.parametrize("kind", ["cased (multilingual)", "uncased (English)"])
def test_settings_of_a_directory_give_the_same_words(tmp_path, kind):
    write, settings, flags = MODELS[kind]
    write(tmp_path / "model", mixed_lines(200, []), **settings)
    words = load_settings(tmp_path / "model" / "tokenizer_config.json").splitter()
    tokenizer = tokenizer_of_flags(tmp_path / "model", flags)
    for line in mixed_lines(100, [], seed=1):
        assert words.split(line) == tokenizer.splitter.split(line)


@pytest.mark.parametrize("kind", ["cased (multilingual)", "ALBERT"])
def test_words_of_the_masking(tmp_path, kind):
    """The first token of each word has a bit, which whole word masking reads."""
    write, settings, flags = MODELS[kind]
    lines = mixed_lines(1000, [])
    tokenizer = tokenizer_of_flags(write(tmp_path / "model", lines, **settings), flags)
    block = BlockTokenizer(tokenizer.splitter, tokenizer.encode_word, tokenizer.vocab)(
        "猫北 playingback overjump1\n".encode()
    )
    bit = 1 << (8 * block.tokens.itemsize - 1)
    starts, tokens = (block.tokens & bit > 0).tolist(), [tokenizer.vocab.tokens[i] for i in block.tokens & (bit - 1)]
    assert len(tokens) > len(tokenizer.splitter.split("猫北 playingback overjump1")) > 2
    is_inside = {
        "cased (multilingual)": lambda token: token.startswith("##"),
        "ALBERT": lambda token: token.isascii() and token.isalpha(),
    }[kind]
    assert starts == [not is_inside(token) for token in tokens]

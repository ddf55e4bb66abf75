"""Settings, vocabulary and dictionary of a model directory."""

import json
import shutil
from pathlib import Path

import ipadic
import pytest

from japanese_bert.tokenization.tokenizer_directory import (
    FAST_TOKENIZER_FILE,
    MODEL_INPUT_NAMES,
    TokenizerSettings,
    check_model_input_names,
    load_checked_vocab,
    load_settings,
    make_encoder,
    with_class,
)
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers.places import ROOT


@pytest.fixture
def directory(tmp_path) -> Path:
    path = shutil.copytree(ROOT / "hf_model_configs" / "bert_tiny_wordpiece", tmp_path / "model")
    tokens = [*SPECIAL_TOKENS, "猫", "東京", "##都"]
    (path / "vocab.txt").write_bytes(vocab_bytes(tokens))
    edit(path / "config.json", vocab_size=len(tokens))
    return path


def edit(path: Path, **values) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | values), encoding="utf-8")


def test_settings(directory):
    assert load_settings(directory / "tokenizer_config.json") == TokenizerSettings(
        word_tokenizer_type="mecab",
        subword_tokenizer_type="wordpiece",
        do_lower_case=False,
        mecab_dic="unidic_lite",
        mecab_option="",
        model_input_names=MODEL_INPUT_NAMES,
    )


def test_defaults_are_those_of_transformers(directory):
    path = directory / "tokenizer_config.json"
    path.write_text("{}", encoding="utf-8")
    assert load_settings(path) == TokenizerSettings("basic", "wordpiece", False, "unidic_lite", "", [])
    assert load_settings(path).splitter().dictionary is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_input_names": ["input_ids", "attention_mask"]}, "model_input_names is"),
        ({"subword_tokenizer_type": "sentencepiece"}, "'sentencepiece', expected one of"),
        ({"word_tokenizer_type": "sudachi"}, "'sudachi', expected one of mecab, basic"),
        ({"mecab_kwargs": {"mecab_dic": "unidic_lite", "normalize_text": False}}, "normalize_text is off"),
    ],
)
def test_wrong_settings_are_refused(directory, values, message):
    path = directory / "tokenizer_config.json"
    edit(path, **values)
    with pytest.raises(ValueError, match=message):
        check_model_input_names(path, load_settings(path))


def test_files_that_are_no_settings(directory):
    path = directory / "tokenizer_config.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json: not JSON"):
        load_settings(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="Copy it from hf_model_configs"):
        load_settings(path)


def test_vocabulary(directory):
    assert load_checked_vocab(directory).tokens == (*SPECIAL_TOKENS, "猫", "東京", "##都")
    for name, value in (("vocab_size", 32768), ("pad_token_id", 1)):
        before = (directory / "config.json").read_text(encoding="utf-8")
        edit(directory / "config.json", **{name: value})
        with pytest.raises(ValueError, match=rf"config\.json: {name} is {value}, but"):
            load_checked_vocab(directory)
        (directory / "config.json").write_text(before, encoding="utf-8")
    (directory / "config.json").unlink()
    assert len(load_checked_vocab(directory)) == 8


def test_vocabulary_in_another_order_is_refused(directory):
    lines = (directory / "vocab.txt").read_bytes().split(b"\n")
    (directory / "vocab.txt").write_bytes(b"\n".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(ValueError, match=r"vocab\.txt:1: is \[UNK\], expected \[PAD\]$"):
        load_checked_vocab(directory)


def test_special_tokens_may_be_where_google_has_them(directory):
    lines = (directory / "vocab.txt").read_bytes().split(b"\n")
    (directory / "vocab.txt").write_bytes(b"\n".join([lines[0], *lines[5:-1], *lines[1:5], b""]))
    assert load_checked_vocab(directory).tokens[0] == "[PAD]"


def test_ids_are_those_of_data_creation(directory):
    vocab = load_checked_vocab(directory)
    encode = make_encoder(load_settings(directory / "tokenizer_config.json"), vocab)
    ids = [vocab.ids[token] for token in ("[CLS]", "東京", "[UNK]", "猫", "[SEP]")]
    assert encode("東京 😀猫") == ids


def test_a_dictionary_that_is_not_named_is_asked_for(directory):
    """The configurations of the first Japanese models. Transformers then had another default than now."""
    path = directory / "tokenizer_config.json"
    for kwargs in (None, {}, {"mecab_dic": None}, {"mecab_option": "-C"}):
        edit(path, mecab_kwargs=kwargs)
        with pytest.raises(ValueError, match=r'names no MeCab dictionary.*Write "mecab_kwargs": .*"ipadic"'):
            load_settings(path)
    edit(path, mecab_kwargs={"mecab_option": "-d /somewhere"})
    assert load_settings(path).mecab_option == "-d /somewhere"


def test_an_option_that_names_a_dictionary_wins(directory):
    edit(directory / "tokenizer_config.json", mecab_kwargs={"mecab_option": f"-d {ipadic.DICDIR}"})
    assert load_settings(directory / "tokenizer_config.json").splitter().dictionary.directory == Path(ipadic.DICDIR)


def test_every_configuration_has_the_fast_tokenizer_of_this_package():
    module = ROOT / "japanese_bert" / "tokenization" / FAST_TOKENIZER_FILE
    copies = list((ROOT / "hf_model_configs").glob(f"*/{FAST_TOKENIZER_FILE}"))
    assert len(copies) == len(list((ROOT / "hf_model_configs").iterdir()))
    assert all(path.read_bytes() == module.read_bytes() for path in copies)


@pytest.mark.parametrize(
    ("settings", "config", "expected"),
    [
        ({"do_lower_case": False}, {}, "BertTokenizer"),
        ({}, {"model_type": "albert"}, "AlbertTokenizer"),
        ({}, {"tokenizer_class": "BertJapaneseTokenizer"}, "BertJapaneseTokenizer"),
        ({"word_tokenizer_type": "mecab"}, {}, None),
        ({"tokenizer_class": "BertTokenizerFast"}, {"tokenizer_class": "BertTokenizer"}, "BertTokenizerFast"),
    ],
)
def test_the_class_of_a_tokenizer_is_that_of_transformers(tmp_path, settings, config, expected):
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    found = with_class(settings, tmp_path / "config.json")
    assert found == ({**settings, "tokenizer_class": expected} if expected else settings)

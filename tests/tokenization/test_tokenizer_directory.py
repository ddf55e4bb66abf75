"""Settings, vocabulary and dictionary of a model directory."""

import json
import shutil
from pathlib import Path

import pytest

from japanese_bert.tokenization.mecab import find_dictionary
from japanese_bert.tokenization.tokenizer_directory import (
    FAST_TOKENIZER_FILE,
    MODEL_INPUT_NAMES,
    TokenizerSettings,
    check_model_input_names,
    dictionary_of_data,
    load_checked_vocab,
    load_settings,
    make_encoder,
    recorded_dictionary,
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


def record(path: Path, **changes) -> dict:
    """Write the dictionary into a `<output>.json`."""
    identity = find_dictionary("unidic_lite").identity() | changes
    path.write_text(json.dumps({"stage": "x", "dictionary": identity}), encoding="utf-8")
    return identity


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
    assert load_settings(path).dictionary() is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_input_names": ["input_ids", "attention_mask"]}, "model_input_names is"),
        ({"subword_tokenizer_type": "sentencepiece"}, "'sentencepiece', expected one of"),
        ({"word_tokenizer_type": "sudachi"}, "'sudachi', expected one of mecab, basic"),
        ({"mecab_kwargs": {"normalize_text": False}}, "normalize_text is off"),
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
    with pytest.raises(ValueError, match=r"vocab.txt:1: begins with \[UNK\] \[PAD\]"):
        load_checked_vocab(directory)


def test_ids_are_those_of_data_creation(directory):
    vocab = load_checked_vocab(directory)
    encode = make_encoder(load_settings(directory / "tokenizer_config.json"), vocab)
    ids = [vocab.ids[token] for token in ("[CLS]", "東京", "[UNK]", "猫", "[SEP]")]
    assert encode("東京 😀猫") == ids


def test_the_directorys_own_dictionary_comes_first(directory):
    assert recorded_dictionary(directory) is None
    of_vocab = record(directory / "vocab.txt.json", size=1)
    assert recorded_dictionary(directory) == of_vocab
    own = record(directory / "provenance.json", size=2)
    assert recorded_dictionary(directory) == own


def test_dictionary_of_data(tmp_path):
    """Conversion takes it from the provenance of vocabulary and data, and refuses files that do not fit."""
    settings = load_settings(ROOT / "hf_model_configs/bert_tiny_wordpiece/tokenizer_config.json")
    installed = find_dictionary("unidic_lite").identity()
    vocab, data = tmp_path / "vocab.txt", tmp_path / "data.tfrecord"
    assert dictionary_of_data(settings, [vocab, data]) == installed
    assert dictionary_of_data(None, [vocab, data]) is None
    older = record(tmp_path / "data.tfrecord.json", version="1.0.7")
    assert dictionary_of_data(settings, [vocab, data]) == dictionary_of_data(None, [data]) == older
    record(tmp_path / "vocab.txt.json")
    with pytest.raises(ValueError, match=r"data.tfrecord: dictionary unidic_lite 1.0.7 .* but unidic_lite 1.0.8"):
        dictionary_of_data(settings, [vocab, data])
    record(tmp_path / "vocab.txt.json", name="ipadic")
    with pytest.raises(ValueError, match=r"with the dictionary ipadic .* but tokenizer_config.json names unidic_lite"):
        dictionary_of_data(settings, [vocab])


def test_every_configuration_has_the_fast_tokenizer_of_this_package():
    module = ROOT / "japanese_bert" / "tokenization" / FAST_TOKENIZER_FILE
    copies = list((ROOT / "hf_model_configs").glob(f"*/{FAST_TOKENIZER_FILE}"))
    assert len(copies) == len(list((ROOT / "hf_model_configs").iterdir()))
    assert all(path.read_bytes() == module.read_bytes() for path in copies)

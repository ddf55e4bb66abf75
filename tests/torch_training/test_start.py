"""What a training starts from: a Hugging Face directory, a TF2 checkpoint, new tokens, the tokenizer."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from japanese_bert.conversion.hf_writing import PYTORCH_FILE, write_safetensors
from japanese_bert.models.checkpoint_writing import write_checkpoint
from japanese_bert.models.training_history import is_hf_directory
from japanese_bert.tokenization.vocab import load_vocab
from japanese_bert.torch_training.model import make_model, weights_to_save
from japanese_bert.torch_training.parameters import Model
from japanese_bert.torch_training.start import find_tokenizer_files, load_initial_weights, tokenizer_class
from tests.helpers.small_pretraining import make_config, num_tokens
from tests.test_configs import with_tensorflow

TABLE = "bert.embeddings.word_embeddings.weight"


@pytest.fixture
def hf(place, tmp_path):
    """Write a Hugging Face directory with random weights."""
    config = make_config(num_tokens(place / "vocab.txt"))
    torch.manual_seed(3)
    write_safetensors(weights_to_save(make_model(config, Model())), tmp_path / PYTORCH_FILE)
    (tmp_path / "config.json").write_text(config.to_json(), encoding="utf-8")
    (tmp_path / "vocab.txt").write_bytes((place / "vocab.txt").read_bytes())
    return tmp_path, config


def test_a_hugging_face_directory(hf):
    directory, config = hf
    assert is_hf_directory(directory) and not is_hf_directory(directory.parent)
    torch.manual_seed(3)
    expected = weights_to_save(make_model(config, Model()))
    found = load_initial_weights(directory, replace(config, architecture="BertForMaskedLM"), None)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("settings", "config", "expected"),
    [
        ({"do_lower_case": False}, {"model_type": "bert"}, "BertTokenizer"),
        ({"word_tokenizer_type": "mecab"}, {}, "BertJapaneseTokenizer"),
        ({"tokenizer_class": "BertTokenizerFast"}, {}, "BertTokenizerFast"),
    ],
)
def test_the_class_of_the_copied_tokenizer(tmp_path, settings, config, expected):
    """A multilingual BERT names no class. With another one the checkpoint would have other tokens than its data."""
    for name, values in (("tokenizer_config.json", settings), ("config.json", config)):
        (tmp_path / name).write_text(json.dumps(values), encoding="utf-8")
    assert tokenizer_class({"tokenizer_config.json": tmp_path / "tokenizer_config.json"}) == expected
    assert tokenizer_class({}) == "BertJapaneseTokenizer"


def test_new_tokens_get_the_means_of_their_pieces(hf, tmp_path):
    directory, config = hf
    old = load_vocab(directory / "vocab.txt")
    vocab = tmp_path / "larger.txt"
    vocab.write_bytes((directory / "vocab.txt").read_bytes() + "東京\n".encode())
    larger = replace(config, vocab_size=len(old) + 1)
    before, after = load_initial_weights(directory, config, None), load_initial_weights(directory, larger, vocab)
    expected = before[TABLE][[old.ids["東"], old.ids["##京"]]].mean(0)
    np.testing.assert_allclose(after[TABLE][-1], expected, rtol=1e-6)
    assert np.array_equal(after[TABLE][:-1], before[TABLE])
    with pytest.raises(ValueError, match=r"Give the vocabulary of the data, --vocab_file$"):
        load_initial_weights(directory, larger, None)
    vocab.write_bytes("東京\n".encode() + (directory / "vocab.txt").read_bytes())
    with pytest.raises(ValueError, match=r"does not begin with the tokens of .*vocab\.txt"):
        load_initial_weights(directory, larger, vocab)


def test_a_vocabulary_with_fewer_tokens_than_rows_needs_the_converter(hf, tmp_path):
    directory, config = hf
    padded = replace(config, vocab_size=config.vocab_size + 5)
    (directory / "config.json").write_text(padded.to_json(), encoding="utf-8")
    vocab = tmp_path / "larger.txt"
    vocab.write_bytes((directory / "vocab.txt").read_bytes() + b"a7\n" * 8)
    message = rf"vocab_size is {padded.vocab_size}, but vocab\.txt has {config.vocab_size} tokens\. Convert it with"
    for size in (config.vocab_size, config.vocab_size + 8):
        with pytest.raises(ValueError, match=message):
            load_initial_weights(directory, replace(config, vocab_size=size), vocab)


def test_a_new_next_sentence_head_is_a_remark(hf):
    directory, config = hf
    weights = load_initial_weights(directory, config, None)
    kept = {name: weight for name, weight in weights.items() if "pooler" not in name and "seq_rel" not in name}
    write_safetensors(kept, directory / PYTORCH_FILE)
    remarks: list[str] = []
    assert load_initial_weights(directory, config, None, remarks).keys() == weights.keys()
    [remark] = remarks
    assert remark == f"{directory}: no weight bert.pooler.dense.weight: the next sentence head is new, random"
    load_initial_weights(directory, replace(config, architecture="BertForMaskedLM"), None, remarks)
    assert len(remarks) == 1


def test_the_directory_of_a_training_is_refused(hf, tmp_path):
    (tmp_path / "model" / "ckpt-3").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=r"model: the --model_dir of a training\. Give a checkpoint of it, e\.g\. .*ckpt-3"
    ):
        load_initial_weights(tmp_path / "model", hf[1], None)


def test_another_model_is_refused(hf):
    directory, config = hf
    with pytest.raises(ValueError, match=r"config\.json: num_hidden_layers is 3, but 2 in --config_file"):
        load_initial_weights(directory, replace(config, num_hidden_layers=2), None)


class TestTensorFlow:
    pytestmark = with_tensorflow

    @pytest.mark.slow
    def test_a_tf2_checkpoint(self, hf, tmp_path):
        directory, config = hf
        expected = load_initial_weights(directory, config, None)
        (tmp_path / "tf2").mkdir()
        write_checkpoint(expected, config, tmp_path / "tf2")
        for path in (tmp_path / "tf2", tmp_path / "tf2" / "ckpt-0"):
            found = load_initial_weights(path, config, None)
            assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_tokenizer_files(hf, place, tmp_path):
    directory, _ = hf
    (directory / "tokenizer_config.json").write_text(json.dumps({}), encoding="utf-8")
    own = {"vocab.txt": directory / "vocab.txt", "tokenizer_config.json": directory / "tokenizer_config.json"}
    assert find_tokenizer_files(directory, None, None) == own
    assert find_tokenizer_files(tmp_path / "ckpt-1", None, None) == {}
    other = find_tokenizer_files(directory, None, place / "vocab.txt")
    assert other == {**own, "vocab.txt": place / "vocab.txt"}
    with pytest.raises(FileNotFoundError, match=r"tokenizer_config\.json: no such file\. Give hf_model_configs"):
        find_tokenizer_files(None, place, None)

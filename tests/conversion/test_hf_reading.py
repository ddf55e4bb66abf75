"""Weights of Hugging Face directories as transformers writes and wrote them, and rows for new tokens."""

import argparse
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.conversion import hf_reading
from japanese_bert.conversion.hf_reading import add_rows, new_tokens, pieces_of, read_hf_weights
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab
from tests.helpers.converting import BERT, random_weights

TABLE = "bert.embeddings.word_embeddings.weight"
BIAS = "cls.predictions.bias"
DECODER = "cls.predictions.decoder"


def save(weights: dict[str, np.ndarray], path) -> None:
    from safetensors.numpy import save_file

    save_file(weights, path)


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert sorted(found) == sorted(expected)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_files_of_older_transformers(tmp_path):
    """pytorch_model.bin with the tied decoder, a buffer, and TensorFlow's names of layer norms."""
    import torch

    weights = random_weights(BERT)
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): array for name, array in weights.items()}
    old = {name.replace("LayerNorm.bias", "LayerNorm.beta"): torch.from_numpy(array) for name, array in old.items()}
    old |= {f"{DECODER}.weight": old[TABLE], f"{DECODER}.bias": old.pop(BIAS)}
    old["bert.embeddings.position_ids"] = torch.arange(16)[None]
    torch.save(old, tmp_path / "pytorch_model.bin")
    assert_equal(read_hf_weights(tmp_path, BERT), weights)


def test_several_files_with_an_index(tmp_path):
    weights = random_weights(BERT)
    parts = {"model-1.safetensors": list(weights)[:9], "model-2.safetensors": list(weights)[9:]}
    for file, names in parts.items():
        save({name: weights[name] for name in names}, tmp_path / file)
    weight_map = {name: file for file, names in parts.items() for name in names}
    index = json.dumps({"weight_map": weight_map})
    (tmp_path / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    assert_equal(read_hf_weights(tmp_path, BERT), weights)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_becomes_float32(tmp_path, half):
    import torch
    from safetensors.torch import save_file

    weights = {name: torch.from_numpy(array).to(getattr(torch, half)) for name, array in random_weights(BERT).items()}
    save_file(weights, tmp_path / "model.safetensors")
    found = read_hf_weights(tmp_path, BERT)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert_equal(found, {name: tensor.float().numpy() for name, tensor in weights.items()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {BIAS: None},
            "no weight cls.predictions.bias. Expected a model with its heads, as BertForPreTraining or BertForMaskedLM",
        ),
        ({BIAS: None, TABLE: None}, f"no weight {TABLE} and 1 more such"),
        ({"classifier.weight": np.ones(3, np.float32)}, "unexpected weight classifier.weight"),
        ({BIAS: np.ones(49, np.float32)}, r"cls.predictions.bias has shape \(49,\), expected \(50,\)"),
        ({f"{DECODER}.weight": np.ones((50, 12), np.float32)}, f"{DECODER}.weight is not tied to {TABLE}"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, changes, message):
    weights = {name: array for name, array in (random_weights(BERT) | changes).items() if array is not None}
    save(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        read_hf_weights(tmp_path, BERT)


def test_directories_without_complete_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model.safetensors or pytorch_model.bin. Download the model"):
        read_hf_weights(tmp_path, BERT)
    path = tmp_path / "model.safetensors"
    save(random_weights(BERT), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"cannot be read. Was it cut short\?"):
        read_hf_weights(tmp_path, BERT)


def test_a_model_without_next_sentence_head_gets_a_new_one(tmp_path):
    weights = random_weights(BERT)
    head = [name for name in weights if "pooler" in name or "seq_relationship" in name]
    save({name: array for name, array in weights.items() if name not in head}, tmp_path / "model.safetensors")
    missing = hf_reading.missing_next_sentence(read_hf_weights(tmp_path, BERT), BERT)
    assert sorted(missing) == sorted(head)
    new = hf_reading.new_next_sentence(missing, BERT, np.random.default_rng(0))
    assert {name: array.shape for name, array in new.items()} == {name: weights[name].shape for name in head}
    assert not new["bert.pooler.dense.bias"].any()
    assert 0.01 < new["bert.pooler.dense.weight"].std() < 0.03


def make_vocab(*tokens: str) -> Vocab:
    return Vocab(tokens, {token: index for index, token in enumerate(tokens)})


VOCAB = make_vocab(*SPECIAL_TOKENS, "[unused0]", "猫", "駅", "##猫", "##駅")


def test_tokens_that_are_new():
    candidates = ["猫", "猫駅", "[MASK]", "[unused9]", "", " ", "##", "猫駅", "##駅猫"]
    assert new_tokens(VOCAB, candidates) == ["猫駅", "##駅猫"]


def test_pieces_of_new_tokens():
    assert pieces_of("猫駅", VOCAB) == [VOCAB.ids["猫"], VOCAB.ids["##駅"]]
    assert pieces_of("##駅猫", VOCAB) == [VOCAB.ids["##駅"], VOCAB.ids["##猫"]]
    assert pieces_of("犬", VOCAB) == pieces_of("##犬", VOCAB) == []
    assert pieces_of("##犬", make_vocab("[UNK]", "#", "##", "犬")) == []  # the signs stand for themselves


def test_a_new_row_is_the_mean_of_its_pieces():
    """If the vocabulary cannot spell a token, its row is the mean of all real tokens. Nothing else changes."""
    weights = {TABLE: np.arange(20, dtype=np.float32).reshape(10, 2), BIAS: np.arange(10, dtype=np.float32), "x": BERT}
    found = add_rows(weights, VOCAB, ["猫駅", "犬"])
    assert found[TABLE].tolist() == [*weights[TABLE].tolist(), [15, 16], [15, 16]]
    assert found[BIAS].tolist() == [*range(10), 7.5, 7.5]
    found = add_rows(weights, VOCAB, ["##駅猫", "犬"])
    assert found[BIAS].tolist() == [*range(10), 8.5, 7.5]
    assert found["x"] is BERT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "a pointer of git-lfs. Run git lfs pull",
        ),
        (b"<!DOCTYPE html><html></html>", "it is a web page. Download the file itself"),
        (pickle.dumps(argparse.Namespace(a=1)), "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_files_that_hold_no_weights_are_one_line(tmp_path, content, message):
    for name in ("pytorch_model.bin", "model.safetensors"):  # the second is read first
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}: .*") as error:
            read_hf_weights(tmp_path, BERT)
        assert message in str(error.value) and "\n" not in str(error.value)


def test_a_checkpoint_of_a_training_is_no_table_of_tensors(tmp_path):
    import torch

    torch.save({"model": {"a": torch.zeros(1)}, "step": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"pytorch_model.bin: is no table of tensors. Expected the weights that save_pre"
    ):
        read_hf_weights(tmp_path, BERT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "weight_map is None, expected names of weights and their files"),
        ('{"weight_map": ["a"]}', r"weight_map is \['a'\], expected names"),
        ('{"weight_map": {"a": 1}}', "weight_map is {'a': 1}, expected names"),
        ('{"weight_map": {"a": "../b.safetensors"}}', r"weight_map names \.\./b\.safetensors, expected files of this"),
        ('{"weight_map": {"a": "/dev/zero"}}', "weight_map names /dev/zero, expected files of this"),
        ("[]", "is a JSON list"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_an_index_of_another_kind_is_one_line(tmp_path, content, message):
    (tmp_path / "model.safetensors.index.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"model.safetensors.index.json: {message}"):
        hf_reading.weight_files(tmp_path)


class RunsWhenRead:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_does_not_run(tmp_path):
    import torch

    torch.save({"a": RunsWhenRead(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be read"):
        read_hf_weights(tmp_path, BERT)
    assert not (tmp_path / "ran").exists()

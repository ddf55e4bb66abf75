"""The files of PyTorch, TensorFlow and Flax: names, layouts, and the same values in all three."""

import stat

import numpy as np
import pytest

from japanese_bert.conversion.hf_writing import (
    flax_weight_path,
    keras_weight_name,
    write_flax_msgpack,
    write_keras_h5,
    write_safetensors,
)
from tests.helpers.converting import (
    BERT,
    CONFIGS,
    assert_flax_file_holds,
    assert_keras_file_holds,
    random_weights,
    read_safetensors,
)

ALL_CONFIGS = {"bert_with_next_sentence": BERT, **CONFIGS}


@pytest.mark.parametrize("name", ALL_CONFIGS)
def test_all_files_hold_the_same_weights(name, tmp_path):
    config = ALL_CONFIGS[name]
    weights = random_weights(config)
    write_safetensors(weights, tmp_path / "model.safetensors")
    write_keras_h5(weights, tmp_path / "tf_model.h5", config.architecture)
    write_flax_msgpack(weights, tmp_path / "flax_model.msgpack")
    found = read_safetensors(tmp_path)
    assert sorted(found) == sorted(weights)
    assert all(np.array_equal(found[key], array) for key, array in weights.items())
    assert_flax_file_holds(tmp_path, {tuple(flax_weight_path(key)): array for key, array in weights.items()})
    if "predictions.bias" in weights:  # TFAlbert has it twice
        weights["predictions.decoder.bias"] = weights["predictions.bias"]
    expected = {keras_weight_name(key, config.architecture): array for key, array in weights.items()}
    assert_keras_file_holds(tmp_path, expected)


def test_the_head_of_keras_lists_the_shared_embeddings(tmp_path):
    """Without them transformers 4 says that they are newly initialized."""
    import h5py

    write_keras_h5(random_weights(BERT), tmp_path / "tf_model.h5", "BertForPreTraining")
    with h5py.File(tmp_path / "tf_model.h5") as file:
        names = list(file["mlm___cls"].attrs["weight_names"])
        shared = [name for name in names if name.endswith("_embeddings/embeddings:0")]
        assert [name.split("/")[-2] for name in shared] == ["position_embeddings", "token_type_embeddings"]
        assert list(file.attrs["layer_names"]) == ["bert", "nsp___cls", "mlm___cls"]
        for name in shared:
            assert file[f"mlm___cls/{name}"] == file[f"bert/{name}"]  # one array, stored once


def test_files_are_as_readable_as_their_neighbours(tmp_path):
    (tmp_path / "other").touch()
    write_safetensors(random_weights(BERT), tmp_path / "model.safetensors")
    assert len({stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize(
    ("name", "keras", "flax"),
    [
        ("bert.embeddings.word_embeddings.weight", "bert/embeddings/word_embeddings/weight", "embedding"),
        ("bert.embeddings.position_embeddings.weight", "bert/embeddings/position_embeddings/embeddings", "embedding"),
        ("bert.encoder.layer.11.output.LayerNorm.bias", "bert/encoder/layer_._11/output/LayerNorm/beta", "bias"),
        ("bert.pooler.dense.weight", "bert/pooler/dense/kernel", "kernel"),
        ("cls.predictions.bias", "mlm___cls/predictions/bias", "bias"),
        ("cls.seq_relationship.weight", "nsp___cls/seq_relationship/kernel", "kernel"),
    ],
)
def test_names_of_bert(name, keras, flax):
    assert keras_weight_name(name) == f"tf_bert_for_pre_training/{keras}:0"
    assert flax_weight_path(name) == [*name.split(".")[:-1], flax]


@pytest.mark.parametrize(
    ("name", "keras", "flax"),
    [
        (
            "albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight",
            "albert/encoder/albert_layer_groups_._0/albert_layers_._0/full_layer_layer_norm/gamma",
            "scale",
        ),
        ("albert.pooler.weight", "albert/pooler/kernel", "kernel"),
        ("predictions.bias", "predictions/bias", "bias"),
        ("sop_classifier.classifier.weight", "sop_classifier/classifier/kernel", "kernel"),
    ],
)
def test_names_of_albert(name, keras, flax):
    assert keras_weight_name(name, "AlbertForPreTraining") == f"tf_albert_for_pre_training/{keras}:0"
    assert flax_weight_path(name) == [*name.split(".")[:-1], flax]


def test_names_of_models_in_keras_files():
    for architecture, expected in (("ElectraForMaskedLM", "tf_electra_for_masked_lm"), ("BertForMaskedLM", "tf_bert")):
        assert keras_weight_name("x.bias", architecture).startswith(f"{expected}")

"""The tables of weights, without a framework. `tests/test_configs.py` compares them with PyTorch's classes."""

import dataclasses

import numpy as np
import pytest

from japanese_bert.models.config import ARCHITECTURES
from japanese_bert.models.weight_names import (
    IN_ENCODER,
    IN_HEAD,
    TABLES,
    Weight,
    find_word_embeddings,
    is_next_sentence,
    reason_to_leave_out,
    weights_of,
)
from tests.helpers.converting import BERT

FACTORIZED = dataclasses.replace(BERT, embedding_size=8)


def config_of(architecture: str):
    base = BERT if ARCHITECTURES[architecture].model_type == "bert" else FACTORIZED
    return dataclasses.replace(base, architecture=architecture)


def test_every_class_has_a_table():
    assert TABLES.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_names_are_unique_and_none_is_left_out(architecture):
    config = config_of(architecture)
    rows = weights_of(config)
    assert len({row.tf_name for row in rows}) == len({row.hf_name for row in rows}) == len(rows)
    assert not [row.tf_name for row in rows if reason_to_leave_out(row.tf_name, config)]
    assert not [row for row in rows if "{" in row.tf_name + row.hf_name]


def test_layers_begin_after_the_projection():
    assert "encoder/layer_with_weights-4/_intermediate_dense/bias" in {row.tf_name for row in weights_of(BERT)}
    electra = config_of("ElectraForPreTraining")
    names = {row.hf_name: row.tf_name for row in weights_of(electra)}
    assert names["electra.embeddings_project.weight"] == "encoder/layer_with_weights-4/kernel"
    assert names["electra.encoder.layer.0.intermediate.dense.bias"].startswith("encoder/layer_with_weights-5/")
    same_size = dataclasses.replace(electra, embedding_size=BERT.hidden_size)
    assert len(weights_of(same_size)) == len(weights_of(electra)) - 2


def test_a_kernel_of_heads_becomes_a_transposed_matrix_and_returns():
    row = Weight("x/kernel", "x.weight", "x/kernel", "H N D")
    array = np.arange(12 * 12, dtype=np.float32).reshape(row.tf_shape(BERT))
    assert array.shape == (12, 2, 6)
    matrix = row.to_hf(array, BERT)
    assert matrix.shape == row.hf_shape(BERT) == (12, 12)
    assert matrix[7, 3] == array[3, 1, 1]
    assert np.array_equal(row.to_tf(matrix, BERT), array)


def test_a_bias_of_heads_becomes_a_vector():
    row = Weight("x/bias", "x.bias", "x/bias", "N D")
    array = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert row.to_hf(array, BERT).tolist() == list(range(12))
    assert np.array_equal(row.to_tf(row.to_hf(array, BERT), BERT), array)


def test_word_embeddings_may_have_the_encoders_name():
    assert find_word_embeddings([IN_HEAD, IN_ENCODER], BERT) == IN_HEAD
    assert find_word_embeddings([IN_ENCODER], BERT) == IN_ENCODER
    assert find_word_embeddings([], config_of("ElectraForPreTraining")) == IN_ENCODER


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("optimizer/iter", "the optimizer's state"),
        ("encoder/layer_with_weights-7/kernel", "the encoder's own pooler, never trained"),
        ("encoder/layer_with_weights-8/kernel", None),
        ("unknown", None),
    ],
)
def test_reasons_to_leave_out(name, reason):
    assert reason_to_leave_out(name, BERT) == reason


def test_weights_of_the_next_sentence_head():
    with_head, without = weights_of(BERT), weights_of(config_of("BertForMaskedLM"))
    assert [row for row in with_head if not is_next_sentence(row.tf_name)] == without
    assert len(with_head) - len(without) == 4

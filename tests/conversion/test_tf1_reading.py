"""TF1 checkpoints under the names of Google's repositories: all weights, none twice, none unnamed."""

import dataclasses

import numpy as np
import pytest

from japanese_bert.conversion.tf1_reading import STATE, read_tf1_weights
from japanese_bert.models.weight_names import weights_of
from tests.helpers.converting import ALBERT, BERT, CONFIGS
from tests.helpers.tf1_checkpoints import make_model, make_models, tf1_variables, tf1_variables_of, write_tf1_checkpoint
from tests.test_configs import with_tensorflow

pytestmark = [*with_tensorflow]
MODELS = {"bert": [BERT], "albert": [ALBERT], "electra": [CONFIGS["discriminator"], CONFIGS["generator"]]}


@pytest.mark.parametrize("kind", MODELS)
def test_every_weight_has_the_value_of_transformers(kind, tmp_path):
    models = make_models(MODELS[kind])
    prefix = write_tf1_checkpoint(tf1_variables_of(models), tmp_path / "model.ckpt")
    found = read_tf1_weights(prefix, MODELS[kind])
    expected = [{name: value.detach().numpy() for name, value in model.named_parameters()} for model in models]
    assert [weights.keys() for weights in found] == [weights.keys() for weights in expected]
    for weights, others in zip(found, expected, strict=True):
        assert not [name for name, array in weights.items() if not np.array_equal(array, others[name])]


@pytest.fixture(scope="module")
def variables():
    return tf1_variables(make_model(BERT))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bert/embeddings/LayerNorm/gamma": None}, "no variable bert/embeddings/LayerNorm/gamma. Does --config_file"),
        ({"output_weights": np.zeros((2, 3))}, "unexpected variable output_weights (2, 3)"),
        ({"bert/encoder/layer_1/output/dense/kernel": np.zeros((12, 20))}, "has shape (12, 20), expected (20, 12)"),
        ({"cls/predictions/output_bias": None, "bert/adam": np.zeros(1)}, "and 1 more such"),
    ],
)
def test_what_does_not_fit_is_named(variables, tmp_path, changes, message):
    changed = {name: array for name, array in (variables | changes).items() if array is not None}
    with pytest.raises(ValueError, match=r"model\.ckpt: ") as error:
        read_tf1_weights(write_tf1_checkpoint(changed, tmp_path / "model.ckpt"), [BERT])
    assert message in str(error.value)


def test_a_next_sentence_head_may_be_missing(variables, tmp_path):
    kept = {name: array for name, array in variables.items() if not name.startswith(("bert/pooler", "cls/seq"))}
    (found,) = read_tf1_weights(write_tf1_checkpoint(kept, tmp_path / "model.ckpt"), [BERT])
    masked_lm = weights_of(dataclasses.replace(BERT, architecture="BertForMaskedLM"))
    assert found.keys() == {row.hf_name for row in masked_lm}


@pytest.mark.parametrize(
    ("name", "is_state"),
    [
        ("global_step", True),
        ("bert/pooler/dense/kernel/adam_m", True),
        ("bert/pooler/dense/kernel/Adam_1", True),
        ("beta1_power", True),
        ("bert/pooler/dense/kernel", False),
        ("bert/adam_m/kernel", False),
    ],
)
def test_state_of_the_optimizer(name, is_state):
    assert bool(STATE.fullmatch(name)) == is_state


def test_a_checkpoint_of_tf2_is_refused(tmp_path):
    import tensorflow as tf

    prefix = tf.train.Checkpoint(a=tf.Variable(1.0)).write(str(tmp_path / "ckpt-1"))
    with pytest.raises(ValueError, match="is a checkpoint of TensorFlow 2 already"):
        read_tf1_weights(prefix, [BERT])

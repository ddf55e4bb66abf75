"""Weights by Hugging Face's names become a checkpoint that gives them back."""

import errno

import numpy as np
import pytest

from japanese_bert.models.checkpoint_reading import find_checkpoint, read_step, read_weights
from japanese_bert.models.checkpoint_writing import write_checkpoint
from japanese_bert.models.weight_names import weights_of
from tests.helpers.converting import BERT
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {row.hf_name: rng.normal(size=row.hf_shape(BERT)).astype(np.float32) for row in weights_of(BERT)}


def test_what_is_written_is_read_back(weights, tmp_path):
    path = write_checkpoint(weights, BERT, tmp_path)
    assert path == find_checkpoint(tmp_path) == tmp_path / "ckpt-0"
    found = read_weights(path, BERT)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], weights[name]) for name in weights)
    assert read_step(str(path)) == 0


def test_the_encoders_own_pooler_is_that_of_the_next_sentence_head(weights, tmp_path):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(write_checkpoint(weights, BERT, tmp_path)))
    for name, expected in (
        ("kernel", weights["bert.pooler.dense.weight"].T),
        ("bias", weights["bert.pooler.dense.bias"]),
    ):
        key = f"encoder/layer_with_weights-7/{name}/.ATTRIBUTES/VARIABLE_VALUE"
        assert np.array_equal(reader.get_tensor(key), expected)


@pytest.mark.parametrize(("message", "number"), [("No space left on device", errno.ENOSPC), ("Broken", errno.EIO)])
def test_an_error_of_the_disk_is_an_oserror(weights, tmp_path, monkeypatch, message, number):
    import tensorflow as tf

    def write(self, path):
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(tf.train.Checkpoint, "write", write)
    with pytest.raises(OSError) as error:
        write_checkpoint(weights, BERT, tmp_path)
    assert (error.value.errno, error.value.strerror) == (number, message)
    assert error.value.filename == str(tmp_path / "ckpt-0")

"""Checkpoints as the trainer saves them are found, compared and read. Damaged and incomplete ones are refused."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.models.checkpoint_reading import (
    Mismatch,
    check_checksums,
    checkpoint_files,
    compare_with_config,
    find_checkpoint,
    find_mismatch,
    is_encoder_alone,
    left_out,
    read_step,
    read_weights,
)
from japanese_bert.models.weight_names import IN_ENCODER, weights_of
from tests.helpers.converting import BERT
from tests.helpers.tf1_checkpoints import write_tf1_checkpoint
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
MASKED_LM = dataclasses.replace(BERT, architecture="BertForMaskedLM")


def copy(checkpoint: Path, directory: Path) -> Path:
    for path in checkpoint.parent.glob("c*"):
        shutil.copy(path, directory)
    return directory / checkpoint.name


def test_a_checkpoint_has_three_names(checkpoint):
    for path in (checkpoint, checkpoint.with_name("ckpt-5.index"), checkpoint.parent):
        assert find_checkpoint(path) == checkpoint
    assert [path.name for path in checkpoint_files(checkpoint)] == ["ckpt-5.index", "ckpt-5.data-00000-of-00001"]


def test_a_checkpoint_that_is_not_there(checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match="ckpt-6: no such checkpoint"):
        find_checkpoint(checkpoint.with_name("ckpt-6"))
    with pytest.raises(FileNotFoundError, match="no checkpoint in this directory"):
        find_checkpoint(tmp_path)
    prefix = copy(checkpoint, tmp_path)
    prefix.with_name("ckpt-5.data-00000-of-00001").unlink()
    with pytest.raises(FileNotFoundError, match=r"Copy ckpt-5\.data-\* beside it"):
        checkpoint_files(prefix)


def test_the_only_checkpoint_of_a_directory_needs_no_state_file(checkpoint, tmp_path):
    prefix = copy(checkpoint, tmp_path)
    (tmp_path / "checkpoint").unlink()
    assert find_checkpoint(tmp_path) == prefix
    shutil.copy(tmp_path / "ckpt-5.index", tmp_path / "ckpt-6.index")
    with pytest.raises(FileNotFoundError, match="no checkpoint in this directory"):
        find_checkpoint(tmp_path)


def test_an_archive_has_no_heads_and_tf1_another_format(checkpoint, tmp_path):
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    encoder = build_model(model_params(BERT)).encoder_network
    archive = tf.train.Checkpoint(encoder=encoder).write(str(tmp_path / "bert_model.ckpt"))
    assert (is_encoder_alone(archive), is_encoder_alone(str(checkpoint))) == (True, False)
    with pytest.raises(ValueError, match=r"an archive of the encoder alone\. Train it further"):
        read_weights(Path(archive), BERT)
    old = write_tf1_checkpoint({"a/kernel": np.ones((2, 3), np.float32)}, tmp_path / "old" / "bert_model.ckpt")
    with pytest.raises(ValueError, match=r"is a checkpoint of TensorFlow 1\. Convert it"):
        read_weights(old, BERT)


def test_every_weight_is_read_in_its_shape(checkpoint):
    weights = read_weights(checkpoint, BERT)
    assert {name: array.shape for name, array in weights.items()} == {
        row.hf_name: row.hf_shape(BERT) for row in weights_of(BERT)
    }
    assert all(array.dtype == np.float32 and array.std() > 0.1 for array in weights.values() if array.size > 2)


def test_what_is_left_out_has_a_reason(checkpoint):
    pooler = [f"encoder/layer_with_weights-7/{name}" for name in ("bias", "kernel")]
    assert left_out(checkpoint, BERT) == {"the encoder's own pooler, never trained": pooler}


def test_the_step(checkpoint):
    assert read_step(str(checkpoint)) == 5


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (dataclasses.replace(BERT, num_hidden_layers=2), "unexpected variable encoder/layer_with_weights-6/"),
        (dataclasses.replace(BERT, vocab_size=49), "masked_lm/embedding_table has shape (50, 12), expected (49, 12)"),
        (MASKED_LM, "unexpected variable model/classification_heads/0/out_proj/bias (2,)"),
    ],
)
def test_another_model_is_a_mismatch_and_is_not_read(checkpoint, config, line):
    assert compare_with_config(str(checkpoint), BERT).lines() == []
    assert any(line in found for found in compare_with_config(str(checkpoint), config).lines())
    with pytest.raises(ValueError, match=f"^{checkpoint}: "):
        read_weights(checkpoint, config)


def test_the_class_that_fits_is_named(checkpoint):
    message = r'and 3 more such\. This is a checkpoint of BERT with next .*"architectures": \["BertForPreTraining"\]'
    with pytest.raises(ValueError, match=message):
        read_weights(checkpoint, MASKED_LM)


def test_two_variables_for_one_weight_are_unexpected(checkpoint, tmp_path):
    import tensorflow as tf

    table = tf.Variable(np.zeros((50, 12), np.float32))
    encoder = tf.train.Checkpoint(**{"layer_with_weights-0": tf.train.Checkpoint(embeddings=table)})
    items = {"encoder": encoder, "masked_lm": tf.train.Checkpoint(embedding_table=tf.Variable(table))}
    prefix = tf.train.Checkpoint(**items).write(str(tmp_path / "ckpt"))
    assert compare_with_config(prefix, BERT).unexpected == [(IN_ENCODER, (50, 12))]


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_damaged_checkpoint_is_one_line(checkpoint, tmp_path, suffix):
    prefix = copy(checkpoint, tmp_path)
    path = prefix.with_name(prefix.name + suffix)
    content = path.read_bytes()
    path.write_bytes(content[:999] + bytes([content[999] ^ 1]) + content[1000:])
    for read in (lambda: check_checksums(str(prefix), BERT), lambda: read_weights(prefix, BERT)):
        with pytest.raises(ValueError, match=r"cut short or damaged\? ") as error:
            read()
        assert "\n" not in str(error.value)


def test_lines_of_a_mismatch():
    mismatch = find_mismatch({"a": (1,), "b": (2,), "c": (3,)}, {"b": (2,), "c": (4,), "e": (6,), "d": (5,)})
    assert mismatch == Mismatch(["a"], [("d", (5,)), ("e", (6,))], [("c", (4,), (3,))])
    assert mismatch.lines() == [
        "no variable a",
        "unexpected variable d (5,)",
        "unexpected variable e (6,)",
        "c has shape (4,), expected (3,)",
    ]
    assert mismatch.summary() == "no variable a and 3 more such"
    assert Mismatch(["a"], [], []).summary() == "no variable a"
    assert Mismatch([], [], []).summary() == ""

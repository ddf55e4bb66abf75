"""Weights by Hugging Face's names -> a TF2 checkpoint of Model Garden's BERT with every head.

This inverts `checkpoint_reading.read_weights`: reading the checkpoint back gives the same bits. Pretraining never
trains the encoder's own pooler. It gets the weights of the next sentence head's pooler, because fine-tuning may use it.
"""

import errno
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from japanese_bert.models.config import BertConfig
from japanese_bert.models.model_garden import build_model, model_params
from japanese_bert.models.weight_names import POOLER, weights_of

CHECKPOINT_NAME = "ckpt-0"
TEMPORARY = f"{CHECKPOINT_NAME}_temp"  # the directory in which TensorFlow writes. It stays there after an error


def write_checkpoint(weights: Mapping[str, np.ndarray], config: BertConfig, directory: Path) -> Path:
    """Write `ckpt-0` and the state file `checkpoint`, so that `task.init_checkpoint` may name file or directory."""
    model = build_model(model_params(config))
    import tensorflow as tf

    for row in weights_of(config):
        variable = find_variable(model, row.tf_name)
        variable.assign(row.to_tf(weights[row.hf_name], config))
        if row.tf_name.startswith(POOLER):
            own_pooler = _layers_with_weights(model.encoder_network)[-1]
            getattr(own_pooler, row.tf_name.removeprefix(POOLER)).assign(variable)
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, global_step=step, **model.checkpoint_items)
    path = directory / CHECKPOINT_NAME
    try:
        checkpoint.write(str(path))
    except tf.errors.OpError as error:  # such as a full disk: TensorFlow raises no OSError
        kind = errno.ENOSPC if "No space left" in error.message else errno.EIO
        raise OSError(kind, error.message, str(path)) from None
    state = f'model_checkpoint_path: "{CHECKPOINT_NAME}"\nall_model_checkpoint_paths: "{CHECKPOINT_NAME}"\n'
    (directory / "checkpoint").write_text(state, encoding="utf-8")
    return path


def find_variable(model, tf_name: str):
    """Return the variable that a checkpoint stores under this name. '/' separates parts, '.S' stands for '/'."""
    roots = {
        "encoder": model.encoder_network,
        "masked_lm": model.masked_lm,
        "model": model,
        "next_sentence..pooler_dense": model.classification_heads[0].dense,
    }
    first, *parts = tf_name.split("/")
    found = roots[first]
    for part in parts:
        if part.startswith("layer_with_weights-"):
            found = _layers_with_weights(found)[int(part.rpartition("-")[2])]
        elif part.isdigit():
            found = found[int(part)]
        else:
            name = part.rpartition(".S")[2]
            found = getattr(found, name) if hasattr(found, name) else _weight_named(found, name)
    return found


def _weight_named(layer, name: str):
    """Return a weight that its layer keeps under another attribute: the position embeddings."""
    return next(weight for weight in layer.weights if weight.name.endswith(f"/{name}:0"))


def _layers_with_weights(encoder) -> list:
    return [layer for layer in encoder.layers if layer.weights]

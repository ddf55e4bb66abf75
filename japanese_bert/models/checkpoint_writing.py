"""Weights by Hugging Face's names -> a TF2 checkpoint of Model Garden's BERT, ALBERT or ELECTRA with every head.

This inverts `checkpoint_reading.read_weights`: reading the checkpoint back gives the same bits. Pretraining never
trains the encoder's own pooler. It gets the weights of the next sentence head's pooler, because fine-tuning may use it.
"""

import argparse
import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from japanese_bert.models.config import BertConfig
from japanese_bert.models.model_garden import CONTINUED_RATE, build_model, continued_params, model_params
from japanese_bert.models.weight_names import POOLER, weights_of

GENERATOR_CONFIG_FILE = "generator_config.json"
CHECKPOINT_NAME = "ckpt-0"
TEMPORARY = f"{CHECKPOINT_NAME}_temp"  # the directory in which TensorFlow writes. It stays there after an error


class Network(NamedTuple):
    """The weights of one network, by Hugging Face's names."""

    weights: Mapping[str, np.ndarray]
    config: BertConfig


def add_trainer_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a stage that calls `write_trainer_files`."""
    output = parser.add_argument_group("output")
    output.add_argument("--output_dir", type=Path, required=True, help="directory to make")
    method = parser.add_argument_group("method")
    method.add_argument(
        "--initial_learning_rate", type=float, default=CONTINUED_RATE, help="peak rate to write into model.yaml"
    )
    method.add_argument(
        "--random_seed", type=int, default=12345, help="seed of a next sentence head, if the model has none"
    )


def count_parameters(networks: Sequence[Network]) -> int:
    """Return the number of weights. The networks of an ELECTRA share their word embeddings."""
    total = sum(array.size for network in networks for array in network.weights.values())
    config = networks[0].config
    return total - (len(networks) - 1) * config.vocab_size * config.embedding_width


def write_trainer_files(
    directory: Path, initial_rate: float, tokenizer_class: str, network: Network, generator: Network | None = None
) -> None:
    """Write the checkpoint, and what continues it: `config.json` (of an ELECTRA two) and `model.yaml`."""
    import yaml

    write_checkpoint(*network, directory, generator)
    files = {"config.json": network.config.to_json(tokenizer_class)}
    if generator:
        files[GENERATOR_CONFIG_FILE] = generator.config.to_json(tokenizer_class)
    params = continued_params(network.config, initial_rate, generator and generator.config)
    files["model.yaml"] = yaml.safe_dump(params, sort_keys=False)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")


def write_checkpoint(
    weights: Mapping[str, np.ndarray], config: BertConfig, directory: Path, generator: Network | None = None
) -> Path:
    """Write `ckpt-0` and the state file `checkpoint`, so that `task.init_checkpoint` may name file or directory.

    An ELECTRA needs its generator too.
    """
    model = build_model(model_params(config, generator and generator.config))
    import tensorflow as tf

    for network in (Network(weights, config), *([generator] if generator else [])):
        _assign(model, network)
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, global_step=step, **model.checkpoint_items)
    path = directory / CHECKPOINT_NAME
    with writing_by_tensorflow(path):
        checkpoint.write(str(path))
    state = f'model_checkpoint_path: "{CHECKPOINT_NAME}"\nall_model_checkpoint_paths: "{CHECKPOINT_NAME}"\n'
    (directory / "checkpoint").write_text(state, encoding="utf-8")
    return path


@contextmanager
def writing_by_tensorflow(path: Path) -> Iterator[None]:
    """Raise OSError where TensorFlow cannot write, such as on a full disk. It has errors of its own."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        kind = errno.ENOSPC if "No space left" in error.message else errno.EIO
        raise OSError(kind, error.message, str(path)) from None


def _assign(model, network: Network) -> None:
    for row in weights_of(network.config):
        variable = find_variable(model, row.tf_name)
        variable.assign(row.to_tf(network.weights[row.hf_name], network.config))
        if row.tf_name.startswith(POOLER):
            own_pooler = _layers_with_weights(model.encoder_network)[-1]
            getattr(own_pooler, row.tf_name.removeprefix(POOLER)).assign(variable)


def find_variable(model, tf_name: str):
    """Return the variable that a checkpoint stores under this name. '/' separates parts, '.S' stands for '/'."""
    roots = {"model": model, **{name.replace(".", ".."): item for name, item in model.checkpoint_items.items()}}
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

"""TF2 checkpoints of Model Garden's trainer: find one, compare it with a configuration, read it for Hugging Face.

The tables of `weight_names.py` decide. Every variable of a checkpoint is used exactly once, or is of a kind that is
left out on purpose. A variable that is missing, unexpected or of another shape is an error that names it: at conversion
here, before a training in `training/checks/start.py`.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from japanese_bert.models.config import ARCHITECTURES, BertConfig, architectures_of
from japanese_bert.models.weight_names import (
    BOOKKEEPING,
    PROJECTION,
    Weight,
    find_word_embeddings,
    is_next_sentence,
    reason_to_leave_out,
    weights_of,
    word_embeddings_of,
)

Shape = tuple[int, ...]

NO_WEIGHTS = re.compile("|".join(BOOKKEEPING))
VALUE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
OF_TF1 = "is a checkpoint of TensorFlow 1. Convert it with convert_tf1_checkpoint_to_tf2.py"
OF_TF2 = "is a checkpoint of TensorFlow 2 already. Give it to run_pretraining.py as --init_checkpoint"
WITHOUT_HEADS = (
    "This is an archive of the encoder alone. Train it further with run_pretraining.py, or convert the TF1 checkpoint"
)
# The layers of older versions reach one dense layer on two ways. Their checkpoints have the shorter one.
OLD_NAME = ("/_attention_output_dense/", "/_attention_layer/_output_dense/")
LAYER = re.compile(r"encoder/layer_with_weights-(\d+)/_attention_layer/")
# Part of a variable's name -> what Transformers has no class for.
WITHOUT_CLASS = {"/pre_softmax_weight": "talking heads", "/_gate_dense/": "gated GELU"}


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint prefix that `path` names: `.../ckpt-1000000` itself, or the latest of a `--model_dir`."""
    if path.is_dir():
        latest = latest_checkpoint(str(path))
        if latest is None:
            raise FileNotFoundError(f"{path}: no checkpoint in this directory. Expected the trainer's --model_dir")
        return Path(latest)
    prefix = path.with_name(path.name.removesuffix(".index"))
    if not Path(f"{prefix}.index").is_file():
        raise FileNotFoundError(
            f"{path}: no such checkpoint. Expected the name of its .index file without .index, or the trainer's "
            "--model_dir"
        )
    return prefix


def latest_checkpoint(directory: str) -> str | None:
    """Return the checkpoint that the file `checkpoint` names, or the only one of an archive, which has no such file."""
    tensorflow = _tensorflow()
    gfile = tensorflow.io.gfile
    found = [name for name in gfile.listdir(directory) if name.endswith(".index")]
    if len(found) == 1 and not gfile.exists(f"{directory}/checkpoint"):
        return f"{directory}/{found[0].removesuffix('.index')}"
    return tensorflow.train.latest_checkpoint(directory)


def checkpoint_files(prefix: Path) -> list[Path]:
    """Return the index and the data files of a checkpoint."""
    data_name = re.compile(re.escape(prefix.name) + r"\.data-\d{5}-of-\d{5}")
    data = sorted(path for path in prefix.parent.iterdir() if data_name.fullmatch(path.name))
    if not data:
        raise FileNotFoundError(f"{prefix}: the index has no data files. Copy {prefix.name}.data-* beside it")
    return [Path(f"{prefix}.index"), *data]


def read_weights(prefix: Path, config: BertConfig) -> dict[str, np.ndarray]:
    """Return all weights of a checkpoint, float32, by their names in the class of Transformers that `config` names.

    Raises:
        ValueError: variables are missing, unexpected or of another shape than `config` says, or cannot be read.
    """
    with reading_checkpoint(str(prefix)) as reader:
        shapes = reader.get_variable_to_shape_map()
        _check_family(prefix, _names(shapes, config), config)
        mismatch = _compare(shapes, config)
        if mismatch.lines():
            advice = WITHOUT_HEADS if _has_no_head(shapes) else _advice(mismatch, config)
            raise ValueError(f"{prefix}: {mismatch.summary()}. {advice}")
        keys = _used_names(shapes, config)
        return {row.hf_name: _read(reader, keys[row.tf_name], row, config) for row in weights_of(config)}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The variables of one checkpoint that do not fit a model, with their shapes: found, expected."""

    missing: list[str]
    unexpected: list[tuple[str, Shape]]
    of_other_shape: list[tuple[str, Shape, Shape]]

    def lines(self) -> list[str]:
        """Return one line for each variable."""
        return (
            [f"no variable {name}" for name in self.missing]
            + [f"unexpected variable {name} {shape}" for name, shape in self.unexpected]
            + [f"{name} has shape {found}, expected {expected}" for name, found, expected in self.of_other_shape]
        )

    def summary(self) -> str:
        """Return the first line and the number of the others. It is empty if the checkpoint fits."""
        first, *others = self.lines() or [""]
        return first + (f" and {len(others)} more such" if others else "")


def left_out(prefix: Path, config: BertConfig) -> Mapping[str, list[str]]:
    """Return the variables of the model that are not used, by reason."""
    with reading_checkpoint(str(prefix)) as reader:
        names = _names(reader.get_variable_to_shape_map(), config)
    used = {row.tf_name for row in weights_of(config)}
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        reason = None if name in used else reason_to_leave_out(name, config)
        if reason and reason not in BOOKKEEPING.values():
            found.setdefault(reason, []).append(name)
    return found


def compare_with_config(prefix: str, config: BertConfig) -> Mismatch:
    """Return what in a checkpoint does not fit `config`. `prefix` may be `gs://...`.

    Raises:
        ValueError: the checkpoint cannot be read.
    """
    with reading_checkpoint(prefix) as reader:
        return _compare(reader.get_variable_to_shape_map(), config)


def check_checksums(prefix: str, config: BertConfig) -> None:
    """Read every weight once, so that TensorFlow checks its checksum. Raise ValueError if one is damaged."""
    with reading_checkpoint(prefix) as reader:
        for key in _used_names(reader.get_variable_to_shape_map(), config).values():
            reader.get_tensor(key)


def read_step(prefix: str) -> int | None:
    """Return the trainer's `global_step` of a checkpoint, None if it has none."""
    with reading_checkpoint(prefix) as reader:
        key = f"global_step{VALUE_SUFFIX}"
        return int(reader.get_tensor(key)) if reader.has_tensor(key) else None


def is_encoder_alone(prefix: str) -> bool:
    """Return True for an archive of Model Garden, which has no head. Its encoder's own pooler is trained."""
    with reading_checkpoint(prefix) as reader:
        return _has_no_head(reader.get_variable_to_shape_map())


def _has_no_head(keys: Iterable[str]) -> bool:
    return {name.partition("/")[0] for name in names_of(keys) if not NO_WEIGHTS.fullmatch(name)} == {"encoder"}


def names_of(keys: Iterable[str]) -> dict[str, str]:
    """Return the keys of a checkpoint by the names of its variables."""
    return {key.removesuffix(VALUE_SUFFIX).replace(*OLD_NAME): key for key in sorted(keys)}


def _names(keys: Iterable[str], config: BertConfig) -> dict[str, str]:
    """Return the keys of a checkpoint by the names of `weight_names.py`."""
    names = names_of(keys)
    found = find_word_embeddings(names.keys(), config)
    if found in names:
        names[word_embeddings_of(config)] = names.pop(found)
    return names


def _used_names(keys: Iterable[str], config: BertConfig) -> dict[str, str]:
    """Return `_names` of the variables that must be used."""
    used = {row.tf_name for row in weights_of(config)}
    names = _names(keys, config).items()
    return {name: key for name, key in names if name in used or reason_to_leave_out(name, config) is None}


def _check_family(prefix: Path, names: Collection[str], config: BertConfig) -> None:
    """Raise ValueError if a checkpoint belongs to another kind of model, or to one that cannot be converted."""
    without_class = [kind for part, kind in WITHOUT_CLASS.items() if any(part in name for name in names)]
    if without_class:
        raise ValueError(
            f"{prefix}: cannot be converted. Transformers has no class for a BERT with {' and '.join(without_class)}"
        )
    found = _family(names)
    if found not in (None, config.model_type):
        raise ValueError(
            f"{prefix}: looks like the checkpoint of a model of type {found}, but model_type is {config.model_type} in "
            "--tf_config_file. Give the configuration of the trained model"
        )


def _family(names: Collection[str]) -> str | None:
    """Return the type of the model, None if its variables do not show it."""
    if any(name.startswith("model/discriminator_") for name in names):
        return "electra"
    layers = {match[1] for name in names if (match := LAYER.match(name))}
    if len(layers) > 1:
        return "bert"
    return "albert" if f"encoder/layer_with_weights-{PROJECTION}/kernel" in names else None


def _advice(mismatch: Mismatch, config: BertConfig) -> str:
    """Return what to change: the class, if the next sentence head and nothing else is missing or unexpected."""
    names = [*mismatch.missing, *(name for name, _ in mismatch.unexpected)]
    is_head = len(names) == len(mismatch.lines()) == 4 and all(map(is_next_sentence, names))
    if not is_head:
        return "Does --tf_config_file describe the model that was trained?"
    (other,) = (name for name in architectures_of(config.model_type) if name != config.architecture)
    return (
        f'This is a checkpoint of {ARCHITECTURES[other].describe()}: write "architectures": ["{other}"] into '
        "--tf_config_file"
    )


def _compare(shapes: Mapping[str, list[int]], config: BertConfig) -> Mismatch:
    expected = {row.tf_name: row.tf_shape(config) for row in weights_of(config)}
    return find_mismatch(expected, {name: tuple(shapes[key]) for name, key in _used_names(shapes, config).items()})


def find_mismatch(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> Mismatch:
    """Compare the shapes of variables by their names."""
    return Mismatch(
        missing=[name for name in expected if name not in found],
        unexpected=[(name, shape) for name, shape in sorted(found.items()) if name not in expected],
        of_other_shape=[(n, found[n], shape) for n, shape in expected.items() if found.get(n, shape) != shape],
    )


def _read(reader, key: str, row: Weight, config: BertConfig) -> np.ndarray:
    array = reader.get_tensor(key)
    if array.dtype != np.float32:
        raise ValueError(f"{key}: has type {array.dtype}, expected float32")
    return row.to_hf(array, config)


@contextmanager
def reading_checkpoint(prefix: str, is_tf1: bool = False) -> Iterator:
    """Yield TensorFlow's reader of a checkpoint. Its errors in the block become one ValueError.

    Raises:
        ValueError: the checkpoint is of the other version of TensorFlow. Only those of TF2 have a graph of objects.
    """
    tensorflow = _tensorflow()
    try:
        reader = tensorflow.train.load_checkpoint(prefix)
        if reader.has_tensor(OBJECT_GRAPH) == is_tf1:
            raise ValueError(f"{prefix}: {OF_TF2 if is_tf1 else OF_TF1}")
        yield reader
    except (tensorflow.errors.OpError, RuntimeError, IndexError) as error:  # IndexError: past the end of the data
        first_line = str(error).split("\n")[0]
        raise ValueError(f"{prefix}: cannot be read, cut short or damaged? {first_line}") from None


def _tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up messages
    import tensorflow

    return tensorflow

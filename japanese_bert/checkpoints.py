"""Weights of a pretrained BERT: the TF2 checkpoint of Model Garden's trainer -> Hugging Face's names and shapes.

`WEIGHTS` is the whole rule, one row per variable. Every variable of a checkpoint is used exactly once or is of a kind
that is left out on purpose (`_is_unused`); anything missing, unexpected or of another shape is an error naming it.

Left out: the optimizer's state, counters, and the encoder's own pooler, which pretraining never trains (Hugging
Face's pooler is the dense layer of the next sentence head). Only encoders of `type: bert` without factorized
embeddings.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from japanese_bert.bert_config import BertConfig

VALUE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
FIRST_LAYER = 4  # the encoder numbers all its layers; 0 to 3 are the three embeddings and their layer norm
WORD_EMBEDDINGS = "masked_lm/embedding_table"
# The same table under the name that it gets where the saved object reaches the encoder before the head.
WORD_EMBEDDINGS_IN_ENCODER = "encoder/layer_with_weights-0/embeddings"


@dataclass(frozen=True, slots=True)
class Weight:
    """One variable: its name in the checkpoint, in `BertForPreTraining`, and its shape in the checkpoint.

    Letters of `shape`: V vocabulary, H hidden, I intermediate, P positions, T segment types, N heads, D head size,
    C classes. A name with `{layer}` stands for one variable of every layer.
    """

    tf_name: str
    hf_name: str
    shape: str

    @property
    def is_kernel(self) -> bool:
        """Kernels of dense layers are [in, out] in TensorFlow and [out, in] in PyTorch."""
        return self.tf_name.endswith("/kernel")

    def tf_shape(self, config: BertConfig) -> tuple[int, ...]:
        sizes = _sizes(config)
        return tuple(sizes[letter] for letter in self.shape.split())

    def hf_shape(self, config: BertConfig) -> tuple[int, ...]:
        """Heads are joined into one axis, kernels transposed."""
        sizes = _sizes(config)
        joined = tuple(sizes[letter] for letter in self.shape.replace("N D", "H").split())
        return joined[::-1] if self.is_kernel else joined

    def to_hf(self, array: np.ndarray, config: BertConfig) -> np.ndarray:
        """The variable as PyTorch stores it."""
        shape = self.hf_shape(config)
        return np.ascontiguousarray(array.reshape(shape[::-1]).T if self.is_kernel else array.reshape(shape))

    def to_tf(self, array: np.ndarray, config: BertConfig) -> np.ndarray:
        """The inverse of `to_hf`."""
        return (array.T if self.is_kernel else array).reshape(self.tf_shape(config))


_LAYER = "encoder/layer_with_weights-{layer}/"
_HF_LAYER = "bert.encoder.layer.{layer}."
WEIGHTS = (
    Weight(WORD_EMBEDDINGS, "bert.embeddings.word_embeddings.weight", "V H"),
    Weight("encoder/layer_with_weights-1/embeddings", "bert.embeddings.position_embeddings.weight", "P H"),
    Weight("encoder/layer_with_weights-2/embeddings", "bert.embeddings.token_type_embeddings.weight", "T H"),
    Weight("encoder/layer_with_weights-3/gamma", "bert.embeddings.LayerNorm.weight", "H"),
    Weight("encoder/layer_with_weights-3/beta", "bert.embeddings.LayerNorm.bias", "H"),
    Weight(_LAYER + "_attention_layer/_query_dense/kernel", _HF_LAYER + "attention.self.query.weight", "H N D"),
    Weight(_LAYER + "_attention_layer/_query_dense/bias", _HF_LAYER + "attention.self.query.bias", "N D"),
    Weight(_LAYER + "_attention_layer/_key_dense/kernel", _HF_LAYER + "attention.self.key.weight", "H N D"),
    Weight(_LAYER + "_attention_layer/_key_dense/bias", _HF_LAYER + "attention.self.key.bias", "N D"),
    Weight(_LAYER + "_attention_layer/_value_dense/kernel", _HF_LAYER + "attention.self.value.weight", "H N D"),
    Weight(_LAYER + "_attention_layer/_value_dense/bias", _HF_LAYER + "attention.self.value.bias", "N D"),
    Weight(_LAYER + "_attention_layer/_output_dense/kernel", _HF_LAYER + "attention.output.dense.weight", "N D H"),
    Weight(_LAYER + "_attention_layer/_output_dense/bias", _HF_LAYER + "attention.output.dense.bias", "H"),
    Weight(_LAYER + "_attention_layer_norm/gamma", _HF_LAYER + "attention.output.LayerNorm.weight", "H"),
    Weight(_LAYER + "_attention_layer_norm/beta", _HF_LAYER + "attention.output.LayerNorm.bias", "H"),
    Weight(_LAYER + "_intermediate_dense/kernel", _HF_LAYER + "intermediate.dense.weight", "H I"),
    Weight(_LAYER + "_intermediate_dense/bias", _HF_LAYER + "intermediate.dense.bias", "I"),
    Weight(_LAYER + "_output_dense/kernel", _HF_LAYER + "output.dense.weight", "I H"),
    Weight(_LAYER + "_output_dense/bias", _HF_LAYER + "output.dense.bias", "H"),
    Weight(_LAYER + "_output_layer_norm/gamma", _HF_LAYER + "output.LayerNorm.weight", "H"),
    Weight(_LAYER + "_output_layer_norm/beta", _HF_LAYER + "output.LayerNorm.bias", "H"),
    Weight("masked_lm/dense/kernel", "cls.predictions.transform.dense.weight", "H H"),
    Weight("masked_lm/dense/bias", "cls.predictions.transform.dense.bias", "H"),
    Weight("masked_lm/layer_norm/gamma", "cls.predictions.transform.LayerNorm.weight", "H"),
    Weight("masked_lm/layer_norm/beta", "cls.predictions.transform.LayerNorm.bias", "H"),
    Weight("masked_lm/output_bias.Sbias", "cls.predictions.bias", "V"),
    Weight("next_sentence..pooler_dense/kernel", "bert.pooler.dense.weight", "H H"),
    Weight("next_sentence..pooler_dense/bias", "bert.pooler.dense.bias", "H"),
    Weight("model/classification_heads/0/out_proj/kernel", "cls.seq_relationship.weight", "H C"),
    Weight("model/classification_heads/0/out_proj/bias", "cls.seq_relationship.bias", "C"),
)
# What a checkpoint holds besides, and why it is left out.
UNUSED = {
    r"_CHECKPOINTABLE_OBJECT_GRAPH": "names of objects",
    r"global_step|save_counter": "counters",
    r"optimizer/.*|.*/\.OPTIMIZER_SLOT/.*": "the optimizer's state",
    r"encoder/layer_with_weights-{pooler}/(kernel|bias)": "the encoder's own pooler, never trained",
}


def weights_of(config: BertConfig) -> list[Weight]:
    """The rows of `WEIGHTS` with every layer written out."""
    rows = []
    for weight in WEIGHTS:
        count = config.num_hidden_layers if "{layer}" in weight.tf_name else 1
        for layer in range(count):
            tf_name = weight.tf_name.replace("{layer}", str(FIRST_LAYER + layer))
            rows.append(Weight(tf_name, weight.hf_name.replace("{layer}", str(layer)), weight.shape))
    return rows


def find_checkpoint(path: Path) -> Path:
    """The checkpoint prefix that `path` names: `.../ckpt-1000000` itself, or the latest of a `--model_dir`."""
    if path.is_dir():
        return _latest_checkpoint(path)
    prefix = path.with_name(path.name.removesuffix(".index"))
    if not _with_suffix(prefix, ".index").is_file():
        raise FileNotFoundError(
            f"{path}: no such checkpoint; expected the name of its .index file without .index, or the trainer's "
            "--model_dir"
        )
    return prefix


def checkpoint_files(prefix: Path) -> list[Path]:
    """The index and the data files of a checkpoint."""
    data_name = re.compile(re.escape(prefix.name) + r"\.data-\d{5}-of-\d{5}")
    data = sorted(path for path in prefix.parent.iterdir() if data_name.fullmatch(path.name))
    if not data:
        raise FileNotFoundError(f"{prefix}: only the index is there; copy {prefix.name}.data-* beside it")
    return [_with_suffix(prefix, ".index"), *data]


def read_weights(prefix: Path, config: BertConfig) -> dict[str, np.ndarray]:
    """All weights of a checkpoint, float32, under the names of Hugging Face's `BertForPreTraining`.

    Raises:
        ValueError: variables are missing, unexpected or of another shape than `config` says, or cannot be read.
    """
    with _readable(str(prefix)) as reader:
        variables = _variables(reader.get_variable_to_shape_map(), config)
        rows = weights_of(config)
        _check_variables(prefix, rows, variables, config)
        return {row.hf_name: _read(reader, variables[row.tf_name].key, row, config) for row in rows}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Variables of a checkpoint that do not fit a configuration, with their shapes: found, expected."""

    missing: list[str]
    unexpected: list[tuple[str, tuple[int, ...]]]
    of_other_shape: list[tuple[str, tuple[int, ...], tuple[int, ...]]]

    def lines(self) -> list[str]:
        return (
            [f"no variable {name}" for name in self.missing]
            + [f"unexpected variable {name} {shape}" for name, shape in self.unexpected]
            + [f"{name} has shape {found}, expected {expected}" for name, found, expected in self.of_other_shape]
        )


def compare_with_config(prefix: str, config: BertConfig) -> Mismatch:
    """What in a checkpoint does not fit `config`. `prefix` may be `gs://...`.

    Raises:
        ValueError: the checkpoint cannot be read.
    """
    with _readable(prefix) as reader:
        return _find_mismatch(weights_of(config), _variables(reader.get_variable_to_shape_map(), config), config)


def read_whole(prefix: str, config: BertConfig) -> None:
    """Read every weight once, so that TensorFlow checks its checksum; raises ValueError if one is damaged."""
    with _readable(prefix) as reader:
        for variable in _variables(reader.get_variable_to_shape_map(), config).values():
            reader.get_tensor(variable.key)


def read_step(prefix: str) -> int | None:
    """The trainer's `global_step` of a checkpoint."""
    with _readable(prefix) as reader:
        key = f"global_step{VALUE_SUFFIX}"
        return int(reader.get_tensor(key)) if reader.has_tensor(key) else None


@dataclass(frozen=True, slots=True)
class _Variable:
    key: str
    shape: tuple[int, ...]


def _variables(shapes: dict[str, list[int]], config: BertConfig) -> dict[str, _Variable]:
    """The variables of a checkpoint that must be used, by the names of `WEIGHTS`."""
    variables: dict[str, _Variable] = {}
    for key, shape in sorted(shapes.items()):
        name = key.removesuffix(VALUE_SUFFIX)
        if not _is_unused(name, config):
            name = WORD_EMBEDDINGS if name == WORD_EMBEDDINGS_IN_ENCODER else name
            if name in variables:
                raise ValueError(f"{variables[name].key} and {key}: two variables for one weight, expected one")
            variables[name] = _Variable(key, tuple(shape))
    return variables


def _is_unused(name: str, config: BertConfig) -> bool:
    pooler = str(FIRST_LAYER + config.num_hidden_layers)
    return any(re.fullmatch(pattern.replace("{pooler}", pooler), name) for pattern in UNUSED)


def _check_variables(prefix: Path, rows: list[Weight], variables: dict[str, _Variable], config: BertConfig) -> None:
    mismatch = _find_mismatch(rows, variables, config)
    problems = mismatch.lines()
    if problems:
        more = f" and {len(problems) - 1} more such" if len(problems) > 1 else ""
        raise ValueError(f"{prefix}: {problems[0]}{more}; does --tf_config_file describe the model that was trained?")


def _find_mismatch(rows: list[Weight], variables: dict[str, _Variable], config: BertConfig) -> Mismatch:
    expected = {row.tf_name: row.tf_shape(config) for row in rows}
    found = {name: variable.shape for name, variable in variables.items()}
    return Mismatch(
        missing=[name for name in expected if name not in found],
        unexpected=[(name, shape) for name, shape in sorted(found.items()) if name not in expected],
        of_other_shape=[
            (name, found[name], shape) for name, shape in expected.items() if found.get(name, shape) != shape
        ],
    )


def _read(reader, key: str, row: Weight, config: BertConfig) -> np.ndarray:
    array = reader.get_tensor(key)
    if array.dtype != np.float32:
        raise ValueError(f"{key}: has type {array.dtype}, expected float32")
    return row.to_hf(array, config)


def _latest_checkpoint(directory: Path) -> Path:
    """The checkpoint that the trainer's state file `checkpoint` names."""
    latest = _tensorflow().train.latest_checkpoint(str(directory))
    if latest is None:
        raise FileNotFoundError(f"{directory}: no checkpoint in this directory; expected the trainer's --model_dir")
    return Path(latest)


@contextmanager
def _readable(prefix: str) -> Iterator:
    """TensorFlow's reader of a checkpoint; what goes wrong with it inside is one ValueError."""
    tensorflow = _tensorflow()
    try:
        yield tensorflow.train.load_checkpoint(prefix)
    except (tensorflow.errors.OpError, RuntimeError, IndexError) as error:  # IndexError: past the end of the data
        raise ValueError(f"{prefix}: cannot be read, cut short or damaged? {_first_line(error)}") from None


def _tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up messages
    import tensorflow

    return tensorflow


def _sizes(config: BertConfig) -> dict[str, int]:
    return {
        "V": config.vocab_size,
        "H": config.hidden_size,
        "I": config.intermediate_size,
        "P": config.max_position_embeddings,
        "T": config.type_vocab_size,
        "N": config.num_attention_heads,
        "D": config.head_size,
        "C": 2,
    }


def _with_suffix(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]

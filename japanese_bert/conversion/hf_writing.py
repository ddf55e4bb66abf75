"""Write the weights of a model in the three files of a Hugging Face directory: PyTorch, TensorFlow, Flax.

Transformers has TensorFlow and Flax classes only before version 5, so this module does without them. It writes the
formats of their `save_pretrained` (checked with transformers 4.57.6): `TFBertForPreTraining`, `FlaxBertForPreTraining`
and their like for ALBERT and ELECTRA. The decoder of the masked language model is tied to the word embeddings and not
stored again.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from japanese_bert.conversion.hf_reading import Weights
from japanese_bert.tokenization.tokenizer_directory import MODEL_INPUT_NAMES, TOKENIZER_CONFIG_FILE

PYTORCH_FILE = "model.safetensors"
TENSORFLOW_FILE = "tf_model.h5"
FLAX_FILE = "flax_model.msgpack"

# End of a PyTorch name -> last part of the name in the other framework. The first match counts.
KERAS_LEAVES = {
    "LayerNorm.weight": "gamma",
    "LayerNorm.bias": "beta",
    "layer_norm.weight": "gamma",
    "layer_norm.bias": "beta",
    "word_embeddings.weight": "weight",
    "embeddings.weight": "embeddings",
    ".weight": "kernel",
}
FLAX_LEAVES = {
    "LayerNorm.weight": "scale",
    "layer_norm.weight": "scale",
    "embeddings.weight": "embedding",
    ".weight": "kernel",
}
# Keras layers that hold the table of the word embeddings. They must list the position and segment embeddings too: Keras
# counts these as theirs. Otherwise transformers 4 says that they "are newly initialized", although it reads them.
HEADS = ("mlm___cls", "predictions", "generator_lm_head")
# TFAlbert's head adds a bias of this name. PyTorch's head ties it to the other one.
DECODER_BIAS = {"predictions.bias": "predictions.decoder.bias"}
FLAX_NDARRAY = 1  # the msgpack extension code of flax.serialization


def write_safetensors(weights: Weights, path: Path) -> None:
    """Write the file of PyTorch."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(dict(weights), path, metadata={"format": "pt"})
    except SafetensorError as error:  # raised for a full disk too, and no OSError
        raise OSError(f"{path}: {error}") from None
    path.chmod(mode)  # safetensors writes files that only their owner can read


def write_keras_h5(weights: Weights, path: Path, architecture: str = "BertForPreTraining") -> None:
    """Write the file of TensorFlow: one group for each Keras layer, with the names of its weights as an attribute."""
    import h5py

    groups = _keras_layers(weights, architecture)
    base, head = next(iter(groups)), next((layer for layer in groups if layer in HEADS), None)
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.20.1"  # read as "2 or later" only
        file.attrs["layer_names"] = [layer.encode() for layer in groups]
        file.create_group("top_level_model_weights").attrs["weight_names"] = np.zeros(0, "S1")
        for layer, arrays in groups.items():
            for name, array in arrays.items():
                file.create_dataset(f"{layer}/{name}", data=array)
        shared = [name for name in groups[base] if head and name.endswith("_embeddings/embeddings:0")]
        for name in shared:
            file[f"{head}/{name}"] = file[f"{base}/{name}"]  # a link: the array is stored once
        for layer, arrays in groups.items():
            names = [*arrays, *shared] if layer == head else arrays
            file[layer].attrs["weight_names"] = [name.encode() for name in names]


def _keras_layers(weights: Weights, architecture: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays as Keras has them, by layer and name. The layer of the head comes last."""
    copies = {copy: weights[name] for name, copy in DECODER_BIAS.items() if name in weights}
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, array in {**weights, **copies}.items():
        keras_name = keras_weight_name(name, architecture)
        groups.setdefault(keras_name.split("/")[1], {})[keras_name] = array.T if _is_kernel(name) else array
    return dict(sorted(groups.items(), key=lambda item: item[0] in HEADS))


def write_flax_msgpack(weights: Weights, path: Path) -> None:
    """Write the file of Flax: a tree of dicts, one level for each part of a name, as `flax.serialization` does."""
    import msgpack

    tree: dict = {}
    for name, array in weights.items():
        *parents, leaf = flax_weight_path(name)
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = array.T if _is_kernel(name) else array
    path.write_bytes(msgpack.packb(tree, default=_pack_array, strict_types=True))


def keras_weight_name(name: str, architecture: str = "BertForPreTraining") -> str:
    """Return the name of a weight in `tf_model.h5`.

    >>> keras_weight_name("bert.encoder.layer.0.output.dense.weight")
    'tf_bert_for_pre_training/bert/encoder/layer_._0/output/dense/kernel:0'
    """
    path = _rename_leaf(name, KERAS_LEAVES).replace(".", "/")
    path = re.sub(r"/(\d+)(?=/)", r"_._\1", path)
    path = re.sub("^cls/seq_", "nsp___cls/seq_", re.sub("^cls/pred", "mlm___cls/pred", path))
    model = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", f"Tf{architecture}").lower()
    return f"{model}/{path}:0"


def flax_weight_path(name: str) -> list[str]:
    """Return the path of a weight in the tree of `flax_model.msgpack`.

    >>> flax_weight_path("bert.embeddings.LayerNorm.weight")
    ['bert', 'embeddings', 'LayerNorm', 'scale']
    """
    return _rename_leaf(name, FLAX_LEAVES).split(".")


def _rename_leaf(name: str, leaves: Mapping[str, str]) -> str:
    for end, leaf in leaves.items():
        if name.endswith(end):
            return name.rpartition(".")[0] + "." + leaf
    return name


def _is_kernel(name: str) -> bool:
    """Return True for the kernel of a dense layer. It is [out, in] in PyTorch and [in, out] elsewhere."""
    return _rename_leaf(name, FLAX_LEAVES).endswith(".kernel")


def _pack_array(array: np.ndarray):
    import msgpack

    return msgpack.ExtType(FLAX_NDARRAY, msgpack.packb((array.shape, array.dtype.name, array.tobytes())))


def write_tokenizer(directory: Path, files: Mapping[str, Path]) -> None:
    """Copy the files of a tokenizer under their new names."""
    for name, path in files.items():
        shutil.copyfile(path, directory / name)
    config_file = directory / TOKENIZER_CONFIG_FILE
    if config_file.is_file():
        # Without it BertJapaneseTokenizer drops segment ids in Transformers 5.
        values = {"model_input_names": MODEL_INPUT_NAMES} | json.loads(config_file.read_text(encoding="utf-8"))
        text = json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True)
        config_file.write_text(f"{text}\n", encoding="utf-8", newline="\n")

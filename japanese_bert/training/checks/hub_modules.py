"""The SavedModel that `task.hub_module_url` names: its sizes, its pooler, and where it comes from.

One of `export_saved_model.py` shows them in its files. Any other is fetched, if it is a URL, and loaded in a process of
its own. Reason: if several machines train, the trainer must be the first to use TensorFlow in its process.
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.common.provenance import read_provenance
from japanese_bert.common.workers import call_in_child
from japanese_bert.conversion.saved_model import CONFIG_FILE, FILE
from japanese_bert.models.config import load_bert_config
from japanese_bert.models.model_garden import ENCODER_INPUTS, encoder_params
from japanese_bert.tokenization.identity import Tokenization, of_data

REMOTE = ("http://", "https://")
# The size of a module's table: its variable, as all modules of Model Garden name it.
MODULE_TABLES = {"vocab_size": "word_embeddings/embeddings", "max_position_embeddings": "position_embedding/embeddings"}


@dataclass(frozen=True, slots=True)
class SavedEncoder:
    """One SavedModel. `encoder` has the form of `task.model.encoder`.

    It and `tokenization` are None for one of others, of which `sizes` are known: the widths of its outputs, and those
    of `MODULE_TABLES` that were found.
    """

    url: str
    encoder: Mapping | None = None
    tokenization: Tokenization | None = None
    sizes: Mapping[str, int] | None = None


def read_saved_encoder(url: str) -> SavedEncoder | None:
    """Return what `task.hub_module_url` names, None if it is not set.

    Raises:
        ValueError: there is no SavedModel, it cannot be fetched, or it is no encoder.
    """
    import tensorflow as tf

    name = url.removeprefix("file://")
    if not name:
        return None
    if not name.startswith(REMOTE):
        if not tf.io.gfile.exists(f"{name.rstrip('/')}/{FILE}"):
            raise ValueError(f"task.hub_module_url {url}: has no {FILE}. Make a SavedModel with export_saved_model.py")
        directory = Path(name)
        made_by = read_provenance(directory) or {}
        if made_by.get("stage") == "export_saved_model":
            return SavedEncoder(url, encoder_params(load_bert_config(directory / CONFIG_FILE)), of_data(made_by, url))
    sizes, problem = call_in_child(_describe_alone, name)
    if problem:
        raise ValueError(f"task.hub_module_url {url}: {problem}")
    return SavedEncoder(url, sizes=sizes)


def _describe_alone(name: str) -> tuple[dict[str, int], str | None]:
    """Return sizes of a module, and what is wrong with it, in a process that needs no accelerator."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TPU_LOAD_LIBRARY": "0"}
    os.environ.pop("TF_CONFIG", None)
    warnings.simplefilter("ignore")
    import tensorflow_hub as hub

    try:
        directory = hub.resolve(name)
    except Exception as error:  # of any kind: of the network, of HTTP, of a full disk, of an archive
        reason = " ".join(str(error).split())
        return {}, f"cannot be fetched ({reason}). Download it, unpack it, and give its directory"
    return describe_module(directory)


def describe_module(directory: str) -> tuple[dict[str, int], str | None]:
    """Return the sizes of a SavedModel, and what is wrong with it."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_hub as hub

    ids = {name: tf.constant(np.ones((1, 4), np.int32)) for name in ENCODER_INPUTS}
    expected = "Expected an encoder of TF-Hub's form, as export_saved_model.py makes"
    try:
        module = hub.load(directory)
        outputs = module(ids)
        widths = {"sequence_output": int(outputs["sequence_output"].shape[-1])}
    except Exception as error:  # of any kind: it may be any SavedModel
        return {}, f"cannot be called with {', '.join(ENCODER_INPUTS)} ({type(error).__name__}). {expected}"
    if "pooled_output" in outputs:
        widths["pooled_output"] = int(outputs["pooled_output"].shape[-1])
    shapes = {variable.name.removesuffix(":0"): variable.shape for variable in getattr(module, "variables", ())}
    found = {
        size: shape[0] for size, end in MODULE_TABLES.items() for name, shape in shapes.items() if name.endswith(end)
    }
    return {**widths, **found}, None

"""A converted model directory -> `model.onnx`, for ONNX Runtime and whatever else reads ONNX.

Inputs `input_ids`, `attention_mask`, `token_type_ids` (int64, [batch, sequence]); outputs `logits` ([batch, sequence,
vocabulary], the name that ONNX runtimes of fill-mask expect; of a discriminator [batch, sequence]) and those of the
next sentence under the name that Transformers has for them ([batch, 2]). Batch and sequence may have any size. The
decoder shares the table of the word embeddings, as in the other files.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from japanese_bert.conversion.frameworks import GENERATOR, architecture_of, load_class, use_trained_activation
from japanese_bert.models.architectures import ARCHITECTURES

OPSET = 18  # the lowest that the exporter writes without converting its graph down
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def check_onnx_packages() -> None:
    """Raise ImportError naming what is missing, before any work is done."""
    missing = [package for package in ("onnx", "onnxscript", "onnxruntime") if find_spec(package) is None]
    if missing:
        raise ImportError(f"--onnx needs {', '.join(missing)}; install requirements.txt")


def output_names(architecture: str) -> list[str]:
    """In the order of the class's outputs; the first is the one that all have."""
    return ["logits", *list(ARCHITECTURES[architecture].logits.values())[1:]]


def export_onnx(directory: Path, path: Path) -> None:
    """Write the model of `directory` in one file (at most 2 GB, the limit of the format)."""
    import torch

    # In evaluation mode, or dropout is exported. Without return_dict the outputs are a tuple.
    model = load_class("", directory, attn_implementation="eager", return_dict=False).eval()
    if architecture_of(directory) == GENERATOR:  # the file computes what was trained
        use_trained_activation(model)
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", max=model.config.max_position_embeddings)
    # Three tensors, for one passed three times becomes one input; no size is 1, which would be taken for fixed.
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in INPUTS)
    with torch.inference_mode(), _without_messages():
        torch.onnx.export(
            model,
            example,
            path,
            input_names=INPUTS,
            output_names=output_names(architecture_of(directory)),
            dynamic_shapes=({0: batch, 1: sequence},) * len(INPUTS),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )


@contextmanager
def _without_messages() -> Iterator[None]:
    """Hide what the exporter says of torchvision, of its own names for axes and of its own calls of torch."""
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

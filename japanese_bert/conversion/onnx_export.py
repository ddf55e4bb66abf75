"""A converted model directory -> `model.onnx`, for ONNX Runtime and every other reader of ONNX.

Inputs are `input_ids`, `attention_mask` and `token_type_ids` (int64, [batch, sequence]). Batch and sequence may have
any size. The first output is `logits`, the name that ONNX runtimes of fill-mask expect: [batch, sequence, vocabulary],
or [batch, sequence] for a discriminator. The logits of the next sentence, [batch, 2], have the name that Transformers
gives them. The decoder shares the table of the word embeddings, as in the other files.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from japanese_bert.conversion.frameworks import GENERATOR, architecture_of, load_class, use_trained_activation
from japanese_bert.models.config import ARCHITECTURES

OPSET = 18  # the lowest version that the exporter writes without converting its graph down
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def check_onnx_packages() -> None:
    """Raise ImportError if a package for --onnx is missing."""
    missing = [package for package in ("onnx", "onnxscript", "onnxruntime") if find_spec(package) is None]
    if missing:
        raise ImportError(f"--onnx needs {', '.join(missing)}. Run ./install.sh")


def output_names(architecture: str) -> list[str]:
    """Return the names of the outputs, in the order of the class's outputs. All models have the first."""
    return ["logits", *list(ARCHITECTURES[architecture].logits.values())[1:]]


def export_onnx(directory: Path, path: Path) -> None:
    """Write the model of `directory` into one file. The format allows at most 2 GB."""
    import torch

    # Without eval() dropout would be exported. Without return_dict the outputs are a tuple.
    model = load_class("", directory, attn_implementation="eager", return_dict=False).eval()
    if architecture_of(directory) == GENERATOR:  # the file computes what was trained
        use_trained_activation(model)
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", max=model.config.max_position_embeddings)
    # One tensor passed three times would become one input. A size of 1 would be taken for fixed.
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in INPUTS)
    with torch.inference_mode(), _quiet_exporter():
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
def _quiet_exporter() -> Iterator[None]:
    """Hide the exporter's messages about torchvision, about its names for axes and about its own calls of torch."""
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

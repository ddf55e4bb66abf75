"""Run a model directory in every framework that is installed here: PyTorch, TensorFlow, Flax, ONNX Runtime.

TensorFlow and Flax read model directories only in transformers 4. Therefore this module also runs in another
environment: `python -m japanese_bert.conversion.frameworks DIRECTORY CASES` prints the differences as JSON. It needs
only numpy and the frameworks, and imports each framework when its turn comes.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.common.environment import import_triton_first
from japanese_bert.common.workers import call_in_child
from japanese_bert.models.config import ARCHITECTURES, MASKED, REPLACED

ONNX_FILE = "model.onnx"
Logits = Mapping[str, np.ndarray]  # by the names of architectures.py
# Ids, mask and segments, each [instances, tokens] -> logits. The logits of MASKED are for every token.
ComputeLogits = Callable[[np.ndarray, np.ndarray, np.ndarray], Logits]
Differences = Mapping[str, float]  # the largest absolute differences, by the names of logits
# In Transformers its head computes the exact GELU, whatever config.json says (5.23). In Flax it computes the right one.
GENERATOR = "ElectraForMaskedLM"


@dataclass(frozen=True, slots=True)
class Case:
    """One batch of instances, by the names of the trainer's features, with the trained model's logits."""

    instances: Mapping[str, np.ndarray]
    logits: Logits


def architecture_of(directory: Path) -> str:
    """Return the name of the class of Transformers that a directory was made for."""
    return json.loads((directory / "config.json").read_text(encoding="utf-8"))["architectures"][0]


def load_class(prefix: str, directory: Path, **options):
    """Load the model of a directory by its class for PyTorch (no prefix), TensorFlow (`TF`) or Flax (`Flax`)."""
    import_triton_first()
    import transformers

    hide_progress()
    return getattr(transformers, prefix + architecture_of(directory)).from_pretrained(directory, **options)


def named_logits(directory: Path, outputs, to_numpy: Callable[[Any], np.ndarray]) -> Logits:
    """Return the logits among the outputs of a directory's class."""
    names = ARCHITECTURES[architecture_of(directory)].logits
    return {name: to_numpy(getattr(outputs, attribute)) for name, attribute in names.items()}


def hide_progress() -> None:
    """Turn off the bar that transformers prints for every file."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def load_pytorch(directory: Path, change: Callable[[Any], None] = lambda model: None) -> ComputeLogits:
    import torch

    model = load_class("", directory).eval()
    change(model)

    def run(*inputs: np.ndarray) -> Logits:
        with torch.inference_mode():
            outputs = model(*map(torch.from_numpy, inputs))
        return named_logits(directory, outputs, lambda tensor: tensor.numpy())

    return run


def load_pytorch_as_trained(directory: Path) -> ComputeLogits:
    return load_pytorch(directory, use_trained_activation)


def use_trained_activation(model) -> None:
    """Give the head of a generator in PyTorch the GELU that `config.json` names. Its class does not read it."""
    from transformers.activations import get_activation

    model.generator_predictions.activation = get_activation(model.config.hidden_act)


def load_tensorflow(directory: Path) -> ComputeLogits:
    # With safetensors 4.57 fails: github.com/huggingface/transformers/issues/40028
    model = load_class("TF", directory, use_safetensors=False)
    return lambda *inputs: named_logits(directory, model(*inputs, training=False), lambda tensor: tensor.numpy())


def load_flax(directory: Path) -> ComputeLogits:
    model = load_class("Flax", directory)
    return lambda *inputs: named_logits(directory, model(*inputs, train=False), np.asarray)


def load_onnx(directory: Path) -> ComputeLogits:
    import onnxruntime

    session = onnxruntime.InferenceSession(directory / ONNX_FILE, providers=["CPUExecutionProvider"])
    inputs, outputs = [item.name for item in session.get_inputs()], ARCHITECTURES[architecture_of(directory)].logits

    def run(*arrays: np.ndarray) -> Logits:
        return dict(zip(outputs, session.run(None, dict(zip(inputs, arrays, strict=True))), strict=True))

    return run


@dataclass(frozen=True, slots=True)
class Framework:
    """One way to run a model directory. `needs` are modules: the first names the package with the version."""

    file: str
    load: Callable[[Path], ComputeLogits]
    needs: tuple[str, ...]
    in_transformers_5: bool = True
    of_generator_only: bool = False
    exact_gelu: bool = False  # in the head of a generator

    def is_installed(self) -> bool:
        if any(find_spec(module) is None for module in self.needs):
            return False
        return self.in_transformers_5 or int(metadata.version("transformers").partition(".")[0]) < 5

    def version(self) -> str:
        package = self.needs[0]
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            return f"no {package}"


FRAMEWORKS: Mapping[str, Framework] = {
    "PyTorch": Framework("model.safetensors", load_pytorch, ("transformers", "torch"), exact_gelu=True),
    "PyTorch with the trained GELU": Framework(
        "model.safetensors", load_pytorch_as_trained, ("transformers", "torch"), of_generator_only=True
    ),
    "TensorFlow": Framework(
        "tf_model.h5", load_tensorflow, ("transformers", "tensorflow", "tf_keras"), False, exact_gelu=True
    ),
    "Flax": Framework("flax_model.msgpack", load_flax, ("transformers", "flax"), False),
    "ONNX": Framework(ONNX_FILE, load_onnx, ("onnxruntime",)),
}


def logit_differences(directory: Path, cases: list[Case]) -> dict[str, Differences | None]:
    """Return the differences by framework and version for each file of the directory.

    A framework that is not installed here gets None.
    """
    is_generator = architecture_of(directory) == GENERATOR
    found: dict[str, Differences | None] = {}
    for name, framework in FRAMEWORKS.items():
        if (directory / framework.file).is_file() and (is_generator or not framework.of_generator_only):
            can_load = framework.is_installed()
            difference = call_in_child(load_and_compare, framework.load, directory, cases) if can_load else None
            found[f"{name} ({framework.version()})"] = difference
    return found


def load_and_compare(load: Callable[[Path], ComputeLogits], directory: Path, cases: list[Case]) -> Differences:
    """Return the largest differences over all cases. They are NaN if a framework computed NaN."""
    compute = load(directory)
    found = [_differences_of_case(compute, case) for case in cases]
    return {name: float(np.max([item[name] for item in found])) for name in found[0]}


def exceed(found: Differences, tolerance: float) -> bool:
    """Return True if a difference is above the tolerance, or is NaN."""
    return not all(difference <= tolerance for difference in found.values())


def _differences_of_case(compute: ComputeLogits, case: Case) -> Differences:
    """Compare logits of masked tokens, of next sentences, and of tokens that may be replaced: all but padding."""
    instances = case.instances
    inputs = [instances[name].astype(np.int64) for name in ("input_word_ids", "input_mask", "input_type_ids")]
    logits = dict(compute(*inputs))
    if MASKED in logits:
        rows = np.arange(len(inputs[0]))[:, None]
        logits[MASKED] = logits[MASKED][rows, instances["masked_lm_positions"]]
    counted = {MASKED: instances["masked_lm_weights"] > 0, REPLACED: instances["input_mask"] > 0}
    return {
        name: np.abs(logits[name] - expected)[counted.get(name, ...)].max(initial=0)
        for name, expected in case.logits.items()
    }


def save_cases(path: Path, cases: list[Case]) -> None:
    """Write one array for each name, such as `0/instances/input_word_ids` and `0/logits/masked` of the first case."""
    arrays = {
        f"{number}/{kind}/{name}": array
        for number, case in enumerate(cases)
        for kind in ("instances", "logits")
        for name, array in getattr(case, kind).items()
    }
    np.savez(path, **arrays)


def load_cases(path: Path) -> list[Case]:
    """Read the cases that `save_cases` wrote."""
    cases: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            number, kind, name = key.split("/")
            cases.setdefault(number, {"instances": {}, "logits": {}})[kind][name] = arrays[key]
    return [Case(**values) for values in cases.values()]


if __name__ == "__main__":
    print(json.dumps(logit_differences(Path(sys.argv[1]), load_cases(Path(sys.argv[2])))))

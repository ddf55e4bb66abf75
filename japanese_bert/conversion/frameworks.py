"""A model directory run by every framework that is installed here: PyTorch, TensorFlow, Flax, ONNX Runtime.

TensorFlow and Flax read model directories only in transformers 4, so this also runs in another environment:
`python -m japanese_bert.conversion.frameworks DIRECTORY CASES` prints the differences as JSON. Besides the
frameworks it needs numpy alone, and imports each of them when its turn comes.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from japanese_bert.common.workers import call_in_child
from japanese_bert.models.architectures import ARCHITECTURES, MASKED, REPLACED

ONNX_FILE = "model.onnx"
Logits = Mapping[str, np.ndarray]  # by the names of architectures.py
# [instances, tokens] each -> logits, those of MASKED for every token
Model = Callable[[np.ndarray, np.ndarray, np.ndarray], Logits]
Differences = Mapping[str, float]  # largest absolute ones, by the names of logits
# Its head has the exact GELU in Transformers, whatever config.json says (5.23; in Flax it has the right one).
GENERATOR = "ElectraForMaskedLM"


@dataclass(frozen=True, slots=True)
class Case:
    """Instances under the names of the trainer's features, and the trained model's logits on them."""

    instances: Mapping[str, np.ndarray]
    logits: Logits


def architecture_of(directory: Path) -> str:
    """The class of Transformers whose model a directory has."""
    return json.loads((directory / "config.json").read_text(encoding="utf-8"))["architectures"][0]


def load_class(prefix: str, directory: Path, **options):
    """The model of a directory by the class of PyTorch (no prefix), TensorFlow (`TF`) or Flax (`Flax`)."""
    import transformers

    hide_progress()
    return getattr(transformers, prefix + architecture_of(directory)).from_pretrained(directory, **options)


def named_logits(directory: Path, outputs, to_numpy: Callable[[object], np.ndarray]) -> Logits:
    names = ARCHITECTURES[architecture_of(directory)].logits
    return {name: to_numpy(getattr(outputs, attribute)) for name, attribute in names.items()}


def hide_progress() -> None:
    """No bar for every file that transformers loads."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def load_pytorch(directory: Path, change: Callable[[object], None] = lambda model: None) -> Model:
    import torch

    model = load_class("", directory).eval()
    change(model)

    def run(*inputs: np.ndarray) -> Logits:
        with torch.inference_mode():
            outputs = model(*map(torch.from_numpy, inputs))
        return named_logits(directory, outputs, lambda tensor: tensor.numpy())

    return run


def load_pytorch_as_trained(directory: Path) -> Model:
    return load_pytorch(directory, use_trained_activation)


def use_trained_activation(model) -> None:
    """Give the head of a generator in PyTorch the GELU that `config.json` names, which its class does not read."""
    from transformers.activations import get_activation

    model.generator_predictions.activation = get_activation(model.config.hidden_act)


def load_tensorflow(directory: Path) -> Model:
    # Or 4.57 takes model.safetensors and fails: github.com/huggingface/transformers/issues/40028
    model = load_class("TF", directory, use_safetensors=False)
    return lambda *inputs: named_logits(directory, model(*inputs, training=False), lambda tensor: tensor.numpy())


def load_flax(directory: Path) -> Model:
    model = load_class("Flax", directory)
    return lambda *inputs: named_logits(directory, model(*inputs, train=False), np.asarray)


def load_onnx(directory: Path) -> Model:
    import onnxruntime

    session = onnxruntime.InferenceSession(directory / ONNX_FILE, providers=["CPUExecutionProvider"])
    inputs, outputs = [item.name for item in session.get_inputs()], ARCHITECTURES[architecture_of(directory)].logits

    def run(*arrays: np.ndarray) -> Logits:
        return dict(zip(outputs, session.run(None, dict(zip(inputs, arrays, strict=True))), strict=True))

    return run


@dataclass(frozen=True, slots=True)
class Framework:
    """`needs` are modules, the first of which is the package that tells the version."""

    file: str
    load: Callable[[Path], Model]
    needs: tuple[str, ...]
    in_transformers_5: bool = True
    of_generator_only: bool = False
    exact_gelu: bool = False  # in the head of a generator

    def is_here(self) -> bool:
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


def differences(directory: Path, cases: list[Case]) -> dict[str, Differences | None]:
    """By framework and version, for each file that is there; None for a framework that cannot be loaded here."""
    is_generator = architecture_of(directory) == GENERATOR
    found = {}
    for name, framework in FRAMEWORKS.items():
        if (directory / framework.file).is_file() and (is_generator or not framework.of_generator_only):
            is_here = framework.is_here()
            difference = call_in_child(load_and_compare, framework.load, directory, cases) if is_here else None
            found[f"{name} ({framework.version()})"] = difference
    return found


def load_and_compare(load: Callable[[Path], Model], directory: Path, cases: list[Case]) -> Differences:
    return largest_differences(load(directory), cases)


def largest_differences(model: Model, cases: list[Case]) -> Differences:
    """Not a number where a framework computed none."""
    found = [_differences_of_case(model, case) for case in cases]
    return {name: float(np.max([item[name] for item in found])) for name in found[0]}


def exceed(found: Differences, tolerance: float) -> bool:
    return not all(difference <= tolerance for difference in found.values())


def _differences_of_case(model: Model, case: Case) -> Differences:
    """Of tokens that are masked, of tokens that are not padding, of next sentences."""
    instances = case.instances
    inputs = [instances[name].astype(np.int64) for name in ("input_word_ids", "input_mask", "input_type_ids")]
    logits = dict(model(*inputs))
    if MASKED in logits:
        rows = np.arange(len(inputs[0]))[:, None]
        logits[MASKED] = logits[MASKED][rows, instances["masked_lm_positions"]]
    counted = {MASKED: instances["masked_lm_weights"] > 0, REPLACED: instances["input_mask"] > 0}
    return {
        name: np.abs(logits[name] - expected)[counted.get(name, ...)].max(initial=0)
        for name, expected in case.logits.items()
    }


def save_cases(path: Path, cases: list[Case]) -> None:
    """One array a name: `0/instances/input_word_ids`, `0/logits/masked`, with the number of the case in front."""
    np.savez(
        path,
        **{
            f"{number}/{kind}/{name}": array
            for number, case in enumerate(cases)
            for kind in ("instances", "logits")
            for name, array in getattr(case, kind).items()
        },
    )


def load_cases(path: Path) -> list[Case]:
    cases: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            number, kind, name = key.split("/")
            cases.setdefault(number, {"instances": {}, "logits": {}})[kind][name] = arrays[key]
    return [Case(**values) for values in cases.values()]


if __name__ == "__main__":
    print(json.dumps(differences(Path(sys.argv[1]), load_cases(Path(sys.argv[2])))))

"""A model directory run by every framework that is installed here: PyTorch, TensorFlow, Flax, ONNX Runtime.

TensorFlow and Flax read model directories only in transformers 4, so this also runs in another environment:
`python -m japanese_bert.frameworks DIRECTORY CASES` prints the differences as JSON. Besides the frameworks it needs
numpy alone, and imports each of them when its turn comes.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from japanese_bert.workers import call_in_child

ONNX_FILE = "model.onnx"
# [instances, tokens] each -> logits [instances, tokens, vocabulary] and [instances, 2]
Model = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Case:
    """Instances under the names of the trainer's features, and the trained model's logits on them.

    `masked` is [instances, predictions, vocabulary], `next_sentence` [instances, 2].
    """

    instances: Mapping[str, np.ndarray]
    masked: np.ndarray
    next_sentence: np.ndarray


@dataclass(frozen=True, slots=True)
class Difference:
    """Largest absolute differences of logits; not a number where a framework computed none."""

    masked: float
    next_sentence: float

    def exceeds(self, tolerance: float) -> bool:
        return not (self.masked <= tolerance and self.next_sentence <= tolerance)


def hide_progress() -> None:
    """No bar for every file that transformers loads."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def load_pytorch(directory: Path) -> Model:
    import torch
    from transformers import BertForPreTraining

    hide_progress()
    model = BertForPreTraining.from_pretrained(directory).eval()

    def run(*inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            outputs = model(*map(torch.from_numpy, inputs))
        return outputs.prediction_logits.numpy(), outputs.seq_relationship_logits.numpy()

    return run


def load_tensorflow(directory: Path) -> Model:
    from transformers import TFBertForPreTraining

    # Or 4.57 takes model.safetensors and fails: github.com/huggingface/transformers/issues/40028
    model = TFBertForPreTraining.from_pretrained(directory, use_safetensors=False)

    def run(*inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = model(*inputs, training=False)
        return outputs.prediction_logits.numpy(), outputs.seq_relationship_logits.numpy()

    return run


def load_flax(directory: Path) -> Model:
    from transformers import FlaxBertForPreTraining

    model = FlaxBertForPreTraining.from_pretrained(directory)

    def run(*inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = model(*inputs, train=False)
        return np.asarray(outputs.prediction_logits), np.asarray(outputs.seq_relationship_logits)

    return run


def load_onnx(directory: Path) -> Model:
    import onnxruntime

    session = onnxruntime.InferenceSession(directory / ONNX_FILE, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]

    def run(*inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return session.run(None, dict(zip(names, inputs, strict=True)))

    return run


@dataclass(frozen=True, slots=True)
class Framework:
    """`needs` are modules, the first of which is the package that tells the version."""

    file: str
    load: Callable[[Path], Model]
    needs: tuple[str, ...]
    in_transformers_5: bool = True

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
    "PyTorch": Framework("model.safetensors", load_pytorch, ("transformers", "torch")),
    "TensorFlow": Framework("tf_model.h5", load_tensorflow, ("transformers", "tensorflow", "tf_keras"), False),
    "Flax": Framework("flax_model.msgpack", load_flax, ("transformers", "flax"), False),
    "ONNX": Framework(ONNX_FILE, load_onnx, ("onnxruntime",)),
}


def differences(directory: Path, cases: list[Case]) -> dict[str, Difference | None]:
    """By framework and version, for each file that is there; None for a framework that cannot be loaded here."""
    found = {}
    for name, framework in FRAMEWORKS.items():
        if (directory / framework.file).is_file():
            is_here = framework.is_here()
            difference = call_in_child(load_and_compare, framework.load, directory, cases) if is_here else None
            found[f"{name} ({framework.version()})"] = difference
    return found


def load_and_compare(load: Callable[[Path], Model], directory: Path, cases: list[Case]) -> Difference:
    return largest_difference(load(directory), cases)


def largest_difference(model: Model, cases: list[Case]) -> Difference:
    masked, next_sentence = zip(*(_differences_of_case(model, case) for case in cases), strict=True)
    return Difference(float(np.max(masked)), float(np.max(next_sentence)))


def _differences_of_case(model: Model, case: Case) -> tuple[np.float32, np.float32]:
    instances = case.instances
    inputs = [instances[name].astype(np.int64) for name in ("input_word_ids", "input_mask", "input_type_ids")]
    predictions, next_sentence = model(*inputs)
    rows = np.arange(len(predictions))[:, None]
    masked = np.abs(predictions[rows, instances["masked_lm_positions"]] - case.masked)
    is_real = instances["masked_lm_weights"] > 0
    return masked[is_real].max(initial=0), np.abs(next_sentence - case.next_sentence).max()


def save_cases(path: Path, cases: list[Case]) -> None:
    """One array a name, with the number of its case in front: `0/input_word_ids`."""
    arrays = {}
    for number, case in enumerate(cases):
        values = {**case.instances, "masked": case.masked, "next_sentence": case.next_sentence}
        arrays.update({f"{number}/{name}": array for name, array in values.items()})
    np.savez(path, **arrays)


def load_cases(path: Path) -> list[Case]:
    cases: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path) as arrays:
        for name in arrays.files:
            number, _, name_in_case = name.partition("/")
            cases.setdefault(number, {})[name_in_case] = arrays[name]
    return [Case(values, values.pop("masked"), values.pop("next_sentence")) for values in cases.values()]


def differences_to_json(found: Mapping[str, Difference | None]) -> str:
    return json.dumps({name: item and [item.masked, item.next_sentence] for name, item in found.items()})


def differences_from_json(text: str) -> dict[str, Difference | None]:
    return {name: item and Difference(*item) for name, item in json.loads(text).items()}


if __name__ == "__main__":
    print(differences_to_json(differences(Path(sys.argv[1]), load_cases(Path(sys.argv[2])))))

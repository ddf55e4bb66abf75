"""Prove that a converted directory computes the same logits as the checkpoint in Model Garden.

The same instances, in two shapes, go through the trainer's own model and through every framework that can be loaded
here. A child process does the same in other environments. The instances are real pretraining data, or are made from the
sentences below. These are cut into characters, without a dictionary: the proof compares arithmetic, not tokenization.
"""

import itertools
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from japanese_bert.common.workers import call_in_child
from japanese_bert.conversion import frameworks
from japanese_bert.conversion.frameworks import Case, Differences
from japanese_bert.models.config import MASKED, NEXT_SENTENCE, REPLACED, BertConfig
from japanese_bert.tokenization.vocab import CLS, MASK, SEP, SPECIAL_TOKENS, UNK, Vocab

MAX_LOGIT_DIFFERENCE = 1e-4  # measured: below 1e-5 with the right activation, 2e-4 and more with the wrong one
# For a generator in classes whose head computes the exact GELU. Measured: 4e-5 after 10 steps, 8e-4 after 800.
MAX_GENERATOR_DIFFERENCE = 1e-2
LOGITS = {MASKED: "masked tokens", NEXT_SENTENCE: "next sentence", REPLACED: "replaced tokens"}
NUM_READ_INSTANCES = 8  # 0.5 GB of logits at 512 tokens and 32,768 words
NUM_MADE_INSTANCES = 4
MASK_DISTANCE = 7  # every seventh token is predicted, 15% as in training
PLAIN_SENTENCES = (
    "吾輩は猫である。名前はまだ無い。",
    "どこで生れたかとんと見当がつかぬ。",
    "東北大学で自然言語処理の研究をしています。",
    "日本の首都は東京で、古都は京都や奈良である。",
    "NHKの朝のニュースは7時に始まり、2024年も続いた。",
    "パソコンでプログラムを書き、コーヒーを飲む。",
    "彼女は駅から図書館まで歩いて、本を三冊借りた。",
    "この橋は1923年に架けられ、川を渡る人々を支えてきた。",
)


def check_packages() -> None:
    """Raise ImportError if a package for --verify is missing."""
    missing = [name for name in ("official", "torch", "transformers") if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"--verify needs {', '.join(missing)} (official: tf-models-official). Run ./install.sh, or convert "
            "without proof by --no-verify"
        )


def verify(
    prefix: Path,
    config: BertConfig,
    directory: Path,
    tfrecord: Path | None,
    vocab: Vocab | None,
    other_pythons: list[Path],
) -> dict[str, Differences]:
    """Compare, print and return the differences by framework.

    Raises:
        ValueError: a framework computes other logits than the trained model, or none could be loaded.
    """
    cases = call_in_child(make_cases, prefix, config, tfrecord, vocab)
    found = frameworks.logit_differences(directory, cases)
    for python in other_pythons:
        found |= differences_elsewhere(python, directory, cases)
    for name, difference in found.items():
        print(f"{name}: {_differences_in_words(difference)}")
    compared = {name: difference for name, difference in found.items() if difference is not None}
    if not compared:
        raise ValueError(f"{directory}: no framework could be loaded, so nothing was compared. See the lines above")
    _check_differences(directory, compared, config)
    return compared


def max_difference(framework: str, config: BertConfig) -> float:
    """Return how much logits may differ. `framework` is as in `PyTorch (transformers 5.23.0)`."""
    has_exact_gelu = frameworks.FRAMEWORKS[framework.partition(" (")[0]].exact_gelu
    is_generator = config.architecture == frameworks.GENERATOR
    return MAX_GENERATOR_DIFFERENCE if is_generator and has_exact_gelu else MAX_LOGIT_DIFFERENCE


def _check_differences(directory: Path, compared: Mapping[str, Differences], config: BertConfig) -> None:
    wrong = [name for name, found in compared.items() if frameworks.exceed(found, max_difference(name, config))]
    if wrong:
        largest = max(difference for name in wrong for difference in compared[name].values())
        raise ValueError(
            f"{directory}: logits of {', '.join(wrong)} differ from the trained model's by {largest:.1e}, expected at "
            f"most {max_difference(wrong[0], config)}. A custom model needs its own conversion"
        )


def _differences_in_words(found: Differences | None) -> str:
    if found is None:
        return "cannot be loaded here, not compared"
    differences = ", ".join(f"{LOGITS[name]} {difference:.1e}" for name, difference in found.items())
    return f"largest difference of logits: {differences}"


def make_cases(prefix: Path, config: BertConfig, tfrecord: Path | None, vocab: Vocab | None) -> list[Case]:
    """Return instances in two shapes, with the trained model's logits."""
    from japanese_bert.models import model_garden

    if tfrecord is None:
        instances = make_instances(config, vocab)
    else:
        instances = model_garden.read_instances(tfrecord, config, NUM_READ_INSTANCES)
    model = model_garden.restore_model(prefix, config)
    shapes = [instances, shortened(instances)]
    return [Case(part, model_garden.logits_of_model_garden(model, config, part)) for part in shapes]


def make_instances(config: BertConfig, vocab: Vocab | None) -> dict[str, np.ndarray]:
    """Return instances of a quarter, half, three quarters and all of the positions, from the built-in sentences."""
    encode = _character_encoder(config, vocab)
    special = vocab.ids if vocab else {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    size = config.max_position_embeddings
    tokens = itertools.cycle(itertools.chain.from_iterable(map(encode, PLAIN_SENTENCES)))
    instances = _empty_instances(NUM_MADE_INSTANCES, size, -(-size // MASK_DISTANCE))
    for row in range(NUM_MADE_INSTANCES):
        length = size * (row + 1) // NUM_MADE_INSTANCES
        text = list(itertools.islice(tokens, max(0, length - 3)))
        first, second = text[: len(text) // 2], text[len(text) // 2 :]
        ids = [special[CLS], *first, special[SEP], *second, special[SEP]][:size]
        masked = list(range(1, len(ids) - 1, MASK_DISTANCE))
        instances["input_word_ids"][row, : len(ids)] = ids
        instances["input_word_ids"][row, masked] = special[MASK]
        instances["input_mask"][row, : len(ids)] = 1
        instances["input_type_ids"][row, len(first) + 2 : len(ids)] = 1
        instances["masked_lm_positions"][row, : len(masked)] = masked
        instances["masked_lm_weights"][row, : len(masked)] = 1
    return instances


def _empty_instances(count: int, size: int, predictions: int) -> dict[str, np.ndarray]:
    names = {"input_word_ids": size, "input_mask": size, "input_type_ids": size, "masked_lm_positions": predictions}
    instances = {name: np.zeros((count, width), np.int32) for name, width in names.items()}
    return {**instances, "masked_lm_weights": np.zeros((count, predictions), np.float32)}


def _character_encoder(config: BertConfig, vocab: Vocab | None) -> Callable[[str], list[int]]:
    """Return a function from a sentence to the ids of its characters. Without a vocabulary any ids will do."""
    if vocab is None:
        return lambda sentence: [ord(character) % config.vocab_size for character in sentence]
    return lambda sentence: [vocab.ids.get(character, vocab.ids[UNK]) for character in sentence]


def shortened(instances: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the last three instances, cut to two thirds of their tokens. Both axes get another size."""
    size = max(2, instances["input_mask"].shape[1] * 2 // 3)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    part = {name: instances[name][-3:, :size] for name in names}
    positions = instances["masked_lm_positions"][-3:]
    is_inside = positions < size
    return {
        **part,
        "masked_lm_positions": np.where(is_inside, positions, 0),
        "masked_lm_weights": np.where(is_inside, instances["masked_lm_weights"][-3:], 0),
    }


def differences_elsewhere(python: Path, directory: Path, cases: list[Case]) -> dict[str, Differences | None]:
    """Return `frameworks.logit_differences` of another environment, which needs nothing of this project."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "cases.npz"
        frameworks.save_cases(file, cases)
        arguments = ["-m", "japanese_bert.conversion.frameworks", str(directory.resolve()), str(file)]
        process = subprocess.run([str(python), *arguments], env=environment, capture_output=True, encoding="utf-8")
    if process.returncode != 0:
        reason = (process.stderr.strip().split("\n") or [""])[-1]
        raise ValueError(f"--verify_python {python}: comparison failed: {reason}")
    return json.loads(process.stdout.strip().split("\n")[-1])

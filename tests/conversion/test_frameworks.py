"""The comparison of logits, without a model. The tests of the stage have models."""

import json
from importlib import metadata

import numpy as np
import pytest

from japanese_bert.conversion import frameworks
from japanese_bert.conversion.frameworks import Case, Framework, exceed, load_and_compare
from japanese_bert.models.config import MASKED, NEXT_SENTENCE, REPLACED

INSTANCES = {
    "input_word_ids": np.array([[1, 2, 3, 4], [5, 6, 7, 0]]),
    "input_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "input_type_ids": np.zeros((2, 4), int),
    "masked_lm_positions": np.array([[1, 3], [2, 0]]),
    "masked_lm_weights": np.array([[1.0, 1.0], [1.0, 0.0]]),
}


def compute(ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> dict[str, np.ndarray]:
    """Return the ids as logits."""
    return {MASKED: ids[..., None] * np.ones(3), NEXT_SENTENCE: ids[:, :2] * 1.0, REPLACED: ids * 1.0}


def expected_logits() -> dict[str, np.ndarray]:
    masked = np.array([[2.0, 4.0], [7.0, 5.0]])[..., None] * np.ones(3)
    return {
        MASKED: masked,
        NEXT_SENTENCE: np.array([[1.0, 2.0], [5.0, 6.0]]),
        REPLACED: INSTANCES["input_word_ids"] * 1.0,
    }


def differences(logits: dict[str, np.ndarray]) -> dict[str, float]:
    return dict(load_and_compare(lambda _: compute, None, [Case(INSTANCES, logits)]))


def test_equal_logits():
    assert differences(expected_logits()) == {MASKED: 0, NEXT_SENTENCE: 0, REPLACED: 0}


def test_differences_are_found_where_they_count():
    logits = expected_logits()
    logits[MASKED][1, 1] += 9  # no prediction
    logits[REPLACED][1, 3] += 9  # padding
    assert differences(logits) == {MASKED: 0, NEXT_SENTENCE: 0, REPLACED: 0}
    logits[MASKED][0, 1, 2] += 0.5
    logits[NEXT_SENTENCE][1, 0] -= 0.25
    logits[REPLACED][1, 2] += 2
    assert differences(logits) == {MASKED: 0.5, NEXT_SENTENCE: 0.25, REPLACED: 2}


def test_the_largest_difference_of_all_cases():
    far = expected_logits()
    far[NEXT_SENTENCE] += 3
    cases = [Case(INSTANCES, logits) for logits in (expected_logits(), far, expected_logits())]
    assert load_and_compare(lambda _: compute, None, cases)[NEXT_SENTENCE] == 3
    far[MASKED][0, 0, 0] = np.nan
    assert np.isnan(load_and_compare(lambda _: compute, None, cases)[MASKED])


def test_no_number_exceeds_every_tolerance():
    assert exceed({"masked": float("nan"), "next_sentence": 0.0}, 1.0)
    assert exceed({"masked": 0.0, "next_sentence": float("nan")}, 1.0)
    assert not exceed({"masked": 1.0, "next_sentence": 1.0}, 1.0)


def test_cases_survive_the_way_to_another_environment(tmp_path):
    shorter = {name: array[:1] for name, array in INSTANCES.items()}
    cases = [Case(INSTANCES, expected_logits()), Case(shorter, {MASKED: np.ones((1, 2, 3))})]
    frameworks.save_cases(tmp_path / "cases.npz", cases)
    found = frameworks.load_cases(tmp_path / "cases.npz")
    assert len(found) == 2
    for case, expected in zip(found, cases, strict=True):
        for found_arrays, arrays in ((case.logits, expected.logits), (case.instances, expected.instances)):
            assert sorted(found_arrays) == sorted(arrays)
            assert all(np.array_equal(found_arrays[name], array) for name, array in arrays.items())


@pytest.mark.parametrize(
    ("needs", "version", "in_transformers_5", "is_installed"),
    [
        (("numpy",), "5.23.0", True, True),
        (("numpy", "no_such_module"), "5.23.0", True, False),
        (("numpy",), "5.23.0", False, False),
        (("numpy",), "4.57.6", False, True),
    ],
)
def test_frameworks_that_can_be_loaded(monkeypatch, needs, version, in_transformers_5, is_installed):
    monkeypatch.setattr(metadata, "version", lambda package: version)
    assert Framework("file", None, needs, in_transformers_5).is_installed() == is_installed


def test_version_names_the_first_package(monkeypatch):
    assert Framework("file", None, ("numpy", "torch")).version() == f"numpy {np.__version__}"
    assert Framework("file", None, ("no_such_package",)).version() == "no no_such_package"


def test_only_files_that_exist_are_compared(tmp_path, monkeypatch):
    config = {"architectures": ["ElectraForMaskedLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr(frameworks, "call_in_child", lambda function, load, *_: {"masked": 0.0})
    monkeypatch.setattr(Framework, "is_installed", lambda framework: framework.in_transformers_5)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "flax_model.msgpack").touch()

    def compared() -> dict[str, object]:
        return {key.partition(" (")[0]: item for key, item in frameworks.logit_differences(tmp_path, []).items()}

    both = {"PyTorch": {"masked": 0.0}, "PyTorch with the trained GELU": {"masked": 0.0}, "Flax": None}
    assert compared() == both
    (tmp_path / "config.json").write_text('{"architectures": ["BertForMaskedLM"]}', encoding="utf-8")
    assert compared() == {"PyTorch": {"masked": 0.0}, "Flax": None}

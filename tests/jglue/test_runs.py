"""Settings and file names of runs, and the files that decide what a model computes."""

import hashlib
from pathlib import Path

import pytest

from japanese_bert.jglue.fine_tuning import Devices, Settings
from japanese_bert.jglue.runs import Experiment, find_files, list_settings, load_evaluated_model, predictions_name
from japanese_bert.jglue.tasks import TASKS
from tests.helpers.small_jglue import write_split


def test_search_tries_the_whole_grid():
    found = list_settings(TASKS["jsts"], True, None, None, [1, 2])
    assert found == [
        Settings(rate, epochs, seed) for rate in (5e-5, 3e-5, 2e-5) for epochs in (3, 4) for seed in (1, 2)
    ]


def test_settings_without_search():
    for name, epochs in (("jsts", 4), ("jsquad", 3)):
        assert list_settings(TASKS[name], False, None, None, [42]) == [Settings(5e-5, epochs, 42)]
    assert list_settings(TASKS["jsquad"], False, 1e-3, 1, [7]) == [Settings(1e-3, 1, 7)]


@pytest.fixture
def model_dir(tmp_path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    for name in ("config.json", "model.safetensors", "provenance.json", "vocab.txt", "vocab.txt.json", "tf_model.h5"):
        (directory / name).write_text(name, encoding="utf-8")
    return directory


def test_files_that_decide_what_a_model_computes(model_dir):
    model = load_evaluated_model(model_dir, False)
    assert [file["name"] for file in model.files] == ["config.json", "model.safetensors", "vocab.txt"]
    assert model.files[0]["sha256"] == hashlib.sha256(b"config.json").hexdigest()


def test_missing_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: no such directory\. Make it with convert_tf2"):
        load_evaluated_model(tmp_path / "none", False)


@pytest.mark.parametrize(
    ("samples", "split", "name"),
    [
        (None, "valid", "lr5e-05_epochs4_seed42.jsonl"),
        (100, "valid", "lr5e-05_epochs4_seed42_samples100.jsonl"),
        (5, "test", "lr5e-05_epochs4_seed42_samples5_test.jsonl"),
    ],
)
def test_trials_and_other_splits_have_longer_names(model_dir, tmp_path, samples, split, name):
    model = load_evaluated_model(model_dir, False)
    experiment = Experiment(model, tmp_path, split, samples, Devices(), False, {})
    assert predictions_name(experiment, Settings(5e-5, 4, 42)) == name


def test_tasks_without_both_files_are_skipped(tmp_path):
    write_split(tmp_path, "jsts", "train", 2)
    write_split(tmp_path, "jsts", "valid", 2)
    write_split(tmp_path, "jnli", "valid", 2)
    files, skipped = find_files(tmp_path, ["jnli", "jsts", "jsts"], "valid")
    assert files == {"jsts": tuple(tmp_path / "jsts-v1.3" / f"{split}-v1.3.json" for split in ("train", "valid"))}
    assert list(skipped) == ["jnli"] and "jnli-v*/train-v*.json: no such file" in skipped["jnli"]
    with pytest.raises(FileNotFoundError, match=r"jnli-v\*/train"):
        find_files(tmp_path, ["jnli"], "valid")

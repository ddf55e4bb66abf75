"""Data files: what their first example and their provenance show, in the form of this version and of version 0.1."""

import json
import shutil
from pathlib import Path

import pytest

from japanese_bert.training.data_files import (
    CLASSIFICATION,
    PRETRAINING,
    count_instances,
    read_data_file,
    read_data_files,
)
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


def copy(place: Path, directory: Path, **changes) -> str:
    """Copy a data file, with a changed provenance."""
    shutil.copy(place / "data" / "train_1.tfrecord.gz", directory)
    made_by = json.loads((place / "data" / "train_1.tfrecord.gz.json").read_text(encoding="utf-8"))
    (directory / "train_1.tfrecord.gz.json").write_text(json.dumps({**made_by, **changes}), encoding="utf-8")
    return str(directory / "train_1.tfrecord.gz")


TEXT, OTHER_TEXT, PIPE = [
    {"name": name, "size": 1, "sha256": sha256} for name, sha256 in zip("abp", ("1", "2", None), strict=True)
]
VOCAB = {"name": "vocab.txt", "size": 1, "sha256": "9"}


@pytest.mark.parametrize(
    "inputs",
    [{"text": [TEXT, PIPE, OTHER_TEXT], "vocab": [VOCAB]}, {"vocab": [VOCAB], "text": [TEXT, OTHER_TEXT]}],
)
def test_inputs_are_known_by_their_roles(place, tmp_path, inputs):
    file = read_data_file(copy(place, tmp_path, inputs=inputs), PRETRAINING)
    assert (file.tokenization.vocab_sha256, file.text_hashes) == ("9", {"1", "2"})


def test_inputs_of_version_0_1_are_a_list(place, tmp_path):
    file = read_data_file(copy(place, tmp_path, inputs=[TEXT, OTHER_TEXT, VOCAB]), PRETRAINING)
    assert (file.tokenization.vocab_sha256, file.text_hashes) == ("9", {"1", "2"})


def test_outputs_of_one_run_share_its_instances(place, tmp_path):
    path = copy(place, tmp_path, counts={"instances": 90}, method={"outputs": ["x", "y", "z"]})
    file = read_data_file(path, PRETRAINING)
    assert file.num_instances == 30
    assert count_instances([file, file]) == 60


def test_ids_of_the_first_example(place):
    file = read_data_file(f"{place}/data/train_1.tfrecord.gz", PRETRAINING)
    assert file.length("input_mask") == 32
    assert file.largest_id == max(file.example.features["input_word_ids"])
    old_names = read_data_file(f"{place}/other/v1", PRETRAINING)
    assert old_names.largest_id == max(old_names.example.features["input_ids"])


@pytest.mark.parametrize(
    "content", [None, "not JSON", "[]", '{"stage": "other"}', '{"stage": "create_pretraining_data"}']
)
def test_a_json_that_no_stage_of_ours_wrote_is_none(place, tmp_path, content):
    path = copy(place, tmp_path)
    beside = Path(f"{path}.json")
    beside.unlink()
    if content is not None:
        beside.write_text(content, encoding="utf-8")
    file = read_data_file(path, PRETRAINING)
    assert (file.provenance, file.num_instances, file.tokenization.vocab_sha256, file.text_hashes) == (
        None,
        None,
        None,
        set(),
    )
    assert count_instances([file]) is None


def test_a_json_of_another_stage_is_none(place, tmp_path):
    path = copy(place, tmp_path)
    assert read_data_file(path, PRETRAINING).provenance is not None
    assert read_data_file(copy(place, tmp_path, stage="other"), PRETRAINING).provenance is None


def test_data_of_another_kind_is_named(place, finetuning_place):
    with pytest.raises(ValueError, match=r"no pretraining data, .*create_pretraining_data\.py \(found classification"):
        read_data_file(f"{finetuning_place}/train.tfrecord.gz", PRETRAINING)
    with pytest.raises(ValueError, match=r"no classification data, .* \(found pretraining data\)"):
        read_data_file(f"{place}/data/train_1.tfrecord.gz", CLASSIFICATION)


def test_files_keep_their_order_and_errors_are_lines(place):
    paths = [
        f"{place}/{name}" for name in ("data/train_2.tfrecord.gz", "vocab.txt", "nothing", "data/train_1.tfrecord.gz")
    ]
    files, problems = read_data_files(paths, PRETRAINING)
    assert [file.path for file in files] == [paths[0], paths[3]]
    assert problems == [
        f"{paths[1]}: no pretraining data, expected TFRecords of create_pretraining_data.py",
        f"{paths[2]}: no such file",
    ]

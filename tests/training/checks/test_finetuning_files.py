"""Files of classification data that do not fit a configuration."""

import shutil
from pathlib import Path

import pytest

from tests.helpers import small_finetuning as small
from tests.helpers.small_finetuning import START, check
from tests.helpers.small_pretraining import assert_problem
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.fixture
def place(finetuning_place) -> Path:
    return finetuning_place


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("plain", ["is not compressed", "Set task.train_data.file_type=tfrecord"]),
        ("long", ["--max_seq_length 40, but task.train_data.seq_length is 32"]),
        ("order", ["its --labels differ from those of", "order"]),
        ("four", ["has 4 labels (short, long, other, fourth), but task.model.num_classes is 3"]),
        ("score", ["its labels are scores of a regression, but task.train_data.label_type is int"]),
        ("vocab", ["a vocabulary of 132 tokens, but task.model.encoder.bert.vocab_size is 131"]),
        ("swapped", ["valid.tfrecord.gz: vocabulary sha256", "swapped"]),
        ("no_record", ["has no .json of create_classification_data.py beside it", "--no-check_records"]),
        ("pretraining", ["no classification data", "(found pretraining data)"]),
        ("text", ["no classification data, expected TFRecords of create_classification_data.py"]),
        ("nothing", ["nothing", "no such file"]),
        ("nothing*", ["does not match any files", "create_classification_data.py"]),
    ],
)
def test_data_that_does_not_fit(place, name, messages):
    assert_problem(check(place, f"{START},task.train_data.input_path={place}/other/{name}"), *messages)


def test_data_that_was_cut(place, tmp_path):
    for name in ("train.tfrecord.gz", "train.tfrecord.gz.json"):
        shutil.copy(place / name, tmp_path)
    data = tmp_path / "train.tfrecord.gz"
    data.write_bytes(data.read_bytes()[:-1])
    assert_problem(check(place, f"{START},task.train_data.input_path={data}"), "but its .json says")


def test_labels_of_data_without_provenance_are_looked_through(place, tmp_path):
    path = small.make_data(place / "others.jsonl", place / "vocab.txt", tmp_path / "data")
    Path(f"{path}.json").unlink()
    more = f"{START},task.train_data.input_path={path},task.model.num_classes="
    assert check(place, f"{more}3", check_provenance=False).problems == []
    assert_problem(check(place, f"{more}2", mode="train", check_provenance=False), "has the label 2, but")
    same = check(place, f"{more}3,task.validation_data.input_path={path}", check_provenance=False)
    assert_problem(same, "has the text of the training file")

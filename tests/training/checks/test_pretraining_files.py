"""Files of pretraining data that do not fit a configuration."""

import shutil

import pytest

from tests.helpers.small_pretraining import BUCKETS, assert_problem, check, train_path
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("plain", ["is not compressed", "task.train_data.file_type is tfrecord_compressed", "file_type=tfrecord"]),
        ("v1", ["feature names input_ids, input_mask, segment_ids", "task.train_data.use_v2_feature_names=false"]),
        ("long", ["--max_seq_length 40, but task.train_data.seq_length is 32"]),
        ("few", ["--max_predictions_per_seq 3, but task.train_data.max_predictions_per_seq is 4"]),
        ("buckets", ["--seq_bucket_lengths 16 24 32: its records differ in length", "bert/pretraining_dynamic"]),
        ("single", ["no next_sentence_labels", "task.train_data.use_next_sentence_label=false"]),
        ("vocab", ["a vocabulary of 132 tokens, but task.model.encoder.bert.vocab_size is 131"]),
        ("plain.json", ["no pretraining data", "matches no .json"]),
        ("nothing", ["nothing: no such file"]),
        ("nothing*", ["does not match any files", "create_pretraining_data.py"]),
    ],
)
def test_data_that_does_not_fit(place, name, messages):
    assert_problem(check(place, train_path(place, name)), *messages)


DYNAMIC = {"experiment": "bert/pretraining_dynamic"}


@pytest.mark.parametrize(
    ("name", "lengths", "messages"),
    [
        ("buckets", [16, 32], ["was made with --seq_bucket_lengths 16 24 32", "seq_bucket_lengths is 16, 32. Set it"]),
        ("buckets", [16, 24], ["seq_bucket_lengths is 16, 24. Expected ascending", "task.train_data.seq_length, 32"]),
        ("buckets", [24, 16, 32], ["seq_bucket_lengths is 24, 16, 32. Expected ascending"]),
        ("long", [16, 24, 32], ["has records of 40 tokens, but task.train_data.seq_bucket_lengths is 16, 24, 32"]),
        ("few", [16, 24, 32], ["--max_predictions_per_seq 3, but task.train_data.max_predictions_per_seq is 4"]),
        ("*u*t?", [16, 24, 32], ["other/buckets", "other/other_quota were made with other --seq_bucket_lengths"]),
    ],
)
def test_buckets_that_do_not_fit(place, name, lengths, messages):
    more = f"{train_path(place, name)},task.train_data.seq_bucket_lengths={lengths}"
    assert_problem(check(place, more, **DYNAMIC), *messages)


@pytest.mark.parametrize("name", ["buckets", "short"])
def test_buckets_that_fit(place, name):
    """Static data too: all its records have the same number of predictions."""
    found = check(place, f"{train_path(place, name)},task.train_data.seq_bucket_lengths={BUCKETS}", **DYNAMIC)
    assert found.problems == []
    assert any(fact.endswith("32 tokens, 4 predictions, buckets 16, 24, 32") for fact in found.facts)


def test_validation_data_is_static(place):
    held_out = f"task.validation_data.input_path={place}/other/buckets"
    more = f"{held_out},task.train_data.seq_bucket_lengths={BUCKETS}"
    assert_problem(check(place, more, **DYNAMIC), "records differ in length. Make validation data without that flag")


def test_buckets_of_other_tools(place, tmp_path):
    shutil.copy(place / "other" / "buckets", tmp_path)
    more = f"task.train_data.input_path={tmp_path}/buckets,task.train_data.seq_bucket_lengths={BUCKETS}"
    assert check(place, more, check_provenance=False, **DYNAMIC).problems == []


def test_compressed_data_read_as_plain(place):
    """The trainer would say: corrupted record at 0."""
    found = check(place, "task.validation_data.file_type=tfrecord")
    assert_problem(found, "valid.tfrecord.gz: is compressed", "task.validation_data.file_type=tfrecord_compressed")


def test_incomplete_files(place, tmp_path):
    path = tmp_path / "train_1.tfrecord.gz"
    content = (place / "data" / "train_1.tfrecord.gz").read_bytes()
    path.write_bytes(content[:-1])
    more = f"task.train_data.input_path={path}"
    assert_problem(
        check(place, more),
        "has no .json of create_pretraining_data.py beside it",
        "--no-check_records",
    )
    assert check(place, more, check_provenance=False).problems == []
    shutil.copy(place / "data" / "train_1.tfrecord.gz.json", tmp_path)
    assert_problem(check(place, more), f"has {len(content) - 1:,} bytes, but its .json says {len(content):,}")
    path.write_bytes(b"")
    assert_problem(check(place, more), "no pretraining data")

"""Files of pretraining data that do not fit a configuration."""

import shutil

import pytest

from tests.helpers.small_pretraining import assert_problem, check, train_path
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("plain", ["is not compressed", "task.train_data.file_type is tfrecord_compressed", "file_type=tfrecord"]),
        ("v1", ["feature names input_ids, input_mask, segment_ids", "task.train_data.use_v2_feature_names=false"]),
        ("long", ["--max_seq_length 40, but task.train_data.seq_length is 32"]),
        ("few", ["--max_predictions_per_seq 3, but task.train_data.max_predictions_per_seq is 4"]),
        ("buckets", ["--seq_bucket_lengths 16 24 32: its records differ in length"]),
        ("single", ["no next_sentence_labels", "task.train_data.use_next_sentence_label=false"]),
        ("vocab", ["a vocabulary of 132 tokens, but task.model.encoder.bert.vocab_size is 131"]),
        ("plain.json", ["no pretraining data", "matches no .json"]),
        ("nothing", ["nothing: no such file"]),
        ("nothing*", ["does not match any files", "create_pretraining_data.py"]),
    ],
)
def test_data_that_does_not_fit(place, name, messages):
    assert_problem(check(place, train_path(place, name)), *messages)


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

"""What is said of a file that does not fit, whatever its kind."""

from types import SimpleNamespace

import pytest

from japanese_bert.tfrecord.reading import FirstExample
from japanese_bert.training.checks.file_problems import (
    compression_problem,
    provenance_problem,
    raise_problems,
    vocab_problem,
)
from japanese_bert.training.data_files import PRETRAINING, DataFile

MADE_BY = {"output": {"size": 9}, "method": {"vocab_size": 50}}


def data_file(size: int = 9, is_compressed: bool = False, made_by: dict | None = MADE_BY) -> DataFile:
    return DataFile("data/a.gz", FirstExample({"input_ids": [2, 49, 3]}, size, is_compressed), made_by)


def test_a_file_that_fits():
    assert provenance_problem(data_file(), PRETRAINING) is None
    assert compression_problem(data_file(), SimpleNamespace(file_type="tfrecord"), "s") is None
    assert vocab_problem(data_file(), {"a": 50, "b": 50}, "Advice") is None
    assert vocab_problem(data_file(made_by=None), {"a": 60}, "Advice") is None
    assert vocab_problem(data_file(), {}, "Advice") is None


def test_provenance_that_is_missing_or_of_another_size():
    found = provenance_problem(data_file(made_by=None), PRETRAINING)
    assert found.startswith("has no .json of create_pretraining_data.py beside it")
    assert provenance_problem(data_file(size=1234), PRETRAINING).startswith("has 1,234 bytes, but its .json says 9")


@pytest.mark.parametrize(
    ("is_compressed", "file_type", "message"),
    [
        (True, "tfrecord", "is compressed, but s.file_type is tfrecord. Set s.file_type=tfrecord_compressed"),
        (
            False,
            "tfrecord_compressed",
            "is not compressed, but s.file_type is tfrecord_compressed. Set s.file_type=tfrecord",
        ),
        (True, "sstable", "is compressed, but s.file_type is sstable. Set s.file_type=tfrecord_compressed"),
    ],
)
def test_compression(is_compressed, file_type, message):
    assert (
        compression_problem(data_file(is_compressed=is_compressed), SimpleNamespace(file_type=file_type), "s")
        == message
    )


def test_vocabularies():
    assert vocab_problem(data_file(), {"a": 50, "b": 49}, "Advice") == "has the token id 49, but b is 49"
    message = "was made with a vocabulary of 50 tokens, but b is 1,051. Advice"
    assert vocab_problem(data_file(), {"a": 50, "b": 1051}, "Advice") == message


def test_the_first_problems_are_shown():
    raise_problems([], "task.train_data")
    with pytest.raises(ValueError) as error:
        raise_problems([f"{name}: {name.upper()}" for name in "abcde"], "s")
    assert str(error.value).split("\n") == ["s: a: A", "s: b: B", "s: c: C", "s: and 2 more files"]
    with pytest.raises(ValueError, match=r"^s: 3 files, such as a: X\ns: d: Y: Z$"):
        raise_problems(["a: X", "b: X", "d: Y: Z", "c: X"], "s")

import numpy as np
import pytest

from japanese_bert.finetuning_data.reading import LABEL_NAMES, LabelledReader
from japanese_bert.pretraining_data.reading import NO_LABEL
from tests.helpers.tfrecord_writer import example, frame

GOOD = {
    "input_ids": [2, 700, 3, 70_000, 3, 0],
    "input_mask": [1, 1, 1, 1, 1, 0],
    "segment_ids": [0, 0, 0, 1, 1, 0],
    "label_ids": [300],
    "example_id": [7],
}
V2 = {"input_ids": "input_word_ids", "segment_ids": "input_type_ids"}


def read(path, *features):
    path.write_bytes(frame(*map(example, features)))
    with LabelledReader(str(path)) as reader:
        block = reader.read_instances(100)
        return block, reader.labels


@pytest.mark.parametrize("names", [{}, V2])
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ({"label_ids": [300]}, {"label_ids": 300}),
        ({"label_ids": [2.5]}, {"label_ids": 2.5}),
        ({"label_real_ids": [0.5]}, {"label_real_ids": 0.5}),
        ({"start_positions": [3], "end_positions": [4]}, {"start_positions": 3, "end_positions": 4}),
        ({}, {}),
    ],
)
def test_tokens_and_labels(tmp_path, names, label, expected):
    features = {names.get(name, name): value for name, value in GOOD.items() if name != "label_ids"} | label
    block, labels = read(tmp_path / "data", features, features)
    assert block.token_ids.tolist() == [2, 700, 3, 70_000, 3] * 2
    assert block.segment_ids.tolist() == [0, 0, 0, 1, 1] * 2
    assert block.offsets.tolist() == [0, 5, 10]
    assert block.prediction_offsets.tolist() == [0, 0, 0]
    assert block.next_sentence_labels.tolist() == [NO_LABEL] * 2
    assert block.seq_lengths.tolist() == [6, 6]
    found = [{name: value for name, value in zip(LABEL_NAMES, row, strict=True) if value == value} for row in labels]
    assert found == [expected] * 2


def test_labels_are_those_of_the_last_block(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(frame(*(example(GOOD | {"label_ids": [number]}) for number in range(5))))
    with LabelledReader(str(path)) as reader:
        for expected in ([0, 1], [2, 3], [4], []):
            assert len(reader.read_instances(2)) == len(expected)
            assert reader.labels[:, 0].tolist() == expected
    assert np.isnan(reader.labels).all()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"input_ids": [1] * 5}, "ids, segments and input_mask differ in length"),
        ({"segment_ids": []}, "no pretraining data"),
        ({"input_mask": [1, 0, 1, 0, 0, 0]}, "input_mask is not ones"),
    ],
)
def test_a_record_that_is_no_instance(tmp_path, change, problem):
    with pytest.raises(ValueError, match=rf"data: record 2: {problem}"):
        read(tmp_path / "data", GOOD, {name: value for name, value in (GOOD | change).items() if value})


def test_a_damaged_record(tmp_path):
    path = tmp_path / "data"
    data = bytearray(frame(example(GOOD), example(GOOD)))
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="record 2: checksum"), LabelledReader(str(path)) as reader:
        reader.read_instances(2)
    path.write_bytes(frame(b"no example"))
    with pytest.raises(ValueError, match=r"record 1: no tf\.train\.Example"), LabelledReader(str(path)) as reader:
        reader.read_instances(2)

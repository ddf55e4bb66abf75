import numpy as np
import pytest

from japanese_bert.tfrecord.examples import count_varints, find_features, parse_example, read_varint
from japanese_bert.tfrecord.writing import FEATURE_FLOAT_LIST, FEATURE_INT64_LIST, encode_names
from tests.helpers.tfrecord_writer import example, field, varint

FEATURES = {"ids": [300, 0, 7, 2**31, -1], "weights": [0.5, -1.0], "nothing": [], "long": list(range(200))}


def array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


@pytest.mark.parametrize("value", [0, 127, 128, 16384, 2**31, 2**62, -1])
def test_a_number_is_read_to_its_end_and_not_beyond_the_data(value):
    data = array(b"\xff" + varint(value) + b"\x01")
    assert read_varint(data, 1, len(data)) == (value, len(data) - 1)
    assert read_varint(data, 1, len(data) - 2)[1] < 0
    assert count_varints(data, 1, len(data)) == 2


def test_all_features_by_name():
    assert parse_example(example(FEATURES)) == FEATURES
    bytes_list = field(1, field(1, b"text") + field(2, field(1, field(1, b"abc"))))
    without_value = field(1, field(1, b"empty"))
    assert parse_example(field(1, bytes_list + without_value)) == {"text": [], "empty": []}


def test_named_features_and_where_their_values_lie():
    data = array(example(FEATURES))
    spans = np.ones((4, 3), np.int64)
    assert find_features(data, 0, len(data), encode_names(("weights", "missing", "ids", "idz")), spans)
    assert spans[:, 0].tolist() == [FEATURE_FLOAT_LIST, 0, FEATURE_INT64_LIST, 0]
    assert data[slice(*spans[0, 1:])].view("<f4").tolist() == [0.5, -1.0]
    assert data[slice(*spans[2, 1:])].tobytes() == b"".join(map(varint, FEATURES["ids"]))


@pytest.mark.parametrize("end", range(1, len(example({"a": [1, 300], "b": [2.0]}))))
def test_an_example_that_was_cut_short_is_none(end):
    data = example({"a": [1, 300], "b": [2.0]})[:end]
    with pytest.raises(ValueError, match=r"no tf\.train\.Example"):
        parse_example(data)
    assert not find_features(array(data), 0, end, encode_names(("a", "b")), np.zeros((2, 3), np.int64))


@pytest.mark.parametrize("place", range(len(example({"a": [1, 300]}))))
@pytest.mark.parametrize("byte", [0, 1, 10, 127, 255])
def test_no_damage_leads_out_of_the_record(place, byte):
    """A wrong byte may change a value or a name. It never makes a span that is longer than the record."""
    data = bytearray(example({"a": [1, 300]}))
    data[place] = byte
    spans = np.zeros((1, 3), np.int64)
    if find_features(array(bytes(data)), 0, len(data), encode_names(("a",)), spans) and spans[0, 0]:
        assert 0 <= spans[0, 1] <= spans[0, 2] <= len(data)

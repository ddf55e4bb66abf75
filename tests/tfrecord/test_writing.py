import gzip
import struct

import numpy as np
import pytest

from japanese_bert.tfrecord.crc32c import make_tables
from japanese_bert.tfrecord.writing import (
    compress_member,
    encode_names,
    feature_names,
    frame_record,
    max_record_bytes,
    varint_size,
    write_example_head,
    write_float,
    write_int64,
    write_varint,
    write_varint_ahead,
)
from tests.helpers.tfrecord_reader import fields, read_varint, split_records, unpack_varints


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 16383, 16384, 32767, 65535, 2**21 - 1])
@pytest.mark.parametrize("write", [write_varint, write_varint_ahead])
def test_varints_read_back(write, value):
    out = np.zeros(16, np.uint8)
    end = write(out, 3, value)
    assert end - 3 == varint_size(value)
    assert read_varint(out.tobytes(), 3) == (value, end)


def test_a_framed_record_is_split_again():
    out = np.zeros(100, np.uint8)
    out[12:17] = np.frombuffer(b"hello", np.uint8)
    end = frame_record(out, 0, 17, make_tables())
    assert end == 21
    assert out[:8].tobytes() == struct.pack("<Q", 5)
    assert split_records(out[:end].tobytes()) == [b"hello"]


def test_members_join_to_one_gzip_file_without_time_stamp():
    assert gzip.decompress(compress_member(b"abc") + compress_member(b"def")) == b"abcdef"
    assert compress_member(b"abc")[4:8] == b"\0\0\0\0"


def test_names_are_those_that_model_garden_reads():
    assert feature_names(True)[:3] == ("input_word_ids", "input_mask", "input_type_ids")
    assert feature_names(False)[:3] == ("input_ids", "input_mask", "segment_ids")
    row = encode_names(("ab", "abcd"))[0]
    assert row[: 1 + row[0]].tobytes() == b"\x02ab"


def test_upper_bound_holds_for_the_largest_values():
    lengths, vocab_size = (128, 19), 40000
    values = 128 * (varint_size(vocab_size - 1) + 1 + 1) + 19 * (varint_size(127) + varint_size(vocab_size - 1) + 4) + 1
    names = sum(len(name) for name in feature_names(True))
    assert max_record_bytes(*lengths, vocab_size) >= values + names + 7 * 16 + 20
    assert unpack_varints(b"\x01\x80\x01") == [1, 128]


@pytest.mark.parametrize("value", [0, 127, 128, 2**21, 2**40 + 1])
def test_an_int64_feature_of_one_value_of_any_size(value):
    out = np.zeros(64, np.uint8)
    end = write_int64(out, 8, encode_names(("example_id",))[0], value)
    [(_, entry)] = fields(out[8:end].tobytes())
    assert fields(entry)[0] == (1, b"example_id")
    [(kind, values)] = fields(fields(entry)[1][1])
    assert (kind, unpack_varints(fields(values)[0][1])) == (3, [value])


@pytest.mark.parametrize("value", [0.0, -1.5, 3.4e38, 0.1])
def test_a_float_feature_of_one_value(value):
    out = np.zeros(64, np.uint8)
    end = write_float(out, 8, encode_names(("label_ids",))[0], value)
    [(_, entry)] = fields(out[8:end].tobytes())
    [(kind, values)] = fields(fields(entry)[1][1])
    assert (kind, fields(values)[0][1]) == (2, struct.pack("<f", value))


@pytest.mark.parametrize("size", [1, 127, 128, 16384])
def test_the_features_of_an_example_move_up_to_its_head(size):
    out = np.zeros(size + 64, np.uint8)
    out[9 : 9 + size] = features = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    end = write_example_head(out, 5, 9, 9 + size)
    assert fields(out[5:end].tobytes()) == [(1, features.tobytes())]

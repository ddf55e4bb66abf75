import gzip
import struct

import numpy as np
import pytest
from tfrecord_reader import masked_crc, read_varint, split_records, unpack_varints

from japanese_bert.tfrecords import (
    compress_member,
    crc32c_tables,
    encode_names,
    feature_names,
    frame_record,
    masked_crc32c,
    max_record_bytes,
    varint_size,
    write_varint,
    write_varint_ahead,
)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 16383, 16384, 32767, 65535, 2**21 - 1])
@pytest.mark.parametrize("write", [write_varint, write_varint_ahead])
def test_varints_read_back(write, value):
    out = np.zeros(16, np.uint8)
    end = write(out, 3, value)
    assert end - 3 == varint_size(value)
    assert read_varint(out.tobytes(), 3) == (value, end)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 63, 1000])
def test_checksum_equals_the_bitwise_definition(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    assert masked_crc32c(data, 0, size, crc32c_tables()) == masked_crc(data.tobytes())


def test_checksum_of_the_check_string_of_the_standard():
    # CRC-32C of "123456789" is E3069283 (RFC 3720 appendix B.4 and the catalogue of parametrised CRCs).
    data = np.frombuffer(b"123456789", np.uint8)
    masked = int(masked_crc32c(data, 0, 9, crc32c_tables()))
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF == 0xE3069283


def test_a_framed_record_is_split_again():
    out = np.zeros(100, np.uint8)
    out[12:17] = np.frombuffer(b"hello", np.uint8)
    end = frame_record(out, 0, 17, crc32c_tables())
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

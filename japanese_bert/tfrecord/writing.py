"""tf.train.Example bytes, TFRecord framing and gzip, without TensorFlow.

The format is the wire format of protocol buffers (`example.proto`, `feature.proto`) in TensorFlow's frame
(`record_writer.h`): length (uint64), masked CRC-32C of the length, data, masked CRC-32C of the data.
A kernel that writes begins at `position` of `out` and returns the position after its last byte.
"""

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.tfrecord.crc32c import masked_crc32c

GZIP_LEVEL = 2  # of isal: half a percent larger and 11 times faster than zlib 6 on these records
RECORDS_PER_MEMBER = 1024  # of a gzip file, which fit into the processor's cache; another number alters the bytes
FRAME_HEAD, FRAME_BYTES = 12, 16  # length and its checksum, without and with the checksum of the data
EXAMPLE_HEAD = 4  # tag and length of an example below 2**21 bytes

# Tags of the wire format: field number << 3 | wire type 2 (length-delimited).
EXAMPLE_FEATURES = FEATURES_ENTRY = ENTRY_KEY = LIST_VALUES = 0x0A
ENTRY_VALUE = FEATURE_FLOAT_LIST = 0x12
FEATURE_INT64_LIST = 0x1A

FLOAT_ONE = (0x00, 0x00, 0x80, 0x3F)  # 1.0 as four little-endian bytes


def feature_names(use_v2_feature_names: bool) -> tuple[str, ...]:
    """Return the keys of an example: ids, mask, segments, positions, labels, weights, next sentence label."""
    ids, segments = ("input_word_ids", "input_type_ids") if use_v2_feature_names else ("input_ids", "segment_ids")
    predictions = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
    return (ids, "input_mask", segments, *predictions, "next_sentence_labels")


def encode_names(names: tuple[str, ...]) -> np.ndarray:
    """Return names as bytes, shape [len(names), 1 + longest]. Each row is a length and the characters."""
    table = np.zeros((len(names), 1 + max(map(len, names))), np.uint8)
    for row, name in zip(table, names, strict=True):
        row[0] = len(name)
        row[1 : 1 + len(name)] = np.frombuffer(name.encode("ascii"), np.uint8)
    return table


def compress_member(records: bytes | memoryview) -> bytes:
    """Return one gzip member. A file is a sequence of members, and every gzip reader joins them."""
    from isal import igzip

    return igzip.compress(records, GZIP_LEVEL, mtime=0)


@kernel
def varint_size(value):
    """Return how many bytes a value below 2**21 takes as a varint."""
    return 1 + np.int64(value >= 128) + np.int64(value >= 16384)


@kernel
def max_record_bytes(max_seq_length: int, max_predictions_per_seq: int, vocab_size: int) -> int:
    """Return an upper bound on the bytes of one framed record."""
    id_bytes = varint_size(vocab_size)
    position_bytes = varint_size(max_seq_length)
    values = max_seq_length * (id_bytes + 2) + max_predictions_per_seq * (position_bytes + id_bytes + 4) + 1
    return values + 7 * 64 + FRAME_BYTES + 16


@kernel
def write_varint(out, position, value):
    while value >= 128:
        out[position] = (value & 127) | 128
        value >>= 7
        position += 1
    out[position] = value
    return position + 1


@kernel
def write_varint_ahead(out, position, value):
    """Write a value without a branch: always three bytes. The next value overwrites the bytes that are too many."""
    out[position] = (value & 127) | np.int64(value >= 128) << 7
    out[position + 1] = (value >> 7 & 127) | np.int64(value >= 16384) << 7
    out[position + 2] = value >> 14
    return position + varint_size(value)


@kernel
def write_field_start(out, position, tag, size):
    """Write tag and length of a field. Its `size` bytes of content follow."""
    out[position] = tag
    return write_varint(out, position + 1, size)


@kernel
def write_entry_start(out, position, name, list_tag, values_size):
    """Write the part of one map entry of Features that comes before its packed values."""
    list_size = 1 + varint_size(values_size) + values_size
    feature_size = 1 + varint_size(list_size) + list_size
    entry_size = 2 + name[0] + 1 + varint_size(feature_size) + feature_size
    position = write_field_start(out, position, FEATURES_ENTRY, entry_size)
    position = write_field_start(out, position, ENTRY_KEY, np.int64(name[0]))
    for index in range(name[0]):
        out[position + index] = name[1 + index]
    position = write_field_start(out, position + name[0], ENTRY_VALUE, feature_size)
    position = write_field_start(out, position, list_tag, list_size)
    return write_field_start(out, position, LIST_VALUES, values_size)


@kernel
def write_int64s(out, position, name, values, count, padded):
    """Write an int64 feature: the first `count` of `values`, then zeros up to `padded`."""
    values_size = padded - count
    for index in range(count):
        values_size += varint_size(values[index])
    position = write_entry_start(out, position, name, FEATURE_INT64_LIST, values_size)
    for index in range(count):
        position = write_varint_ahead(out, position, values[index])
    out[position : position + padded - count] = 0
    return position + padded - count


@kernel
def write_int64(out, position, name, value):
    """Write an int64 feature of one value, however large."""
    size = write_varint(out, position, value) - position  # overwritten by what comes before the value
    position = write_entry_start(out, position, name, FEATURE_INT64_LIST, size)
    return write_varint(out, position, value)


@kernel
def write_float(out, position, name, value):
    """Write a float feature of one value."""
    position = write_entry_start(out, position, name, FEATURE_FLOAT_LIST, 4)
    return write_little_endian(out, position, np.float32(value).view(np.uint32), 4)


@kernel
def write_run(out, position, name, zeros, ones, padded):
    """Write an int64 feature: `zeros` zeros, then `ones` ones, then zeros up to `padded`."""
    position = write_entry_start(out, position, name, FEATURE_INT64_LIST, padded)
    out[position : position + padded] = 0
    out[position + zeros : position + zeros + ones] = 1
    return position + padded


@kernel
def write_weights(out, position, name, count, padded):
    """Write a float feature: `count` times 1.0, then zeros up to `padded`."""
    position = write_entry_start(out, position, name, FEATURE_FLOAT_LIST, 4 * padded)
    out[position : position + 4 * padded] = 0
    for index in range(count):
        out[position + 4 * index + 2], out[position + 4 * index + 3] = FLOAT_ONE[2], FLOAT_ONE[3]
    return position + 4 * padded


@kernel
def write_example_head(out, start, features, end):
    """Write tag and length of an example before its features, and return its end.

    The features already lie at out[features:end]. They move up if tag and length take less than the room before them.
    """
    size = end - features
    head = write_field_start(out, start, EXAMPLE_FEATURES, size)
    if head < features:
        for index in range(size):
            out[head + index] = out[features + index]
    return head + size


@kernel
def write_little_endian(out, position, value, size):
    for index in range(size):
        out[position + index] = (np.uint64(value) >> np.uint64(8 * index)) & np.uint64(255)
    return position + size


@kernel
def frame_record(out, start, end, tables):
    """Frame the data at out[start + FRAME_HEAD : end] as a record from `start` on, and return its end."""
    write_little_endian(out, start, end - start - FRAME_HEAD, 8)
    write_little_endian(out, start + 8, masked_crc32c(out, start, start + 8, tables), 4)
    return write_little_endian(out, end, masked_crc32c(out, start + FRAME_HEAD, end, tables), 4)

"""Serialized tf.train.Examples in compiled code: where each feature lies, and its numbers.

The format is in `writing`. A function that reads takes the position of what it reads, and the end of the data.
"""

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.tfrecord.writing import (
    ENTRY_KEY,
    ENTRY_VALUE,
    EXAMPLE_FEATURES,
    FEATURE_FLOAT_LIST,
    FEATURE_INT64_LIST,
    FEATURES_ENTRY,
    LIST_VALUES,
)

MALFORMED = -1  # a position


def parse_example(record: bytes) -> dict[str, list]:
    """Return the numbers of each feature by its name. A feature of bytes has none.

    Raises:
        ValueError: the record is no Example.
    """
    data = np.frombuffer(record, np.uint8)
    position, end = enter_field(data, 0, len(data), EXAMPLE_FEATURES)
    features = {}
    while 0 <= position < end == len(data):
        position, entry_end = enter_field(data, position, end, FEATURES_ENTRY)
        key, key_end = enter_field(data, position, entry_end, ENTRY_KEY)
        span = np.zeros(3, np.int64)
        if key < 0 or not find_values(data, key_end, entry_end, span):
            break
        features[record[key:key_end].decode()] = _values(data, *span)
        position = entry_end
    if not features or position != len(data):
        raise ValueError("no tf.train.Example")
    return features


def _values(data: np.ndarray, kind: int, start: int, end: int) -> list:
    if kind == FEATURE_FLOAT_LIST:
        return data[start:end].copy().view("<f4").tolist()
    values = []
    while kind == FEATURE_INT64_LIST and 0 <= start < end:
        value, start = read_varint(data, start, end)
        values.append(value)
    return values


@kernel
def read_varint(data, position, end):
    """Return a number and the position after it, which is MALFORMED if the data ends before."""
    value, shift = np.uint64(0), np.uint64(0)
    while position < end:
        byte = np.uint64(data[position])
        position += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < 128:
            return np.int64(value), position
        shift += np.uint64(7)
    return np.int64(0), np.int64(MALFORMED)


@kernel
def count_varints(data, start, end):
    """Return how many numbers data[start:end] holds."""
    count = 0
    for position in range(start, end):
        count += data[position] < 128
    return count


@kernel
def enter_field(data, position, end, tag):
    """Return start and end of the content of the field at `position`. Both are MALFORMED if it has another tag."""
    malformed = np.int64(MALFORMED), np.int64(MALFORMED)
    if position < 0 or position >= end or data[position] != tag:
        return malformed
    size, start = read_varint(data, position + 1, end)
    return (start, start + size) if start >= 0 and 0 <= size <= end - start else malformed


@kernel
def find_features(data, start, end, names, spans):
    """Fill row i of `spans` with kind (tag), start and end of the packed values of feature names[i]. Kind 0: not there.

    `names` are a table of `encode_names`. Return False if the data is no Example.
    """
    spans[:] = 0
    position, features_end = enter_field(data, start, end, EXAMPLE_FEATURES)
    if features_end != end:
        return False
    while position < end:
        position, entry_end = enter_field(data, position, end, FEATURES_ENTRY)
        key, key_end = enter_field(data, position, entry_end, ENTRY_KEY)
        if key < 0:
            return False
        row = find_name(data, key, key_end, names)
        if row >= 0 and not find_values(data, key_end, entry_end, spans[row]):
            return False
        position = entry_end
    return True


@kernel
def find_name(data, start, end, names):
    """Return the row of `names` that equals data[start:end], or -1."""
    for row in range(len(names)):
        if names[row, 0] == end - start:
            index = 0
            while index < end - start and names[row, 1 + index] == data[start + index]:
                index += 1
            if index == end - start:
                return row
    return -1


@kernel
def find_values(data, position, end, span):
    """Fill `span` with kind, start and end of the values of the Feature at `position`. Return False if malformed."""
    start, feature_end = enter_field(data, position, end, ENTRY_VALUE)
    if start < 0:
        return position == end  # a map leaves an empty value out
    if start == feature_end:
        return True
    kind = np.int64(data[start])
    if kind not in (FEATURE_INT64_LIST, FEATURE_FLOAT_LIST):
        return True  # of bytes
    values, list_end = enter_field(data, start, feature_end, kind)
    if values < 0:
        return False
    span[0] = kind
    if values < list_end:
        values, values_end = enter_field(data, values, list_end, LIST_VALUES)
        if values < 0 or values_end != list_end:
            return False
    span[1], span[2] = values, list_end
    return True

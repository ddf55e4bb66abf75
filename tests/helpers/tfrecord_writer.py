"""A writer of TFRecords and tf.train.Examples, written independently of the package, for tests of readers."""

import struct

from tests.helpers.tfrecord_reader import masked_crc


def example(features: dict[str, list]) -> bytes:
    """Return a serialized Example. Floats make a float_list, other numbers an int64_list."""
    return field(
        1, b"".join(field(1, field(1, name.encode()) + field(2, feature(features[name]))) for name in features)
    )


def feature(values: list) -> bytes:
    if any(isinstance(value, float) for value in values):
        return field(2, field(1, struct.pack(f"<{len(values)}f", *values)))
    return field(3, field(1, b"".join(varint(value) for value in values)))


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    value %= 1 << 64
    head = b""
    while value > 127:
        head += bytes([value & 127 | 128])
        value >>= 7
    return head + bytes([value])


def frame(*records: bytes) -> bytes:
    """Return the records as the content of a file."""
    return b"".join(_checked(struct.pack("<Q", len(record))) + _checked(record) for record in records)


def _checked(data: bytes) -> bytes:
    return data + struct.pack("<I", masked_crc(data))

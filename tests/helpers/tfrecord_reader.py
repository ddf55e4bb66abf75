"""A reader of TFRecords and tf.train.Examples, written independently of the writer, for tests only."""

import gzip
import struct
from pathlib import Path


def read_examples(path: Path) -> list[dict[str, list]]:
    """Return all examples of a file as {feature name: values}. Checksums are verified bit by bit."""
    data = path.read_bytes()
    return [
        parse_example(record) for record in split_records(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    ]


def split_records(data: bytes) -> list[bytes]:
    records, position = [], 0
    while position < len(data):
        head = data[position : position + 8]
        (size,) = struct.unpack("<Q", head)
        (head_crc,) = struct.unpack_from("<I", data, position + 8)
        record = data[position + 12 : position + 12 + size]
        (record_crc,) = struct.unpack_from("<I", data, position + 12 + size)
        assert len(record) == size
        assert head_crc == masked_crc(head)
        assert record_crc == masked_crc(record)
        records.append(record)
        position += 16 + size
    return records


def masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def parse_example(data: bytes) -> dict[str, list]:
    [(number, features)] = fields(data)
    assert number == 1
    parsed = {}
    for number, entry in fields(features):
        assert number == 1
        (_, key), (_, value) = fields(entry)
        [(kind, values)] = fields(value)
        [(_, packed)] = fields(values)
        parsed[key.decode()] = {2: unpack_floats, 3: unpack_varints}[kind](packed)
    return parsed


def fields(data: bytes) -> list[tuple[int, bytes]]:
    found, position = [], 0
    while position < len(data):
        tag, position = read_varint(data, position)
        size, position = read_varint(data, position)
        assert tag & 7 == 2
        assert position + size <= len(data)
        found.append((tag >> 3, data[position : position + size]))
        position += size
    return found


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


def unpack_varints(data: bytes) -> list[int]:
    values, position = [], 0
    while position < len(data):
        value, position = read_varint(data, position)
        values.append(value)
    return values


def unpack_floats(data: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(data) // 4}f", data))

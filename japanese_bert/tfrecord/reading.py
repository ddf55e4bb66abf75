"""The start of a TFRecord file, compressed or not: its first example, and what the file is.

A record is its length (uint64), a checksum of the length, the data, a checksum of the data. Checksums are not checked.
TensorFlow parses examples and opens files, so that paths may be `gs://...`. It is imported late: that takes seconds.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

HEAD_BYTES = 1 << 18  # holds the first example, compressed or not: 512 tokens take 5 KB
MAX_RECORD_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
FRAME_START = struct.Struct("<QI")  # length, checksum
CHECKSUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class FirstExample:
    """The features of one file's first example by their names, and the file's size in bytes and compression."""

    features: Mapping[str, list]
    size: int
    is_compressed: bool


def read_first_example(path: str) -> FirstExample:
    """Read the start of a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not begin with an example in a TFRecord.
    """
    with open_file(path) as file:
        head = file.read(HEAD_BYTES)
        file.seek(0, io.SEEK_END)
        size = file.tell()
    is_compressed = head.startswith(GZIP_MAGIC)
    try:
        start = zlib.decompressobj(wbits=31).decompress(head, MAX_RECORD_BYTES) if is_compressed else head
        return FirstExample(_parse_example(next(read_records(io.BytesIO(start)))), size, is_compressed)
    except (StopIteration, zlib.error, ValueError, OverflowError):  # a text's first bytes are a huge length
        raise ValueError(f"{path}: does not begin with an example in a TFRecord") from None


def _parse_example(record: bytes) -> dict[str, list]:
    from google.protobuf.message import DecodeError
    from tensorflow.train import Example

    try:
        features = Example.FromString(record).features.feature
    except DecodeError as error:
        raise ValueError(str(error)) from None
    kinds = {name: value.WhichOneof("kind") for name, value in features.items()}
    return {name: list(getattr(features[name], kind).value) if kind else [] for name, kind in kinds.items()}


def read_records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the data of each record. Stop at a record that was cut short."""
    while len(start := file.read(FRAME_START.size)) == FRAME_START.size:
        length, _ = FRAME_START.unpack(start)
        data = file.read(length)
        if len(file.read(CHECKSUM_BYTES)) < CHECKSUM_BYTES:
            return
        yield data


@contextmanager
def open_file(path: str) -> Iterator[BinaryIO]:
    """Open a local or remote file by TensorFlow, whose errors become FileNotFoundError and OSError."""
    from tensorflow.errors import NotFoundError, OpError
    from tensorflow.io import gfile

    try:
        with gfile.GFile(path, "rb") as file:
            yield file
    except NotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except OpError as error:
        raise OSError(f"{path}: {error.message}") from None

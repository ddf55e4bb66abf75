"""The start of a TFRecord file, compressed or not: its first example, and what the file is.

A record is its length (uint64), a checksum of the length, the data, a checksum of the data. Checksums are not checked.
"""

import io
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from japanese_bert.tfrecord.examples import parse_example

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
        return FirstExample(parse_example(next(read_records(io.BytesIO(start)))), size, is_compressed)
    except (StopIteration, zlib.error, ValueError, OverflowError):  # a text's first bytes are a huge length
        raise ValueError(f"{path}: does not begin with an example in a TFRecord") from None


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
    """Open a local or remote file. Errors are FileNotFoundError and OSError, with the path first.

    TensorFlow opens remote files in its own processes, with the rights that its trainer has. Elsewhere fsspec does.
    """
    try:
        with _opener(path)(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise type(error)(f"{path}: {error.strerror}") from None


def _opener(path: str) -> Callable:
    if "://" not in path:
        return open
    return _open_by_tensorflow if "tensorflow" in sys.modules else _open_by_fsspec


@contextmanager
def _open_by_tensorflow(path: str, mode: str) -> Iterator[BinaryIO]:
    from tensorflow.errors import NotFoundError, OpError
    from tensorflow.io import gfile

    try:
        with gfile.GFile(path, mode) as file:
            yield file
    except NotFoundError:
        raise FileNotFoundError from None
    except OpError as error:
        raise OSError(f"{path}: {error.message}") from None


@contextmanager
def _open_by_fsspec(path: str, mode: str) -> Iterator[BinaryIO]:
    import fsspec

    try:
        file = fsspec.open(path, mode).open()
    except (ValueError, ImportError) as error:  # an unknown protocol, or one whose package is not installed
        raise OSError(f"{path}: {error}") from None
    with file:
        yield file

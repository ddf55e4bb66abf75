"""TFRecord files as a stream of whole records in arrays: plain or gzip, local or remote, in bounded memory.

It needs no TensorFlow. A record is its length (uint64), a checksum of the length, the data, a checksum of the data.
"""

from contextlib import ExitStack
from typing import NamedTuple, Self

import numpy as np

from japanese_bert.common.text_files import Readable, gzip_error_type
from japanese_bert.compiled.kernels import kernel
from japanese_bert.tfrecord import crc32c
from japanese_bert.tfrecord.reading import GZIP_MAGIC, open_file
from japanese_bert.tfrecord.writing import FRAME_BYTES, FRAME_HEAD

STREAM_BYTES = 1 << 20  # read at a time: fits the processor's cache
MAX_LENGTH = 1 << 26  # of a record that is no sign of a damaged file


class Records(NamedTuple):
    """Records number `first`, ... of a file: `data[starts[i]:ends[i]]`, valid until the next ones are read.

    The checksum of the data, which follows it, is not checked yet.
    """

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    first: int


class RecordStream:
    """One file, read from its start to its end. `position` is the number of records that were read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.position = 0
        self.tables = crc32c.make_tables()
        self._data = np.empty(STREAM_BYTES, np.uint8)
        self._start = self._end = 0  # of the bytes in `_data` that are no returned record yet
        with ExitStack() as stack:
            file = stack.enter_context(open_file(path))
            is_compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            self._stream: Readable = file
            if is_compressed:
                from isal import igzip

                self._stream = stack.enter_context(igzip.IGzipFile(fileobj=file, mode="rb"))
            self._files = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._files.close()

    def read(self, limit: int) -> Records:
        """Return the next records, at least one and at most `limit`. None are left if it returns none.

        Raises:
            ValueError: the file is truncated, damaged, or holds no TFRecords.
        """
        starts, ends = np.empty((2, min(limit, len(self._data) // FRAME_BYTES)), np.int64)
        while True:
            count, position = split_records(self._data, self._start, self._end, self.tables, starts, ends)
            if count:
                records = Records(self._data, starts[:count], ends[:count], self.position)
                self._start = position
                self.position += count
                return records
            if position < 0:
                raise self.error(self.position, "checksum of the length differs. Expected a TFRecord")
            if not self._fill():
                return Records(self._data, starts[:0], ends[:0], self.position)

    def skip(self, count: int) -> int:
        """Pass over `count` records, or over fewer at the end of the file. Return how many."""
        first = self.position
        while count > self.position - first and len(self.read(count - self.position + first).starts):
            pass
        return self.position - first

    def error(self, number: int, problem: str) -> ValueError:
        """Return an error that names the file and the record, which counts from 1."""
        return ValueError(f"{self.path}: record {number + 1:,}: {problem}. Make the file again, or copy it again")

    def _fill(self) -> bool:
        """Read more bytes behind those that are left. Return False at the end of the file."""
        left = self._data[self._start : self._end]
        if len(left) > MAX_LENGTH:
            raise self.error(self.position, f"longer than {MAX_LENGTH:,} bytes")
        if len(left) > len(self._data) // 2:
            self._data = np.concatenate([left, np.empty(2 * len(self._data) - len(left), np.uint8)])
        else:
            self._data[: len(left)] = left  # a record was returned, or there is none: the parts do not overlap
        self._start, self._end = 0, len(left)
        block = self._read_bytes(len(self._data) - self._end)
        if not block and self._end:
            raise self.error(self.position, "the file ends inside of it")
        self._data[self._end : self._end + len(block)] = np.frombuffer(block, np.uint8)
        self._end += len(block)
        return bool(block)

    def _read_bytes(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except EOFError:
            raise self.error(self.position, "the compressed file ends here or soon after, before its end") from None
        except (gzip_error_type(), OSError) as error:
            raise self.error(self.position, f"cannot be read, here or soon after ({error})") from None


@kernel
def split_records(data, start, end, tables, starts, ends):
    """Fill `starts` and `ends` with complete records of data[start:end]. Return their number and the last one's end.

    The position is negative if the checksum of the first length differs. A later record waits for its own turn.
    """
    count = 0
    while count < len(starts) and start + FRAME_HEAD <= end:
        if not has_checksum(data, start, start + 8, tables):
            return count, start if count else np.int64(-1)
        length = np.int64(crc32c.load_word(data, start))
        if length < 0 or length > end - start - FRAME_BYTES:
            break
        starts[count], ends[count] = start + FRAME_HEAD, start + FRAME_HEAD + length
        start += FRAME_BYTES + length
        count += 1
    return count, start


@kernel
def has_checksum(data, start, end, tables):
    """Return True if the checksum of data[start:end] follows it."""
    found = np.uint32(0)
    for index in range(4):
        found |= np.uint32(data[end + index]) << np.uint32(8 * index)
    return crc32c.masked_crc32c(data, start, end, tables) == found

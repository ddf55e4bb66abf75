import gzip

import numpy as np
import pytest

from japanese_bert.tfrecord import streaming
from japanese_bert.tfrecord.streaming import RecordStream
from tests.helpers.tfrecord_writer import frame

RECORDS = [b"abc", b"", b"x" * 300, *(bytes([number]) * number for number in range(200))]


def write(path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def read_all(path: str, limit: int = 10**9) -> list[bytes]:
    with RecordStream(path) as stream:
        found: list[bytes] = []
        while len((records := stream.read(limit)).starts):
            assert len(records.starts) <= limit
            assert records.first == len(found)
            found += [records.data[a:b].tobytes() for a, b in zip(records.starts, records.ends, strict=True)]
        assert stream.position == len(found)
        return found


@pytest.mark.parametrize("limit", [1, 7, 10**9])
@pytest.mark.parametrize("stream_bytes", [16, 100, 1 << 20])
def test_records_of_any_size_in_blocks_of_any_size(tmp_path, monkeypatch, limit, stream_bytes):
    monkeypatch.setattr(streaming, "STREAM_BYTES", stream_bytes)
    data = frame(*RECORDS)
    assert read_all(write(tmp_path / "plain", data), limit) == RECORDS
    members = gzip.compress(data[:1000]) + gzip.compress(data[1000:])
    assert read_all(write(tmp_path / "compressed", members), limit) == RECORDS


def test_a_file_without_records(tmp_path):
    assert read_all(write(tmp_path / "empty", b"")) == []
    assert read_all(write(tmp_path / "empty.gz", gzip.compress(b""))) == []


@pytest.mark.parametrize("count", [0, 1, 150, 10**6])
def test_records_that_are_passed_over(tmp_path, count):
    with RecordStream(write(tmp_path / "data", frame(*RECORDS))) as stream:
        assert stream.skip(count) == stream.position == min(count, len(RECORDS))
        records = stream.read(1)
        rest = RECORDS[count : count + 1]
        assert [records.data[a:b].tobytes() for a, b in zip(records.starts, records.ends, strict=True)] == rest


@pytest.mark.parametrize("cut", [1, 4, 8, 15])
def test_a_file_that_ends_inside_a_record(tmp_path, cut):
    path = write(tmp_path / "data", frame(*RECORDS)[:-cut])
    with pytest.raises(ValueError, match=rf"^{path}: record 203: the file ends inside of it\. Make the file again"):
        read_all(path)


@pytest.mark.parametrize("cut", [1, 9, 100])
def test_a_compressed_file_that_was_cut_short(tmp_path, cut):
    data = gzip.compress(frame(*RECORDS))
    path = write(tmp_path / "data", data[:-cut])
    with pytest.raises(ValueError, match=rf"^{path}: record \d+: the compressed file ends here or soon after"):
        read_all(path)


def test_a_compressed_file_with_other_bytes_inside_or_behind(tmp_path):
    data = gzip.compress(frame(*RECORDS))
    zeros = data[:10] + bytes(64) + data[74:]  # where the first block begins
    for content in (data[:-8] + bytes(4) + data[-4:], data + b"some other text", zeros):
        path = write(tmp_path / "data", content)
        with pytest.raises(ValueError, match=rf"^{path}: record \d+: cannot be read, here or soon after \("):
            read_all(path)


def test_other_files_and_a_damaged_length(tmp_path):
    for content in (b"a text of any kind\n" * 9, bytes(100)):
        path = write(tmp_path / "text", content)
        with pytest.raises(ValueError, match=f"^{path}: record 1: checksum of the length differs. Expected a TFRecord"):
            read_all(path)
    data = bytearray(frame(*RECORDS))
    data[len(frame(RECORDS[0]))] ^= 1
    with pytest.raises(ValueError, match="record 2: checksum of the length"):
        read_all(write(tmp_path / "data", bytes(data)))


def test_a_huge_record_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "STREAM_BYTES", 64)
    monkeypatch.setattr(streaming, "MAX_LENGTH", 1000)
    with pytest.raises(ValueError, match="record 2: longer than 1,000 bytes"):
        read_all(write(tmp_path / "data", frame(b"abc", bytes(5000))))


def test_a_remote_file(monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://streaming/data.gz", "wb") as file:
        file.write(gzip.compress(frame(*RECORDS)))
    monkeypatch.delitem(__import__("sys").modules, "tensorflow", raising=False)
    assert read_all("memory://streaming/data.gz") == RECORDS
    with pytest.raises(FileNotFoundError, match=r"memory://streaming/none: no such file"):
        RecordStream("memory://streaming/none")


def test_records_are_valid_until_the_next_ones(tmp_path, monkeypatch):
    """Their bytes are those of the stream's own buffer, and no copy."""
    monkeypatch.setattr(streaming, "STREAM_BYTES", 1 << 12)
    with RecordStream(write(tmp_path / "data", frame(*RECORDS))) as stream:
        first = stream.read(1)
        assert np.shares_memory(first.data, stream.read(1).data)

"""Files of any kind: complete, cut short, damaged, of other tools. What is before a damage counts."""

import gzip
import shutil
from pathlib import Path

import pytest

from tests.helpers.small_inspection import lines, look, write_small
from tests.helpers.tfrecord_writer import example, frame


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("small"), "--dupe_factor", "2")


def frames(path: Path) -> list[bytes]:
    """Return the records of a file with their lengths and checksums."""
    data, found = gzip.decompress(path.read_bytes()), []
    while data:
        size = 16 + int.from_bytes(data[:8], "little")
        found, data = [*found, data[:size]], data[size:]
    return found


def counted(found) -> int:
    return found.data_sets[0].counts.totals["instances"]


def test_a_truncated_file_counts_up_to_its_end(small, tmp_path):
    path, vocab = small
    records = frames(path)
    cut, whole = tmp_path / "cut.tfrecord", tmp_path / "whole.tfrecord"
    cut.write_bytes(b"".join(records[:50]) + records[50][:20])
    whole.write_bytes(b"".join(records[50:70]))
    found = look("--input_files", cut, whole, "--vocab_file", vocab)
    assert counted(found) == 70
    assert [line for line in lines(found) if "record" in line] == [
        f"data: {cut}: record 51: the file ends inside of it. Make the file again, or copy it again"
    ]


def test_a_truncated_gzip_file(small, tmp_path):
    path, vocab = small
    cut = tmp_path / "cut.tfrecord.gz"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    shutil.copy(path, tmp_path / "whole.tfrecord.gz")
    found = look("--input_files", tmp_path / "*.gz", "--vocab_file", vocab)
    count = len(frames(path))
    assert count <= counted(found) < 2 * count
    [line] = [line for line in lines(found) if "record" in line]
    assert line.startswith(f"data: {cut}: record {counted(found) - count + 1:,}: the compressed file ends here")


def test_a_damaged_record_and_a_foreign_file(small, tmp_path):
    path, vocab = small
    records = frames(path)
    data = bytearray(b"".join(records))
    data[len(b"".join(records[:30])) + 100] ^= 1
    damaged, foreign = tmp_path / "damaged", tmp_path / "text"
    damaged.write_bytes(data)
    foreign.write_text("猫が好きだ。\n" * 1000, encoding="utf-8")
    found = look("--input_files", damaged, foreign, "--vocab_file", vocab)
    assert counted(found) == 30
    problems = found.data_sets[0].problems
    assert [problem.split(". ")[0] for problem in problems] == [
        f"{damaged}: record 31: checksum of the data differs",
        f"{foreign}: record 1: checksum of the length differs",
    ]


def test_nothing_but_a_foreign_file(small, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"no records" * 10)
    with pytest.raises(ValueError, match="text: record 1: checksum of the length differs"):
        look("--input_files", path, "--vocab_file", small[1])


def test_a_file_of_another_size_than_recorded(small, tmp_path):
    path, vocab = small
    copy = tmp_path / path.name
    copy.write_bytes(gzip.compress(b"".join(frames(path)[:40])))
    shutil.copy(f"{path}.json", f"{copy}.json")
    found = look("--input_files", copy, "--vocab_file", vocab)
    assert any(f"{copy}: has {copy.stat().st_size:,} bytes, but its .json says" in line for line in lines(found))


@pytest.mark.parametrize("limit", [1, 7, 100, 0])
def test_instances_are_read_evenly_of_all_files(small, tmp_path, limit):
    path, vocab = small
    records = frames(path)
    paths = [tmp_path / name for name in "abc"]
    for part, count in zip(paths, (10, 60, 70), strict=True):
        part.write_bytes(b"".join(records[:count]))
    found = look("--input_files", *paths, "--vocab_file", vocab, "--max_instances", limit)
    assert counted(found) == (limit or 140)
    expected = {1: paths, 7: paths, 100: [paths[1], paths[2]], 0: []}
    assert found.data_sets[0].cut == expected[limit]


def test_labels_of_fine_tuning_data(small, tmp_path):
    features = {"input_ids": [2, 6, 3, 0], "input_mask": [1, 1, 1, 0], "segment_ids": [0] * 4}
    path = tmp_path / "labelled"
    path.write_bytes(frame(*(example(features | {"label_ids": [number % 3]}) for number in range(10))))
    found = look("--input_files", path, "--vocab_file", small[1])
    assert found.groups["data"]["labels"] == {"0": 4, "1": 3, "2": 3}
    assert "masked" not in found.groups["data"]["rates"]
    path.write_bytes(frame(*(example(features | {"label_ids": [number / 4]}) for number in range(100))))
    assert look("--input_files", path, "--vocab_file", small[1]).groups["data"]["labels"] == {
        "mean": 12.375, "smallest": 0, "largest": 24.75,
    }  # fmt: skip
    answers = [{"start_positions": [1], "end_positions": [2]}, {"start_positions": [0], "end_positions": [0]}]
    path.write_bytes(frame(*(example(features | answer) for answer in answers)))
    labels = look("--input_files", path, "--vocab_file", small[1]).groups["data"]["labels"]
    assert labels == {"answered": 0.5, "mean_answer_tokens": 2}
    path.write_bytes(frame(example(features | {"label_ids": [-1, 3, 2, -1]})))  # tags
    assert "labels" not in look("--input_files", path, "--vocab_file", small[1]).groups["data"]

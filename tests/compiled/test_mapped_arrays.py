import mmap
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.compiled.mapped_arrays import append_array, map_array, release_files_below, take, window_slices
from japanese_bert.tokenization.mecab import find_dictionary
from japanese_bert.tokenization.words import make_word_splitter


def resident_file_kilobytes() -> int:
    return int(re.search(r"RssFile:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))[1])


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux only")
def test_a_dictionary_leaves_memory_and_still_works():
    splitter = make_word_splitter("mecab", "unidic_lite", do_lower_case=False)
    sentences = ["吾輩は猫である。", "東京都に住む。", "量子力学とは何か？"] * 20
    words = [splitter.split(sentence) for sentence in sentences]
    before = resident_file_kilobytes()
    release_files_below(find_dictionary("unidic_lite").directory)
    assert resident_file_kilobytes() < before - 1000
    assert [splitter.split(sentence) for sentence in sentences] == words


def test_private_pages_of_a_file_below_the_directory_stay(tmp_path):
    """Those of a library hold addresses that its file does not have: dropping them ends the process."""
    (tmp_path / "library.so").write_bytes(b"file" * 5000)
    with open(tmp_path / "library.so", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        pages[:4] = b"mine"
        release_files_below(tmp_path)
        assert pages[:8] == b"minefile"


def test_arrays_are_appended_and_mapped():
    file = tempfile.TemporaryFile()  # noqa: SIM115
    for array in (np.arange(5), np.arange(20)[::2]):
        append_array(file, array)
    assert map_array(file, np.dtype(np.int64)).tolist() == [0, 1, 2, 3, 4, *range(0, 20, 2)]
    assert file.closed
    empty = tempfile.TemporaryFile()  # noqa: SIM115
    assert map_array(empty, np.dtype(np.int32)).tolist() == []


def test_take_reads_window_by_window(monkeypatch):
    monkeypatch.setattr("japanese_bert.compiled.mapped_arrays.WINDOW_BYTES", 64)
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(np.arange(100, dtype=np.int64).tobytes())
    array = map_array(file, np.dtype(np.int64))
    indices = np.array([99, 0, 7, 8, 8, 50, 63, 64])
    assert take(array, indices).tolist() == indices.tolist()
    runs = window_slices(array, np.sort(indices))
    assert [np.sort(indices)[run].tolist() for run in runs] == [[0, 7], [8, 8], [50], [63], [64], [99]]

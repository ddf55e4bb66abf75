"""Files mapped into memory, and that their pages leave it."""

import re
from pathlib import Path

import pytest

from japanese_bert.compiled.mapped_arrays import release_files_below
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

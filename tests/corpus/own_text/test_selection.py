"""Duplicates: all planted ones, and no others."""

import random
import tempfile
from functools import cache

import numpy as np
import pytest

from japanese_bert.common.text_files import read_blocks
from japanese_bert.corpus.own_text.parts import open_parts
from japanese_bert.corpus.own_text.selection import Selection, SelectionOptions
from tests.helpers.places import SHARED_DATA
from tests.helpers.small_parts import make_part

AOZORA = SHARED_DATA / "aozora" / "ja.txt.xz"
NUM_PAIRS = 2000


def select(tmp_path, *parts: list[str], part_options=None, **options) -> tuple[list[str], Selection, dict]:
    """Return the documents that are kept, the selection and its counts."""
    made = [make_part(tmp_path / str(number), part, **(part_options or {})) for number, part in enumerate(parts)]
    selection = Selection(open_parts(made), SelectionOptions(**options), tempfile.TemporaryFile)
    written: list[bytes] = []
    counts = selection.write(lambda data: written.append(bytes(data)))
    return b"".join(written).decode().split("\n\n")[:-1], selection, vars(counts)


def shingles(text: str) -> set[str]:
    return {text[n : n + 5] for n in range(len(text) - 4)}


def jaccard(one: str, other: str) -> float:
    sets = shingles(one), shingles(other)
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_equal_documents(tmp_path):
    first, second = (
        ["猫がいる。\n犬もいる。", "一つ目。", "猫がいる。"],
        ["一つ目。", "別の文。", "猫がいる。\n犬もいる。"],
    )
    kept, _, counts = select(tmp_path, first, second, documents=True)
    assert kept == [*first, "別の文。"]
    assert counts["dropped_documents"]["duplicate_documents"] == 2
    assert counts["dropped_characters"]["duplicate_documents"] == 14
    assert counts["counts"] == {"documents_out": 4, "sentences_out": 5, "characters_out": 23}
    assert select(tmp_path / "none", first, second)[0] == first + second


def test_equal_paragraphs_of_documents_that_stay(tmp_path):
    line, other = "この段落は十五文字より長いのである。", "もう一つの、十五文字より長い段落。"
    documents = [line + "\n短い。", "違う。\n短い。", f"{other}\n{line}", other, line + "\n短い。"]
    kept, _, counts = select(tmp_path, documents, documents=True, paragraphs=True)
    assert kept == [documents[0], documents[1], other]
    assert counts["dropped_documents"]["without_other_lines"] == 1
    assert counts["dropped_characters"]["duplicate_paragraphs"] == len(line) + len(other)
    assert counts["dropped_characters"]["duplicate_documents"] == len(line) + 3


@pytest.mark.parametrize("run_keys", [10, 1 << 20])
def test_lines_that_recur_over_documents(tmp_path, run_keys):
    menu, refrain = "トップページへ戻る場合はこちらから。", "この歌の、十五文字より長い繰り返し。"
    documents = [f"{number}番目の文書。\n{menu}\n短い。" for number in range(10)] + [f"{refrain}\n" * 30]
    kept, _, counts = select(tmp_path, documents, boilerplate=10, run_keys=run_keys)
    assert kept == [document.replace(f"{menu}\n", "") for document in documents[:10]] + [documents[10].strip()]
    assert counts["dropped_characters"]["boilerplate_lines"] == 10 * len(menu)
    assert select(tmp_path / "more", documents, boilerplate=11)[0][0] == documents[0]


@cache
def planted() -> tuple[list[str], list[float]]:
    """Documents of 100 to 1,000 characters, each followed somewhere by a copy with 1 to 30% of edits."""
    numbers = random.Random(5)
    text = b"".join(block for block, _ in zip(read_blocks(AOZORA), range(6), strict=False)).decode("utf-8", "ignore")
    lines = "".join(text.split())
    originals, copies, start = [], [], 0
    for _ in range(NUM_PAIRS):
        size = numbers.randrange(100, 1000)
        original = lines[start : start + size]
        start += size
        rate = numbers.choice((0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3))
        originals.append(original)
        copies.append("".join(edited(character, rate, numbers) for character in original))
    return originals + copies, [jaccard(*pair) for pair in zip(originals, copies, strict=True)]


def edited(character: str, rate: float, numbers: random.Random) -> str:
    """Return the character, or with a probability another one, none, or two."""
    if numbers.random() >= rate:
        return character
    other = chr(numbers.randrange(ord("ぁ"), ord("ん")))
    return numbers.choice((other, "", character + other))


@pytest.mark.skipif(not AOZORA.exists(), reason="no shared data")
@pytest.mark.parametrize("run_keys", [5000, 1 << 22])
def test_planted_near_duplicates(tmp_path, run_keys):
    documents, similarities = planted()
    _, selection, _ = select(tmp_path, documents[:3000], documents[3000:], near=0.8, run_keys=run_keys)
    dropped = np.asarray(selection._documents) > 0
    of_copies, true = dropped[NUM_PAIRS:], np.array(similarities)
    assert (true >= 0.9).sum() > 300 and ((true >= 0.8) & (true < 0.9)).sum() > 100 and (true < 0.5).sum() > 300
    assert of_copies[true >= 0.9].mean() >= 0.98
    assert of_copies[(true >= 0.8) & (true < 0.9)].mean() >= 0.9
    assert of_copies[true < 0.5].mean() <= 0.001
    assert dropped[:NUM_PAIRS].mean() <= 0.001


@pytest.mark.skipif(not AOZORA.exists(), reason="no shared data")
def test_the_first_of_a_chain_stays(tmp_path):
    documents, _ = planted()
    text = max(documents[:50], key=len)
    chain = [text[cut:] for cut in range(0, 100, 20)] + documents[60:70]
    kept, _, counts = select(tmp_path, chain, near=0.8)
    assert kept == [text, *documents[60:70]]
    assert counts["dropped_documents"]["near_duplicates"] == 4

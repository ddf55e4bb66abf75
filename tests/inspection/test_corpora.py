"""The counts of a corpus equal those of a slow count in plain Python."""

import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.inspection.characters import is_invisible, script_of
from japanese_bert.inspection.corpora import TextCounts, read_corpora
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab

TEXT = """吾輩は猫である。
名前はまだ無い。

\u3000
どこで生れたかとんと見当がつかぬ。
名前はまだ無い。
  \t
Ｐｙｔｈｏｎ３と𠮷野家😀
名前はまだ無い。名前はまだ無い。
"""


def read(*paths: Path) -> TextCounts:
    return read_corpora(paths, lambda size: None)


def slow_counts(texts: list[str]) -> dict:
    documents, lengths, characters = [], [], Counter()
    for text in texts:
        open_lines = 0
        for line in [*text.removesuffix("\n").split("\n"), ""]:
            characters.update(line)
            if line.strip():
                open_lines += 1
                lengths.append(len(line))
            else:
                documents += [open_lines] if open_lines else []
                open_lines = 0
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    return {
        "documents": Counter(documents),
        "lengths": Counter(lengths),
        "characters": characters,
        "repeated": len(lines) - len(set(lines)),
        "scripts": Counter(map(script_of, (c for c in characters.elements() if not is_invisible(c)))),
    }


def counts(text: TextCounts) -> dict:
    def numbers(histogram: np.ndarray) -> dict[int, int]:
        return {value: int(count) for value, count in enumerate(histogram) if count}

    return {
        "documents": numbers(text.document_lengths),
        "lengths": numbers(text.line_lengths),
        "characters": {chr(code): count for code, count in numbers(text.characters).items()},
        "repeated": text.repeats.count,
        "scripts": {name: count for name, count in text.scripts().items() if count},
    }


def test_counts_of_small_text(tmp_path):
    paths = [tmp_path / "a.txt", tmp_path / "b.txt.xz"]
    paths[0].write_text(TEXT, encoding="utf-8")
    paths[1].write_bytes(lzma.compress(TEXT.removesuffix("\n").encode()))
    found = read(*paths)
    assert counts(found) == slow_counts([TEXT, TEXT])
    assert found.totals["documents"] == 6
    assert (found.longest.path, found.longest.number, found.longest.num_characters) == (paths[0], 5, 17)
    assert [(line.path, line.number) for line in found.repeated] == [(paths[1], number) for number in (5, 8, 9)]


def test_counts_of_real_text(tmp_path, aozora_bytes):
    path = tmp_path / "corpus.txt"
    path.write_bytes(aozora_bytes[:3_000_000])
    found = read(path)
    text = aozora_bytes[:3_000_000].decode("utf-8", errors="ignore")
    assert counts(found) | {"characters": {}} == slow_counts([text]) | {"characters": {}}
    longest = max(text.split("\n"), key=len)
    assert text.split("\n")[found.longest.number - 1] == longest
    assert longest.startswith(found.longest.text) and len(found.longest.text) >= 150


def test_mojibake_and_invalid_bytes(tmp_path):
    path = tmp_path / "corpus.txt"
    wrong = "これは文字化けの例です。".encode().decode("cp932", errors="replace")
    path.write_bytes(b"\xe7\x8c\xab\n" + wrong.encode() + b"\n\xffa\n")
    found = read(path)
    assert [(line.number, line.text) for line in found.wrong] == [(2, wrong)]
    assert found.characters[-1] == 1
    assert found.totals["wrong_lines"] == 1


def test_a_truncated_file_counts_up_to_its_end(tmp_path):
    path = tmp_path / "corpus.txt.xz"
    text = "".join(f"第{number}章は{number**5}から始まる。\n" for number in range(20_000))
    path.write_bytes(lzma.compress(text.encode(), preset=0)[:-1000])
    found = read(path)
    assert len(found.problems) == 1 and str(path) in found.problems[0]


def test_unknown_characters(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("猫ｶﾞ①猫犬 犬\u3000鳥\n", encoding="utf-8")
    tokens = (*SPECIAL_TOKENS, "猫", "##犬", "ガラス")
    found = read(path).unknown_characters(Vocab(tokens, {token: number for number, token in enumerate(tokens)}))
    assert found == {"カ": 1, "1": 1, "鳥": 1}


@pytest.mark.parametrize("name", ["empty.txt", "blank.txt"])
def test_text_without_a_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"" if name == "empty.txt" else b"\n \n")
    assert counts(read(path)) | {"characters": {}} == {**slow_counts([""]), "characters": {}}

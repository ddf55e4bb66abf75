"""Compiled folding against the rule in plain Python, on bytes of every kind and on real text."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.corpus import documents
from japanese_bert.corpus.documents import DocumentReader, LineLengths

ANY_LENGTH = LineLengths(0, sys.maxsize)
PARTS = [
    *(
        "あ",
        "。",
        "漢字",
        "A",
        "é",
        "𠮷",
        "😀",
        "ﾞ",
        "\ud7ff",
        "\ue000",
        "\uffff",
        "\U0010ffff",
        "\ufeff",
        "\x01",
        "\x7f",
    ),
    *(" ", "\t", "\r", "\r\n", "\n", "\n\n", "\n\n\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u1680"),
    *("\u2000", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u2fff", "\u3001", "\0"),
]
NO_TEXT = [
    *(b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe3", b"\xe3\x80", b"\xe3\x81", b"\xf0\x9f\x98", b"\xfe"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80"),
    *(b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xf9\x80\x80\x80"),
]
AWKWARD = st.lists(st.sampled_from([part.encode() for part in PARTS] + NO_TEXT), max_size=30).map(b"".join)


def reference(data: bytes, lengths: LineLengths) -> tuple[list[str], Counter]:
    """Return the documents of the rule, without the blank line that ends each, and the counts."""
    found, counts, lines_read, lines_kept = [], Counter(), 0, []
    counts["byte_order_marks"] = int(data.startswith(b"\xef\xbb\xbf"))
    data = data.removeprefix(b"\xef\xbb\xbf")
    counts["characters_in"] = counts["byte_order_marks"] + len(data.decode("utf-8", "surrogateescape"))
    counts["characters_in"] -= data.count(b"\n")
    counts["lines_in"] = data.count(b"\n") + (not data.endswith(b"\n") and bool(data or counts["byte_order_marks"]))
    for line in [*data.split(b"\n"), b""]:
        text = line.decode("utf-8", errors="ignore")
        counts["invalid_utf8_bytes"] += len(line) - len(text.encode())
        counts["nul_characters"] += text.count("\0")
        text = text.replace("\0", "")
        folded = " ".join(text.split())
        counts["white_space"] += len(text) - len(folded)
        if folded:
            lines_read += 1
            if len(folded) < lengths.shortest:
                counts["short_lines"] += 1
                counts["characters_of_short_lines"] += len(folded)
            elif len(folded) > lengths.longest:
                counts["long_lines"] += 1
                counts["characters_of_long_lines"] += len(folded)
            else:
                lines_kept.append(folded)
        elif lines_read:
            counts["documents_in"] += 1
            counts["documents_left_empty"] += not lines_kept
            found += ["\n".join(lines_kept)] if lines_kept else []
            lines_read, lines_kept = 0, []
    return found, counts


def read(files: Iterable[Iterable[bytes]], lengths: LineLengths = ANY_LENGTH) -> tuple[list[str], dict[str, int]]:
    reader = DocumentReader(lengths)
    found = [document for file in files for batch in reader.read_file(file) for document in written(batch)]
    found += [document for batch in reader.take() for document in written(batch)]
    return found, reader.counts()


def written(batch: documents.DocumentBatch) -> Iterator[str]:
    """Yield the documents of a batch. Their own counts must be right."""
    for start, end, num_lines, num_characters in batch.documents.tolist():
        text = batch.text[start:end].tobytes().decode("utf-8")
        assert text.endswith("\n\n")
        assert (text.count("\n") - 1, len(text.replace("\n", ""))) == (num_lines, num_characters)
        yield text[:-2]


def line_blocks(data: bytes, num_lines: int) -> list[bytes]:
    """Return blocks of complete lines."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    if lines[-1] == b"\n":
        lines.pop()
    return [b"".join(lines[start : start + num_lines]) for start in range(0, len(lines), num_lines)]


def check_sums(counts: dict[str, int], found: list[str]) -> None:
    """Assert that what came in is what went out and what each rule dropped."""
    lines = [line for document in found for line in document.split("\n")]
    assert counts["documents_in"] == len(found) + counts["documents_left_empty"]
    assert counts["lines_in"] == len(lines) + sum(counts[f"{reason}_lines"] for reason in ("blank", "short", "long"))
    dropped = ("white_space", "nul_characters", "invalid_utf8_bytes", "byte_order_marks")
    dropped += ("characters_of_short_lines", "characters_of_long_lines")
    assert counts["characters_in"] == sum(map(len, lines)) + sum(counts[reason] for reason in dropped)


def check(data: bytes, num_lines: int, lengths: LineLengths) -> None:
    expected, expected_counts = reference(data, lengths)
    found, counts = read([line_blocks(data, num_lines)], lengths)
    assert found == expected
    assert {name: count for name, count in counts.items() if name != "blank_lines"} == {
        name: expected_counts[name] for name in counts if name != "blank_lines"
    }
    check_sums(counts, found)


LENGTHS = st.sampled_from([ANY_LENGTH, LineLengths(2, sys.maxsize), LineLengths(0, 3), LineLengths(2, 2)])


@settings(max_examples=1000, deadline=None)
@given(AWKWARD, st.integers(1, 5), LENGTHS)
def test_awkward_text_equals_the_rule(data, num_lines, lengths):
    check(data, num_lines, lengths)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), LENGTHS)
def test_any_bytes_equal_the_rule(data, lengths):
    check(data, 1, lengths)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None)
@given(AWKWARD | st.binary(max_size=60), st.integers(1, 5), LENGTHS)
def test_very_many_texts_equal_the_rule(data, num_lines, lengths):
    check(data, num_lines, lengths)


def test_every_character_is_kept_or_is_white_space():
    characters = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    data = "".join(f"x{character}y\n" for character in characters if character != "\n").encode()
    check(data, 10_000, ANY_LENGTH)


def test_every_start_of_a_sequence_of_bytes_equals_the_rule():
    """All pairs of bytes, and all first bytes with continuations at the limits of what is valid."""
    limits = (0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0)
    pairs = [bytes([first, second]) for first in range(256) for second in range(256)]
    longer = [bytes([first, second, last, last]) for first in range(0xC0, 256) for second in limits for last in limits]
    data = b"".join(b"a" + sequence + b"b\n" for sequence in pairs + longer)
    check(data, 1000, ANY_LENGTH)


def test_real_text_equals_the_rule(aozora_bytes):
    check(aozora_bytes[:5_000_000], 3000, LineLengths(10, 200))


def test_a_file_ends_a_document_and_has_a_byte_order_mark_of_its_own():
    files = [[b"\xef\xbb\xbfa\n", b"\xef\xbb\xbfb"[:4] + b"\n"], [b"\xef\xbb\xbfc\n"], [], [b"\n\nd\n"]]
    found, counts = read(files)
    assert found == ["a\n\ufeffb", "c", "d"]
    assert counts["byte_order_marks"] == 2
    check_sums(counts, found)


def test_batches_are_handed_on_before_the_end_and_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(documents, "HELD_BYTES", 1000)
    reader = DocumentReader(ANY_LENGTH)
    block = "文書の文。\n二つ目の文。\n\n".encode() * 9 + "続く".encode() + b"\n"
    sizes, found = [], []
    for batch in chain(reader.read_file([block] * 500), reader.take()):
        sizes.append(len(batch.documents))
        found += written(batch)
    assert len(sizes) > 100
    first, later = ["文書の文。\n二つ目の文。"], ["続く\n文書の文。\n二つ目の文。"]
    assert found == first * 9 + (later + first * 8) * 499 + ["続く"]
    assert len(reader._text) < 2 * 1000 + 2 * len(block) + (1 << 23)


def test_a_document_longer_than_any_buffer(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "HELD_BYTES", 1 << 16)
    line = "長い文書である。" * 100
    (tmp_path / "a.txt").write_text(f"前\n\n{(line + chr(10)) * 4000}\n後", encoding="utf-8")
    found, _ = read([read_line_blocks(tmp_path / "a.txt", block_bytes=1 << 14)])
    assert found == ["前", "\n".join([line] * 4000), "後"]


def test_an_array_grows_and_keeps_what_it_has():
    array = np.arange(5)
    assert documents.at_least(array, 5) is array
    assert documents.at_least(array, 6)[:5].tolist() == [0, 1, 2, 3, 4]
    assert len(documents.at_least(array, 100)) == 100

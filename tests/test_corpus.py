"""Reading and writing corpus text: exact on small text, and against loops over lines written independently."""

import bz2
import doctest
import gzip
import io
import lzma
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from japanese_bert import corpus
from japanese_bert.corpus import (
    compressed_writer,
    expand_paths,
    fold_white_space,
    iter_documents,
    read_blocks,
    read_document_batches,
    read_line_blocks,
    read_text_blocks,
)

COMPRESSORS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
AWKWARD = st.text(st.sampled_from("あ。A \n\n\r\t\u3000\u2028\x85\xa0\x0b\x1c\ufeff𠮷ﾞ"), max_size=60)


def documents_by_lines(text: str) -> list[str]:
    """The reference: a loop over lines."""
    documents, lines = [], []
    for line in [*text.split("\n"), ""]:
        line = " ".join(line.split())
        if line:
            lines.append(line)
        elif lines:
            documents.append("\n".join(lines))
            lines = []
    return documents


def read_documents(path: Path, block_bytes: int, dropped: Counter | None = None) -> list[str]:
    blocks = read_text_blocks(path, Counter() if dropped is None else dropped, block_bytes=block_bytes)
    return [document for documents in read_document_batches(blocks) for document in documents]


def test_examples_in_docstrings():
    assert doctest.testmod(corpus).failed == 0


def test_folding_knows_every_white_space_character():
    white_space = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace() and chr(code) != "\n"]
    assert len(white_space) > 20
    for character in white_space:
        assert fold_white_space(f"{character}あ{character} い{character}\n{character}\n") == "あ い\n\n"


@given(AWKWARD, st.integers(1, 40))
def test_documents_equal_a_loop_over_lines(tmp_path_factory, text, block_bytes):
    path = tmp_path_factory.getbasetemp() / "awkward.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_documents(path, block_bytes) == documents_by_lines(text.removeprefix("\ufeff"))


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
def test_what_is_no_text_is_dropped_and_counted(tmp_path, block_bytes):
    path = tmp_path / "a.txt"
    surrogate = b"\xed\xa0\x80"
    path.write_bytes(
        b"\xef\xbb\xbf" + "猫\0が\r\n".encode() + "い\0".encode() + b"\xff\xe3\x81" + surrogate + b"\n\nend"
    )
    dropped = Counter()
    assert read_documents(path, block_bytes, dropped) == ["猫が\nい", "end"]
    assert dropped == {"nul_characters": 2, "invalid_utf8_bytes": 6}


@given(st.lists(AWKWARD.filter(lambda text: text), max_size=8))
def test_line_blocks_are_whole_lines(tmp_path_factory, parts):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    content = "".join(parts).encode("utf-8")
    path.write_bytes(content)
    blocks = list(read_line_blocks(path, block_bytes=5))
    assert all(block.endswith(b"\n") for block in blocks)
    assert b"".join(blocks) == (content if content.endswith(b"\n") or not content else content + b"\n")


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
def test_compressed_input_and_its_progress(tmp_path, suffix):
    text = "吾輩は猫である。\n" * 1000
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESSORS.get(suffix, bytes)(text.encode()))
    seen = []
    assert b"".join(read_blocks(path, seen.append, 777)).decode() == text
    assert sum(seen) == path.stat().st_size


@pytest.mark.parametrize("program", [True, False])
@pytest.mark.parametrize("suffix", COMPRESSORS)
@pytest.mark.parametrize("damage", ["truncated", "corrupt"])
def test_damaged_input_is_an_error_that_names_it(tmp_path, monkeypatch, suffix, damage, program):
    if not program:
        monkeypatch.setattr(corpus, "DECOMPRESSORS", {})
    whole = bytearray(COMPRESSORS[suffix](bytes(range(256)) * 3000))
    if damage == "corrupt":
        whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(whole if damage == "corrupt" else whole[: len(whole) - 9])
    with pytest.raises(ValueError, match=rf"a\.txt{suffix}: truncated or corrupt"):
        list(read_blocks(path))


@pytest.mark.parametrize("suffix", [".txt", ".gz", ".bz2", ".xz"])
def test_writes_of_any_size_give_the_same_bytes(tmp_path, suffix):
    text = "".join(f"{number * 7919 % 1013}番の文である。\n" for number in range(40000)).encode()
    outputs = []
    for size in (1 << 30, 100_003, 999):
        raw = io.BytesIO()
        with compressed_writer(Path(f"a{suffix}"), raw) as stream:
            for start in range(0, len(text), size):
                stream.write(text[start : start + size])
        outputs.append(raw.getvalue())
    assert outputs[0] == outputs[1] == outputs[2]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(outputs[0])
    assert b"".join(read_blocks(path)) == text


def test_end_of_a_file_ends_a_document(tmp_path):
    (tmp_path / "1.txt").write_bytes("一".encode())
    (tmp_path / "2.txt").write_bytes("\u3000\n二\n\n\n三 \n".encode())
    assert list(iter_documents(expand_paths(f"{tmp_path}/1.txt,{tmp_path}/[2].txt"))) == [["一"], ["二"], ["三"]]


def test_inputs_are_checked_before_work(tmp_path):
    (tmp_path / "a.txt").write_text("あ\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"b\*\.txt: no file matches"):
        expand_paths(f"{tmp_path}/a.txt,{tmp_path}/b*.txt")
    with pytest.raises(ValueError, match="is a directory"):
        expand_paths(str(tmp_path))
    with pytest.raises(ValueError, match="named twice"):
        expand_paths([f"{tmp_path}/a.txt", f"{tmp_path}/*.txt"])
    with pytest.raises(FileNotFoundError, match="no input file given"):
        expand_paths(",")

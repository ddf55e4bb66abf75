import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from japanese_bert.corpus.documents import DocumentReader, LineLengths
from japanese_bert.corpus.lines import decode_text, drop_byte_order_mark, drop_nuls, numbered_lines

PARTS = [b"a", "猫".encode(), "𠮷".encode(), b"\0", b"\xff", b"\xe3\x80", b"\xed\xa0\x80", b" ", "\ufeff".encode()]


def test_bytes_that_are_not_utf8_are_dropped_and_counted():
    assert decode_text("猫𠮷\n".encode()) == ("猫𠮷\n", 0)
    assert decode_text(b"\xe7\x8c\xab\xff\xe3\x80a\xed\xa0\x80\n") == ("猫a\n", 6)


def test_nuls_are_dropped_and_counted():
    assert drop_nuls("猫\0だ\0") == ("猫だ", 2)
    assert drop_nuls("猫") == ("猫", 0)


def test_only_a_byte_order_mark_at_the_front_is_dropped():
    assert drop_byte_order_mark("\ufeff猫\ufeff".encode()) == ("猫\ufeff".encode(), 1)
    assert drop_byte_order_mark("\ufeff\ufeff".encode()) == ("\ufeff".encode(), 1)
    assert drop_byte_order_mark("猫\ufeff".encode()) == ("猫\ufeff".encode(), 0)


def test_lines_have_the_numbers_of_the_file(tmp_path):
    path = tmp_path / "lex.csv"
    path.write_bytes("猫\r\n\n \nU+2028\u2028\0\n\n犬".encode())
    assert list(numbered_lines(path)) == [(1, "猫"), (4, "U+2028\u2028\0"), (6, "犬")]
    path.write_bytes("猫\n".encode() * 2 + b"\xff\n")
    with pytest.raises(ValueError, match=r"lex.csv:3: not UTF-8 text \(invalid start byte\)"):
        list(numbered_lines(path))


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from(PARTS), max_size=20).map(b"".join))
def test_compiled_code_drops_the_same(line):
    block, num_marks = drop_byte_order_mark(line)
    text, num_invalid = decode_text(block)
    text, num_nuls = drop_nuls(text)
    reader = DocumentReader(LineLengths(0, sys.maxsize))
    batches = [*reader.read_file([line + b"\n"]), *reader.take()]
    found = [batch.text[start:end].tobytes() for batch in batches for start, end, *_ in batch.documents.tolist()]
    folded = " ".join(text.split())
    assert found == ([f"{folded}\n\n".encode()] if folded else [])
    counts = reader.counts()
    dropped = [counts[name] for name in ("byte_order_marks", "invalid_utf8_bytes", "nul_characters")]
    assert dropped == [num_marks, num_invalid, num_nuls]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('\ufeff{"a": 1}\n\ufeffb\n', encoding="utf-8")
    assert list(numbered_lines(path)) == [(1, '{"a": 1}'), (2, "\ufeffb")]

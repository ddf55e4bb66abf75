"""Rows of both dump layouts."""

import doctest
import json
from pathlib import Path

import pytest

from japanese_bert.corpus.wikipedia import cirrussearch
from japanese_bert.corpus.wikipedia.cirrussearch import Page, dump_files, parse_row, read_row_blocks


def row(**fields) -> bytes:
    return json.dumps({"title": "梅雨", "text": "雨の多い期間。", **fields}, ensure_ascii=False).encode("utf-8")


def test_examples_in_docstrings():
    assert doctest.testmod(cirrussearch).failed == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"index":{"_type":"page","_id":"3825914"}}',
        b'{"index": {"_type": "_doc", "_id": "1"}}',
        b'{"index": {"_id": 2332351}}',
        b' { "index" : { } } ',
    ],
)
def test_actions_of_all_ages(line):
    assert parse_row(line) == "actions"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Page("梅雨", "雨の多い期間。")),
        ({"namespace": 0, "page_type": "primary"}, Page("梅雨", "雨の多い期間。")),
        ({"title": None}, Page("", "雨の多い期間。")),
        ({"index": 1}, Page("梅雨", "雨の多い期間。")),
        ({"namespace": 10}, "other_namespaces"),
        ({"page_type": "redirect"}, "redirects"),
        ({"page_type": "redirect", "text": None}, "redirects"),
        ({"page_type": "draft"}, "other_page_types"),
        ({"text": None}, "without_text"),
        ({"text": " \u3000\n"}, "without_text"),
    ],
)
def test_pages_to_keep_and_reasons_not_to(fields, expected):
    assert parse_row(row(**fields)) == expected


def test_rows_without_a_text_field():
    assert parse_row(b'{"page_id": 1, "title": "a"}') == "without_text"
    assert parse_row(b"{}") == "without_text"


def test_lone_surrogates_are_read():
    assert parse_row(b'{"title": "a", "text": "x\\ud800y"}') == Page("a", "x\ud800y")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"title": "a", "text": "b', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"title": "\xe3\x81", "text": ""}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "is JSON of type list. Expected an object"),
        (b"12", "is JSON of type int. Expected an object"),
        (row(text=["雨"]), "Expected strings"),
        (row(title={"a": 1}), "Expected strings"),
    ],
)
def test_corrupt_rows_say_why(line, message):
    with pytest.raises(ValueError, match=message):
        parse_row(line)


def test_line_numbers_go_on_over_blocks_and_start_again_with_files(tmp_path, monkeypatch):
    from japanese_bert.common import text_files

    monkeypatch.setattr(text_files.read_line_blocks, "__defaults__", (None, 4))
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(b"1\n22\n333\n4\n55")
    blocks = list(read_row_blocks([tmp_path / "a.json", tmp_path / "b.json"]))
    numbered = {
        (block.path.name, number): line
        for block in blocks
        for number, line in enumerate(block.lines.split(b"\n")[:-1], block.first_line)
    }
    lines = dict(enumerate([b"1", b"22", b"333", b"4", b"55"], 1))
    assert numbered == {(name, number): line for name in ("a.json", "b.json") for number, line in lines.items()}
    assert len(blocks) > 2


def test_dump_directory(tmp_path):
    directory = tmp_path / "index_name=jawiki_content"
    directory.mkdir()
    with pytest.raises(FileNotFoundError, match="_SUCCESS: no such file"):
        dump_files(str(directory))
    (directory / "_SUCCESS").touch()
    with pytest.raises(FileNotFoundError, match="no dump file"):
        dump_files(str(directory))
    for name in ("b-00001.json.bz2", "b-00000.json.bz2", "b-00000.json.bz2.part", "notes.txt", "c.gz", "c.gz.json"):
        (directory / name).touch()
    expected = [directory / "b-00000.json.bz2", directory / "b-00001.json.bz2"]
    assert dump_files(str(directory)) == expected
    assert dump_files(f"{directory}/*.bz2") == expected
    assert dump_files(f"{expected[1]},{expected[0]}") == expected[::-1]
    (tmp_path / "a,b.json").touch()
    assert dump_files(f"{tmp_path}/a,b.json") == [tmp_path / "a,b.json"]


def test_missing_dump():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json\.gz: no file matches"):
        dump_files("nowhere.json.gz")
    assert not Path("nowhere.json.gz").exists()

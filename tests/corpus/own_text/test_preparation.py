"""Parts of input files: shared by small files, made once, and with a limit of rows that cannot be read."""

import json
from pathlib import Path

import pytest

from japanese_bert.corpus.own_text import preparation as module
from japanese_bert.corpus.own_text.conversion import ConversionOptions, TextConverter
from japanese_bert.corpus.own_text.preparation import Preparation
from japanese_bert.corpus.own_text.sources import SourceOptions

TEXT = "これは一つの文書である。\n二つ目の文がある。"


def prepare(max_corrupt_rows: int = 0, **method) -> Preparation:
    sources = SourceOptions()
    converter = TextConverter(sources, ConversionOptions(1, 100), None, False)
    return Preparation(converter, sources, {"keep_lines": True, **method}, {}, None, 1, max_corrupt_rows)


@pytest.fixture
def inputs(tmp_path) -> list[Path]:
    paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
    for path in paths:
        path.write_text(json.dumps({"text": TEXT}, ensure_ascii=False) + "\n", encoding="utf-8")
    return paths


def test_small_files_share_a_part(inputs, tmp_path, monkeypatch):
    (part,) = prepare().write_all(inputs, tmp_path / "one")
    assert (part / "text").read_text(encoding="utf-8") == f"{TEXT}\n" * 3
    monkeypatch.setattr(module, "PART_BYTES", 2 * inputs[0].stat().st_size)
    parts = prepare().write_all(inputs, tmp_path / "two")
    assert [(path / "text").read_text(encoding="utf-8").count(TEXT) for path in parts] == [2, 1]


def test_a_part_has_a_name_of_its_own_for_each_method_and_input(inputs, tmp_path):
    names = {
        prepare(quality=quality).write_all(files, tmp_path / "parts")[0].name
        for quality in ("web", "strict")
        for files in (inputs, inputs[:2])
    }
    assert len(names) == 4


def test_a_complete_part_is_not_made_again(inputs, tmp_path):
    done = []

    def write(**method):
        preparation = prepare(**method)
        provenance = preparation.part_provenance(inputs)
        return preparation.write(tmp_path / "part", provenance, done.append, overwrite=False)

    for _ in range(2):
        report = write()
        assert report["counts"]["rows"] == 3
        inode = (tmp_path / "part" / "text").stat().st_ino
    assert (tmp_path / "part" / "text").stat().st_ino == inode
    assert sum(done) == 2 * sum(path.stat().st_size for path in inputs)
    with pytest.raises(FileExistsError, match="part: exists"):
        write(quality="web")


def test_corrupt_rows_are_counted_over_all_parts(inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "PART_BYTES", 1)
    for path in inputs[:2]:
        path.write_text(path.read_text(encoding="utf-8") + "{}\n", encoding="utf-8")
    assert len(prepare(max_corrupt_rows=2).write_all(inputs, tmp_path / "parts")) == 3
    assert capsys.readouterr().err.count("warning: ") == 2
    with pytest.raises(ValueError, match=r"1\.jsonl.*more than --max_corrupt_rows in all files"):
        prepare(max_corrupt_rows=1).write_all(inputs, tmp_path / "others")
    with pytest.raises(ValueError, match=r"0\.jsonl.*more than --max_corrupt_rows 0"):
        prepare().write_all(inputs, tmp_path / "last")

"""Rows of JSON Lines, Parquet and text files in any encoding."""

import gzip
import json
from pathlib import Path

import pytest

from japanese_bert.corpus.own_text.sources import (
    SourceOptions,
    TextRow,
    kind_of,
    read_rows,
    read_source_blocks,
    source_files,
)

DOCUMENTS = ["猫がいる。\n犬もいる。", "パ１ｶﾞ々の文。\u2028一つの文。", "短い。"]


def texts(path: Path, **options) -> list[str]:
    return [row.text for row in rows(path, **options)]


def rows(path: Path, **options) -> list[TextRow]:
    source = SourceOptions(**options)
    return [row for block in read_source_blocks(path, source) for row in read_rows(block, source)]


def write_json(path: Path, objects: list) -> Path:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in objects), encoding="utf-8")
    return path


def write_parquet(path: Path, table: dict) -> Path:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.table(table), path, row_group_size=2)
    return path


def test_four_kinds_give_the_same_texts(tmp_path):
    found = {
        "json": texts(write_json(tmp_path / "a.jsonl", [{"text": text} for text in DOCUMENTS])),
        "parquet": texts(write_parquet(tmp_path / "a.parquet", {"text": DOCUMENTS})),
    }
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / encoding).write_bytes("\n\n".join(DOCUMENTS).encode(encoding))
        found[encoding] = texts(tmp_path / encoding)
    assert all(value == DOCUMENTS for value in found.values()), found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "cp932", "euc_jp", "iso2022_jp"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, ends):
    text = "日本の首都は東京です。\nその人口は多い。\n \u3000\n二つ目の文書である。\n\n\n三つ目。"
    (tmp_path / "a.txt").write_bytes(text.replace("\n", ends).encode(encoding))
    verdicts: dict[str, str] = {}
    found = texts(tmp_path / "a.txt", verdicts=verdicts)
    assert found == ["日本の首都は東京です。\nその人口は多い。", "二つ目の文書である。", "三つ目。"]
    assert verdicts == {str(tmp_path / "a.txt"): encoding}
    assert texts(tmp_path / "a.txt", encoding="utf-16-le" if encoding == "utf-16" else encoding)[1:] == found[1:]


def test_documents_of_a_text(tmp_path):
    (tmp_path / "a.txt").write_text("一\n二\n\n三\n", encoding="utf-8")
    kinds = {kind: texts(tmp_path / "a.txt", documents=kind) for kind in ("blank_line", "line", "file")}
    assert kinds == {"blank_line": ["一\n二", "三"], "line": ["一", "二", "三"], "file": ["一\n二\n\n三\n"]}


def test_blocks_of_text_hold_whole_documents(tmp_path, monkeypatch):
    from japanese_bert.corpus.own_text import sources

    text = "".join(f"文{number}。\n" * (number % 5 + 1) + "\n" for number in range(200))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    whole = texts(tmp_path / "a.txt")
    assert len(whole) == 200
    read = sources.read_blocks
    monkeypatch.setattr(sources, "read_blocks", lambda path, progress: read(path, progress, 7))
    assert len(list(read_source_blocks(tmp_path / "a.txt", SourceOptions()))) > 100
    assert texts(tmp_path / "a.txt") == whole


def test_a_bad_byte_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("日本の首都は東京です。\n二行目は".encode("cp932") + b"\x81\x20\n")
    with pytest.raises(ValueError, match=r"a\.txt:2: the byte 0x81 at offset 31 is not cp932"):
        texts(path, encoding="cp932")
    with pytest.raises(ValueError, match=r"a\.txt:1: the byte 0x93 at offset 0 is not utf-8"):
        texts(path, encoding="utf-8")
    path.write_bytes(("日本の首都。\n" * 200_000).encode() + b"\xff\n")
    with pytest.raises(ValueError, match=r"a\.txt:200001: the byte 0xff at offset 3,800,000 is not utf-8"):
        texts(path)


def test_fields(tmp_path):
    objects = [{"page": {"text": "中", "id": 7}, "a.b": "点"}, {"page": 3}, [1], {"a.b": 5}]
    path = write_json(tmp_path / "a.jsonl", objects)
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n{broken\n")
    found = rows(path, text_field="page.text", id_field="page.id")
    assert [row.text for row in found] == ["中", "", "", "", ""]
    assert found[0].where == f"{path}:1 (7)"
    assert [row.problem for row in found[:2]] == ["", "no field --text_field page.text. The fields are: page"]
    assert found[2].problem == "is JSON of type list. Expected an object"
    assert (found[4].where, found[4].problem[:8]) == (f"{path}:6", "not JSON")
    assert [row.text for row in rows(path, text_field="a.b")][:1] == ["点"]
    assert rows(path, text_field="a.b")[3].problem == "int in --text_field a.b"


def test_columns_of_parquet(tmp_path):
    table = {"id": [1, 2, 3], "page": [{"text": "一"}, {"text": None}, {"text": "三"}]}
    path = write_parquet(tmp_path / "a.parquet", table)
    found = rows(path, text_field="page.text", id_field="id")
    assert [(row.where, row.text) for row in found] == [
        (f"{path}:{number} ({number})", text) for number, text in ((1, "一"), (2, ""), (3, "三"))
    ]
    with pytest.raises(ValueError, match=r"a\.parquet: no column text\. The columns are id, page"):
        rows(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"a\.parquet: .*Parquet"):
        rows(path, text_field="page.text")
    assert rows(write_parquet(path, {"text": []}))[0].problem == "no text in this file"


def test_other_formats_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text('{"text": "猫"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.txt: is JSON Lines under the name of a text"):
        texts(tmp_path / "a.txt")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress('{"text": "猫"}\n'.encode()))
    with pytest.raises(ValueError, match=r"Rename it to .*/a\.txt\.jsonl\.gz$"):
        texts(tmp_path / "a.txt.gz")
    (tmp_path / "a.json").write_text('[{"text": "猫"}]\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json: is one JSON array"):
        texts(tmp_path / "a.json")
    (tmp_path / "b.txt").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(ValueError, match=r"b\.txt: is a zip archive"):
        texts(tmp_path / "b.txt")


def test_directories_behind_links(tmp_path, capsys):
    (tmp_path / "disk" / "2023").mkdir(parents=True)
    (tmp_path / "disk" / "2023" / "B.TXT").touch()
    (tmp_path / "disk" / "again").symlink_to(tmp_path / "disk")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.txt").touch()
    (tmp_path / "raw" / ".cache").mkdir()
    for name in (".cache/link", "disk", "twice"):
        (tmp_path / "raw" / name).symlink_to(tmp_path / "disk")
    assert source_files([str(tmp_path / "raw")]) == [tmp_path / "raw" / name for name in ("a.txt", "disk/2023/B.TXT")]
    assert capsys.readouterr().out == ""


def test_files_of_names_globs_and_directories(tmp_path, capsys):
    for name in ("b/2.txt", "b/c/1.jsonl.gz", "b/.hidden/x.txt", "b/picture.png", "b/2.txt.json", "a.txt", "z.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = source_files([str(tmp_path / "b"), f"{tmp_path}/*.csv,-", str(tmp_path / "a.txt")])
    assert [path.name for path in found] == ["a.txt", "2.txt", "1.jsonl.gz", "z.csv", "-"]
    assert "b: 2 files, 2 with other suffixes are left out" in capsys.readouterr().out
    (tmp_path / "東京, 日本.txt").touch()
    assert source_files([f"{tmp_path}/東京, 日本.txt"]) == [tmp_path / "東京, 日本.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: no file of this directory ends in \.jsonl"):
        source_files([str(tmp_path / "empty")])
    kinds = ("x.JSON.zst", "x.parquet", "x.txt.gz", "x")
    assert [kind_of(Path(name)) for name in kinds] == ["json", "parquet", "text", "text"]

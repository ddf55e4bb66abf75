"""Directories that appear whole or not at all, with subdirectories where the output has some."""

import json

import pytest

from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance

PARTS = ("assets",)


def make(method: int = 1) -> Provenance:
    return Provenance(stage="test", method={"number": method}, inputs=InputFiles(), arguments={})


def write(directory, provenance, overwrite=False, text="text", parts=PARTS) -> None:
    with open_output_directory(directory, provenance, overwrite, parts) as temporary:
        for part in parts:
            (temporary / part).mkdir()
            (temporary / part / "vocab.txt").write_text(text, encoding="utf-8")
        (temporary / "model").write_text(text, encoding="utf-8")


def test_files_in_subdirectories_are_recorded_and_looked_at(tmp_path):
    output = tmp_path / "out"
    write(output, make())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    record = json.loads((output / "provenance.json").read_text(encoding="utf-8"))
    assert record["files"] == {"assets/vocab.txt": 4, "model": 4}
    assert make().is_complete([output])
    assert not make(2).is_complete([output])
    (output / "assets" / "vocab.txt").write_text("other", encoding="utf-8")
    assert not make().is_complete([output])


def test_files_in_subdirectories_are_replaced_and_others_kept(tmp_path):
    output = tmp_path / "out"
    write(output, make())
    (output / "assets" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="--overwrite"):
        write(output, make(2), text="new")
    write(output, make(2), overwrite=True, text="new")
    assert (output / "assets" / "vocab.txt").read_text(encoding="utf-8") == "new"
    assert (output / "assets" / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert make(2).is_complete([output])
    assert not (tmp_path / "out.tmp").exists()


def test_a_subdirectory_can_be_new_in_an_existing_output(tmp_path):
    output = tmp_path / "out"
    write(output, make(), parts=())
    write(output, make(2), overwrite=True)
    assert (output / "assets" / "vocab.txt").is_file()


def test_what_a_failure_or_a_kill_left_goes(tmp_path):
    output, left = tmp_path / "out", tmp_path / "out.tmp" / "assets"
    with pytest.raises(RuntimeError), open_output_directory(output, make(), subdirectories=PARTS) as temporary:
        (temporary / "assets").mkdir()
        (temporary / "assets" / "vocab.txt").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    left.mkdir(parents=True)
    (left / "old.txt").touch()
    write(output, make())
    assert sorted(path.name for path in (output / "assets").iterdir()) == ["vocab.txt"]


def test_directories_of_others_are_not_removed(tmp_path):
    kept = tmp_path / "out.tmp" / "mine"
    kept.mkdir(parents=True)
    with pytest.raises(OSError):
        write(tmp_path / "out", make())
    assert kept.is_dir()

"""What makes an output complete: its recipe, its size, and records of version 0.1, which gave inputs no roles."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from japanese_bert import DATA_FORMAT, DATA_FORMATS
from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import (
    InputFiles,
    Provenance,
    provenance_path,
    read_provenance,
    recorded_inputs,
    skip_if_complete,
)


def make_provenance(directory: Path, value: int = 1) -> Provenance:
    for name in ("text.txt", "vocab.txt"):
        (directory / name).write_text(name, encoding="utf-8")
    inputs = InputFiles(text=[directory / "text.txt"], vocab=[directory / "vocab.txt"])
    return Provenance("stage", {"value": value}, inputs, {"value": value})


def write(output: Path, provenance: Provenance) -> None:
    with open_outputs([output], provenance) as (file,):
        file.write(b"data")


def test_inputs_are_recorded_by_role(tmp_path):
    write(tmp_path / "a", make_provenance(tmp_path))
    made_by = read_provenance(tmp_path / "a")
    assert [file["name"] for file in recorded_inputs(made_by, "text")] == ["text.txt"]
    assert [file["name"] for file in recorded_inputs(made_by, "vocab")] == ["vocab.txt"]
    assert [file["name"] for file in recorded_inputs(made_by)] == ["text.txt", "vocab.txt"]
    assert recorded_inputs(made_by, "checkpoint") == []


def test_a_list_without_roles_is_read_and_accepted(tmp_path):
    """Version 0.1 wrote the vocabulary last."""
    provenance = make_provenance(tmp_path)
    write(tmp_path / "a", provenance)
    made_by = read_provenance(tmp_path / "a")
    made_by["inputs"] = recorded_inputs(made_by)
    provenance_path(tmp_path / "a").write_text(json.dumps(made_by), encoding="utf-8")
    assert [file["name"] for file in recorded_inputs(made_by, "text")] == ["text.txt"]
    assert [file["name"] for file in recorded_inputs(made_by, "vocab")] == ["vocab.txt"]
    assert provenance.is_complete([tmp_path / "a"])
    made_by["inputs"].reverse()
    provenance_path(tmp_path / "a").write_text(json.dumps(made_by), encoding="utf-8")
    assert not provenance.is_complete([tmp_path / "a"])


def test_the_method_is_read_only(tmp_path):
    provenance = make_provenance(tmp_path)
    with pytest.raises(TypeError):
        provenance.method["value"] = 2
    with pytest.raises(AttributeError):
        provenance.method = {}


def test_complete_outputs_are_skipped_with_one_line(tmp_path, capsys):
    outputs = [tmp_path / "a", tmp_path / "b"]
    write(outputs[0], make_provenance(tmp_path))
    assert not skip_if_complete(make_provenance(tmp_path), outputs)
    assert capsys.readouterr().out == ""
    write(outputs[1], make_provenance(tmp_path))
    assert skip_if_complete(make_provenance(tmp_path), outputs)
    assert capsys.readouterr().out.startswith(
        f"skipped: {outputs[0]} and 1 more, complete and made from the same inputs"
    )
    assert not skip_if_complete(make_provenance(tmp_path, 2), outputs)


@pytest.mark.parametrize(("stage", "is_complete"), [("stage", False), ("another", True)])
def test_a_new_format_makes_outputs_of_its_stage_stale(stage, is_complete, tmp_path, monkeypatch):
    write(tmp_path / "a", make_provenance(tmp_path))
    monkeypatch.setitem(DATA_FORMATS, stage, DATA_FORMAT + 1)
    assert make_provenance(tmp_path).is_complete([tmp_path / "a"]) == is_complete


def test_an_output_from_a_pipe_is_never_complete(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    provenance = Provenance("stage", {}, InputFiles(text=[tmp_path / "pipe"]), {})
    write(tmp_path / "a", provenance)
    assert recorded_inputs(read_provenance(tmp_path / "a"))[0]["sha256"] is None
    assert not provenance.is_complete([tmp_path / "a"])


def test_hashing_in_the_background_gives_the_same(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"text")
    one, other = (InputFiles(text=[tmp_path / "text.txt", tmp_path / "pipe"]) for _ in range(2))
    one.hash_in_background()
    assert one.described() == other.described()
    assert [file["sha256"] for file in one.described()["text"]] == [hashlib.sha256(b"text").hexdigest(), None]


def test_hashes_belong_to_what_was_read(tmp_path):
    """The first hash is taken before the check for changes, so that it can never be of bytes that came later."""
    text = tmp_path / "text.txt"
    text.write_bytes(b"text")
    inputs = InputFiles(text=[text])
    with inputs.unchanged():
        pass
    text.write_bytes(b"other")
    assert inputs.described()["text"][0]["sha256"] == hashlib.sha256(b"text").hexdigest()


def test_names_that_records_or_temporary_files_cannot_have(tmp_path):
    """Found before the work. The name of a record and of a temporary file is longer than the output's."""
    provenance = make_provenance(tmp_path)
    for name, message in (("a" * 248, "the name has 248 bytes, expected at most 230"), ("\udcff", "is not UTF-8")):
        with pytest.raises(ValueError, match=message):
            skip_if_complete(provenance, [tmp_path / name])
    assert not skip_if_complete(provenance, [tmp_path / ("猫" * 76)])
    with pytest.raises(ValueError, match=r"'/\S+/\\udcff.txt': the name is not UTF-8, which records cannot hold"):
        InputFiles(text=[tmp_path / "\udcff.txt"])

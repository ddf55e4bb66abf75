"""Output files and their provenance: nothing incomplete gets a final name, whatever ends the block that writes."""

import os
from pathlib import Path

import pytest

from japanese_bert.common.output_files import open_outputs, replace_file
from japanese_bert.common.provenance import InputFiles, Provenance, provenance_path, read_provenance


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def make_provenance(tmp_path: Path, value: int = 1) -> Provenance:
    source = tmp_path / "source.txt"
    if not source.exists():
        source.write_text("text", encoding="utf-8")
    return Provenance("stage", {"value": value}, InputFiles(text=[source]), {"value": value})


def write(output: Path, provenance: Provenance, content: bytes, overwrite: bool = False) -> None:
    with open_outputs([output], provenance, overwrite) as (file,):
        file.write(content)


def test_a_disk_that_fills_up_with_the_record_leaves_nothing(small_disk, tmp_path):
    with (
        pytest.raises(OSError, match="No space left"),
        open_outputs([small_disk / "a"], make_provenance(tmp_path)) as files,
    ):
        while True:
            try:
                files[0].write(bytes(4096))
                files[0].flush()
            except OSError:
                files[0].truncate()
                break
    assert entries(small_disk) == set()


def test_outputs_get_their_names_together_or_not_at_all(tmp_path):
    outputs = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(ValueError, match="in the middle"), open_outputs(outputs, make_provenance(tmp_path)) as files:
        files[0].write(b"half")
        raise ValueError("in the middle")
    assert entries(tmp_path) == {"source.txt"}
    with open_outputs(outputs, make_provenance(tmp_path)) as files:
        files[0].write(b"whole")
    assert entries(tmp_path) == {"source.txt", "a", "a.json", "b", "b.json"}
    assert make_provenance(tmp_path).is_complete(outputs)
    assert not make_provenance(tmp_path, 2).is_complete(outputs)


def test_what_a_killed_run_left_is_emptied(tmp_path):
    (tmp_path / "a.tmp").write_bytes(b"left by a killed run, and longer than the new content")
    with open_outputs([tmp_path / "a"], make_provenance(tmp_path)) as files:
        files[0].write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_changed_size_or_a_missing_record_is_not_complete(tmp_path):
    output = tmp_path / "a"
    with open_outputs([output], make_provenance(tmp_path)) as files:
        files[0].write(b"whole")
    output.write_bytes(b"who")
    assert not make_provenance(tmp_path).is_complete([output])
    output.write_bytes(b"whole")
    provenance_path(output).unlink()
    assert not make_provenance(tmp_path).is_complete([output])


def test_a_file_of_the_user_is_never_replaced(tmp_path):
    output = tmp_path / "a"
    output.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="--overwrite"), open_outputs([output], make_provenance(tmp_path)):
        pass
    assert output.read_bytes() == b"precious"
    with pytest.raises(ValueError, match="failed"), open_outputs([output], make_provenance(tmp_path), overwrite=True):
        raise ValueError("failed")
    assert output.read_bytes() == b"precious"
    assert read_provenance(output) is None


def test_an_input_that_changes_while_it_is_read_is_an_error(tmp_path):
    """Which the hash in the record would not be of. Size and time tell; a change before is none."""
    source = tmp_path / "source.txt"
    provenance = make_provenance(tmp_path)
    for change in (lambda: source.write_bytes(b"longer text"), lambda: os.utime(source, ns=(1, 1)), source.unlink):
        with pytest.raises(ValueError, match=r"source\.txt: changed while"), open_outputs([tmp_path / "a"], provenance):
            change()
        assert entries(tmp_path) <= {"source.txt"}
        provenance = make_provenance(tmp_path)
    with pytest.raises(ValueError, match="changed while"), open_outputs([tmp_path / "a"], provenance):
        source.write_bytes(b"not text")
        raise ValueError("no text")
    provenance = make_provenance(tmp_path)
    write(tmp_path / "a", provenance, b"whole")
    assert provenance.is_complete([tmp_path / "a"])


def test_an_output_that_another_run_finished_first_is_not_replaced(tmp_path, monkeypatch):
    """Between the look for it and the lock."""
    output, mkdir = tmp_path / "a", Path.mkdir

    def finish_another_run(*arguments, **options):
        monkeypatch.setattr(Path, "mkdir", mkdir)
        write(output, make_provenance(tmp_path, 2), b"other")
        mkdir(*arguments, **options)

    monkeypatch.setattr(Path, "mkdir", finish_another_run)
    with pytest.raises(FileExistsError, match="--overwrite"):
        write(output, make_provenance(tmp_path), b"ours")
    assert output.read_bytes() == b"other"
    assert make_provenance(tmp_path, 2).is_complete([output])


def test_an_output_is_locked_until_its_record_is_there(tmp_path, monkeypatch):
    output, rename, met = tmp_path / "a", os.replace, []

    def start_another_run(source, target):
        rename(source, target)
        if Path(target) == output:
            with pytest.raises(BlockingIOError, match="another process is writing"):
                write(output, make_provenance(tmp_path, 2), b"other", overwrite=True)
            met.append(target)

    write(output, make_provenance(tmp_path, 3), b"old")
    monkeypatch.setattr(os, "replace", start_another_run)
    write(output, make_provenance(tmp_path), b"ours", overwrite=True)
    assert met == [output]
    assert make_provenance(tmp_path).is_complete([output])
    assert entries(tmp_path) == {"source.txt", "a", "a.json"}


def test_two_kills_between_the_names_of_two_outputs(tmp_path, monkeypatch):
    """What the first run finished keeps its record all the time while the next one makes the rest."""
    outputs, replace = [tmp_path / "a", tmp_path / "b"], os.replace

    def killed_at(number: int):
        def replace_or_die(source, target):
            nonlocal number
            number -= 1
            if number == 0:
                raise KeyboardInterrupt
            replace(source, target)

        return replace_or_die

    for number in (4, 1, 2):
        monkeypatch.setattr(os, "replace", killed_at(number))
        with pytest.raises(KeyboardInterrupt), open_outputs(outputs, make_provenance(tmp_path)):
            pass
        assert make_provenance(tmp_path).is_complete(outputs[:1])
    monkeypatch.setattr(os, "replace", replace)
    with open_outputs(outputs, make_provenance(tmp_path)):
        pass
    assert make_provenance(tmp_path).is_complete(outputs)


def test_a_file_without_record_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "results.md"
    replace_file(path, b"one")
    with pytest.raises(TypeError):
        replace_file(path, "two")
    assert path.read_bytes() == b"one"
    assert entries(path.parent) == {"results.md"}

"""Directories that appear whole or not at all, with subdirectories where the output has some."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from japanese_bert.common import output_directories, renames
from japanese_bert.common.locks import open_locked
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.process import TerminatedError, signals_as_exceptions
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


def test_a_signal_between_making_and_remembering_leaves_nothing(tmp_path, monkeypatch):
    def open_and_strike(*arguments: object) -> int:
        descriptor = open_locked(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        return descriptor

    monkeypatch.setattr(output_directories, "open_locked", open_and_strike)
    with pytest.raises(TerminatedError), signals_as_exceptions(), open_output_directory(tmp_path / "out", make()):
        time.sleep(10)
    assert list(tmp_path.iterdir()) == []


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


def test_what_stays_of_the_run_before_is_told(tmp_path, capsys):
    output = tmp_path / "out"
    write(output, make())
    (output / "mine.txt").write_text("mine", encoding="utf-8")
    write(output, make(2), overwrite=True)
    assert capsys.readouterr().out == ""
    write(output, make(3), overwrite=True, parts=())
    assert capsys.readouterr().out.startswith(f"NOTE {output}: assets/vocab.txt stay from the run before")
    (output / "provenance.json").write_text('{"files": [1]}', encoding="utf-8")
    write(output, make(4), overwrite=True, parts=())
    assert capsys.readouterr().out == ""


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


def tree(directory: Path) -> dict[str, str]:
    """Return the content of each file, and of each link its target."""
    return {
        str(path.relative_to(directory)): os.readlink(path) if path.is_symlink() else path.read_text(encoding="utf-8")
        for path in directory.rglob("*")
        if path.name != "provenance.json" and (path.is_symlink() or path.is_file())
    }


@pytest.fixture(params=["exchange", "three renames"])
def replaced(tmp_path, monkeypatch, request) -> Path:
    """An output that is replaced by another. It has files, directories and links of a user."""
    output = tmp_path / "out"
    write(output, make())
    (output / "runs" / "first").mkdir(parents=True)
    (output / "runs" / "first" / "log.txt").write_text("mine", encoding="utf-8")
    (output / "assets" / "mine.txt").write_text("mine", encoding="utf-8")
    (output / "link").symlink_to("runs")
    if request.param == "three renames":
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    return output


MINE = {"runs/first/log.txt": "mine", "assets/mine.txt": "mine", "link": "runs"}


def test_what_an_output_has_of_a_user_stays(replaced):
    log = (replaced / "runs" / "first" / "log.txt").stat()
    write(replaced, make(2), overwrite=True, text="new")
    assert tree(replaced) == {"assets/vocab.txt": "new", "model": "new", **MINE}
    assert make(2).is_complete([replaced])
    assert (replaced / "runs" / "first" / "log.txt").stat().st_ino == log.st_ino
    assert sorted(path.name for path in replaced.parent.iterdir()) == ["out"]


@pytest.mark.parametrize("step", range(12))
def test_a_kill_at_any_step_of_replacing(replaced, monkeypatch, step):
    """The old output is whole, or the new one is. The next run ends what the killed one began."""
    old, new = tree(replaced), {"assets/vocab.txt": "new", "model": "new", **MINE}
    pid = os.fork()
    if pid == 0:
        try:
            kill_at(step)
            write(replaced, make(2), overwrite=True, text="new")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    if replaced.exists():
        assert tree(replaced) in (old, new)
        assert make(1 if tree(replaced) == old else 2).is_complete([replaced])
    write(replaced, make(3), overwrite=True, text="third")
    assert tree(replaced) == {"assets/vocab.txt": "third", "model": "third", **MINE}
    assert sorted(path.name for path in replaced.parent.iterdir()) == ["out"]


def kill_at(step: int) -> None:
    """Kill this process at a change of names after the new output is written."""
    names = iter(range(100))

    def hook(event: str, arguments: tuple) -> None:
        if event in ("os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink") and next(names) == step:
            os._exit(9)

    check = output_directories._replace_directory
    output_directories._replace_directory = lambda *names: (sys.addaudithook(hook), check(*names))


def test_a_file_that_appears_while_an_output_is_replaced_stays(tmp_path, monkeypatch):
    output = tmp_path / "out"
    write(output, make())
    exchange = output_directories.exchange_directories

    def appear_before(one, other, aside):
        (output / "new.txt").write_text("precious", encoding="utf-8")
        exchange(one, other, aside)

    monkeypatch.setattr(output_directories, "exchange_directories", appear_before)
    write(output, make(2), overwrite=True, text="new")
    assert tree(output) == {"assets/vocab.txt": "new", "model": "new", "new.txt": "precious"}


def test_a_directory_that_appears_during_the_run_is_not_replaced(tmp_path):
    output = tmp_path / "out"
    with pytest.raises(FileExistsError, match="--overwrite"), open_output_directory(output, make()) as temporary:
        (temporary / "model").write_text("new", encoding="utf-8")
        output.mkdir()
        (output / "model").write_text("precious", encoding="utf-8")
    assert tree(output) == {"model": "precious"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_an_input_in_the_output_is_not_replaced(tmp_path):
    output = tmp_path / "out"
    write(output, make())
    provenance = Provenance("test", {}, InputFiles(model=[output / "model"]), {})
    with pytest.raises(ValueError, match=r"out/model: is also an input of this stage"):
        write(output, provenance, overwrite=True, text="new")
    assert tree(output) == {"assets/vocab.txt": "text", "model": "text"}


def test_an_input_in_a_directory_with_the_temporary_name_is_kept(tmp_path):
    (tmp_path / "out.tmp").mkdir()
    (tmp_path / "out.tmp" / "model").write_text("text", encoding="utf-8")
    provenance = Provenance("test", {}, InputFiles(model=[tmp_path / "out.tmp" / "model"]), {})
    with pytest.raises(ValueError, match=r"out\.tmp/model: is an input, but .*out\.tmp is emptied\. Rename it"):
        write(tmp_path / "out", provenance)
    assert tree(tmp_path / "out.tmp") == {"model": "text"}


def test_a_mount_point_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path / "out")
    with pytest.raises(ValueError, match=r"out: is a mount point, which no rename replaces\. Name a directory in it"):
        write(tmp_path / "out", make(), overwrite=True)
    write(tmp_path / "out" / "model", make())


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    (tmp_path / "out.tmp").symlink_to(victim)
    with pytest.raises(OSError, match=r"out\.tmp"):
        write(tmp_path / "out", make())
    assert (victim / "file").exists()

"""Output files and their provenance: nothing incomplete gets a final name, whatever ends the block that writes."""

import errno
import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from japanese_bert.common import output_files
from japanese_bert.common.locks import open_own_file
from japanese_bert.common.output_files import open_outputs, replace_file
from japanese_bert.common.process import TerminatedError, signals_as_exceptions
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


def test_a_signal_between_open_and_remember_leaves_nothing(tmp_path, monkeypatch):
    def open_and_strike(path: Path) -> int:
        descriptor = open_own_file(path)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        return descriptor

    monkeypatch.setattr(output_files, "open_own_file", open_and_strike)
    provenance = Provenance("stage", {}, InputFiles(), {})
    with (
        pytest.raises(TerminatedError),
        signals_as_exceptions(),
        open_outputs([tmp_path / "a"], provenance),
    ):
        time.sleep(10)
    assert entries(tmp_path) == set()


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
    outputs, left = [tmp_path / "a", tmp_path / "b"], 0

    def dies_at_last(rename):
        def rename_or_die(source, target):
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            rename(source, target)

        return rename_or_die

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dies_at_last(os.replace))
        patch.setattr(output_files, "rename_to_free_name", dies_at_last(output_files.rename_to_free_name))
        for left in (4, 1, 2):  # noqa: B007
            with pytest.raises(KeyboardInterrupt), open_outputs(outputs, make_provenance(tmp_path)):
                pass
            assert make_provenance(tmp_path).is_complete(outputs[:1])
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


def test_an_output_that_is_an_input_is_refused(tmp_path):
    """Under any name: replacing it would lose the input."""
    provenance, source = make_provenance(tmp_path), tmp_path / "source.txt"
    (tmp_path / "link").symlink_to(source)
    os.link(source, tmp_path / "other.json")
    provenance = make_provenance(tmp_path)
    for name in ("source.txt", "link", "other.json", "other", "./source.txt"):
        with pytest.raises(ValueError, match=r"is also an input of this stage \(.*source\.txt\)"):
            write(tmp_path / name, provenance, b"new", overwrite=True)
    assert source.read_bytes() == b"text"
    assert entries(tmp_path) == {"source.txt", "link", "other.json"}


def test_an_input_with_the_name_of_a_temporary_file_is_kept(tmp_path):
    source = tmp_path / "out.tmp"
    source.write_bytes(b"text")
    provenance = Provenance("test", {}, InputFiles(text=[source]), {})
    with pytest.raises(ValueError, match=r"out\.tmp: is also an input of this stage"):
        write(tmp_path / "out", provenance, b"new", overwrite=True)
    assert source.read_bytes() == b"text"


def test_a_file_that_appears_during_the_run_is_not_replaced(tmp_path):
    output = tmp_path / "a"
    with (
        pytest.raises(FileExistsError, match=r"a: exists, .* --overwrite"),
        open_outputs([output], make_provenance(tmp_path)) as (file,),
    ):
        file.write(b"ours")
        output.write_bytes(b"precious")
    assert output.read_bytes() == b"precious"
    assert entries(tmp_path) == {"source.txt", "a"}


def test_a_file_that_appears_at_the_last_moment_is_not_replaced(tmp_path, monkeypatch):
    """After the last look, before the rename."""
    output, rename = tmp_path / "a", output_files.rename_to_free_name

    def appear_before(source, target):
        output.write_bytes(b"precious")
        rename(source, target)

    monkeypatch.setattr(output_files, "rename_to_free_name", appear_before)
    with pytest.raises(FileExistsError, match=r"a: exists, .* --overwrite"):
        write(output, make_provenance(tmp_path), b"ours")
    assert output.read_bytes() == b"precious"
    assert entries(tmp_path) == {"source.txt", "a"}


def no_locks(*_) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_overlapping_runs_without_locks_give_one_whole_output(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    output, first = tmp_path / "a", make_provenance(tmp_path, 1)
    with pytest.raises(FileExistsError), open_outputs([output], first) as (file,):
        file.write(b"first")
        with open_outputs([output], make_provenance(tmp_path, 2)) as (other,):
            other.write(b"the second")
        file.write(b" and last")
    assert output.read_bytes() == b"the second"
    assert make_provenance(tmp_path, 2).is_complete([output])
    assert entries(tmp_path) == {"source.txt", "a", "a.json"}
    assert capfd.readouterr().err.count("its file system has no locks") == 2


def test_an_output_that_another_program_cuts_is_an_error(tmp_path):
    output = tmp_path / "a"
    with (
        pytest.raises(OSError, match="5 bytes were written, 0 are there"),
        open_outputs([output], make_provenance(tmp_path)) as (file,),
    ):
        file.write(b"whole")
        file.flush()
        os.truncate(tmp_path / "a.tmp", 0)
    with (
        pytest.raises(OSError, match="another program changed or removed it"),
        open_outputs([output], make_provenance(tmp_path)) as (file,),
    ):
        file.write(b"whole")
        os.unlink(tmp_path / "a.tmp")
    assert entries(tmp_path) == {"source.txt"}


@pytest.mark.parametrize("link", [os.symlink, os.link, lambda _, name: os.mkfifo(name)], ids=["sym", "hard", "pipe"])
def test_temporary_names_do_not_lead_elsewhere(tmp_path, link):
    """Somebody else planted a link under a temporary name: what it leads to stays as it is."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in ("a.tmp", "a.json.tmp"):
        link(victim, tmp_path / name)
    write(tmp_path / "a", make_provenance(tmp_path), b"ours")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "a").read_bytes() == b"ours"
    assert entries(tmp_path) == {"source.txt", "victim", "a", "a.json"}


def test_a_device_is_no_output(tmp_path):
    """It would be replaced by a file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="device or a pipe"):
        write(tmp_path / "pipe", make_provenance(tmp_path), b"new", overwrite=True)

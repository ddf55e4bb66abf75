"""Disks that are full from the beginning or become so at any step, and directories that cannot be written."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import (
    Subject,
    assert_all_dead,
    assert_equal,
    assert_whole,
    final_files,
    message,
    temporary_files,
)
from tests.faults.stage_table import STAGES, Stage

pytestmark = pytest.mark.slow
PAGE = 4096
NO_OUTPUT = "writes no files"


@contextmanager
def mounted(directory: Path, size: int) -> Iterator[Path]:
    """A file system of its own."""
    directory.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def remount(directory: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", directory], check=True)


def fill(directory: Path) -> None:
    """Leave no page free."""
    status = os.statvfs(directory)
    remount(directory, f"size={max(1, status.f_blocks - status.f_bfree) * status.f_frsize}")


def pages(stage: Stage, subject: Subject) -> int:
    return sum(-(-len(content) // PAGE) for content in subject.undisturbed()[0].values())


def assert_survived(subject: Subject, place: Path, run) -> bool:
    """After a run on a full disk: whole or nothing, one line, no temporary files. False if there was room enough."""
    expected = subject.undisturbed()[0]
    assert_all_dead(run)
    assert_whole(place, subject.stage, expected)
    if run.process.returncode == 0:
        assert_equal(final_files(place), expected)
        return False
    message(run, "No space left on device")
    assert temporary_files(place) == []
    return True


def run_on_small_disk(subject: Subject, num_pages: int) -> bool:
    place = subject.place()
    with mounted(place / "out", num_pages * PAGE):
        struck = assert_survived(subject, place, subject.run(place))
        remount(place / "out", "size=1g")
        subject.assert_rerun(place, subject.undisturbed()[0])
    return struck


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_small_disk(subject, begin, stage):
    """It strikes first thing, in the middle of the work, near its end, and with the last record."""
    faults = begin("output directory full, several sizes", not stage.has_output and NO_OUTPUT)
    needed = pages(stage, subject)
    shares = (0, 0.2, 0.5, 0.8, 0.9, 1) if stage.is_data else (0.5,)
    sizes = [max(1, round(share * needed) - (share == 1)) for share in shares]
    faults.attempt_all([(f"{size} pages", partial(run_on_small_disk, subject, size)) for size in dict.fromkeys(sizes)])


def fill_disk_at_step(subject: Subject, step: int) -> bool:
    place = subject.place()
    with mounted(place / "out", 1 << 30):
        run = subject.start(place, step=step)
        if run.wait_until_stopped():
            fill(place / "out")
        run.go_on()
        struck = assert_survived(subject, place, run)
        remount(place / "out", "size=1g")
        subject.assert_rerun(place, subject.undisturbed()[0])
    return struck


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_disk_full_at_every_step(subject, begin, stage):
    faults = begin("output directory full at a step", not stage.has_output and NO_OUTPUT)
    steps = subject.step_numbers()
    subject.undisturbed()
    chosen = steps if stage.is_data else steps[:1]  # later ones may need no more room
    faults.attempt_all([(f"step {step}", partial(fill_disk_at_step, subject, step)) for step in chosen])


def run_with_environment(subject: Subject, option: str) -> None:
    """Temporary directory and Matplotlib's on a disk without room, or read only."""
    place = subject.place()
    with mounted(place / "temporary", 1 << 20) as temporary:
        fill(temporary) if option == "full" else remount(temporary, option)
        run = subject.run(place, environment=dict.fromkeys(("TMPDIR", "MPLCONFIGDIR"), str(temporary)))
        assert_all_dead(run)
        if run.process.returncode == 0:
            assert_equal(final_files(place), subject.undisturbed()[0])
        else:
            message(run, "No space left", "Read-only file system", "temporary directory")
            assert temporary_files(place) == []
            assert_whole(place, subject.stage, subject.undisturbed()[0])
    subject.assert_rerun(place, subject.undisturbed()[0])


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_temporary_directory(subject, begin, stage):
    faults = begin("temporary directory full, read only")
    subject.undisturbed()
    faults.attempt_all(
        [(option, partial(run_with_environment, subject, option)) for option in ("full", "ro")[: 1 + stage.is_data]]
    )


def run_read_only(subject: Subject) -> None:
    place = subject.place()
    with mounted(place / "out", 1 << 30):
        remount(place / "out", "ro")
        run = subject.run(place)
        assert run.process.returncode == 1
        message(run, "Read-only file system")
        assert final_files(place) == {}
        remount(place / "out", "rw")
        subject.assert_rerun(place, subject.undisturbed()[0])


def run_with_complete_output_read_only(subject: Subject) -> None:
    """A complete output is found complete where nothing can be written."""
    place = subject.place()
    with mounted(place / "out", 1 << 30):
        subject.put_output(place)
        remount(place / "out", "ro")
        subject.assert_run(place, subject.undisturbed()[0])


def run_with_inputs_read_only(subject: Subject) -> None:
    place = subject.place()
    with mounted(place / "in", 1 << 30):
        subprocess.run(["cp", "-r", f"{subject.inputs}/.", place / "in"], check=True)
        remount(place / "in", "ro")
        subject.assert_run(place, subject.undisturbed()[0])


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_read_only(subject, begin, stage):
    faults = begin("input or output directory read only")
    subject.undisturbed()
    attempts = []
    if stage.is_data or not stage.has_output:
        attempts.append(("inputs", partial(run_with_inputs_read_only, subject)))
    if stage.has_output:
        attempts.append(("output", partial(run_read_only, subject)))
    if stage.is_data or stage.directory:
        attempts.append(("complete output", partial(run_with_complete_output_read_only, subject)))
    faults.attempt_all(attempts)

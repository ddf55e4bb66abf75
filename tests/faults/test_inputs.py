"""Inputs that are cut in a compressed stream, and inputs that change while they are read."""

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import Files, Subject, assert_all_dead, final_files, message, temporary_files
from tests.faults.stage_table import COMPRESSORS, STAGES, Stage

pytestmark = pytest.mark.slow
HAVE_CHECKSUMS = ("tf2-hf", "export", "predict")  # inputs of these stages tell that they were changed
# Where a file is cut: what is kept of its bytes. A .gz that is cut just between two members cannot be told from a
# whole one; no checksum covers the file, and the suite does not try it.
CUTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "in the header": lambda data: data[:5],
    "after the header": lambda data: data[:24],
    "in the middle": lambda data: data[: len(data) // 2],
    "near the end": lambda data: data[:-100],
    "in the trailer": lambda data: data[:-5],
    "last byte": lambda data: data[:-1],
    "wrong byte": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1 :]
    ),
    "garbage behind": lambda data: data + b"garbage that is no stream",
    "second stream cut": lambda data: data + data[: len(data) // 2],
}


def compress_input(stage: Stage, suffix: str, cut: Callable[[bytes], bytes], place: Path) -> None:
    path = place / stage.input
    Path(f"{path}{suffix}").write_bytes(cut(COMPRESSORS[suffix](path.read_bytes())))
    path.unlink()


def with_suffix(subject: Subject, suffix: str) -> list[str]:
    return [argument + suffix if argument == subject.stage.input else argument for argument in subject.command()]


def run_on_cut_stream(subject: Subject, suffix: str, cut: str) -> None:
    place = subject.place(partial(compress_input, subject.stage, suffix, CUTS[cut]))
    run = subject.run(place, command=with_suffix(subject, suffix))
    if subject.stage.reports_damage:
        assert run.process.returncode == 0, run.read("stderr")
        assert f"{subject.stage.input}{suffix}: truncated or corrupt" in run.read("stdout")
        return
    assert run.process.returncode == 1, "nothing noticed"
    message(run, f"{subject.stage.input}{suffix}")
    assert final_files(place) == {}
    assert temporary_files(place) == []
    assert_all_dead(run)


@pytest.mark.parametrize("suffix", COMPRESSORS)
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_cut_stream(subject, begin, stage, suffix):
    faults = begin(f"input cut or damaged, {suffix}", not stage.streams and "reads no compressed text")
    cuts = CUTS if stage.is_data else ["last byte"]
    faults.attempt_all([(cut, partial(run_on_cut_stream, subject, suffix, cut)) for cut in cuts])


def run_on_cut_file(subject: Subject, share: float) -> None:
    place = subject.place()
    os.truncate(place / subject.stage.input, int(share * (place / subject.stage.input).stat().st_size))
    run = subject.run(place)
    assert run.process.returncode == 1, "nothing noticed"
    message(run)
    assert final_files(place) == {}
    assert temporary_files(place) == []


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_cut_file(subject, begin, stage):
    reason = stage.streams and "text that is cut is text"
    reason = reason or (
        stage.short == "curves" and "a training that goes on has an unfinished last event: it is left out"
    )
    faults = begin("input file cut, uncompressed", reason)
    faults.attempt_all([(f"at {share}", partial(run_on_cut_file, subject, share)) for share in (0.5, 0.9)])


def append(stage: Stage, place: Path) -> None:
    """More of the same: the second half once more."""
    data = (place / stage.input).read_bytes()
    with open(place / stage.input, "ab") as file:
        file.write(data[data.index(b"\n\n", len(data) // 2) + 2 if b"\n\n" in data else data.index(b"\n") + 1 :])


def replace(stage: Stage, place: Path) -> None:
    """Another file gets its name: one without the first two lines."""
    path = place / stage.input
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().split(b"\n", 2)[2])
    os.replace(other, path)


def shorten(stage: Stage, place: Path) -> None:
    """Another JSON document: without its first article."""
    path = place / stage.input
    other = path.with_name("other")
    other.write_text(json.dumps({"data": json.loads(path.read_bytes())["data"][1:]}), encoding="utf-8")
    os.replace(other, path)


def truncate(stage: Stage, place: Path) -> None:
    """It loses its second half, at the end of a line."""
    data = (place / stage.input).read_bytes()
    os.truncate(place / stage.input, data.index(b"\n", len(data) // 2) + 1)


def rewrite(stage: Stage, place: Path) -> None:
    """As many other bytes, in place."""
    data = (place / stage.input).read_bytes()
    lines = data.split(b"\n")
    with open(place / stage.input, "r+b") as file:
        file.write(b"\n".join([*lines[2:-1], *lines[:2], b""]))


def flip(stage: Stage, place: Path) -> None:
    """Another last byte: another weight."""
    with open(place / stage.input, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


CHANGES = {change.__name__: change for change in (append, replace, shorten, truncate, rewrite, flip)}


def states(subject: Subject, change: Callable[[Path], None]) -> list[Files]:
    """What comes of the input before and after a change; of one that its own checksum tells, nothing."""
    found = [subject.undisturbed()[0]]
    if subject.stage.short not in HAVE_CHECKSUMS:
        found.append(subject.undisturbed(change=change)[0])
    return found


def assert_true_of_one_state(subject: Subject, place: Path, run, change: Callable[[Path], None]) -> None:
    """Old or new input throughout, and the record is of that one; or nothing at all and a message."""
    assert_all_dead(run)
    if run.process.returncode == 0:
        assert final_files(place) in states(subject, change), "of neither input"
        return
    by_checksum = ("damaged?", "expected TFRecords", "record 1") if subject.stage.short in HAVE_CHECKSUMS else ()
    message(run, "changed while", *by_checksum)
    assert final_files(place) == {}
    assert temporary_files(place) == []


def change_at_step(subject: Subject, change: Callable[[Path], None], step: int) -> bool:
    place = subject.place()
    run = subject.start(place, step=step, read=subject.stage.input)
    if not run.wait_until_stopped():
        return False
    change(place)
    run.go_on()
    assert_true_of_one_state(subject, place, run, change)
    if len(states(subject, change)) == 2:
        subject.assert_rerun(place, states(subject, change)[1], *["--overwrite"] * subject.stage.overwrite)
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_changes_at_every_step(subject, begin, stage):
    """Steps are the openings of the input, too: before it is hashed, between that and reading, after reading."""
    reason = not stage.has_output and "writes nothing that could be wrong: it compares what it reads, line by line"
    reason = reason or (not stage.changes and "shows what is there: a training that goes on adds to its events")
    faults = begin("input changes at every step", reason)
    steps = subject.step_numbers(read=stage.input)
    chosen = steps if stage.is_data else [faults.random(0).choice(steps)]
    changes = {name: partial(CHANGES[name], stage) for name in stage.changes}
    for change in changes.values():
        states(subject, change)
    attempts = [
        (f"{name} at step {step}", partial(change_at_step, subject, changes[name], step))
        for number, step in enumerate(chosen)
        for name in (stage.changes[number % 2 :: 2] if stage.is_data else stage.changes)
    ]
    faults.attempt_all(attempts)


def change_at_moment(subject: Subject, change: Callable[[Path], None], delay: float) -> bool:
    """Between two instructions, while the process and those it started stand still."""
    place = subject.place()
    run = subject.start(place)
    time.sleep(delay)
    if run.process.poll() is not None:
        return False
    run.kill(signal.SIGSTOP, group=True)
    change(place)
    run.go_on(group=True)
    assert_true_of_one_state(subject, place, run, change)
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_changes_at_random_moments(subject, begin, stage):
    faults = begin("input changes at random moments", not stage.is_data and "see the steps")
    moments, seconds = faults.random(0), subject.undisturbed()[1]
    changes = [partial(CHANGES[name], stage) for name in stage.changes]
    for change in changes:
        states(subject, change)
    faults.attempt_all(
        [
            (f"{change.func.__name__}", partial(change_at_moment, subject, change, moments.uniform(0, seconds)))
            for change in changes * 3
        ]
    )

"""Two runs with the same output at once; a worker or a decompressor that dies."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import (
    Files,
    Run,
    Subject,
    assert_all_dead,
    assert_equal,
    final_files,
    message,
    temporary_files,
)
from tests.faults.stage_table import COMPRESSORS, STAGES
from tests.faults.test_inputs import compress_input, with_suffix

pytestmark = pytest.mark.slow
NO_OUTPUT = "writes no files"
BUSY = ("another process is writing", "exists, and other inputs", "is writing")


def assert_one_of_two(subject: Subject, place: Path, runs: list[Run], *flags: str) -> None:
    """One at least succeeded; the files are all of one; who failed says why in one line.

    Without --overwrite no run replaces what another one with other arguments has finished.
    """
    states = [subject.undisturbed()[0], subject.undisturbed(*flags)[0]]
    codes = [run.process.returncode for run in runs]
    assert 0 in codes, [run.read("stderr") for run in runs]
    if flags and not any("--overwrite" in run.process.args for run in runs):
        assert codes != [0, 0], "replaced without --overwrite"
    for run in runs:
        if run.process.returncode:
            message(run, *BUSY)
        assert_all_dead(run)
    assert final_files(place) in states, "a mixture of both"
    assert temporary_files(place) == []


def start_two(subject: Subject, delay: float, flags: tuple[str, ...]) -> None:
    place = subject.place()
    runs = [subject.start(place)]
    time.sleep(delay)
    runs.append(subject.start(place, *flags))
    for run in runs:
        run.wait()
    assert_one_of_two(subject, place, runs, *flags)


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_two_at_once(subject, begin, stage):
    """The delays are short, and of all lengths up to that of a run."""
    faults = begin("two runs at once", not stage.has_output and NO_OUTPUT)
    delays, seconds = faults.random(0), subject.undisturbed()[1]
    attempts = []
    for flags in dict.fromkeys([(), stage.other] if stage.is_data else [()]):
        subject.undisturbed(*flags)
        for length in (0.02, 0.1, 1, 1) if stage.is_data else (0.1,):
            run_both = partial(start_two, subject, delays.uniform(0, length * seconds), flags)
            attempts.append((f"with {' '.join(flags) or 'the same arguments'}", run_both))
    faults.attempt_all(attempts)


def overtake(subject: Subject, step: int, flags: tuple[str, ...], first_flags: tuple[str, ...]) -> bool:
    """One run stands still before a step while another one runs from beginning to end."""
    place = subject.place()
    first = subject.start(place, *first_flags, step=step)
    if not first.wait_until_stopped():
        return False
    second = subject.run(place, *flags, *first_flags)
    first.go_on()
    assert_one_of_two(subject, place, [first, second], *flags)
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_overtaken_at_every_step(subject, begin, stage):
    faults = begin("another run between two steps", not stage.has_output and NO_OUTPUT)
    steps = subject.step_numbers()
    variants = [(flags, ()) for flags in dict.fromkeys([(), stage.other])]
    if stage.is_data:
        variants.append((stage.other, ("--overwrite",)))
    for flags, _ in variants:
        subject.undisturbed(*flags)
    chosen = steps if stage.is_data else [faults.random(0).choice(steps)]
    faults.attempt_all(
        [
            (f"step {step}, {flags} {first}", partial(overtake, subject, step, flags, first))
            for step in chosen
            for number, (flags, first) in enumerate(variants)
            if step % 3 != number or len(variants) < 3  # each step meets two of the three
        ]
    )


def kill_child(subject: Subject, place: Path, command: list[str], is_program: bool, delay: float, kinds) -> bool:
    """Kill one of the processes that a run started: a decompressor, or a worker."""
    run = subject.start(place, command=command)
    while not (children := [pid for pid in run.children() if is_program == (_name(pid) not in ("python", ""))]):
        if run.process.poll() is not None:
            return False
        time.sleep(0.001)
    time.sleep(delay)
    try:
        os.kill(children[-1], signal.SIGKILL)
    except OSError:
        run.wait()
        return False
    if run.wait() == 0:
        assert_equal(_without_records(final_files(place)), _without_records(subject.undisturbed()[0]))
        return False
    assert run.process.returncode == 1
    message(run, *kinds)
    assert_all_dead(run)
    assert final_files(place) == {}
    assert temporary_files(place) == []
    return True


def _without_records(files: Files) -> Files:
    """Which name the compressed input."""
    return {name: content for name, content in files.items() if not name.endswith(".json")}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip().rstrip("3.1")
    except OSError:
        return ""


def kill_worker(subject: Subject, delay: float) -> bool:
    place = subject.place()
    struck = kill_child(subject, place, [], False, delay, ["a worker process died"])
    subject.assert_rerun(place, subject.undisturbed()[0])
    return struck


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_worker_dies(subject, begin, stage):
    faults = begin("a worker process dies", not stage.workers and "has no worker processes")
    moments, seconds = faults.random(0), subject.undisturbed()[1]
    attempts = [
        (f"worker {number}", partial(kill_worker, subject, moments.uniform(0, seconds / 3))) for number in range(8)
    ]
    faults.attempt_all(attempts)


def kill_decompressor(subject: Subject, suffix: str, delay: float) -> bool:
    place = subject.place(partial(compress_input, subject.stage, suffix, lambda data: data))
    return kill_child(subject, place, with_suffix(subject, suffix), True, delay, ["truncated or corrupt"])


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_decompressor_dies(subject, begin, stage):
    reason = stage.reports_damage and "reports it, as it does other damage"
    faults = begin("a decompressor dies", reason or (not stage.streams and "reads no compressed text"))
    moments = faults.random(0)
    faults.attempt_all(
        [
            (f"{suffix} {number}", partial(kill_decompressor, subject, suffix, moments.uniform(0, 0.01)))
            for suffix in COMPRESSORS
            if suffix != ".gz"  # which is decompressed in the process itself
            for number in range(3 if stage.is_data else 1)
        ]
    )

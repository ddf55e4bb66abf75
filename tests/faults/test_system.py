"""The system fails: no locks, no input or output, no memory, no processes, pauses; files appear; workers die."""

import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import (
    HOOK,
    Run,
    Subject,
    assert_all_dead,
    assert_equal,
    assert_whole,
    final_files,
    message,
    temporary_files,
)
from tests.faults.stage_table import COMPRESSORS, DATA_STAGES, STAGES, write_corpus, write_vocab
from tests.faults.test_disks import PAGE, mounted
from tests.faults.test_inputs import with_suffix
from tests.faults.tree import tree

pytestmark = pytest.mark.slow
NO_OUTPUT, NOT_DATA = "writes no files", "takes long to start: all data stages are tried"
GROUPS = Path("/sys/fs/cgroup")
KILLS_OF_WORKERS = 200


@cache
def failing_calls() -> Path:
    """Compile the library that makes system calls fail."""
    source = Path(__file__).with_name("failing_calls.c")
    library = tree() / "failing_calls.so"
    if subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True).returncode:
        pytest.skip("there is no C compiler here")
    return library


def with_failing(place: Path, fail: str) -> dict[str, str]:
    below = place / ("in" if "read" in fail else "out")
    return {"LD_PRELOAD": str(failing_calls()), "FAIL": fail, "FAIL_BELOW": str(below)}


def assert_failed_well(subject: Subject, place: Path, run: Run, *kinds: str) -> None:
    """One line, no process, no temporary files, nothing under a final name that is not whole; a rerun is whole."""
    expected = subject.undisturbed()[0]
    assert run.process.returncode == 1, run.process.returncode
    message(run, *kinds)
    assert_all_dead(run)
    assert temporary_files(place) == []
    assert_whole(place, subject.stage, expected)
    subject.assert_rerun(place, expected)


def run_with_failing(subject: Subject, fail: str) -> bool:
    place = subject.place()
    run = subject.run(place, environment=with_failing(place, fail))
    if run.process.returncode == 0:
        assert_equal(final_files(place), subject.undisturbed()[0])
        return fail.startswith("short")
    assert_failed_well(subject, place, run, os.strerror(errno.EIO), "truncated or corrupt", "cannot be read")
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_input_and_output_errors(subject, begin, stage):
    faults = begin("EIO, short reads and writes", not stage.is_data and NOT_DATA)
    subject.undisturbed()
    calls = [f"{call}:{errno.EIO}@{number}" for call in ("write", "read") for number in (1, 2, 3, 5, 9, 17)]
    calls += [f"fsync:{errno.EIO}", "shortwrite", "shortread"]
    faults.attempt_all([(fail, partial(run_with_failing, subject, fail)) for fail in calls])


def overlap_without_locks(subject: Subject, step: int) -> bool:
    """One run stands still while another one, with other arguments, runs: neither keeps the other away."""
    place, stage = subject.place(), subject.stage
    first = subject.start(place, step=step, environment=with_failing(place, f"flock:{errno.EOPNOTSUPP}"))
    if not first.wait_until_stopped():
        return False
    second = subject.run(place, *stage.other, environment=with_failing(place, f"flock:{errno.EOPNOTSUPP}"))
    first.go_on()
    codes = [run.process.returncode for run in (first, second)]
    assert 0 in codes, [run.read("stderr") for run in (first, second)]
    for run in (first, second):
        assert "its file system has no locks" in run.read("stderr")
        if run.process.returncode:
            message(run, "exists", "another program")
    states = [subject.undisturbed()[0], subject.undisturbed(*stage.other)[0]]
    assert_whole(place, stage, *states)
    assert temporary_files(place) == []
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_no_locks(subject, begin, stage):
    faults = begin("two runs where files have no locks", not (stage.is_data and stage.other) and NOT_DATA)
    subject.undisturbed(*stage.other)
    faults.attempt_all(
        [(f"step {step}", partial(overlap_without_locks, subject, step)) for step in subject.step_numbers()]
    )


def appear_at_step(subject: Subject, name: str, step: int) -> bool:
    """A file gets the name of an output while a run makes it."""
    place, expected = subject.place(), subject.undisturbed()[0]
    run = subject.start(place, step=step)
    if not run.wait_until_stopped():
        return False
    path = place / "out" / name
    if path.exists():  # it is the run's own already
        run.go_on()
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"precious")
    code = run.go_on()
    assert path.read_bytes() == b"precious"
    assert code == 1, code
    message(run, "exists")
    path.unlink()
    assert_whole(place, subject.stage, expected)
    assert temporary_files(place) == []
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_files_appear(subject, begin, stage):
    reason = not stage.has_output and NO_OUTPUT
    reason = reason or (not stage.overwrite and "replaces its picture or report, as it says")
    reason = reason or (stage.short == "jglue" and "its runs are named by their settings")
    faults = begin("a file appears under the output's name", reason)
    names = [name for name in subject.undisturbed()[0] if not name.endswith(".json")]
    steps = subject.step_numbers() if stage.is_data else [faults.random(0).choice(subject.step_numbers()[:3])]
    chosen = [(name, step) for step in steps for name in (names[-1:] if stage.is_data else names[:1])]
    faults.attempt_all([(f"{name}, {step}", partial(appear_at_step, subject, name, step)) for name, step in chosen])


def pause(subject: Subject, delay: float, of_worker: bool) -> bool:
    """A run, or one of its workers, stands still for some time, as under a scheduler that suspends jobs."""
    place = subject.place()
    run = subject.start(place)
    time.sleep(delay)
    stopped = run.children()[:1] if of_worker else []
    if run.process.poll() is not None or (of_worker and not stopped):
        run.wait()
        return False
    for kill in (signal.SIGSTOP, signal.SIGCONT):
        if of_worker:
            try:
                os.kill(stopped[0], kill)
            except ProcessLookupError:
                break
        else:
            run.kill(kill, group=True)
        time.sleep(0.3)
    assert run.go_on(group=True) == 0, run.read("stderr")
    assert_equal(final_files(place), subject.undisturbed()[0])
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_pauses(subject, begin, stage):
    faults = begin("SIGSTOP, SIGCONT at random moments")
    moments, seconds = faults.random(0), subject.undisturbed()[1]
    kinds = [False] * (6 if stage.is_data else 1) + [True] * (6 if stage.workers else 0)
    faults.attempt_all([(str(kind), partial(pause, subject, moments.uniform(0, seconds), kind)) for kind in kinds])


@contextmanager
def group_of_processes(kind: str, limit: str, value: int) -> Iterator[list[str]]:
    """Yield the beginning of a command whose processes have a limit."""
    group = GROUPS / kind / f"faults-{os.getpid()}-{time.monotonic_ns()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("control groups cannot be made here")
    try:
        (group / limit).write_text(str(value))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]
    finally:
        for _ in range(100):  # its last processes are ending
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def run_in_little_memory(subject: Subject, megabytes: int) -> bool:
    """The system kills one of the processes, whichever it chooses."""
    place, expected = subject.place(), subject.undisturbed()[0]
    with group_of_processes("memory", "memory.limit_in_bytes", megabytes << 20) as limited:
        run = subject.run(place, command=[*limited, *subject.command()])
        assert_all_dead(run)
    assert_whole(place, subject.stage, expected)
    if run.process.returncode == 0:
        assert_equal(final_files(place), expected)
        return False
    if run.process.returncode != -signal.SIGKILL:
        message(run, "out of memory", "a worker process died", "truncated or corrupt", "Cannot allocate")
    subject.assert_rerun(place, expected)
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_little_memory(subject, begin, stage):
    faults = begin("killed for memory (control group)", not stage.is_data and NOT_DATA)
    subject.undisturbed()
    sizes = (8, 16, 24, 32, 48, 64, 80)
    faults.attempt_all([(f"{size} MB", partial(run_in_little_memory, subject, size)) for size in sizes])


def run_with_few(subject: Subject, limited: Sequence[str]) -> bool:
    place = subject.place()
    run = subject.run(place, command=[*limited, *subject.command("--num_workers", "16")])
    if run.process.returncode == 0:
        assert_equal(final_files(place), subject.undisturbed()[0])
        return False
    assert_failed_well(subject, place, run)
    return True


def run_with_few_processes(subject: Subject, number: int) -> bool:
    with group_of_processes("pids", "pids.max", number) as limited:
        return run_with_few(subject, limited)


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_few_processes(subject, begin, stage):
    """Of 16 workers not all can be forked, or not all have their pipes."""
    faults = begin("processes or descriptors run out", not stage.workers and "has no worker processes")
    subject.undisturbed()
    attempts = [(f"{number} processes", partial(run_with_few_processes, subject, number)) for number in range(2, 34, 3)]
    attempts += [
        (f"{number} descriptors", partial(run_with_few, subject, ["sh", "-c", f'ulimit -n {number}; exec "$@"', "sh"]))
        for number in range(10, 42, 4)
    ]
    faults.attempt_all(attempts)


def die_in_message(subject: Subject, number: int) -> bool:
    """All workers die in the middle of their N-th message: half of it is in the pipe."""
    place = subject.place()
    run = subject.run(place, environment={"FAULT_SEND": str(number), "PYTHONPATH": f"{HOOK}:{tree()}"})
    if run.process.returncode == 0:
        return False
    assert_failed_well(subject, place, run, "a worker process died")
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_workers_die_in_messages(subject, begin, stage):
    faults = begin("a worker dies in its message", not stage.workers and "has no worker processes")
    subject.undisturbed()
    faults.attempt_all([(f"message {number}", partial(die_in_message, subject, number)) for number in (1, 2, 3)])


def kill_any_worker(subject: Subject, delay: float, choice: int) -> bool:
    """At any moment from the start of the workers to the end of the run, their own end included."""
    place, expected = subject.place(), subject.undisturbed()[0]
    run = subject.start(place)
    while not run.children():
        if run.process.poll() is not None:
            return False
        time.sleep(0.001)
    time.sleep(delay)
    try:
        children = run.children()
        os.kill(children[choice % len(children)], signal.SIGKILL)
    except (ZeroDivisionError, ProcessLookupError):
        run.wait()
        return False
    if run.wait() == 0:
        assert_equal(final_files(place), expected)
    else:
        message(run, "a worker process died", "does not start")
        assert final_files(place) == {}
    assert_all_dead(run)
    assert temporary_files(place) == []
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_any_worker_dies_at_any_moment(subject, begin, stage):
    """Until 200 of them were struck. A run that hangs fails after a time."""
    faults = begin("a worker is killed at any moment", not stage.workers and "has no worker processes")
    moments, seconds = faults.random(0), subject.undisturbed()[1]

    def kill_until_enough() -> None:
        while faults.tried < KILLS_OF_WORKERS and not faults.failures:
            delay, choice = moments.uniform(0, 0.7 * seconds), moments.randrange(2)
            faults.attempt(f"after {delay:.3f} s", partial(kill_any_worker, subject, delay, choice))

    faults.run_all([kill_until_enough] * 3)
    assert faults.tried >= KILLS_OF_WORKERS


def run_on_zeros(subject: Subject, newline: bytes) -> bool:
    """A small archive of a gigabyte of zeros, from strangers: it must not fill the memory."""
    zeros = (bytes(1023) + (newline or b"\0")) * (1 << 14)
    data = COMPRESSORS[".gz"](zeros) * 64
    place = subject.place()
    (place / f"{subject.stage.input}.gz").write_bytes(data)
    with group_of_processes("memory", "memory.limit_in_bytes", 400 << 20) as limited:
        run = subject.run(place, command=[*limited, *with_suffix(subject, ".gz")])
    assert run.process.returncode == 1, run.process.returncode
    message(run)
    assert final_files(place) == {}
    assert temporary_files(place) == []
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_archives_of_zeros(subject, begin, stage):
    faults = begin("an archive of 1 GB of zeros", not (stage.is_data and stage.streams) and NOT_DATA)
    faults.attempt_all([(f"{end!r}", partial(run_on_zeros, subject, end)) for end in (b"", b"\n")])


def run_with_small_work_directory(subject: Subject, num_pages: int) -> bool:
    place = subject.place()
    with mounted(place / "work", num_pages * PAGE) as work:
        run = subject.run(place, "--work_dir", str(work))
        if run.process.returncode == 0:
            assert_equal(final_files(place), subject.undisturbed()[0])
            return False
        assert_failed_well(subject, place, run, "No space left on device")
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_small_work_directory(subject, begin, stage):
    faults = begin("--work_dir full, several sizes", stage.short != "data" and "has no --work_dir")
    sizes = (1, 4, 16, 32, 64, 96, 128)
    faults.attempt_all([(f"{size} pages", partial(run_with_small_work_directory, subject, size)) for size in sizes])


def write_large_vocab(directory: Path) -> None:
    write_corpus(directory, 1)
    write_vocab(directory, 40_000)


def start_pair(subjects: Sequence[Subject], cache: Path) -> None:
    """Two recipes with tokens of 16 and of 32 bits start with one empty cache. All later runs use it."""
    for _ in range(2):
        places = [subject.place() for subject in subjects]
        environment = {"NUMBA_CACHE_DIR": str(cache)}
        runs = [
            subject.start(place, "--num_workers", "1", environment=environment)
            for subject, place in zip(subjects, places, strict=True)
        ]
        assert [run.wait() for run in runs] == [0, 0], [run.read("stderr") for run in runs]
        for subject, place in zip(subjects, places, strict=True):
            assert_equal(final_files(place), subject.undisturbed()[0])


@pytest.mark.parametrize("stage", [stage for stage in DATA_STAGES if stage.short == "data"], ids=str)
def test_cold_cache(subject, begin, stage, tmp_path):
    faults = begin("two recipes with one empty cache of code")
    other = Subject(replace(stage, make_inputs=write_large_vocab), tmp_path / "other")
    for each in (subject, other):
        each.undisturbed()
    for number in range(2):
        faults.attempt(f"pair {number}", partial(start_pair, [subject, other], tmp_path / str(number)))
    faults.run_all([])

"""SIGKILL, SIGTERM, SIGINT and SIGHUP: at random moments of a run, and at every step of it that changes a name."""

import re
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import (
    PROGRESS,
    Faults,
    Subject,
    assert_all_dead,
    assert_equal,
    assert_whole,
    final_files,
    message,
    temporary_files,
)
from tests.faults.stage_table import STAGES

pytestmark = pytest.mark.slow
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
NO_OUTPUT = "writes no files"


def strike(subject: Subject, place, kill: signal.Signals, group: bool, delay: float) -> bool:
    """Kill one run; False if it was over before."""
    expected = subject.undisturbed()[0]
    run = subject.start(place, cold=True)
    if kill != signal.SIGKILL:
        run.wait_until_started()
    time.sleep(delay)
    if run.process.poll() is None:
        run.kill(kill, group)
    if run.wait() == 0:
        assert_equal(final_files(place), expected)
    else:
        assert_all_dead(run)
        assert_whole(place, subject.stage, expected)
    if kill != signal.SIGKILL and final_files(place) != expected:
        message(run, "terminated", "interrupted", "worker process died")
    if kill != signal.SIGKILL:
        assert temporary_files(place) == []
    if final_files(place) == expected:
        shutil.rmtree(place / "out", ignore_errors=True)
    return run.process.returncode != 0


def strikes(subject: Subject, faults: Faults, kill: signal.Signals, group: bool, times: int) -> None:
    """A chain of kills, each of a run that finds what the one before it left; at the end a whole run."""
    place, seconds = subject.place(), subject.cold_seconds
    if kill != signal.SIGKILL:  # the others wait for the first line
        seconds = subject.undisturbed()[1]
    moments = faults.random((kill, group))
    for number in range(times):
        if faults.tried and not subject.stage.is_data:  # once is enough where runs take long
            break
        strike_once = partial(strike, subject, place, kill, group, moments.uniform(0, seconds))
        if not faults.attempt(f"{kill.name}, {'group' if group else 'main process'}, {number}", strike_once):
            seconds /= 2  # the machine was busier when they were measured, or most of them were for the start
    faults.attempt("rerun", lambda: subject.assert_rerun(place, subject.undisturbed()[0]) or False)


@pytest.mark.parametrize("kill", SIGNALS, ids=lambda kill: kill.name)
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_at_random_moments(subject, begin, kill):
    """To the main process only, as by hand, or to its group, as by a terminal or a scheduler."""
    is_data = subject.stage.is_data
    see = "the stages that take long to start are tried by the closing of the terminal"
    faults = begin(f"{kill.name} at random moments", kill == signal.SIGHUP and not is_data and see)
    subject.undisturbed()
    times = 8 if kill == signal.SIGKILL or not is_data else 3  # of the others, one that strikes is enough
    groups = (False, True) if is_data else (kill == signal.SIGINT,)
    faults.run_all([partial(strikes, subject, faults, kill, group, times) for group in groups])


def kill_twice_at_steps(subject: Subject, first: int, second: int) -> None:
    """A run is killed at a step, the next one at another, the third one is whole."""
    place, expected = subject.place(), subject.undisturbed()[0]
    for step in (first, second):
        run = subject.start(place, step=step)
        if run.wait_until_stopped():
            run.kill(signal.SIGKILL)
        run.wait()
        assert_all_dead(run)
        assert_whole(place, subject.stage, expected)
    subject.assert_rerun(place, expected)


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_sigkill_at_every_step(subject, begin, stage):
    faults = begin("SIGKILL at every step, twice", not stage.has_output and NO_OUTPUT)
    steps, numbers = subject.step_numbers(), faults.random(0)
    subject.undisturbed()
    pairs = [(step, numbers.choice(steps)) for step in (steps if stage.is_data else [numbers.choice(steps)])]
    if stage.is_data and (between := step_between_outputs(subject)):
        pairs += [(between, step) for step in steps]
    faults.attempt_all([(f"steps {pair}", partial(kill_twice_at_steps, subject, *pair)) for pair in pairs])


def step_between_outputs(subject: Subject) -> int:
    """Before which all outputs but the last have their names; 0 if there is only one output."""
    steps = subject.steps()
    renames = [number for number, step in enumerate(steps, 1) if step.startswith("os.rename")]
    return renames[-2] if len(renames) > 2 else 0


def replace_and_kill(subject: Subject, step: int) -> None:
    """A run replaces the output of other arguments and is killed."""
    stage, place = subject.stage, subject.place()
    subject.put_output(place, *stage.other)
    old, new = final_files(place), subject.undisturbed()[0]
    run = subject.start(place, "--overwrite", step=step)
    if run.wait_until_stopped():
        run.kill(signal.SIGKILL)
    run.wait()
    assert_whole(place, stage, old, new)
    subject.assert_rerun(place, new, "--overwrite")


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_sigkill_at_every_step_of_replacing(subject, begin, stage):
    reason = not stage.has_output and NO_OUTPUT
    reason = reason or (not stage.other and "has no arguments that make other bytes")
    faults = begin("SIGKILL at every step of --overwrite", reason)
    steps = subject.step_numbers()
    more = range(steps[-1] + 1, steps[-1] + 3)  # the removal of what is replaced
    chosen = [*steps, *more] if stage.is_data else steps[-1:]
    faults.attempt_all([(f"step {step}", partial(replace_and_kill, subject, step)) for step in chosen])


def terminate_at_step(subject: Subject, kill: signal.Signals, step: int) -> bool:
    place, expected = subject.place(), subject.undisturbed()[0]
    run = subject.start(place, step=step)
    if not run.wait_until_stopped():
        return False
    run.kill(kill)
    if run.go_on() == 0:
        return False
    message(run, "terminated", "interrupted")
    assert_all_dead(run)
    assert_whole(place, subject.stage, expected)
    assert temporary_files(place) == []
    subject.assert_rerun(place, expected)
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_sigterm_at_every_step(subject, begin, stage):
    faults = begin("SIGTERM, SIGINT at every step", not stage.has_output and NO_OUTPUT)
    steps = subject.step_numbers()
    subject.undisturbed()
    kills = (signal.SIGTERM, signal.SIGINT)
    if not stage.is_data:
        steps = sorted({steps[0], *faults.random(0).sample(steps, min(2, len(steps))), steps[-1]})
    faults.attempt_all([(f"step {step}", partial(terminate_at_step, subject, kills[step % 2], step)) for step in steps])


def assert_ended_well(path: Path, kill: signal.Signals) -> bool:
    """False if the copy was at its end: it saw that its outputs are also those of the run, or imported for a rename."""
    lines = [line for line in re.split(r"[\r\n]", path.read_text()) if line.strip() and not PROGRESS.search(line)]
    if "another program changed" in lines[0] or (lines == ["exit code 0"] and path.name.endswith(" _ctypes")):
        return False
    assert len(lines) == 2 and lines[1] == f"exit code {128 + kill}", lines
    assert "terminated" in lines[0] or "interrupted" in lines[0], lines
    return True


@pytest.mark.parametrize("kill", SIGNALS[1:3], ids=lambda kill: kill.name)
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_while_libraries_are_imported(subject, begin, kill, tmp_path):
    """Copies of one run get the signal, ever more seldom. C code that is loaded would print or drop its exception."""
    is_data, reports = subject.stage.is_data, tmp_path / "reports"
    faults = begin("SIGTERM, SIGINT at many imports", kill == signal.SIGINT and not is_data and "as SIGTERM")
    factor = 1.1 if is_data else 4
    reports.mkdir()
    variables = {"FAULT_FORKS": str(factor), "FAULT_SIGNAL": str(int(kill)), "FAULT_LOG": str(reports)}
    subject.run(subject.place(), environment=variables)  # it may fail: a copy may take its temporary files away
    faults.attempt_all([(path.name, partial(assert_ended_well, path, kill)) for path in sorted(reports.iterdir())])

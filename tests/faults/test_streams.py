"""Standard streams that are closed, full or read no further; a terminal that closes."""

import os
import signal
from contextlib import suppress
from functools import partial

import pytest

from tests.faults.disturbed_runs import Subject, assert_all_dead, assert_equal, final_files
from tests.faults.stage_table import STAGES

pytestmark = pytest.mark.slow


def run_with(subject: Subject, redirection: str, expected_code: int) -> None:
    place = subject.place()
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", *subject.command()]
    run = subject.run(place, command=command)
    assert run.process.returncode == expected_code, (run.process.returncode, run.read("stderr"))
    assert "Traceback" not in run.read("stderr") and "Exception ignored" not in run.read("stderr")
    assert run.read("stderr").count("No space left") == expected_code
    assert_equal(final_files(place), subject.undisturbed()[0])


def run_into_closed_pipe(subject: Subject, stream: str) -> None:
    """As with `| head`, which reads no further."""
    place = subject.place()
    read, write = os.pipe()
    os.close(read)
    run = subject.run(place, **{stream: write})
    os.close(write)
    assert run.process.returncode == 0, run.read("stderr")
    assert "Traceback" not in run.read("stderr") and "Exception ignored" not in run.read("stderr")
    assert_equal(final_files(place), subject.undisturbed()[0])


def close_terminal(subject: Subject, ignores: bool) -> None:
    """The terminal of stdout and stderr goes away, with SIGHUP, which `nohup` would have ignored."""
    place = subject.place()
    terminal, end = os.openpty()
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *subject.command()] if ignores else subject.command()
    run = subject.start(place, command=command, stdout=end, stderr=end)
    os.close(end)
    with suppress(OSError):
        os.read(terminal, 1)
    os.close(terminal)
    with suppress(OSError):
        run.kill(signal.SIGHUP, group=True)
    code = run.wait()
    assert_all_dead(run)
    if ignores:
        assert code == 0
        assert_equal(final_files(place), subject.undisturbed()[0])
    else:
        assert code != 0
        assert not list((place / "out").rglob("*.tmp"))
        subject.assert_rerun(place, subject.undisturbed()[0])


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_streams(subject, begin, stage):
    faults = begin("standard streams closed, full, unread")
    subject.undisturbed()
    attempts = [
        (redirection, partial(run_with, subject, redirection, code))
        for redirection, code in (
            (">/dev/full", 1),
            ("2>/dev/full", 0),
            (">&-", 0),
            ("2>&-", 0),
            (">&- 2>&- <&-", 0),
        )
    ]
    attempts += [(f"{name} is unread", partial(run_into_closed_pipe, subject, name)) for name in ("stdout", "stderr")]
    faults.attempt_all(attempts if stage.is_data else [attempts[0], attempts[4]])


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_terminal_closes(subject, begin, stage):
    faults = begin("the terminal closes")
    subject.undisturbed()
    variants = (False, True) if stage.is_data else (False,)
    faults.attempt_all([(f"nohup: {ignores}", partial(close_terminal, subject, ignores)) for ignores in variants])

"""The line of a long work: lines in a file become rarer, a terminal has a bar."""

import io
import os
import pty
import select
import termios
from typing import TextIO

import pytest

from japanese_bert.common import progress_line
from japanese_bert.common.progress_line import ProgressLine, describe_seconds


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal():
    """Return a stream of a terminal with a number of columns, and its other end."""
    ends = []

    def make(columns: int) -> tuple[TextIO, int]:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, columns))
        ends.extend([master, slave])
        return open(slave, "w", encoding="utf-8", closefd=False), master

    yield make
    for end in ends:
        os.close(end)


def read_all(screen: int) -> str:
    """The system hands on the output of a terminal in parts."""
    text = b""
    while select.select([screen], [], [], 0.2)[0]:
        text += os.read(screen, 10_000)
    return text.decode("utf-8")


def test_lines_of_a_file_become_rarer(clock):
    stream = io.StringIO()
    line = ProgressLine(stream, 100_000)
    line.begin(1)
    times = []
    for step in range(2, 4000):
        before = stream.tell()
        line.show(step, "loss 1.0")
        if stream.tell() > before:
            times.append(clock[0] - 1000)
        clock[0] += 1
    assert times == [0, 30, 60, 90, 135, 203, 305, 458, 687, 1031, 1547, 2147, 2747, 3347, 3947]


def test_time_left_does_not_count_the_first_step(clock):
    stream = io.StringIO()
    line = ProgressLine(stream, 50)
    clock[0] += 500
    line.begin(1)
    clock[0] += 90
    line.show(10, "loss 1.0")
    line.note("a remark")
    line.show(50, "loss 0.5")
    assert stream.getvalue() == "step 10 of 50, 7 min left, loss 1.0\na remark\nstep 50 of 50, loss 0.5\n"


def test_a_terminal_has_a_bar_at_every_step(terminal):
    stream, screen = terminal(80)
    line = ProgressLine(stream, 4)
    for step in (1, 2):
        line.show(step, f"loss {step}")
    line.note("a remark")
    line.close()
    stream.flush()
    text = read_all(screen)
    assert " 25%|" in text
    assert " 50%|" in text
    assert "step 2 of 4" in text
    assert "\na remark\n" in text.replace("\r", "\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (99.6, "2 min"), (5_970, "1 h 40 min"), (172_800, "2 days 0 h")],
)
def test_durations(seconds, text):
    assert describe_seconds(seconds) == text


def test_a_terminal_without_width_has_lines(terminal):
    stream, screen = terminal(0)
    ProgressLine(stream, 4).show(1, "loss 1.0")
    assert read_all(screen).startswith("step 1 of 4")

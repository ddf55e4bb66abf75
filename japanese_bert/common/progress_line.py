"""One line about a long work: a bar on a terminal, and in a file or a pipe lines that become rarer."""

import os
import time
from typing import TextIO

SHORTEST, LONGEST = 30.0, 600.0  # seconds between two lines
BAR = "{percentage:3.0f}%|{bar:10}| {desc}"


class ProgressLine:
    """The line of a work of `total` steps on a stream."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream, self._total = stream, total
        self._bar = _make_bar(stream, total) if _has_columns(stream) else None
        self.begin(0)

    def begin(self, step: int) -> None:
        """Measure the time left from here on, because the first step is slow. Show the next call."""
        self._start, self._began = step, time.monotonic()
        self._shown = self._began - LONGEST

    def show(self, step: int, text: str) -> None:
        """Show `step 20 of 300, 2 min left, <text>`: always on a terminal and at the last step, else if it is due."""
        now = time.monotonic()
        is_due = now - self._shown >= min(LONGEST, max(SHORTEST, (now - self._began) / 3))
        if self._bar is None and not is_due and step < self._total:
            return
        self._shown = now
        line = ", ".join(part for part in (f"step {step:,} of {self._total:,}", self._left(step, now), text) if part)
        if self._bar is None:
            self._print(line)
        else:
            self._bar.n = step
            self._bar.set_description_str(line)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        if self._bar is not None:
            self._bar.clear()
        self._print(text)
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def _left(self, step: int, now: float) -> str:
        done = step - self._start
        if done <= 0 or step >= self._total:
            return ""
        return f"{describe_seconds((self._total - step) * (now - self._began) / done)} left"


def _has_columns(stream: TextIO) -> bool:
    """Return whether a bar can be seen: on a terminal, unless it has no width, as in some containers."""
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:
        return False


def _make_bar(stream: TextIO, total: int):
    from tqdm import tqdm

    return tqdm(total=total, file=stream, bar_format=BAR, dynamic_ncols=True)


def describe_seconds(seconds: float) -> str:
    """Return a duration for people, in one or two units.

    >>> [describe_seconds(seconds) for seconds in (59, 100, 12_000, 1_000_000)]
    ['59 s', '2 min', '3 h 20 min', '11 days 14 h']
    """
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"

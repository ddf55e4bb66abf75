"""What becomes of shards, as it happens: a table that is drawn anew on a terminal, else a line for every change."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from shutil import get_terminal_size

from japanese_bert.cluster.records import last_lines
from japanese_bert.cluster.runs import Run

DRAW_SECONDS = 1.0
QUIET_SECONDS = 300.0
SUMMARY_LINES = 5


def make_progress(runs: Mapping[str, Run], skipped: int):
    return Table(runs, skipped) if sys.stderr.isatty() else Lines(runs, skipped)


class Lines:
    """One line on stderr for every shard that starts, ends or fails."""

    def __init__(self, runs: Mapping[str, Run], skipped: int) -> None:
        self.runs = runs
        self.skipped = skipped
        self.start = time.monotonic()

        self.told = self.start

    def changed(self, run: Run) -> None:
        self.tell(f"{describe(run)} ({self.totals()})")

    def tick(self) -> None:
        """A sign of life where nothing happens for long, such as jobs that wait in a queue."""
        if time.monotonic() - self.told > QUIET_SECONDS:
            self.tell(self.totals())

    def tell(self, text: str) -> None:
        self.told = time.monotonic()
        print(f"{clock(self.told - self.start)} {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        pass

    def totals(self) -> str:
        return describe_totals(self.runs, self.skipped)


class Table(Lines):
    """The shards that run, with the last line of their logs, and one line of totals, on as many lines as there are."""

    def __init__(self, runs: Mapping[str, Run], skipped: int) -> None:
        super().__init__(runs, skipped)
        self.height = 0
        self.drawn = 0.0

    def changed(self, run: Run) -> None:
        if run.state == "failed" or (run.failures and run.state == "waiting"):
            self.erase()
            super().changed(run)

    def tick(self) -> None:
        if time.monotonic() - self.drawn < DRAW_SECONDS:
            return
        self.drawn = time.monotonic()
        size = get_terminal_size()
        lines = [line[: size.columns - 1] for line in self.lines(size.lines - 2)]
        self.erase()
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
        self.height = len(lines)

    def lines(self, height: int) -> list[str]:
        """As many rows as there is room for, the oldest runs first."""
        running = sorted((run for run in self.runs.values() if run.state == "running"), key=lambda run: run.since)
        rows = [f"{'shard':<12} {'attempt':>7} {'time':>8}  {'worker':<24} last line"]
        for run in running[: max(0, height - 2)]:
            passed = clock(time.monotonic() - run.since)
            line = "".join(last_lines(run.shard.log, 1))
            place = f"{run.shard.name:<12} {len(run.failures) + 1:>7} {passed:>8}  {run.worker:<24}"
            rows.append(f"{place} {'' if line.startswith('=== ') else line}")
        return [*rows, f"{clock(time.monotonic() - self.start)} {self.totals()}"]

    def erase(self) -> None:
        if self.height:
            sys.stderr.write(f"\x1b[{self.height}F\x1b[J")
        self.height = 0

    def close(self) -> None:
        self.erase()
        sys.stderr.flush()


def describe(run: Run) -> str:
    """
    >>> from japanese_bert.cluster.records import Shard
    >>> describe(Run(Shard("07", (), None), state="running", worker="node1:3"))
    'shard 07: runs on node1:3'
    """
    name = f"shard {run.shard.name}:"
    if run.state == "running":
        again = f", attempt {len(run.failures) + 1}" if run.failures else ""
        return f"{name} runs on {run.worker}{again}{f', its worker was lost ({run.lost})' if run.lost else ''}"
    if run.state == "finished":
        return f"{name} finished" + ("" if run.ran else " before, and its record with it")
    if run.state == "failed":
        return f"{name} FAILED: {run.reason}; log {run.shard.log}"
    if run.failures:
        last = run.failures[-1]
        return f"{name} failed on {last.get('worker', run.worker)}, is tried again: {''.join(last['lines'][-1:])}"
    return f"{name} its worker went away; waits for another one"


def describe_totals(runs: Mapping[str, Run], skipped: int) -> str:
    counts = Counter(run.state for run in runs.values())
    states = [f"{counts[state]} {state}" for state in ("finished", "running", "waiting", "failed") if counts[state]]
    return ", ".join([*states, *([f"{skipped} skipped"] if skipped else [])])


def print_failures(runs: Mapping[str, Run]) -> None:
    """The failed shards with the last lines of their logs, on stderr."""
    for run in runs.values():
        if run.state == "failed":
            attempts = f"{len(run.failures)} attempts" if len(run.failures) != 1 else "1 attempt"
            print(f"shard {run.shard.name} failed after {attempts}: {run.reason}", file=sys.stderr)
            print(f"  log: {run.shard.log}", file=sys.stderr)
            lines = [line for line in last_lines(run.shard.log, 50) if not line.startswith("=== ")]
            for line in lines[-SUMMARY_LINES:]:
                print(f"  | {line}", file=sys.stderr)


def clock(seconds: float) -> str:
    """
    >>> clock(3725)
    '1:02:05'
    """
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"

"""The display of a run: a table on a terminal, and otherwise a line for every change."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from shutil import get_terminal_size

from japanese_bert.cluster.shards import OWN_LINE, ShardRun, last_lines, last_output

DRAW_SECONDS = 1.0
QUIET_SECONDS = 300.0
SUMMARY_LINES = 5


class ProgressLines:
    """One line on stderr for every shard that starts, ends or fails."""

    def __init__(self, runs: Mapping[str, ShardRun], skipped: int) -> None:
        self.runs = runs
        self.skipped = skipped
        self.start = self.printed = time.monotonic()

    def changed(self, run: ShardRun) -> None:
        self.print(f"{describe_shard(run)} ({self.totals()})")

    def tick(self) -> None:
        """Print the totals if nothing else was printed for long, for example while jobs wait in a queue."""
        if time.monotonic() - self.printed > QUIET_SECONDS:
            self.print(self.totals())

    def print(self, text: str) -> None:
        self.printed = time.monotonic()
        print(f"{clock(self.printed - self.start)} {text}", file=sys.stderr, flush=True)

    def totals(self) -> str:
        """
        >>> ProgressLines({}, skipped=3).totals()
        '3 skipped'
        """
        counts = Counter(run.state for run in self.runs.values()) + Counter(skipped=self.skipped)
        states = ("finished", "running", "waiting", "failed", "skipped")
        return ", ".join(f"{counts[state]} {state}" for state in states if counts[state])

    def close(self) -> None:
        """Remove the table from the terminal. Lines stay."""


class ProgressTable(ProgressLines):
    """A table of the running shards with the last line of each log, up to the height of the terminal."""

    height = 0
    drawn = 0.0

    def changed(self, run: ShardRun) -> None:
        if run.state == "failed" or (run.failures and run.state == "waiting"):
            self.close()
            super().changed(run)

    def tick(self) -> None:
        if time.monotonic() - self.drawn < DRAW_SECONDS:
            return
        size = get_terminal_size()
        lines = [line[: size.columns - 1] for line in self.lines(size.lines - 2)]
        self.close()
        print("\n".join(lines), file=sys.stderr, flush=True)
        self.height, self.drawn = len(lines), time.monotonic()

    def lines(self, height: int) -> list[str]:
        """Return as many rows as there is room for, the oldest shards first."""
        running = sorted((run for run in self.runs.values() if run.state == "running"), key=lambda run: run.since)
        rows = [f"{'shard':<12} {'attempt':>7} {'time':>8}  {'worker':<24} last line"]
        for run in running[: max(0, height - 2)]:
            passed = clock(time.monotonic() - run.since)
            line = "".join(line for line in last_lines(run.shard.log, 1) if not line.startswith(OWN_LINE))
            rows.append(f"{run.shard.name:<12} {run.failures + 1:>7} {passed:>8}  {run.worker:<24} {line}")
        return [*rows, f"{clock(time.monotonic() - self.start)} {self.totals()}"]

    def close(self) -> None:
        if self.height:
            print(f"\x1b[{self.height}F\x1b[J", end="", file=sys.stderr, flush=True)
        self.height = 0


def describe_shard(run: ShardRun) -> str:
    """
    >>> from japanese_bert.cluster.shards import Shard
    >>> describe_shard(ShardRun(Shard("07", (), None), state="running", worker="node1:3"))
    'shard 07: runs on node1:3'
    """
    attempt = f", attempt {run.failures + 1}" if run.failures else ""
    lost = f", its worker was lost ({run.lost})" if run.lost else ""
    output = "".join(last_output(run.shard.log, 1)) if run.failures else ""
    texts = {
        "running": f"runs on {run.worker}{attempt}{lost}",
        "finished": "finished" if run.ran else "finished before",
        "failed": f"FAILED: {run.reason}; log {run.shard.log}",
        "waiting": f"failed on {run.worker}, is tried again: {output}" if run.failures else "waits for another worker",
    }
    return f"shard {run.shard.name}: {texts[run.state]}"


def print_failures(runs: Mapping[str, ShardRun]) -> None:
    """Print each failed shard on stderr, with the last lines of its log."""
    for run in runs.values():
        if run.state == "failed":
            attempts = f"{run.failures} attempt{'s' if run.failures != 1 else ''}"
            lines = [f"  log: {run.shard.log}", *(f"  | {line}" for line in last_output(run.shard.log, SUMMARY_LINES))]
            print(f"shard {run.shard.name} failed after {attempts}: {run.reason}", *lines, sep="\n", file=sys.stderr)


def clock(seconds: float) -> str:
    """
    >>> clock(3725)
    '1:02:05'
    """
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"

"""What the checks of a training find, how one check says it, and the report."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Concatenate, ParamSpec

from japanese_bert.common.report import Stopwatch
from japanese_bert.training.workers import worker_index

P = ParamSpec("P")


@dataclass(slots=True)
class Findings:
    """The findings of all checks, one line each.

    `facts` say what will be trained with what. `remarks` are possible mistakes. `problems` prevent the start.
    """

    facts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(function: Callable[Concatenate[Findings, P], None]) -> Callable[Concatenate[Findings, P], bool]:
    """Let a check return True if it found no problem.

    A check adds facts and remarks to its `findings`. It raises ValueError or OSError for a problem, a line for each.
    """

    @wraps(function)
    def run(findings: Findings, *args: P.args, **kwargs: P.kwargs) -> bool:
        before = len(findings.problems)
        try:
            function(findings, *args, **kwargs)
        except (ValueError, OSError) as error:
            findings.problems += str(error).split("\n")
        return len(findings.problems) == before

    return run


def report_findings(findings: Findings, stopwatch: Stopwatch, prog: str) -> None:
    """Print what the checks found, on the first worker. Every worker prints problems. Exit if there is one."""
    lines = [f"  {line}" for line in findings.facts] + [f"  NOTE {line}" for line in findings.remarks]
    lines.append(f"checks: {stopwatch.measurements()['seconds']} s, {len(findings.problems)} problem(s)")
    if not worker_index():
        print("\n".join(lines), flush=True)
    for line in findings.problems:
        print(f"{prog}: error: {line}", file=sys.stderr)
    if findings.problems:
        sys.exit(1)

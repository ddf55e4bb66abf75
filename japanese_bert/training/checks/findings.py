"""What the checks of a training find, and how one check tells it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Concatenate, ParamSpec

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

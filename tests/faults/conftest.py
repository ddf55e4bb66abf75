"""The stages under fault, and the account of all faults at the end.

`FAULT_SEED` decides the random moments; `FAULT_JSON` names a file for the account.
"""

import json
import os
from collections.abc import Callable, Iterator

import pytest

from tests.faults.disturbed_runs import Faults, Subject
from tests.faults.stage_table import STAGES, Stage

SEED = int(os.environ.get("FAULT_SEED", "12345"))
TRIED: list[Faults] = []
LEFT_OUT: dict[tuple[str, str], str] = {}
ELSEWHERE = (
    "check_environment.py: reads no file and writes none",
    "run_pretraining.py: its faults (SIGKILL and SIGTERM while it trains, one of several machines killed, a lost or "
    "cut checkpoint, cut or changed data) are in tests/stages/test_run_pretraining.py and "
    "tests/training/checks",
)


@pytest.fixture(scope="session")
def subjects(tmp_path_factory) -> Callable[[Stage], Subject]:
    """A stage with its inputs, made when it is first asked for."""
    made: dict[str, Subject] = {}

    def subject_of(stage: Stage) -> Subject:
        if stage.name not in made:
            made[stage.name] = Subject(stage, tmp_path_factory.mktemp(stage.short))
        return made[stage.name]

    return subject_of


@pytest.fixture
def subject(stage, subjects) -> Subject:
    return subjects(stage)


@pytest.fixture
def begin(stage) -> Callable[..., Faults]:
    """Begin to count attempts of a fault; with a reason why it does not apply there are none."""

    def begin_fault(fault: str, does_not_apply: str | bool = False) -> Faults:
        if does_not_apply:
            LEFT_OUT[fault, stage.short] = str(does_not_apply)
            pytest.skip(str(does_not_apply))
        TRIED.append(Faults(fault, stage.short, SEED))
        return TRIED[-1]

    return begin_fault


def pytest_terminal_summary(terminalreporter) -> None:
    if not TRIED:
        return
    terminalreporter.section(f"faults (FAULT_SEED={SEED})")
    for line in _table():
        terminalreporter.write_line(line)
    if path := os.environ.get("FAULT_JSON"):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(_account(), file, ensure_ascii=False, indent=2)


def _account() -> dict[str, object]:
    counts = [
        {"fault": item.fault, "stage": item.stage, "tried": item.tried, "survived": item.survived} for item in TRIED
    ]
    reasons = [{"fault": fault, "stage": stage, "reason": reason} for (fault, stage), reason in LEFT_OUT.items()]
    totals = {"tried": sum(item.tried for item in TRIED), "survived": sum(item.survived for item in TRIED)}
    return {"seed": SEED, **totals, "by_stage_and_fault": counts, "does_not_apply": reasons}


def _table() -> Iterator[str]:
    """A line for each fault with a column for each stage: tried, or survived/tried where some were not survived."""
    tried, survived = sum(item.tried for item in TRIED), sum(item.survived for item in TRIED)
    yield f"faults tried: {tried:,}, survived: {survived:,}"
    yield ""
    stages = list(dict.fromkeys([*(stage.short for stage in STAGES), *(item.stage for item in TRIED)]))
    faults = list(dict.fromkeys([item.fault for item in TRIED] + [fault for fault, _ in LEFT_OUT]))
    width = max(map(len, faults))
    yield " ".join([f"{'':{width}}", *(f"{stage:>9}" for stage in stages)])
    for fault in faults:
        yield " ".join([f"{fault:{width}}", *(f"{_cell(fault, stage):>9}" for stage in stages)])
    yield " ".join([f"{'all':{width}}", *(f"{_cell(None, stage):>9}" for stage in stages)])
    yield ""
    yield "- does not apply:"
    reasons: dict[tuple[str, str], list[str]] = {}
    for (fault, stage), reason in LEFT_OUT.items():
        reasons.setdefault((fault, reason), []).append(stage)
    for (fault, reason), names in reasons.items():
        yield f"  {fault}: {', '.join(names)}: {reason}"
    yield from (f"  {line}" for line in ELSEWHERE)


def _cell(fault: str | None, stage: str) -> str:
    found = [item for item in TRIED if item.stage == stage and fault in (None, item.fault)]
    tried, survived = sum(item.tried for item in found), sum(item.survived for item in found)
    if not found:
        return "-"
    return str(tried) if tried == survived else f"{survived}/{tried}"

"""What a check tells, and what it returns."""

import pytest

from japanese_bert.training.checks.findings import Findings, check


@check
def check_number(findings: Findings, number: int, limit: int = 9) -> None:
    """Check a number."""
    if number > limit:
        raise ValueError(f"{number} is too large\nand not even")
    findings.facts.append(f"number {number}")


def test_a_check_without_problem():
    findings = Findings(problems=["of another check"])
    assert check_number(findings, 7) is True
    assert (findings.facts, findings.remarks, findings.problems) == (["number 7"], [], ["of another check"])


def test_each_line_is_a_problem():
    findings = Findings()
    assert check_number(findings, 7, limit=6) is False
    assert (findings.facts, findings.problems) == ([], ["7 is too large", "and not even"])


def test_other_errors_are_no_problems():
    @check
    def check_nothing(findings: Findings) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        check_nothing(Findings())

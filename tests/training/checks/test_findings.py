"""What a check says and returns, and the report."""

import pytest

from japanese_bert.common.report import Stopwatch
from japanese_bert.training.checks.findings import Findings, check, report_findings


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


def test_findings_are_printed(capsys):
    report_findings(Findings(["a fact"], ["a remark"]), Stopwatch(), "run.py")
    printed = capsys.readouterr()
    assert printed.out.split("\n")[:2] == ["  a fact", "  NOTE a remark"]
    assert "0 problem(s)" in printed.out
    assert printed.err == ""


def test_a_problem_is_an_error(capsys):
    with pytest.raises(SystemExit) as error:
        report_findings(Findings(problems=["one", "two"]), Stopwatch(), "run.py")
    assert error.value.code == 1
    printed = capsys.readouterr()
    assert printed.err == "run.py: error: one\nrun.py: error: two\n"
    assert "2 problem(s)" in printed.out

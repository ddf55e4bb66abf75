"""Everything that the trainer prints goes to a file, and comes back after it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

CODE = """
import os, sys
from pathlib import Path
from japanese_bert.training.trainer_log import output_to
print("before", flush=True)
try:
    with output_to(Path({log!r})) as stream:
        print("of Python")
        print("a warning", file=sys.stderr)
        os.write(2, b"of C++\\n")
        print("ours", file=stream, flush=True)
        {end}
finally:
    print("after", flush=True)
"""


def run(log: Path, end: str) -> subprocess.CompletedProcess:
    code = CODE.format(log=str(log), end=end)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8")


def test_only_our_lines_are_printed(tmp_path):
    log = tmp_path / "model" / "train.log"
    for _ in range(2):
        process = run(log, "pass")
        assert (process.stdout, process.stderr) == ("before\nours\nafter\n", "")
    assert sorted(log.read_text(encoding="utf-8").split("\n")) == sorted(
        ["", *["of Python", "a warning", "of C++"] * 2]
    )


@pytest.mark.parametrize(
    ("end", "traceback"),
    [("raise RuntimeError('loss is NaN')", True), ("sys.exit(3)", False), ("sys.exit('wrong flag')", False)],
)
def test_a_failure_names_the_log(tmp_path, end, traceback):
    process = run(tmp_path / "train.log", end)
    assert process.returncode
    assert process.stderr.startswith(f"the trainer's output is in {tmp_path}/train.log\n")
    assert ("RuntimeError: loss is NaN" in process.stderr) == traceback
    assert ("RuntimeError: loss is NaN" in (tmp_path / "train.log").read_text(encoding="utf-8")) == traceback


def test_an_end_without_an_error_is_none(tmp_path):
    process = run(tmp_path / "train.log", "sys.exit(0)")
    assert (process.returncode, process.stderr) == (0, "")

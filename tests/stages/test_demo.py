"""./demo.sh in a copy of the project, with the environment that is there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PROJECT = (
    "*.py",
    "*.sh",
    "requirements*",
    "japanese_bert",
    "tools",
    "configs",
    "model_configs",
    "hf_model_configs",
    "sample_data",
    "recipes",
)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_demo_runs_and_a_second_run_reuses_what_is_complete(tmp_path):
    if not (ROOT / ".venv").is_dir():
        pytest.skip("the demo uses .venv, which is not here")
    for path in (path for pattern in PROJECT for path in ROOT.glob(pattern)):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    first = run_demo(tmp_path)
    assert "Done in" in first
    assert first.count("[MASK]") == 6
    assert first.count("step 300, validation: loss") == 2
    assert first.count("360 steps; last values") == 2
    assert first.count("=== ") == 9
    written = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "demo").rglob("*")
        if path.suffix in (".gz", ".h5", ".index")
    }
    second = run_demo(tmp_path)
    assert second.count("skipped: ") > 20
    assert "validation: loss" not in second
    assert written == {path: path.stat().st_mtime_ns for path in written}


def run_demo(place: Path) -> str:
    process = subprocess.run(
        ["./demo.sh"],
        cwd=place,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.returncode == 0, process.stdout[-3000:]
    return process.stdout

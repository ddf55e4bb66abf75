"""benchmarks/bench_learning.py compares two data sets at a tiny size, and keeps what is finished."""

import json
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

FLAGS = "--experiment next_sentence --megabytes 1 --held_out_megabytes 0.2 --steps 5 --vocab_size 5000"


@pytest.mark.slow
def test_models_of_two_data_sets_are_scored_alike(aozora, tmp_path):
    first = run(aozora, tmp_path, 1)
    models = sorted(tmp_path.glob("*/models/*/ckpt-5/model.safetensors"))
    times = [path.stat().st_mtime_ns for path in models]
    second = run(aozora, tmp_path, 2)
    assert [path.stat().st_mtime_ns for path in models] == times
    assert first["scores"].keys() == second["scores"].keys() == {"ours", "no_next_sentence"}
    for name, [scores] in first["scores"].items():
        assert second["scores"][name][0] == scores != second["scores"][name][1]
        assert 4 < scores["all_loss"] < 9 and 0 <= scores["fill_mask_accuracy"] < 0.2
        assert scores.keys() >= {"word_loss", "capital_loss", "first_loss", "last_loss"}
        assert ("next_sentence_accuracy" in scores) == (name == "ours")
    assert first["hidden_words"] == second["hidden_words"]
    assert (tmp_path / "next_sentence.png").read_bytes().startswith(b"\x89PNG")


def run(corpus, work_dir, seeds):
    command = [sys.executable, ROOT / "benchmarks" / "bench_learning.py", *FLAGS.split(), "--seeds", str(seeds)]
    command += ["--input_file", corpus, "--work_dir", work_dir]
    process = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr[-3000:]
    lines = process.stdout.strip().split("\n")
    assert any(line.startswith("| word accuracy |") for line in lines)
    return json.loads(lines[-1])

"""benchmarks/bench_training.py runs on a CPU at a tiny size, and its figures agree with each other."""

import json
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

FLAGS = "--models tiny --vocab_size 1000 --global_batch_size 16 --tokens_per_micro_batch 2048 --seconds 1 --warm_up 1"


@pytest.mark.slow
def test_both_ways_are_measured_on_the_same_records(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "bench_training.py", *FLAGS.split(), "--num_documents", "300"]
    command += ["--num_workers", "1", "--peak_tflops", "1"]
    process = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert process.returncode == 0, process.stderr[-3000:]
    assert list(tmp_path.iterdir()) == []
    *lines, last = process.stdout.strip().split("\n")
    results = json.loads(last)
    assert sum(line.startswith("  ratio") for line in lines) == 2
    assert results["tiny 128"]["padding"] < 0.2 < results["tiny 512"]["padding"]
    for length in (128, 512):
        found = results[f"tiny {length}"]
        rates = [found[way]["sequences_per_second"] for way in ("ours", "usual")]
        assert found["ratio"] == pytest.approx(rates[0] / rates[1])
        assert found["mean_length"] == pytest.approx(length * (1 - found["padding"]))
        for way in ("ours", "usual"):
            low, high = found[way]["spread"]
            assert 0 < low <= found[way]["sequences_per_second"] <= high
            assert found[way]["steps"] >= 3
            assert found[way]["tokens_per_second"] == pytest.approx(
                found[way]["sequences_per_second"] * found["mean_length"]
            )
        flops = {way: found[way]["mfu"] / found[way]["sequences_per_second"] for way in ("ours", "usual")}
        assert flops["ours"] == pytest.approx(flops["usual"])

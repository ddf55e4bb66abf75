"""The benchmarks of the text stages run, on little text."""

import json
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT, SHARED_DATA

BENCHMARKS = {
    "bench_corpus": "--input_file {corpus} --megabytes 2 --repeat 2 --runs 1",
    "bench_corpus_wiki": "--dump_file {dump} --megabytes 2 --runs 1",
    "bench_own_corpus": "--input_file {corpus} --megabytes 2 --documents 1000 --runs 1",
    "bench_run_shards": "--shards 2 --seconds 0.2 --workers 2",
    "bench_scale": "--input_file {corpus} --vocab_file {vocab} --megabytes 1 --worker_megabytes 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_runs(name, aozora, wordpiece_vocab, tmp_path):
    dump = next((SHARED_DATA / "wikipedia").glob("**/*.json.gz"))
    places = {"corpus": aozora, "dump": dump, "vocab": wordpiece_vocab}
    flags = BENCHMARKS[name].format(**places).split()
    process = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{name}.py", *flags], capture_output=True, encoding="utf-8"
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert json.loads(process.stdout.strip().split("\n")[-1])["machine"]["cores"]

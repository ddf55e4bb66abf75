"""Kills, full disks and crowds: nothing incomplete under a final name, and a rerun gives the undisturbed bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import create_pretraining_data as stage
from japanese_bert.provenance import Provenance, open_outputs, provenance_path, read_provenance

SCRIPT = Path(stage.__file__)


@pytest.fixture
def command(tmp_path, small_corpus, wordpiece_vocab):
    """A command of some seconds, without its output."""
    corpus = tmp_path / "large.txt"
    corpus.write_text((small_corpus.read_text(encoding="utf-8") + "\n") * 150, encoding="utf-8")
    return [
        sys.executable, str(SCRIPT), "--input_file", str(corpus), "--vocab_file", str(wordpiece_vocab),
        "--max_seq_length", "64", "--max_predictions_per_seq", "10", "--dupe_factor", "40", "--gzip_compress",
    ]  # fmt: skip


@pytest.fixture
def undisturbed(command, tmp_path) -> tuple[bytes, float]:
    """The bytes of a run that nothing disturbed, and its seconds with a warm JIT cache."""
    for name in ("warm_up.gz", "whole.gz"):
        start = time.perf_counter()
        subprocess.run([*command, "--output_file", str(tmp_path / name)], check=True, capture_output=True)
        seconds = time.perf_counter() - start
    return (tmp_path / "whole.gz").read_bytes(), seconds


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", ["1", "2"])
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_at_random_moments(command, undisturbed, tmp_path, kill, num_workers):
    expected, seconds = undisturbed
    rng = random.Random(f"{kill} {num_workers}")
    output = tmp_path / "out" / "data.gz"
    killed = 0
    for _ in range(10):
        for path in (output, provenance_path(output)):
            path.unlink(missing_ok=True)
        process = subprocess.Popen(
            [*command, "--output_file", str(output), "--num_workers", num_workers],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(0.05, 0.95) * seconds)
        process.send_signal(kill)
        killed += process.wait() != 0
        if output.exists():
            assert output.read_bytes() == expected
        elif kill == signal.SIGTERM and output.parent.exists():
            assert entries(output.parent) == set()
    subprocess.run([*command, "--output_file", str(output)], check=True, capture_output=True)
    assert output.read_bytes() == expected
    assert entries(output.parent) == {"data.gz", "data.gz.json"}
    assert killed >= 8
    time.sleep(0.5)
    assert not orphans(output), "workers outlived their parent"


def orphans(output: Path) -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if str(output).encode() in line:
            lines.append(line.decode())
    return lines


def test_a_full_disk_is_one_line_and_leaves_nothing(command, small_disk):
    output = small_disk / "data.gz"
    process = subprocess.run([*command, "--output_file", str(output)], capture_output=True, encoding="utf-8")
    assert process.returncode == 1
    assert "No space left on device" in process.stderr.split("\n")[-2]
    assert "Traceback" not in process.stderr
    assert entries(small_disk) == set()


def test_a_full_disk_for_the_jit_cache_does_not_stop_the_stage(command, small_disk, tmp_path):
    (small_disk / "filler").write_bytes(bytes(3 * 1024 * 1024 - 64 * 1024))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(small_disk)}
    command += ["--output_file", str(tmp_path / "data.gz"), "--dupe_factor", "1"]
    process = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr


def test_a_disk_that_fills_up_with_the_record_leaves_nothing(small_disk, tmp_path):
    with (
        pytest.raises(OSError, match="No space left"),
        open_outputs([small_disk / "a"], make_provenance(tmp_path)) as files,
    ):
        while True:
            try:
                files[0].write(bytes(4096))
                files[0].flush()
            except OSError:
                files[0].truncate()
                break
    assert entries(small_disk) == set()


def test_processes_that_start_at_once_with_a_cold_jit_cache(command, tmp_path):
    """xargs -P: all compile, all write the cache, all give the same bytes."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command += ["--dupe_factor", "1"]
    outputs = [tmp_path / f"data_{number}.gz" for number in range(3)]
    processes = [
        subprocess.Popen([*command, "--output_file", str(output)], env=environment, stderr=subprocess.PIPE)
        for output in outputs[:2]
    ]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    subprocess.run([*command, "--output_file", str(outputs[2])], env=environment, check=True, capture_output=True)
    assert len({output.read_bytes() for output in outputs}) == 1


def test_two_runs_with_the_same_output(command, tmp_path, undisturbed):
    output = tmp_path / "data.gz"
    first = subprocess.Popen(
        [*command, "--output_file", str(output)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "data.gz.tmp").exists():
        assert first.poll() is None
        time.sleep(0.01)
    second = subprocess.run([*command, "--output_file", str(output)], capture_output=True, encoding="utf-8")
    assert second.returncode == 1
    assert "another process is writing this output" in second.stderr
    assert first.wait() == 0
    assert output.read_bytes() == undisturbed[0]


def make_provenance(tmp_path: Path, value: int = 1) -> Provenance:
    source = tmp_path / "source.txt"
    source.write_text("text", encoding="utf-8")
    return Provenance("stage", {"value": value}, [source], {"value": value})


def test_outputs_get_their_names_together_or_not_at_all(tmp_path):
    outputs = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(ValueError, match="in the middle"), open_outputs(outputs, make_provenance(tmp_path)) as files:
        files[0].write(b"half")
        raise ValueError("in the middle")
    assert entries(tmp_path) == {"source.txt"}
    with open_outputs(outputs, make_provenance(tmp_path)) as files:
        files[0].write(b"whole")
    assert entries(tmp_path) == {"source.txt", "a", "a.json", "b", "b.json"}
    assert make_provenance(tmp_path).is_complete(outputs)
    assert not make_provenance(tmp_path, 2).is_complete(outputs)


def test_what_a_killed_run_left_is_emptied(tmp_path):
    (tmp_path / "a.tmp").write_bytes(b"left by a killed run, and longer than the new content")
    with open_outputs([tmp_path / "a"], make_provenance(tmp_path)) as files:
        files[0].write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_changed_size_or_a_missing_record_is_not_complete(tmp_path):
    output = tmp_path / "a"
    with open_outputs([output], make_provenance(tmp_path)) as files:
        files[0].write(b"whole")
    output.write_bytes(b"who")
    assert not make_provenance(tmp_path).is_complete([output])
    output.write_bytes(b"whole")
    provenance_path(output).unlink()
    assert not make_provenance(tmp_path).is_complete([output])


def test_a_file_of_the_user_is_never_replaced(tmp_path):
    output = tmp_path / "a"
    output.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="--overwrite"), open_outputs([output], make_provenance(tmp_path)):
        pass
    assert output.read_bytes() == b"precious"
    with pytest.raises(ValueError, match="failed"), open_outputs([output], make_provenance(tmp_path), overwrite=True):
        raise ValueError("failed")
    assert output.read_bytes() == b"precious"
    assert read_provenance(output) is None

"""Kills and full disks: nothing incomplete under a final name, and a rerun gives the undisturbed bytes."""

import lzma
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import merge_split_corpora as stage

SCRIPT = Path(stage.__file__)
NUM_FILES = 5


@pytest.fixture
def command(tmp_path) -> list[str]:
    """A command of about a second, without its output."""
    generator = random.Random(1)
    documents = "".join(f"{generator.randrange(10**9)}番の文書である。\nその本文。\n\n" for _ in range(20_000))
    (tmp_path / "in.txt.xz").write_bytes(lzma.compress((documents * 10).encode(), preset=0))
    return [
        sys.executable, str(SCRIPT), "--input_files", str(tmp_path / "in.txt.xz"), "--num_files", str(NUM_FILES),
        "--output_dir",
    ]  # fmt: skip


def shards(directory: Path) -> dict[str, bytes]:
    """What has a final name."""
    return {path.name: path.read_bytes() for path in directory.glob("*") if path.suffix in (".txt", ".gz")}


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*")}


def kill_at_random_moments(command: list[str], tmp_path: Path, kill: int, times: int) -> None:
    for name in ("warm_up", "whole"):
        start = time.perf_counter()
        subprocess.run([*command, tmp_path / name], check=True, capture_output=True)
        seconds = time.perf_counter() - start
    expected, output = shards(tmp_path / "whole"), tmp_path / "out"
    generator, killed = random.Random(f"{kill}"), 0
    for _ in range(times):
        for path in output.glob("*"):
            if not path.name.endswith(".tmp"):
                path.unlink()
        process = subprocess.Popen([*command, output], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(generator.uniform(0.05, 1) * seconds)
        process.send_signal(kill)
        killed += process.wait() != 0
        assert shards(output).items() <= expected.items()
        if kill == signal.SIGTERM:
            assert not [name for name in entries(output) if name.endswith(".tmp")]
    subprocess.run([*command, output], check=True, capture_output=True)
    assert shards(output) == expected
    assert entries(output) == {name + suffix for name in expected for suffix in ("", ".json")}
    assert killed > times / 2


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_twice(command, tmp_path, kill):
    kill_at_random_moments(command, tmp_path, kill, 2)


@pytest.mark.slow
@pytest.mark.parametrize("compress", ["--compress", "--no-compress"])
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_at_random_moments(command, tmp_path, kill, compress):
    kill_at_random_moments([*command[:-1], compress, command[-1]], tmp_path, kill, 25)


def test_killed_between_the_names_of_two_shards(command, tmp_path):
    """Some shards have their names, one has only its record, the others are temporary: a rerun makes all again."""
    subprocess.run([*command, tmp_path / "out"], check=True, capture_output=True)
    expected = shards(tmp_path / "out")
    (tmp_path / "out" / "corpus_03.txt").rename(tmp_path / "out" / "corpus_03.txt.tmp")
    for number in (4, 5):
        (tmp_path / "out" / f"corpus_0{number}.txt").rename(tmp_path / "out" / f"corpus_0{number}.txt.tmp")
        (tmp_path / "out" / f"corpus_0{number}.txt.json").unlink()
    subprocess.run([*command, tmp_path / "out"], check=True, capture_output=True)
    assert shards(tmp_path / "out") == expected
    assert len(entries(tmp_path / "out")) == 2 * NUM_FILES


def test_a_decompressor_that_is_killed_is_an_error(command, tmp_path):
    process = subprocess.Popen([*command, tmp_path / "out"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    child = wait_for_child(process)
    child_pid = int(child)
    while not list((tmp_path / "out").glob("*.tmp")):
        time.sleep(0.001)
    subprocess.run(["kill", "-9", str(child_pid)], check=True)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert b"in.txt.xz: truncated or corrupt" in errors
    assert b"Traceback" not in errors
    assert entries(tmp_path / "out") == set()


def wait_for_child(process: subprocess.Popen) -> str:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := children.read_text().split()):
        assert process.poll() is None
        time.sleep(0.001)
    return found[0]


def test_a_full_disk_is_one_line_and_leaves_nothing(command, small_disk):
    process = subprocess.run([*command, small_disk / "out"], capture_output=True, encoding="utf-8")
    assert process.returncode == 1
    assert "No space left on device" in process.stderr.split("\n")[-2]
    assert "Traceback" not in process.stderr
    assert entries(small_disk / "out") == set()

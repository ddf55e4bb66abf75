"""The script run_shards.py: messages, a dry run, and a run with Dask on this machine."""

import subprocess
import sys

import pytest

from tests.helpers.places import ROOT
from tools import run_shards


def run_main(*arguments: str, **more) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tools.run_shards", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", **{"stdin": subprocess.DEVNULL, **more})


class TestMessages:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--", "gzip", "{}"], "no shards. Give their names one a line (seq -f %02g 1 64 | ...) or with --shards"),
            (["--shards", "1", "--", "gzip"], "gzip: the command has no {}. Write {} in place of the shard's name"),
            (["--shards", "1", "--workers", "0", "--", "gzip", "{}"], "--workers 0: expected a positive number"),
            (["--shards", "1", "--retries", "-1", "--", "gzip", "{}"], "--retries -1: expected 0 or more"),
            (
                ["--shards", "1", "--memory", "2", "--", "gzip", "{}"],
                "--memory 2: expected a number with a unit, such as",
            ),
            (["--shards", "1", "--scheduler_options", "no.yaml", "--", "gzip", "{}"], "no.yaml: no such file"),
        ],
    )
    def test_one_line(self, tmp_path, arguments, message):
        process = run_main(*arguments, cwd=tmp_path)
        assert process.returncode == 1
        assert process.stderr.count("\n") == 1 and message in process.stderr
        assert list(tmp_path.iterdir()) == []

    def test_unknown_scheduler(self):
        process = run_main("--scheduler", "htcondor", "--", "gzip", "{}")
        assert process.returncode == 2
        assert "htcondor: expected local, slurm, pbs, sge or tcp://HOST:PORT" in process.stderr


def test_local_run_retries_skips_and_fails(tmp_path):
    """From names on standard input to the exit code. The second run does only the rest."""
    script = (
        'echo ran >> runs_$0; [ $0 != 02 ] || [ -e allowed ] || { echo "error: not yet" >&2; exit 4; }; echo > out_$0'
    )
    arguments = ["--workers", "2", "--retries", "1", "--dashboard_address", ":0", "--", "sh", "-c", script, "{}"]
    first = run_main(*arguments, cwd=tmp_path, stdin=None, input="01\n02\n03\n")
    assert first.returncode == 1, first.stderr
    assert "dashboard: http://127.0.0.1:" in first.stdout
    assert "shards: 2 finished, 1 failed" in first.stdout
    assert "shard 02 failed after 2 attempts: exit code 4" in first.stderr
    assert "  | error: not yet" in first.stderr
    (tmp_path / "allowed").touch()
    second = run_main(*arguments, cwd=tmp_path, stdin=None, input="01\n02\n03\n")
    assert second.returncode == 0, second.stderr
    assert "shards: 1 finished, 2 skipped" in second.stdout
    third = run_main(*arguments, cwd=tmp_path, stdin=None, input="01\n02\n03\n")
    assert "skipped: all 3 shards are finished" in third.stdout
    counts = [(tmp_path / f"runs_{name}").read_text(encoding="utf-8").count("ran") for name in ("01", "02", "03")]
    assert counts == [1, 3, 1]


def test_dry_run_shows_and_writes_nothing(tmp_path):
    process = run_main("--shards", "01", "--scheduler", "slurm", "--dry_run", "--", "gzip", "a_{}", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "  01: gzip a_01\n" in process.stdout
    assert "#SBATCH -t 02:00:00" in process.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_dask():
    code = (
        "import sys, tools.run_shards as s; s.get_parser(); print({'dask', 'distributed', 'yaml'} & set(sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert process.stdout == "set()\n"


def test_command_after_dashes_is_taken_as_it_is():
    arguments = ["--workers", "2", "--", "python", "stage.py", "--workers", "3", "--input_file", "{}"]
    args = run_shards.get_parser().parse_args(arguments)
    assert args.workers == 2
    assert args.command[1:] == ["python", "stage.py", "--workers", "3", "--input_file", "{}"]


CONNECT = """
import socket, sys
for host in ("127.0.0.1", "127.0.0.2"):
    try:
        with socket.create_connection((host, int(sys.argv[1])), 5) as connection:
            connection.sendall(b"GET /eventstream HTTP/1.0\\r\\n\\r\\n")
            print(connection.recv(100).split()[1].decode())
    except ConnectionRefusedError:
        print("refused")
"""


@pytest.mark.parametrize(("flags", "other_host"), [([], "refused"), (["--dashboard_address", "0.0.0.0:0"], "404")])
def test_the_dashboard_is_for_this_machine_only(tmp_path, flags, other_host):
    """A socket of all addresses would answer at 127.0.0.2, too."""
    command = [sys.executable, "-m", "tools.run_shards", *flags, "--shards", "9", "--", "sleep", "{}"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        port = next(line for line in process.stdout if line.startswith("dashboard:")).split(":")[-1].split("/")[0]
        found = subprocess.run([sys.executable, "-c", CONNECT, port], capture_output=True, text=True, check=True)
        process.terminate()
        process.communicate()
    assert found.stdout.split() == ["404", other_host]


def test_an_address_without_a_host():
    assert run_shards.address(":8000") == "127.0.0.1:8000"
    assert run_shards.address("node1:8000") == "node1:8000"

"""The Dask workers of `--scheduler slurm` where no Slurm is installed, and of `local`, with a real Dask scheduler."""

import os
import signal
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

SCRIPT = """
import signal, sys
from pathlib import Path
from japanese_bert.cluster.settings import ClusterSettings
from japanese_bert.cluster.workers import open_workers

options = {"scheduler_options": {"host": "127.0.0.1"}}
settings = ClusterSettings("slurm", 1, 1, 1, "1GB", "1:00", ":0", options, Path(sys.argv[1]))
with open_workers(settings) as workers:
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    print(type(workers.client.security).__name__, workers.scheduler.address.partition("//")[0])
    try:
        workers.keep(9)
    except ConnectionError as error:
        print(error)
"""

LOCAL = """
import os, sys
from multiprocessing import resource_tracker
from pathlib import Path
from japanese_bert.cluster.settings import ClusterSettings
from japanese_bert.cluster.workers import open_workers

if __name__ == "__main__":
    settings = ClusterSettings("local", 1, 1, 1, "1GB", "1:00", ":0", {}, Path(sys.argv[1]))
    with open_workers(settings) as workers:
        pids = [os.getpid(), resource_tracker._resource_tracker._pid, *workers.client.run(os.getpid).values()]
        for pid in pids:
            print(Path(f"/proc/{pid}/status").read_text().partition("SigBlk:")[2].split()[0])
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> list[str]:
    """Return what SCRIPT prints, in a process of its own: it imports dask_jobqueue and opens ports."""
    directory = tmp_path_factory.mktemp("workers")
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, directory],
        cwd=ROOT,
        env=os.environ | {"PATH": str(directory)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert process.stderr == ""
    assert "distributed.scheduler INFO" in (directory / "dask.log").read_text(encoding="utf-8")
    return process.stdout.split("\n")


def test_ctrl_c_reaches_the_caller(printed):
    """The import of dask_jobqueue sets a handler that ends the process with exit code 0."""
    assert printed[0] == "True"


def test_connections_are_encrypted(printed):
    assert printed[1] == "Security tls:"


def test_a_missing_program(printed):
    assert printed[2] == "no job could be submitted: [Errno 2] No such file or directory: 'sbatch'"


def test_only_the_caller_handles_ctrl_c_and_a_terminal_that_closes(tmp_path):
    """A worker that Ctrl-C interrupts prints a traceback, and multiprocessing's tracker warns when it is killed."""
    script = tmp_path / "local.py"
    script.write_text(LOCAL, encoding="utf-8")
    output = subprocess.check_output([sys.executable, script, tmp_path], cwd=ROOT, encoding="utf-8")
    caller, tracker, worker = (int(mask, 16) for mask in output.split())
    interrupt, hangup = (1 << (number - 1) for number in (signal.SIGINT, signal.SIGHUP))
    assert caller & (interrupt | hangup) == 0
    assert tracker & hangup  # it ignores SIGINT
    assert worker & interrupt
    assert worker & hangup

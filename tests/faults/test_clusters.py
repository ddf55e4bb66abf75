"""run_shards: its connection breaks, it or its Dask processes die, its terminal closes while Dask starts."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import PATIENCE, Run, Subject, assert_all_dead
from tests.faults.stage_table import Stage, write_nothing

pytestmark = pytest.mark.slow
NAMES = [f"{number:02}" for number in range(8)]
SCRIPT = "sleep 0.3; mkdir -p out; echo {} > out/{}.tmp; mv out/{}.tmp out/{}.txt"
SHARDS = Stage(
    "run_shards", "shards", write_nothing,
    ("--workers", "2", "--dashboard_address", ":0", "--log_dir", "logs", "--shards", *NAMES, "--", "sh", "-c", SCRIPT),
)  # fmt: skip
CALM = {f"{name}.txt": f"{name}\n" for name in NAMES}
for_shards = pytest.mark.parametrize("stage", [SHARDS], ids=str)


class Proxy:
    """A network between two ports that breaks for some seconds."""

    def __init__(self, target: int) -> None:
        self.target, self.closed_until, self.sockets = target, 0.0, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.server.accept()
                if time.monotonic() < self.closed_until:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        self.shut(source, target)

    def shut(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def break_for(self, seconds: float) -> None:
        self.closed_until = time.monotonic() + seconds
        self.shut(*self.sockets)


@contextmanager
def dask_behind_a_proxy(directory: Path) -> Iterator[Proxy]:
    """Start a scheduler with one worker of two threads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    programs = (
        ("dask_scheduler", "--host", "127.0.0.1", "--port", str(port)),
        ("dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "2"),
    )
    with open(directory / "dask.log", "wb") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"],
                cwd=directory, stdout=log, stderr=log,
            )
            for program, *arguments in programs
        ]  # fmt: skip
    try:
        while b"Starting established connection" not in (directory / "dask.log").read_bytes():
            assert all(process.poll() is None for process in processes), (directory / "dask.log").read_text()
            time.sleep(0.1)
        yield Proxy(port)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def assert_finished(run: Run) -> None:
    assert run.process.returncode == 0, run.read("stderr")
    assert {path.name: path.read_text() for path in (run.place / "out").iterdir()} == CALM
    assert "Traceback" not in run.read("stderr")


def break_connection(subject: Subject, proxy: Proxy, delay: float, seconds: float) -> bool:
    place = subject.place()
    arguments = ["--scheduler", f"tcp://127.0.0.1:{proxy.port}", *subject.stage.arguments]
    run = subject.start(place, command=[sys.executable, "-m", "tools.run_shards", *arguments])
    while "runs on" not in run.read("stderr"):
        assert run.process.poll() is None, run.read("stderr")
        time.sleep(0.05)
    time.sleep(delay)
    if run.process.poll() is not None:
        return False
    proxy.break_for(seconds)
    run.wait()
    assert_finished(run)
    assert "worker was lost" not in run.read("stderr")
    return True


@for_shards
def test_broken_connections(subject, begin, stage, tmp_path):
    faults = begin("the connection to Dask breaks")
    moments = faults.random(0)
    with dask_behind_a_proxy(tmp_path) as proxy:
        for number in range(6):
            attempt = partial(break_connection, subject, proxy, moments.uniform(0, 1), moments.uniform(0, 4))
            faults.attempt(f"break {number}", attempt)
        faults.run_all([])


def dropped_client(subject: Subject, proxy: Proxy) -> None:
    """The scheduler drops the client without a word, as if it noticed the break of an earlier connection late."""
    from distributed import Client

    place = subject.place()
    arguments = ["--scheduler", f"tcp://127.0.0.1:{proxy.port}", *subject.stage.arguments]
    run = subject.start(place, command=[sys.executable, "-m", "tools.run_shards", *arguments])
    while "runs on" not in run.read("stderr"):
        time.sleep(0.05)
    with Client(f"tcp://127.0.0.1:{proxy.target}") as other:
        other.run_on_scheduler(drop_all_but, kept=other.id)
    run.wait()
    assert_finished(run)


def drop_all_but(dask_scheduler, kept: str) -> None:
    for client in [name for name in dask_scheduler.clients if name != kept and name.startswith("Client-")]:
        dask_scheduler.remove_client(client)


@for_shards
def test_the_scheduler_forgets_the_client(subject, begin, stage, tmp_path):
    faults = begin("the scheduler forgets the client")
    with dask_behind_a_proxy(tmp_path) as proxy:
        faults.attempt("dropped", partial(dropped_client, subject, proxy))
        faults.run_all([])


def end_at(subject: Subject, kill: signal.Signals, group: bool, delay: float) -> bool:
    """The first moments are those in which Dask starts. The next run does the rest."""
    place = subject.place()
    run = subject.start(place)
    run.wait_until_started()
    time.sleep(delay)
    if run.process.poll() is not None:
        return False
    run.kill(kill, group)
    code = run.wait()
    assert code != 0
    assert "Traceback" not in run.read("stderr"), run.read("stderr")[-2000:]
    end = time.monotonic() + 20  # an attempt gives its command 10 s
    while run.living() and time.monotonic() < end:
        time.sleep(0.1)
    assert_all_dead(run)
    again = subject.run(place)
    assert_finished(again)
    return True


@for_shards
def test_signals(subject, begin, stage):
    faults = begin("signals while Dask starts and runs")
    moments = faults.random(0)
    kinds = [(kill, False) for kill in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    kinds += [(signal.SIGKILL, True), (signal.SIGTERM, True), (signal.SIGINT, True), (signal.SIGHUP, True)]
    attempts = [
        (f"{kill.name}, group {group}, {delay:.1f} s", partial(end_at, subject, kill, group, delay))
        for kill, group in kinds
        for delay in (moments.uniform(0, 2), moments.uniform(1, 4))
    ]
    faults.attempt_all(attempts)


def kill_dask_process(subject: Subject, delay: float) -> bool:
    """The process on this machine that runs the shards. Dask starts another."""
    place = subject.place()
    run = subject.start(place)
    while "runs on" not in run.read("stderr"):
        assert run.process.poll() is None, run.read("stderr")
        time.sleep(0.02)
    time.sleep(delay)
    worker = [int(line.split("runs on ")[1].split(":")[1].split(",")[0].split()[0])
              for line in run.read("stderr").split("\n") if "runs on " in line][-1]  # fmt: skip
    if run.process.poll() is not None:
        return False
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)
    run.process.wait(PATIENCE)
    assert_finished(run)
    shutil.rmtree(place)
    return True


@for_shards
def test_the_process_of_the_shards_dies(subject, begin, stage):
    faults = begin("Dask's process dies")
    moments = faults.random(0)
    faults.attempt_all(
        [(str(number), partial(kill_dask_process, subject, moments.uniform(0, 1))) for number in range(3)]
    )


TEN_THOUSAND = """
from unittest.mock import patch
from japanese_bert.cluster import runs
from japanese_bert.common.command_line import run_stage
from tools import run_shards
with patch.object(runs, "arguments_for", lambda shard, attempt: ["sh", "-c", "printf ran"]):
    run_stage(run_shards.get_parser(), run_shards.main)
"""


@for_shards
def test_ten_thousand_shards(subject, begin, stage):
    """Dask's own scheduler and worker run them. Each attempt is a shell. A Python each would take many minutes."""
    faults = begin("ten thousand shards")

    def run_all() -> None:
        names = [f"{number:05}" for number in range(10_000)]
        flags = (
            "--workers",
            "64",
            "--dashboard_address",
            ":0",
            "--log_dir",
            "logs",
            "--shards",
            *names,
            "--",
            "true",
            "{}",
        )
        run = subject.start(subject.place(), command=[sys.executable, "-c", TEN_THOUSAND, *flags])
        assert run.process.wait(600) == 0, run.read("stderr")[-3000:]
        assert "10000 finished" in run.read("stdout"), run.read("stdout")[-3000:]

    faults.attempt("all", run_all)
    faults.run_all([])

"""Worker processes: none that dies, stops or does not start leaves the parent waiting. Signals are not lost."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path

import pytest

from japanese_bert.common import workers
from japanese_bert.common.process import TerminatedError, signals_as_exceptions
from japanese_bert.common.workers import call_in_child, map_in_order, started_workers
from tests.helpers.places import ROOT

SECONDS = 30  # after which a call hangs


def run(code: str, *before: str) -> subprocess.CompletedProcess:
    """Run code in a process of its own, which a test can give up."""
    return subprocess.run(
        [*before, sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=SECONDS
    )


def run_test_function(name: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.common.test_workers import {name} as f; f()"
    done = run(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def blocked_signals(*_) -> set[int]:
    return set(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))


def signal_state(item: int) -> tuple[int, set[int], bool]:
    return item, blocked_signals(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_are_held_back_while_a_worker_is_started(monkeypatch):
    seen = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: seen.append(blocked_signals()) or fork())
    assert list(map_in_order(abs, range(9), 2)) == list(range(9))
    assert len(seen) == 2
    assert all(set(map(int, workers.ENDING_SIGNALS)) <= blocked for blocked in seen)
    assert blocked_signals() == set()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_signal_while_workers_start_leaves_none_alive(monkeypatch, method):
    """It came before the new worker was in the list. The process waited for it at its end, for ever."""
    start, ended = multiprocessing.process.BaseProcess.start, threading.Event()
    thread = threading.Thread(target=ended.wait)  # it gets the signal: here it is not blocked
    thread.start()

    def start_and_interrupt(process):
        start(process)
        signal.pthread_kill(thread.ident, signal.SIGTERM)
        time.sleep(0.05)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", start_and_interrupt)
    others = multiprocessing.active_children()  # of the clusters of other tests
    context = multiprocessing.get_context(method)
    with pytest.raises(TerminatedError), signals_as_exceptions(), started_workers(context, len, 3):
        time.sleep(10)
    ended.set()
    assert set(multiprocessing.active_children()) <= set(others)


def test_a_worker_heeds_signals_again():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert list(map_in_order(signal_state, range(9), 2)) == [(item, set(), True) for item in range(9)]
    finally:
        signal.signal(signal.SIGTERM, before)


def a_hundred_large_items() -> None:
    items = [bytes([number]) * 1_000_000 for number in range(100)]
    assert list(map_in_order(bytes.swapcase, items, 3)) == [item.swapcase() for item in items]


def half_of_a_result(*_: object) -> bytes:
    """The out-of-memory killer may strike a worker between two writes to its pipe."""

    def send_half(self, data, *_):
        os.write(self._handle, bytes(data[:5000]))
        os.kill(os.getpid(), signal.SIGKILL)

    connection.Connection._send = send_half
    return bytes(3_000_000)


def die_in_the_middle_of_a_result() -> None:
    with pytest.raises(BrokenExecutor):
        list(map_in_order(half_of_a_result, range(20), 2))


def die_in_the_middle_of_the_result_of_a_child() -> None:
    with pytest.raises(BrokenExecutor):
        call_in_child(half_of_a_result)


def die_without_a_result() -> None:
    """All workers: calls that wait for one end, too."""
    with pytest.raises(BrokenExecutor):
        list(map_in_order(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(20), 3))


def stop_at_the_end() -> None:
    """A worker that heeds nothing any more does not hold up the parent, as it would if that waited for its farewell."""
    results = map_in_order(lambda item: item and os.kill(os.getpid(), signal.SIGSTOP), range(20), 2)
    assert next(results) == 0
    results.close()


@pytest.mark.parametrize(
    "name",
    [
        "a_hundred_large_items",
        "die_in_the_middle_of_a_result",
        "die_in_the_middle_of_the_result_of_a_child",
        "die_without_a_result",
        "stop_at_the_end",
    ],
)
def test_nothing_hangs(name):
    run_test_function(name)


def raise_error(number: int) -> None:
    raise FileNotFoundError(2, "No such file or directory", f"file {number}")


def test_errors_of_workers_keep_their_kind():
    for call in (lambda: list(map_in_order(raise_error, range(5), 2)), lambda: call_in_child(raise_error, 0)):
        with pytest.raises(FileNotFoundError, match="file 0") as raised:
            call()
        assert "in raise_error" in raised.value.__notes__[0]
    with pytest.raises(Exception, match=r"pickle|local object"):
        list(map_in_order(lambda item: lambda: item, range(5), 2))


LIMITED = """
import argparse
from japanese_bert.common.command_line import run_stage
from japanese_bert.common.workers import map_in_order
run_stage(argparse.ArgumentParser("stage"), lambda _: list(map_in_order(abs, range(99), 16)))
"""


@contextmanager
def limited_processes(number: int):
    group = Path(f"/sys/fs/cgroup/pids/test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError:
        pytest.skip("control groups of processes cannot be made here")
    try:
        (group / "pids.max").write_text(str(number))
        yield group
    finally:
        group.rmdir()


@pytest.mark.parametrize("number", [7, 20])
def test_workers_that_cannot_be_forked(number):
    """Of 16 workers 7 or 20 processes and threads are allowed: not all processes, or not all threads."""
    with limited_processes(number) as group:
        done = run(LIMITED, "sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
    check_one_line(done)


def test_workers_without_descriptors():
    check_one_line(run(LIMITED, "sh", "-c", 'ulimit -n 20; exec "$@"', "sh"))


def check_one_line(done: subprocess.CompletedProcess) -> None:
    assert done.returncode == 1
    lines = done.stderr.split("\n")[:-1]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("stage: error: ")
    assert "Run again with a smaller --num_workers" in lines[0]

"""Runs that start at once: forked from a process that has imported the libraries of a stage.

Imports are most of a short run, up to ten seconds with TensorFlow. As a program this module is that process. It forks
a run for each request, which becomes a child of the tests.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NoReturn

PR_SET_CHILD_SUBREAPER = 36  # <sys/prctl.h>
LOCK = Lock()


class ForkedProcess:
    """A run, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, pid: int, args: Sequence[str]) -> None:
        self.pid, self.args = pid, args
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.002)
        return self.returncode


def start(
    libraries: tuple[str, ...], arguments: Sequence[str], place: Path, variables: Mapping[str, str], streams: list[int]
) -> ForkedProcess:
    """Start `python ARGUMENTS` in a session of its own. `streams` are its stdout and stderr."""
    request = {"arguments": arguments, "place": str(place), "variables": dict(variables), "parent": os.getpid()}
    with LOCK:
        path = _server(libraries, variables["PYTHONPATH"])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(request).encode()], streams)
        connection.shutdown(socket.SHUT_WR)
        return ForkedProcess(int(connection.recv(100)), [sys.executable, *arguments])


@cache
def _server(libraries: tuple[str, ...], python_path: str) -> str:
    """Start the process, and return the path of its socket. It ends with the tests."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    path = str(Path(tempfile.mkdtemp(prefix="faults-")) / "socket")
    command = [sys.executable, __file__, path, *libraries]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": python_path})
    atexit.register(process.kill)
    while not os.path.exists(path):
        assert process.poll() is None, libraries
        time.sleep(0.05)
    return path


def serve(path: str, libraries: Sequence[str]) -> None:
    with warnings.catch_warnings(action="ignore"):
        for name in libraries:
            importlib.import_module(name)
    gc.freeze()
    threads = {(path / "comm").read_text().strip() for path in Path("/proc/self/task").iterdir()}
    assert len(threads - {"jemalloc_bg_thd"}) == 1, (
        f"{threads} would be missing in the runs"
    )  # jemalloc starts it again
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{path}.new")
    server.listen(8)
    os.rename(f"{path}.new", path)
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:  # the end of the tests closes it
        connection, _ = server.accept()
        message, streams, *_ = socket.recv_fds(connection, 1 << 20, 2)
        while part := connection.recv(1 << 20):
            message += part
        if not os.fork():
            if not os.fork():
                server.close()
                run(connection, streams, **json.loads(message))
            os._exit(0)
        os.wait()
        connection.close()
        for stream in streams:
            os.close(stream)


def run(
    connection: socket.socket,
    streams: list[int],
    arguments: list[str],
    place: str,
    variables: dict[str, str],
    parent: int,
) -> NoReturn:
    """Become the run."""
    while (now := os.getppid()) != parent:  # the process in between is ending
        if now == 1:  # so have the tests
            os._exit(1)
        time.sleep(0.0002)
    os.setsid()
    for number, stream in enumerate([os.open(os.devnull, os.O_RDONLY), *streams]):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(variables)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    importlib.reload(importlib.import_module("sitecustomize"))  # which stops the run before a step
    connection.send(str(os.getpid()).encode())
    connection.close()
    if arguments[0] == "-m":
        sys.argv, sys.path[:0] = arguments[1:], [""]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[:0] = arguments, [str(Path(arguments[0]).parent)]
        runpy.run_path(arguments[0], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    del sys.path[0]  # the folder of this module
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "OPENBLAS_NUM_THREADS": "1"}
    serve(sys.argv[1], sys.argv[2:])

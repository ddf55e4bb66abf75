"""One attempt at one shard: a process of its own, which a Dask worker starts and outlives.

    python -m japanese_bert.cluster.attempt     with the attempt as one line of JSON on standard input

It holds the shard's log locked, so that no shard runs twice at once whatever becomes of a worker or of its network,
runs the command in a process group of its own, and writes the record when the command has ended well. It ends the
group at once if standard input closes, for then the worker was killed, and politely (SIGTERM first) on SIGTERM. How
the attempt ended is one line of JSON on standard output. The standard library only: it starts in 50 ms.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from japanese_bert.cluster.records import Shard, is_finished, last_lines, write_record

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
GRACE_SECONDS = 10.0
LOCK_RETRY_SECONDS = 0.2
# Of the machine that the command runs on; all other variables are the caller's.
OWN_VARIABLES = ("SLURM", "PBS_", "SGE_", "JOB_", "TMPDIR", "HOSTNAME", "XDG_RUNTIME_DIR", "CUDA_VISIBLE_DEVICES")


class Stopped(Exception):
    """The attempt is to end: the worker is gone (`at_once`), or asks for it."""

    def __init__(self, at_once: bool) -> None:
        self.at_once = at_once


def main() -> None:
    wakeups = _wake_up_on_signals()
    attempt = json.loads(sys.stdin.buffer.raw.readline())
    shard = Shard(attempt["name"], tuple(attempt["command"]), Path(attempt["log"]))
    directory = Path(attempt["directory"])
    try:
        with open(shard.log, "ab", buffering=0) as log:
            _lock(log, wakeups)
            if is_finished(shard, directory):
                report = {"outcome": "finished", "ran": False}
            else:
                report = run(shard, directory, attempt, log, wakeups)
    except Stopped:
        report = {"outcome": "stopped"}
    with suppress(BrokenPipeError):  # of a worker that is gone
        os.write(sys.stdout.fileno(), json.dumps(report).encode())


def run(shard: Shard, directory: Path, attempt: dict, log: BinaryIO, wakeups: int) -> dict[str, object]:
    """Run the command to its end; returns what the worker reports of it."""
    place = {"attempt": attempt["attempt"], "worker": attempt["worker"], "started": _now()}
    _write_line(log, f"shard {shard.name}, attempt {place['attempt']} on {place['worker']}: {' '.join(shard.command)}")
    start = time.monotonic()
    try:
        code = _wait(_start(shard, directory, attempt["environment"], log), wakeups)
    except Stopped:
        _write_line(log, "stopped: the worker is going away, or nobody waits for this shard any more")
        raise
    except OSError as error:
        code = 127
        os.write(log.fileno(), f"{error.filename or directory}: {error.strerror}\n".encode())
    seconds = round(time.monotonic() - start, 2)
    _write_line(log, f"shard {shard.name}, attempt {place['attempt']}: {describe_exit(code)} after {seconds} s")
    if code:
        lines = [line for line in last_lines(shard.log, 8) if not line.startswith("=== ")]
        return {"outcome": "failed", "code": code, "seconds": seconds, "lines": lines[-5:]}
    write_record(shard, directory, {**place, "seconds": seconds})
    return {"outcome": "finished", "ran": True, "seconds": seconds}


def describe_exit(code: int) -> str:
    """
    >>> describe_exit(-9)
    'killed by SIGKILL (out of memory?)'
    """
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _start(shard: Shard, directory: Path, environment: dict[str, str], log: BinaryIO) -> subprocess.Popen:
    """The command in a group of its own; killed by the kernel if this process is. Its output holds the lock, too."""
    own = {name: value for name, value in os.environ.items() if name.startswith(OWN_VARIABLES)}
    library = ctypes.CDLL(None)

    def die_with_parent() -> None:
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        shard.command,
        cwd=directory,
        env={name: value for name, value in environment.items() if not name.startswith(OWN_VARIABLES)} | own,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def _wait(process: subprocess.Popen, wakeups: int) -> int:
    """Exit code of the command; nothing that it started goes on after this.

    Raises:
        Stopped: it was ended before it was done.
    """
    try:
        while process.poll() is None:
            _sleep(wakeups)
        return process.returncode
    except Stopped as stopped:
        if not stopped.at_once:
            _end_politely(process)
        if process.poll() == 0:  # it was done already
            return 0
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_politely(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)


def _lock(log: BinaryIO, wakeups: int) -> None:
    """Wait until no other process runs this shard: one whose worker was taken for dead, or that of another caller."""
    told = False
    while True:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                _write_line(log, "waiting: another process is running this shard")
            told = True
            _sleep(wakeups, LOCK_RETRY_SECONDS)
        except OSError:
            return  # a file system without locks


def _wake_up_on_signals() -> int:
    """A descriptor that can be read whenever a child has ended or SIGTERM has come."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return reader


def _sleep(wakeups: int, seconds: float | None = None) -> None:
    """Until a child ends, or for some seconds.

    Raises:
        Stopped: the worker is gone, or asks to stop.
    """
    ready, _, _ = select.select([wakeups, sys.stdin], [], [], seconds)
    if sys.stdin in ready:
        raise Stopped(at_once=True)
    if wakeups in ready and signal.SIGTERM in os.read(wakeups, 1024):
        raise Stopped(at_once=False)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _write_line(log: BinaryIO, text: str) -> None:
    os.write(log.fileno(), f"=== {_now()} {text}\n".encode())


if __name__ == "__main__":
    main()

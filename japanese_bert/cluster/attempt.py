"""One attempt at one shard, as a process that a Dask worker starts.

- It locks the shard's log. No shard runs twice at once, even if a worker is lost or its network breaks.
- It runs the command in a new process group. If the command succeeds, it writes the shard's status.
- It kills the group when standard input closes, because the worker is dead then. On SIGTERM it sends SIGTERM first.
- It prints how the attempt ended: `ran`, `finished` (by an earlier attempt), `stopped`, or the reason of the failure.

It imports only the standard library, so that it starts in 50 ms.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from japanese_bert.cluster.shards import OWN_LINE, Shard, is_finished, write_status
from japanese_bert.common.process import end_with_parent

PROJECT = Path(__file__).resolve().parents[2]
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.1

stop_requests: list[int] = []  # one item for each SIGTERM


class Stopped(Exception):
    """The attempt must end now. `at_once` means without SIGTERM."""

    def __init__(self, at_once: bool) -> None:
        self.at_once = at_once


def arguments_for(shard: Shard, number: int) -> list[str]:
    """Return the command line of an attempt in this directory. The worker appends its name and the shard's command."""
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from japanese_bert.cluster import attempt; attempt.main()"
    )
    return [sys.executable, "-S", "-c", code, shard.name, str(shard.log), os.getcwd(), str(number)]


def main() -> None:
    name, log_path, directory, number, worker, *command = sys.argv[1:]
    shard = Shard(name, tuple(command), Path(log_path))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGHUP])  # `--scheduler local` blocks them
    signal.signal(signal.SIGTERM, lambda number, _: stop_requests.append(number))
    try:
        with open(shard.log, "ab", buffering=0) as log:
            lock(log)
            finished = is_finished(shard, Path(directory))
            outcome = "finished" if finished else run(shard, Path(directory), int(number), worker, log)
    except Stopped:
        outcome = "stopped"
    with suppress(BrokenPipeError):  # the worker is dead
        os.write(sys.stdout.fileno(), outcome.encode())


def run(shard: Shard, directory: Path, number: int, worker: str, log: BinaryIO) -> str:
    """Run the command to its end and return how it ended."""
    title, started, start = f"shard {shard.name}, attempt {number}", now(), time.monotonic()
    write_line(log, f"{title} on {worker}: {' '.join(shard.command)}")
    try:
        code = wait(start_command(shard.command, log))
    except Stopped:
        write_line(log, "stopped: the worker closes, or the shard was cancelled")
        raise
    except OSError as error:
        code = 127
        os.write(log.fileno(), f"{error.filename}: {error.strerror}\n".encode())
    seconds = round(time.monotonic() - start, 2)
    write_line(log, f"{title}: {describe_exit(code)} after {seconds} s")
    if code:
        return describe_exit(code)
    report = {"attempt": number, "worker": worker, "started": started, "seconds": seconds}
    write_status(shard, directory, report)
    return "ran"


def describe_exit(code: int) -> str:
    """
    >>> describe_exit(-9)
    'killed by SIGKILL (out of memory?)'
    """
    if code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")


def start_command(command: Sequence[str], log: BinaryIO) -> subprocess.Popen[bytes]:
    """Start the command in a new process group. The kernel kills it if this process is killed."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=partial(end_with_parent, os.getpid()),
    )


def wait(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of the command. Kill all processes that it leaves.

    Raises:
        Stopped: the command was stopped before it succeeded.
    """
    try:
        while process.poll() is None:
            sleep()
    except Stopped as stopped:
        if not stopped.at_once:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        if process.poll() != 0:
            raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode


def lock(log: BinaryIO) -> None:
    """Wait until no other process runs this shard. It can belong to a lost worker or to another caller."""
    first = True
    while True:
        try:
            return fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if first:
                write_line(log, "waiting: another process is running this shard")
            first = False
            sleep()
        except OSError:
            return  # a file system without locks


def sleep() -> None:
    """Sleep for POLL_SECONDS.

    Raises:
        Stopped: the worker is dead, or it sent SIGTERM.
    """
    worker_is_dead, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
    if worker_is_dead or stop_requests:
        raise Stopped(at_once=bool(worker_is_dead))


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def write_line(log: BinaryIO, text: str) -> None:
    os.write(log.fileno(), f"{OWN_LINE}{now()} {text}\n".encode())

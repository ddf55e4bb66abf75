"""Loaded by the Python of a disturbed run.

It stops the run (SIGSTOP) before its N-th step, for the test to act. A step is a change of names: a file below
FAULT_BELOW opened for writing, a rename, a removal, a new directory; with FAULT_READ also the opening of that file.
Steps are told by Python's audit events, in the main process only, and their names are appended to the file FAULT_LOG.

With FAULT_SEND a worker process kills itself in the middle of its N-th message.

With FAULT_FORKS copies of the run get a signal, each at an import. The numbers of these imports grow by that factor.
Messages and exit code of a copy go to a file below FAULT_LOG.
"""

import os
import signal
import sys
import time

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def stop_at_step(below: str, read: str, number: int, log: int) -> None:
    steps, pid = 0, os.getpid()

    def hook(event: str, arguments: tuple) -> None:
        nonlocal steps
        if (event == "open" or event in CHANGES) and os.getpid() == pid:
            path = arguments[0]
            if not isinstance(path, str | bytes):
                path = "" if isinstance(path, int) else os.fspath(path)
            path = os.path.abspath(os.fsdecode(path)) if path else ""
            is_write = event != "open" or (arguments[2] or 0) & WRITING
            if (is_write and path.startswith(below)) or (read and path == read):
                steps += 1
                os.write(log, f"{event} {os.path.basename(path)}\n".encode())
                if steps == number:
                    os.kill(pid, signal.SIGSTOP)

    sys.addaudithook(hook)


def die_in_message(number: int) -> None:
    from multiprocessing.connection import Connection

    parent, send, sent = os.getpid(), Connection._send, 0

    def send_or_die(self, data, *arguments):
        nonlocal sent
        if os.getpid() != parent and len(data) > 1:
            sent += 1
            if sent == number:
                os.write(self._handle, bytes(data[: len(data) // 2]))
                os.kill(os.getpid(), signal.SIGKILL)
        return send(self, data, *arguments)

    Connection._send = send_or_die


def strike_copies(factor: float, kill: int, folder: str) -> None:
    count, next_strike, pid = 0, 1.0, os.getpid()

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count, next_strike
        if event != "import" or os.getpid() != pid or not callable(signal.getsignal(signal.SIGTERM)):
            return
        count += 1
        if count >= next_strike and can_be_copied():
            next_strike = max(count + 1, factor * count)
            name = f"{folder}/{count} {arguments[0]}"
            if copy := os.fork():
                report(name, copy)
            else:
                move_to(f"{folder}.places/{count}")
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), 2)
                os.kill(os.getpid(), kill)

    sys.addaudithook(hook)


def can_be_copied() -> bool:
    """Return False if a copy of this process would miss threads, or have the worker processes of another one.

    Workers start while signals are blocked.
    """
    if signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return False
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return not file.read() and len(os.listdir("/proc/self/task")) <= 2


def move_to(place: str) -> None:
    """Give this process an output directory of its own."""
    import shutil

    os.makedirs(place)
    os.symlink(os.path.abspath("in"), f"{place}/in")
    if os.path.exists("out"):
        shutil.copytree("out", f"{place}/out")
    os.chdir(place)


def report(name: str, copy: int) -> None:
    """Add the exit code of a copy to its file. One that hangs is killed."""
    end = time.monotonic() + 30
    while not (status := os.waitpid(copy, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(copy, signal.SIGKILL)
        time.sleep(0.001)
    with open(name, "a") as file:
        file.write(f"exit code {os.waitstatus_to_exitcode(status[1])}")


if "FAULT_SEND" in os.environ:
    die_in_message(int(os.environ.pop("FAULT_SEND")))

if "FAULT_FORKS" in os.environ:
    strike_copies(
        float(os.environ.pop("FAULT_FORKS")), int(os.environ.pop("FAULT_SIGNAL")), os.environ.pop("FAULT_LOG")
    )

if "FAULT_BELOW" in os.environ:
    stop_at_step(
        os.environ.pop("FAULT_BELOW"),
        os.environ.pop("FAULT_READ", ""),
        int(os.environ.pop("FAULT_STEP", "0")),
        os.open(os.environ.pop("FAULT_LOG"), os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    )

"""Temporary names that one process has for itself: `<output>.tmp`, a file or a directory, held by `flock`.

A file system without locks lets every process in. Then two runs with one output are the user's to avoid.
"""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def temporary_path(path: Path) -> Path:
    """Return `<path>.tmp`, the name that an output has until it is complete."""
    return path.with_name(path.name + ".tmp")


def open_locked(path: Path, open_it: Callable[[Path], int]) -> int:
    """Return a descriptor of `path`, made if need be by `open_it`, that this process alone has locked.

    Raises:
        BlockingIOError: another process has the lock.
    """
    while True:
        descriptor = open_it(path)
        try:
            check_not_locked(descriptor, path)
            if is_same_file(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner renamed it between our open and our lock: take a new one


def check_not_locked(descriptor: int, path: Path, kind: int = fcntl.LOCK_EX) -> None:
    """Lock the descriptor, or raise BlockingIOError if another process has the lock."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(f"{path}: another process is writing this output. Wait until it ends") from None
    except OSError:
        pass  # a file system without locks


def check_not_being_published(path: Path) -> None:
    """Raise BlockingIOError if another run still holds its output, renamed already, until the provenance is there."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        check_not_locked(file.fileno(), path, fcntl.LOCK_SH)


def is_same_file(path: Path, descriptor: int) -> bool:
    """Return True if `path` still names what the descriptor has open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False

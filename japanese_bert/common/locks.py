"""Temporary names that one process has for itself: `<output>.tmp`, a file or a directory, held by `flock`.

A file system without locks lets every process in. There each run gets a name of its own, with a warning. What a killed
run leaves under such a name is the user's to remove.
"""

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def temporary_path(path: Path, unique: str = "") -> Path:
    """Return `<path>.tmp`, the name that an output has until it is complete."""
    return path.with_name(f"{path.name}{unique}.tmp")


def unique_part(directory: Path, of_directories: bool = False) -> str:
    """Return a part for temporary names that no other run has, or "" where locks keep other runs away."""
    if _has_locks(directory, of_directories):
        return ""
    print(
        f"warning: {directory}: its file system has no locks. Do not run two commands with the same output at once",
        file=sys.stderr,
    )
    return f".{os.urandom(6).hex()}"


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


def open_own_file(path: Path) -> int:
    """Open a temporary file, or what a killed run left of it. Never open what somebody else linked to this name."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_nlink < 2:
                return descriptor
            os.close(descriptor)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        path.unlink(missing_ok=True)


def check_not_locked(descriptor: int, path: Path, kind: int = fcntl.LOCK_EX) -> None:
    """Lock the descriptor, or raise BlockingIOError if another process has the lock."""
    try:
        _lock(descriptor, kind)
    except BlockingIOError:
        raise BlockingIOError(f"{path}: another process is writing this output. Wait until it ends") from None


def check_not_being_published(path: Path) -> None:
    """Raise BlockingIOError if another run still holds its output, renamed already, until the provenance is there."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        check_not_locked(file.fileno(), path, fcntl.LOCK_SH)


def is_same_file(path: Path, descriptor: int) -> bool:
    """Return True if `path` still names what the descriptor has open."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _has_locks(directory: Path, of_directories: bool) -> bool:
    """Try it: NFS locks files and no directories, Lustre locks nothing unless it is mounted so."""
    import tempfile

    try:
        if not of_directories:
            with tempfile.TemporaryFile(dir=directory) as file:
                return _lock(file.fileno(), fcntl.LOCK_EX)
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            return _lock(descriptor, fcntl.LOCK_EX)
        finally:
            os.close(descriptor)
    except OSError:
        return True  # another process has this lock, or nothing can be written here, which the caller meets


def _lock(descriptor: int, kind: int) -> bool:
    """Return False where the file system has no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True

"""Renames in one step that replace nothing, or exchange two names: `renameat2` of Linux, and what comes nearest."""

import errno
import os
import sys
from pathlib import Path

AT_FDCWD = -100  # <fcntl.h>: names are relative to the working directory
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2  # <linux/fs.h>
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # for example by NFS


def rename_to_free_name(source: Path, target: Path) -> None:
    """Rename a file.

    Raises:
        FileExistsError: something has this name already. It stays as it is.
    """
    if _renameat2(source, target, RENAME_NOREPLACE):
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        os.rename(source, target)
    else:
        source.unlink(missing_ok=True)


def exchange_directories(one: Path, other: Path, aside: Path) -> None:
    """Give each directory the name of the other. `aside` is a free name, for file systems that need three renames."""
    if not _renameat2(one, other, RENAME_EXCHANGE):
        os.rename(other, aside)
        try:
            os.rename(one, other)
        finally:
            os.rename(aside, one if other.exists() else other)


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """Return False if the system or the file system cannot do this."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    sys.audit("os.rename", str(source), str(target), -1, -1)  # as os.rename does
    if not libc.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags):
        return True
    number = ctypes.get_errno()
    if number in UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(target))

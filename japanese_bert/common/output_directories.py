"""An output that is a directory: it appears whole or not at all, and `provenance.json` in it says what made it.

The record is inside, not beside, so that it comes and goes with the directory in one rename and is published with it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from japanese_bert.common.provenance import Provenance, read_record

RECORD = "provenance.json"
EDITABLE = ("README.md",)  # for users to change: a directory is complete whatever becomes of it


def is_complete(directory: Path, provenance: Provenance) -> bool:
    """True if this very recipe made the directory and its files still have the sizes they had."""
    record = read_directory_record(directory)
    try:
        same_files = all((directory / name).stat().st_size == size for name, size in record["files"].items())
    except (OSError, KeyError, AttributeError):
        return False
    return same_files and all(record.get(key) == value for key, value in provenance.recipe().items())


def read_directory_record(directory: Path) -> dict:
    """What made the directory; empty if there is no record that can be read."""
    return read_record(directory / RECORD) or {}


@contextmanager
def open_output_directory(
    directory: Path, provenance: Provenance, overwrite: bool = False, subdirectories: tuple[str, ...] = ()
) -> Iterator[Path]:
    """A temporary directory, `<directory>.tmp`, that gets its final name when the block ends without an exception.

    Where the output exists already its files of the same names are replaced; others are left alone. Outputs are flat,
    or have `subdirectories` that are.

    Raises:
        FileExistsError: the output is there, not empty, and `overwrite` is off.
        BlockingIOError: another process is writing the same output.
    """
    directory = directory.resolve()  # rename the directory that a link points to, not the link
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory}: is a file, expected the name of a directory to write")
    with _locked_temporary(directory.with_name(directory.name + ".tmp"), subdirectories) as temporary:
        # Behind the lock, or another run could finish between the look and the lock.
        if directory.exists() and any(directory.iterdir()) and not overwrite:
            raise FileExistsError(
                f"{directory}: exists and was made from other inputs or arguments, was changed, or was not made by "
                "this stage; name another output, or replace its files with --overwrite"
            )
        with provenance.unchanged_inputs():
            yield temporary
        _write_record(temporary, directory, provenance)
        _publish(temporary, directory)


def _write_record(temporary: Path, directory: Path, provenance: Provenance) -> None:
    files = {path.relative_to(temporary).as_posix(): path for path in _files(temporary)}
    sizes = {name: path.stat().st_size for name, path in files.items() if name not in EDITABLE}
    provenance.report["files"] = sizes
    record = provenance.to_json(directory, sum(sizes.values()))
    (temporary / RECORD).write_text(record, encoding="utf-8", newline="\n")


def _publish(temporary: Path, directory: Path) -> None:
    """Give the directory its name; into an existing one files move singly, their record first out and last in."""
    files = _files(temporary)
    for path in files:
        _sync(path)
    if not directory.exists() or not any(directory.iterdir()):
        os.rename(temporary, directory)
        return
    (directory / RECORD).unlink(missing_ok=True)
    for path in sorted(files, key=lambda path: path.name == RECORD):
        target = directory / path.relative_to(temporary)
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if not path.is_dir())


@contextmanager
def _locked_temporary(temporary: Path, subdirectories: tuple[str, ...]) -> Iterator[Path]:
    """Make `temporary` for this process alone, emptied of what a killed run may have left; removed unless renamed."""
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(temporary, os.O_RDONLY)
    except FileNotFoundError:
        raise _busy(temporary) from None  # renamed by its owner just now
    try:
        _lock(descriptor, temporary)
        try:
            _remove_files(temporary, subdirectories)
            yield temporary
        finally:
            if _is_same(temporary, descriptor):
                _remove_files(temporary, subdirectories)
                temporary.rmdir()
    finally:
        os.close(descriptor)


def _lock(descriptor: int, temporary: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _busy(temporary) from None
    except OSError:
        pass  # a file system without locks: two runs with one output are the user's to avoid
    if not _is_same(temporary, descriptor):
        raise _busy(temporary)  # renamed by its owner between our open and our lock


def _busy(temporary: Path) -> BlockingIOError:
    return BlockingIOError(f"{temporary}: another process is writing this output; wait for it to end")


def _is_same(temporary: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(temporary.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_files(temporary: Path, subdirectories: tuple[str, ...] = ()) -> None:
    """Any other directory in here is not ours, and makes this fail."""
    for path in temporary.iterdir():
        if path.name in subdirectories and path.is_dir():
            _remove_files(path)
            path.rmdir()
        else:
            path.unlink()


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())

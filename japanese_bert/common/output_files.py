"""Outputs that are files: they appear complete, with `<output>.json` beside them, or not at all.

A stage writes to a locked temporary sibling, `<output>.tmp`, which gets the final name at the end.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from japanese_bert.common.locks import (
    check_not_being_published,
    is_same_file,
    open_locked,
    open_own_file,
    temporary_path,
    unique_part,
)
from japanese_bert.common.process import uninterrupted
from japanese_bert.common.provenance import Provenance, provenance_path, read_provenance
from japanese_bert.common.renames import rename_to_free_name


@dataclass(frozen=True, slots=True)
class Temporary:
    """The open temporary file of the output `path`. `unique` is a part of its name."""

    path: Path
    file: BinaryIO
    unique: str

    @property
    def name(self) -> Path:
        return temporary_path(self.path, self.unique)

    @property
    def name_of_provenance(self) -> Path:
        return temporary_path(provenance_path(self.path), self.unique)

    def check_whole(self) -> None:
        """Write all to disk. Raise OSError if that is not what was written: another program changed or removed it."""
        _sync(self.file)
        written, size = self.file.tell(), os.fstat(self.file.fileno()).st_size
        if size != written or not is_same_file(self.name, self.file.fileno()):
            raise OSError(
                f"{self.name}: another program changed or removed it ({written:,} bytes were written, {size:,} are "
                "there). Run again when no other process writes here"
            )


@contextmanager
def open_outputs(outputs: Sequence[Path], provenance: Provenance, overwrite: bool = False) -> Iterator[list[BinaryIO]]:
    """Yield a temporary file for each output. The files get their final names if the block raises nothing.

    Raises:
        FileExistsError: another recipe made an output that exists, and `overwrite` is off.
        BlockingIOError: another process is writing the same output.
        ValueError: an output is an input.
    """
    names = [beside for path in outputs for beside in (path, provenance_path(path))]
    provenance.inputs.check_not_among([*names, *map(temporary_path, names)])
    with ExitStack() as stack:
        temporary = [stack.enter_context(_locked_temporary(path)) for path in outputs]
        for path in outputs:  # after the lock: another run could finish between the look and the lock
            _check_may_be_written(path, provenance, overwrite)
        with provenance.inputs.unchanged():
            yield [each.file for each in temporary]
        for each in temporary:
            each.check_whole()
            _check_may_be_written(each.path, provenance, overwrite)  # again: a file may have appeared meanwhile
        # What this recipe made before a kill is kept. Replacing it would leave it without provenance for a moment.
        new = [each for each in temporary if not provenance.is_complete([each.path])]
        for each in temporary:
            if each not in new:  # no later run would remove it
                each.name.unlink()
        for each in new:
            text = provenance.to_json(each.path, os.fstat(each.file.fileno()).st_size)
            stack.enter_context(_temporary_text(each.name_of_provenance, text))
        for each in new:
            _publish(each, overwrite)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file without provenance, completely or not at all. An existing file is replaced."""
    with _locked_temporary(path) as temporary:
        temporary.file.write(data)
        temporary.check_whole()
        os.replace(temporary.name, path)


def _check_may_be_written(path: Path, provenance: Provenance, overwrite: bool) -> None:
    if os.path.lexists(path) and not overwrite and not provenance.is_complete([path]):
        raise FileExistsError(_exists(path))
    beside = provenance_path(path)
    if beside.exists() and "stage" not in (read_provenance(path) or {}):
        raise FileExistsError(f"{beside}: exists, and no stage wrote it. The stage would replace it: move it away")


def _exists(path: Path) -> str:
    return (
        f"{path}: exists, and other inputs, other arguments or another program made it. "
        "Name another output, or replace it with --overwrite"
    )


def _publish(temporary: Temporary, overwrite: bool) -> None:
    """Give a finished temporary file and its provenance their names.

    Where the name is free the provenance goes first: a kill between the two leaves no output without provenance.
    Where an output is replaced its provenance is removed first: a kill leaves an output that counts as incomplete.
    """
    path, beside = temporary.path, provenance_path(temporary.path)
    if overwrite and os.path.lexists(path):
        beside.unlink(missing_ok=True)
        os.replace(temporary.name, path)
        os.replace(temporary.name_of_provenance, beside)
        return
    os.replace(temporary.name_of_provenance, beside)
    try:
        rename_to_free_name(temporary.name, path)
    except FileExistsError:
        beside.unlink()
        raise FileExistsError(_exists(path)) from None


@contextmanager
def _temporary_text(temporary: Path, text: str) -> Iterator[None]:
    """Write a temporary file, which the lock of the output guards. Remove it unless it was renamed."""
    try:
        with open(open_own_file(temporary), "wb") as file:
            file.truncate()
            file.write(text.encode("utf-8"))
            _sync(file)
        yield
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
@uninterrupted
def _locked_temporary(path: Path) -> Iterator[Temporary]:
    """Open `<path>.tmp` for this process alone, without what a killed run left in it. Remove it unless renamed."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a directory, expected the name of a file to write")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: is a device or a pipe, expected the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    unique = unique_part(path.parent)
    temporary = temporary_path(path, unique)
    descriptor = open_locked(temporary, open_own_file)
    with open(descriptor, "r+b") as file:
        try:
            check_not_being_published(path)
            file.truncate(0)
            yield Temporary(path, file, unique)
        finally:
            if is_same_file(temporary, file.fileno()):
                temporary.unlink()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

"""Outputs that are files: they appear complete, with `<output>.json` beside them, or not at all.

A stage writes to a locked temporary sibling, `<output>.tmp`, which gets the final name at the end.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from japanese_bert.common.locks import check_not_being_published, is_same_file, open_locked, temporary_path
from japanese_bert.common.provenance import Provenance, provenance_path, read_provenance


@contextmanager
def open_outputs(outputs: Sequence[Path], provenance: Provenance, overwrite: bool = False) -> Iterator[list[BinaryIO]]:
    """Yield a temporary file for each output. The files get their final names if the block raises nothing.

    Raises:
        FileExistsError: another recipe made an output that exists, and `overwrite` is off.
        BlockingIOError: another process is writing the same output.
    """
    for path in outputs:
        if path.is_dir():
            raise IsADirectoryError(f"{path}: is a directory, expected the name of a file to write")
    with ExitStack() as stack:
        temporary = [stack.enter_context(_locked_temporary(path)) for path in outputs]
        for path in outputs:  # after the lock: another run could finish between the look and the lock
            _check_may_be_written(path, provenance, overwrite)
        with provenance.inputs.unchanged():
            yield temporary
        for file in temporary:
            _sync(file)
        # What this recipe made before a kill is kept. Replacing it would leave it without provenance for a moment.
        new = {path: file for path, file in zip(outputs, temporary, strict=True) if not provenance.is_complete([path])}
        for path in outputs:
            if path not in new:
                temporary_path(path).unlink()
        for path, file in new.items():
            text = provenance.to_json(path, os.fstat(file.fileno()).st_size)
            stack.enter_context(_temporary_text(provenance_path(path), text))
        for path in new:
            _publish(path)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file without provenance, completely or not at all. An existing file is replaced."""
    with _locked_temporary(path) as file:
        file.write(data)
        _sync(file)
        os.replace(temporary_path(path), path)


def _check_may_be_written(path: Path, provenance: Provenance, overwrite: bool) -> None:
    if path.exists() and not overwrite and not provenance.is_complete([path]):
        raise FileExistsError(
            f"{path}: exists, and other inputs, other arguments or another program made it. "
            "Name another output, or replace it with --overwrite"
        )
    beside = provenance_path(path)
    if beside.exists() and "stage" not in (read_provenance(path) or {}):
        raise FileExistsError(f"{beside}: exists, and no stage wrote it. The stage would replace it: move it away")


def _publish(path: Path) -> None:
    """Give a finished temporary file and its provenance their names.

    Where the name is free the provenance goes first: a kill between the two leaves no output without provenance.
    Where an output is replaced its provenance is removed first: a kill leaves an output that counts as incomplete.
    """
    beside = provenance_path(path)
    replaces = path.exists()
    if replaces:
        beside.unlink(missing_ok=True)
    else:
        os.replace(temporary_path(beside), beside)
    os.replace(temporary_path(path), path)
    if replaces:
        os.replace(temporary_path(beside), beside)


@contextmanager
def _temporary_text(path: Path, text: str) -> Iterator[None]:
    """Write `<path>.tmp`, which the lock of the output guards. Remove it unless it was renamed."""
    temporary = temporary_path(path)
    try:
        with open(temporary, "wb") as file:
            file.write(text.encode("utf-8"))
            _sync(file)
        yield
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _locked_temporary(path: Path) -> Iterator[BinaryIO]:
    """Open `<path>.tmp` for this process alone, without what a killed run left in it. Remove it unless renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    descriptor = open_locked(temporary, lambda name: os.open(name, os.O_RDWR | os.O_CREAT, 0o666))
    with open(descriptor, "r+b") as file:
        try:
            check_not_being_published(path)
            file.truncate(0)
            yield file
        finally:
            if is_same_file(temporary, file.fileno()):
                temporary.unlink()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

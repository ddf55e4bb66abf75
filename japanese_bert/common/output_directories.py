"""Outputs that are directories: they appear complete or not at all. `provenance.json` in them says what made them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from japanese_bert.common.locks import is_same_file, open_locked, temporary_path
from japanese_bert.common.provenance import DIRECTORY_PROVENANCE, Provenance

EDITABLE = ("README.md",)  # users may change it: the directory stays complete


@contextmanager
def open_output_directory(
    directory: Path, provenance: Provenance, overwrite: bool = False, subdirectories: tuple[str, ...] = ()
) -> Iterator[Path]:
    """Yield a temporary directory, `<directory>.tmp`. It gets its final name if the block raises nothing.

    In an existing output, files of the same names are replaced and all others are left alone. Outputs hold files, and
    files in `subdirectories`.

    Raises:
        FileExistsError: the output exists, is not empty, and `overwrite` is off.
        BlockingIOError: another process is writing the same output.
    """
    directory = directory.resolve()  # rename the directory that a link points to, not the link
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory}: is a file, expected the name of a directory to write")
    with _locked_directory(temporary_path(directory), subdirectories) as temporary:
        # After the lock: another run could finish between the look and the lock.
        if directory.exists() and any(directory.iterdir()) and not overwrite:
            raise FileExistsError(
                f"{directory}: exists, and other inputs, other arguments or another program made it, or it was "
                "changed. Name another output, or replace its files with --overwrite"
            )
        with provenance.inputs.unchanged():
            yield temporary
        _write_provenance(temporary, directory, provenance)
        _publish_directory(temporary, directory)


def _write_provenance(temporary: Path, directory: Path, provenance: Provenance) -> None:
    files = {path.relative_to(temporary).as_posix(): path for path in _files(temporary)}
    sizes = {name: path.stat().st_size for name, path in files.items() if name not in EDITABLE}
    provenance.report["files"] = sizes
    text = provenance.to_json(directory, sum(sizes.values()))
    (temporary / DIRECTORY_PROVENANCE).write_text(text, encoding="utf-8", newline="\n")


def _publish_directory(temporary: Path, directory: Path) -> None:
    """Give the directory its name. Into an existing one move each file: its provenance goes first and comes last."""
    files = _files(temporary)
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    if not directory.exists() or not any(directory.iterdir()):
        os.rename(temporary, directory)
        return
    (directory / DIRECTORY_PROVENANCE).unlink(missing_ok=True)
    for path in sorted(files, key=lambda path: path.name == DIRECTORY_PROVENANCE):
        target = directory / path.relative_to(temporary)
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if not path.is_dir())


@contextmanager
def _locked_directory(temporary: Path, subdirectories: tuple[str, ...]) -> Iterator[Path]:
    """Make a directory for this process alone, without what a killed run left in it. Remove it unless renamed."""
    descriptor = open_locked(temporary, _open_directory)
    try:
        _remove_files(temporary, subdirectories)
        yield temporary
    finally:
        if is_same_file(temporary, descriptor):
            _remove_files(temporary, subdirectories)
            temporary.rmdir()
        os.close(descriptor)


def _open_directory(path: Path) -> int:
    while True:
        path.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its owner renamed it just now


def _remove_files(temporary: Path, subdirectories: tuple[str, ...] = ()) -> None:
    """Remove all files, and the subdirectories of an output. Any other directory is not ours: OSError."""
    for path in temporary.iterdir():
        if path.name in subdirectories and path.is_dir():
            _remove_files(path)
            path.rmdir()
        else:
            path.unlink()

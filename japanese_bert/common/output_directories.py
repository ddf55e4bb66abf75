"""Outputs that are directories: they appear complete or not at all. `provenance.json` in them says what made them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from japanese_bert.common.locks import check_not_locked, is_same_file, open_locked, temporary_path, unique_part
from japanese_bert.common.process import uninterrupted
from japanese_bert.common.provenance import DIRECTORY_PROVENANCE, Provenance, read_provenance
from japanese_bert.common.renames import exchange_directories

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
        ValueError: a file of the output is an input.
    """
    directory = directory.resolve()  # rename the directory that a link points to, not the link
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory}: is a file, expected the name of a directory to write")
    if os.path.ismount(directory):
        raise ValueError(f"{directory}: is a mount point, which no rename replaces. Name a directory in it")
    if inside := [path for path in provenance.inputs.paths if temporary_path(directory) in path.resolve().parents]:
        raise ValueError(f"{inside[0]}: is an input, but {temporary_path(directory)} is emptied. Rename it")
    with _locked_directory(directory, subdirectories) as temporary:
        _check_directory_is_free(directory, overwrite)  # after the lock: another run could finish before it
        with provenance.inputs.unchanged():
            yield temporary
        _check_directory_is_free(directory, overwrite)  # again: a directory may have appeared meanwhile
        _write_provenance(temporary, directory, provenance)
        files = _files(temporary)
        provenance.inputs.check_not_among(directory / path.relative_to(temporary) for path in files)
        for path in files:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        if _has_files(directory):
            _tell_what_stays(directory, provenance)
            _replace_directory(temporary, directory)
        else:
            os.rename(temporary, directory)


def _has_files(directory: Path) -> bool:
    return directory.exists() and any(directory.iterdir())


def _check_directory_is_free(directory: Path, overwrite: bool) -> None:
    if _has_files(directory) and not overwrite:
        raise FileExistsError(
            f"{directory}: exists, and other inputs, other arguments or another program made it, or it was "
            "changed. Name another output, or replace its files with --overwrite"
        )


def _write_provenance(temporary: Path, directory: Path, provenance: Provenance) -> None:
    files = {path.relative_to(temporary).as_posix(): path for path in _files(temporary)}
    sizes = {name: path.stat().st_size for name, path in files.items() if name not in EDITABLE}
    provenance.report["files"] = sizes
    text = provenance.to_json(directory, sum(sizes.values()))
    (temporary / DIRECTORY_PROVENANCE).write_text(text, encoding="utf-8", newline="\n")


def _tell_what_stays(directory: Path, provenance: Provenance) -> None:
    """Print which files the run before wrote and this one does not. They may be of another model."""
    before = (read_provenance(directory) or {}).get("files")
    names = sorted(set(before if isinstance(before, dict) else ()) - provenance.report["files"].keys())
    if left := [name for name in names if os.path.lexists(directory / name)]:
        print(f"NOTE {directory}: {', '.join(left)} stay from the run before. Remove what you do not need")


def _replace_directory(temporary: Path, directory: Path) -> None:
    """Exchange a new directory and the one that it replaces, in one step. It gets all other files of that one, too."""
    shutil.copytree(
        directory, temporary, symlinks=True, ignore=_replaced(temporary, directory), copy_function=_link,
        dirs_exist_ok=True,
    )  # fmt: skip
    old = os.open(directory, os.O_RDONLY)
    try:
        check_not_locked(old, directory)  # the next run must not use it while it is removed
        exchange_directories(temporary, directory, aside=_aside(directory))
    finally:
        if is_same_file(temporary, old):
            _remove_directory(temporary, directory, None)
        os.close(old)


def _replaced(temporary: Path, directory: Path):
    """Return a function that tells `copytree` what of a directory it leaves out: the files that are replaced."""

    def ignore(parent: str, names: list[str]) -> list[str]:
        new = temporary / Path(parent).relative_to(directory)
        return [name for name in names if os.path.lexists(new / name) and not Path(parent, name).is_dir()]

    return ignore


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target, follow_symlinks=False)


def _aside(directory: Path) -> Path:
    return temporary_path(directory, ".old")


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if not path.is_dir())


@contextmanager
@uninterrupted
def _locked_directory(directory: Path, subdirectories: tuple[str, ...]) -> Iterator[Path]:
    """Make a directory for this process alone, without what a killed run left in it. Remove it unless renamed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(directory, unique_part(directory.parent, of_directories=True))
    descriptor = open_locked(temporary, _open_directory)
    try:
        _finish_exchange(directory)
        _remove_files(temporary, directory, subdirectories)
        yield temporary
    finally:
        if is_same_file(temporary, descriptor):
            _remove_directory(temporary, directory, subdirectories)
        os.close(descriptor)


def _finish_exchange(directory: Path) -> None:
    """Bring back the output that a kill left aside, or remove it if the new one has its name already."""
    aside = _aside(directory)
    if aside.is_dir():
        _remove_directory(aside, directory, None) if directory.exists() else os.rename(aside, directory)


def _open_directory(path: Path) -> int:
    while True:
        path.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # its owner renamed it just now


def _remove_directory(temporary: Path, directory: Path, subdirectories: tuple[str, ...] | None) -> None:
    _remove_files(temporary, directory, subdirectories)
    temporary.rmdir()


def _remove_files(temporary: Path, directory: Path, subdirectories: tuple[str, ...] | None) -> None:
    """Remove a new output: all files, its subdirectories at any depth, and directories that are also in `directory`.

    Of an old output (None instead of subdirectories), move into `directory` what is not there.

    Raises:
        OSError: there is another directory, which is not ours.
    """
    for path in temporary.iterdir():
        kept, is_directory = directory / path.name, path.is_dir() and not path.is_symlink()
        if subdirectories is None and not os.path.lexists(kept):
            os.rename(path, kept)
        elif is_directory and path.name in (subdirectories or ()):
            _remove_directory(path, kept, subdirectories)
        elif is_directory and kept.is_dir():
            _remove_directory(path, kept, None)
        else:
            path.unlink()

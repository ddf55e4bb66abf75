"""What made a file, and is it complete: `<output>.json` beside every output of every stage.

The file lists arguments, seed, inputs with sizes and hashes, versions and counts. It is also the completion
marker. Its first part, the *recipe*, is all that decides the bytes: a rerun with the same recipe finds the
outputs complete and skips them. Outputs are written to a locked temporary sibling, `<output>.tmp`, and renamed.
"""

import fcntl
import hashlib
import json
import os
import platform
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from japanese_bert import DATA_FORMAT, __version__

HASH_BLOCK_BYTES = 1 << 22


@dataclass(slots=True)
class Provenance:
    """One run of one stage, made before the stage reads its inputs.

    `method` holds the arguments that decide the bytes of the output; `arguments` holds all, as given.
    `report` is filled while the stage runs: counts in and out, items dropped by reason, seconds, memory.
    """

    stage: str
    method: dict[str, object]
    inputs: list[Path]
    arguments: Mapping[str, object]
    dictionary: Mapping[str, object] | None = None
    packages: tuple[str, ...] = ()
    report: dict[str, object] = field(default_factory=dict)
    _recipe: dict[str, object] | None = None
    _hashing: threading.Thread | None = None
    _states: dict[Path, object] = field(init=False)

    def __post_init__(self) -> None:
        self._states = {path: _state(path) for path in self.inputs}

    @contextmanager
    def unchanged_inputs(self) -> Iterator[None]:
        """Raises ValueError if an input is not as it was: hashes must be of what was read.

        For this a stage makes its Provenance before it reads. An input that changes may be the cause of another error.
        """
        try:
            yield
        except Exception:
            self._check_inputs()
            raise
        self._check_inputs()

    def _check_inputs(self) -> None:
        for path, state in self._states.items():
            if _state(path) != state:
                raise ValueError(
                    f"{path}: changed while this stage was reading it, so nothing was written; run again when no other "
                    "process writes it"
                )

    def hash_in_background(self) -> None:
        """Begin to hash the inputs in a thread, beside the work of a stage that reads them anyway."""
        self._hashing = threading.Thread(target=self._try_recipe, daemon=True)
        self._hashing.start()

    def recipe(self) -> dict[str, object]:
        """All that decides the bytes of the outputs; hashes every input once."""
        if self._hashing is not None:
            self._hashing.join()
        return self._make_recipe()

    def _try_recipe(self) -> None:
        with suppress(OSError):  # which the stage meets itself
            self._make_recipe()

    def _make_recipe(self) -> dict[str, object]:
        if self._recipe is None:
            self._recipe = {
                "stage": self.stage,
                "format": DATA_FORMAT,
                "method": _plain(self.method),
                "inputs": [_describe_input(path) for path in self.inputs],
                "dictionary": _plain(self.dictionary),
            }
        return self._recipe

    def is_complete(self, outputs: list[Path]) -> bool:
        """True if every output is there, whole, and was made by this very recipe."""
        return all(_was_made_by(path, self.recipe()) for path in outputs)

    def to_json(self, output: Path, size: int) -> str:
        record = {
            **self.recipe(),
            "output": {"name": output.name, "size": size},
            **_plain(self.report),
            "arguments": _plain(self.arguments),
            "versions": _versions(self.packages),
        }
        return json.dumps(record, ensure_ascii=False, indent=2) + "\n"


def provenance_path(output: Path) -> Path:
    """`data.tfrecord.gz` -> `data.tfrecord.gz.json`"""
    return output.with_name(output.name + ".json")


def read_provenance(output: Path) -> dict | None:
    """The record beside `output`, or None if there is none that can be read."""
    return read_record(provenance_path(output))


@contextmanager
def open_outputs(outputs: list[Path], provenance: Provenance, overwrite: bool = False) -> Iterator[list[BinaryIO]]:
    """Temporary files for all outputs; they get their final names when the block ends without an exception.

    Raises:
        FileExistsError: an output is there that another recipe made, and `overwrite` is off.
        BlockingIOError: another process is writing the same output.
    """
    for path in outputs:
        if path.is_dir():
            raise IsADirectoryError(f"{path}: is a directory, expected the name of a file to write")
    with ExitStack() as stack:
        temporary = [stack.enter_context(_locked_temporary(path)) for path in outputs]
        for path in outputs:  # behind the lock, or another run could finish between the look and the lock
            _check_may_be_written(path, provenance, overwrite)
        with provenance.unchanged_inputs():
            yield temporary
        for file in temporary:
            file.flush()
            os.fsync(file.fileno())
        # What this recipe made before a kill is kept: to replace it would for a moment leave it without its record.
        new = {path: file for path, file in zip(outputs, temporary, strict=True) if not provenance.is_complete([path])}
        for path in outputs:
            if path not in new:
                _temporary_path(path).unlink()
        for path, file in new.items():
            stack.enter_context(_temporary_record(path, provenance.to_json(path, os.fstat(file.fileno()).st_size)))
        for path in new:
            _publish(path)


def _check_may_be_written(path: Path, provenance: Provenance, overwrite: bool) -> None:
    if path.exists() and not overwrite and not _was_made_by(path, provenance.recipe()):
        raise FileExistsError(
            f"{path}: exists and was made from other inputs or arguments, or not by this stage; "
            "name another output, or replace it with --overwrite"
        )
    _check_record_is_ours(provenance_path(path))


def _publish(path: Path) -> None:
    """Give a finished temporary file and its record their names.

    The record goes first where the name is free, so that a kill between the two leaves no data without its
    record. Where an output is replaced its record goes away first: a kill leaves data that no record vouches for.
    """
    record = provenance_path(path)
    replaces = path.exists()
    if replaces:
        record.unlink(missing_ok=True)
    else:
        os.replace(_temporary_path(record), record)
    os.replace(_temporary_path(path), path)
    if replaces:
        os.replace(_temporary_path(record), record)


@contextmanager
def _temporary_record(path: Path, record: str) -> Iterator[None]:
    """Write the record under a temporary name, while the output is locked; removed unless renamed."""
    temporary = _temporary_path(provenance_path(path))
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        yield
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file without record, whole or not at all; what was there is replaced."""
    with _locked_temporary(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        os.replace(_temporary_path(path), path)


def _check_record_is_ours(path: Path) -> None:
    """Raise FileExistsError if a file that is no record stands where the record will be written."""
    if path.exists() and "stage" not in (read_record(path) or {}):
        raise FileExistsError(f"{path}: exists and is no record of a stage, which would replace it; move it away")


def read_record(path: Path) -> dict | None:
    """The record in a file of its own name, or None if there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _temporary_path(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


@contextmanager
def _locked_temporary(path: Path) -> Iterator[BinaryIO]:
    """Open `<path>.tmp` for this process alone, emptied of what a killed run may have left; removed unless renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_path(path)
    with _open_locked(temporary) as file:
        try:
            _check_is_not_being_published(path)
            file.truncate(0)
            yield file
        finally:
            if _is_same_file(temporary, file):
                temporary.unlink()


def _open_locked(temporary: Path) -> BinaryIO:
    while True:
        file = open(os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: SIM115
        if not _lock(file, fcntl.LOCK_EX):
            file.close()
            raise _busy(temporary)
        if _is_same_file(temporary, file):
            return file
        file.close()  # renamed by its owner between our open and our lock: take a new one


def _check_is_not_being_published(path: Path) -> None:
    """Another run keeps its lock on what was its temporary file until the record is there, too."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        if not _lock(file, fcntl.LOCK_SH):
            raise _busy(path)


def _lock(file: BinaryIO, kind: int) -> bool:
    """False if another process has the lock."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: two runs with one output are the user's to avoid
    return True


def _busy(path: Path) -> BlockingIOError:
    return BlockingIOError(f"{path}: another process is writing this output; wait for it to end")


def _is_same_file(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _was_made_by(path: Path, recipe: Mapping[str, object]) -> bool:
    record = read_provenance(path)
    if record is None or not path.is_file():
        return False
    if any(entry["sha256"] is None for entry in recipe["inputs"]):  # nobody can tell what came through a pipe
        return False
    same_recipe = all(record.get(key) == value for key, value in recipe.items())
    return same_recipe and record.get("output") == {"name": path.name, "size": path.stat().st_size}


def _state(path: Path) -> object:
    """What changes when a file is written; None for a pipe, which has no state, and where there is nothing."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _describe_input(path: Path) -> dict[str, object]:
    if not path.is_file():  # standard input or another pipe: it cannot be read twice
        return {"name": str(path), "size": None, "sha256": None}
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest.hexdigest()}


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    installed = {package: metadata.version(package) for package in packages}
    return {"bert-japanese": __version__, "python": platform.python_version(), **installed}


def _plain(value):
    """`value` as JSON stores it, so that a fresh recipe compares equal to one read back."""
    return json.loads(json.dumps(value, ensure_ascii=False, default=str))

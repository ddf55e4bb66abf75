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
    """One run of one stage.

    `method` holds the arguments that decide the bytes of the output; `arguments` holds all, as given.
    `report` is filled while the stage runs: counts in and out, items dropped by reason, seconds, memory.
    """

    stage: str
    method: Mapping[str, object]
    inputs: list[Path]
    arguments: Mapping[str, object]
    dictionary: Mapping[str, object] | None = None
    packages: tuple[str, ...] = ()
    report: dict[str, object] = field(default_factory=dict)
    _recipe: dict[str, object] | None = None
    _hashing: threading.Thread | None = None

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
        if path.exists() and not overwrite and not _was_made_by(path, provenance.recipe()):
            raise FileExistsError(
                f"{path}: exists and was made from other inputs or arguments, or not by this stage; "
                "name another output, or replace it with --overwrite"
            )
        _check_record_is_ours(provenance_path(path))
    with ExitStack() as stack:
        temporary = [stack.enter_context(_locked_temporary(path)) for path in outputs]
        yield temporary
        for file in temporary:
            file.flush()
            os.fsync(file.fileno())
        for path, file in zip(outputs, temporary, strict=True):
            _publish(path, file, provenance)


def _publish(path: Path, file: BinaryIO, provenance: Provenance) -> None:
    """Give a finished temporary file its name.

    The record goes first where the name is free, so that a kill between the two leaves no data without its
    record. Where an output is replaced its record goes away first: a kill leaves data that no record vouches for.
    """
    record = provenance.to_json(path, os.fstat(file.fileno()).st_size)
    replaces = path.exists()
    if replaces:
        provenance_path(path).unlink(missing_ok=True)
    else:
        _write_record(path, record)
    os.replace(_temporary_path(path), path)
    if replaces:
        _write_record(path, record)


def _write_record(path: Path, record: str) -> None:
    temporary = provenance_path(path).with_name(provenance_path(path).name + ".tmp")
    try:
        temporary.write_text(record, encoding="utf-8", newline="\n")
        os.replace(temporary, provenance_path(path))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
        file.truncate(0)
        try:
            yield file
        finally:
            if _is_same_file(temporary, file):
                temporary.unlink()


def _open_locked(temporary: Path) -> BinaryIO:
    while True:
        file = open(os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise BlockingIOError(f"{temporary}: another process is writing this output; wait for it to end") from None
        except OSError:
            pass  # a file system without locks: two runs with one output are the user's to avoid
        if _is_same_file(temporary, file):
            return file
        file.close()  # renamed by its owner between our open and our lock: take a new one


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

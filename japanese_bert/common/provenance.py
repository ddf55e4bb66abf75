"""What made an output, and whether it is complete: `<output>.json` beside a file, `provenance.json` in a directory.

The file lists arguments, seed, inputs with sizes and hashes, versions and counts. It also marks the output as
complete. Its first part, the *recipe*, holds everything that decides the bytes. A rerun with the same recipe skips the
output.
"""

import hashlib
import json
import os
import platform
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from japanese_bert import DATA_FORMAT, DATA_FORMATS, __version__

MAX_NAME_BYTES = 230  # of 255. Names of records and of temporary files are longer by at most 22
HASH_BLOCK_BYTES = 1 << 22
DIRECTORY_PROVENANCE = "provenance.json"  # in the directory, so that one rename publishes both

Inputs = dict[str, list[dict[str, Any]]]  # of a recipe: role -> name, size and hash of each file


class InputFiles:
    """The input files of a stage by role, in the state that they had before the stage read them."""

    def __init__(self, **roles: Sequence[Path]) -> None:
        self._roles = {role: list(paths) for role, paths in roles.items()}
        self.paths = [path for paths in self._roles.values() for path in paths]
        check_names(self.paths)
        self._states = {path: _state(path) for path in self.paths}
        self._described: Inputs | None = None
        self._hashing: threading.Thread | None = None

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Hash the inputs after the block, and raise ValueError if one changed since the stage began.

        Hashes must belong to the bytes that the stage read. If the block fails because an input changed, the change
        is the error that is raised.
        """
        try:
            yield
            self.described()
        except Exception:
            self._check()
            raise
        self._check()

    def _check(self) -> None:
        for path, state in self._states.items():
            if _state(path) != state:
                raise ValueError(
                    f"{path}: changed while this stage was reading it, so nothing was written. "
                    "Run again when no other process writes it"
                )

    def check_not_among(self, outputs: Iterable[Path]) -> None:
        """Raise ValueError if an output is an input, under any name. It would replace the input."""
        inputs = {_identity(path): path for path, state in self._states.items() if state is not None}
        for output in outputs:
            if output.exists() and _identity(output) in inputs:
                raise ValueError(
                    f"{output}: is also an input of this stage ({inputs[_identity(output)]}), which would be lost. "
                    "Expected another name for the output"
                )

    def hash_in_background(self) -> None:
        """Start to hash the inputs in a thread, beside the work of a stage that reads them anyway."""
        self._hashing = threading.Thread(target=self._try_to_describe, daemon=True)
        self._hashing.start()

    def _try_to_describe(self) -> None:
        with suppress(OSError):  # the stage meets the same error
            self._describe()

    def described(self) -> Inputs:
        """Return name, size and hash of every input. Each file is hashed once."""
        if self._hashing is not None:
            self._hashing.join()
        return self._describe()

    def _describe(self) -> Inputs:
        if self._described is None:
            self._described = {role: [_describe(path) for path in paths] for role, paths in self._roles.items()}
        return self._described


@dataclass(frozen=True, slots=True)
class Provenance:
    """One run of one stage.

    `method` holds the arguments that decide the bytes of the output, `arguments` all arguments as given. `report` is
    filled while the stage runs: counts in and out, dropped items by reason, seconds, memory.
    """

    stage: str
    method: Mapping[str, object]
    inputs: InputFiles
    arguments: Mapping[str, object]
    dictionary: Mapping[str, object] | None = None
    packages: tuple[str, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", MappingProxyType(dict(self.method)))

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the bytes of the outputs."""
        return {
            "stage": self.stage,
            "format": DATA_FORMATS.get(self.stage, DATA_FORMAT),
            "method": _plain(dict(self.method)),
            "inputs": self.inputs.described(),
            "dictionary": _plain(self.dictionary),
        }

    def is_complete(self, outputs: Sequence[Path]) -> bool:
        """Return True if this recipe made every output and no file has lost or gained bytes since."""
        return all(self._made(path) for path in outputs)

    def _made(self, output: Path) -> bool:
        made_by = read_provenance(output)
        if made_by is None or not _has_recorded_size(output, made_by):
            return False
        recipe = self.recipe()
        files = recorded_inputs(recipe)
        del recipe["inputs"]
        if output.is_file() and any(file["sha256"] is None for file in files):  # a pipe: its bytes are gone
            return False
        return files == recorded_inputs(made_by) and all(made_by.get(key) == value for key, value in recipe.items())

    def to_json(self, output: Path, size: int) -> str:
        """Return the text of `<output>.json`."""
        content = {
            **self.recipe(),
            "output": {"name": output.name, "size": size},
            **_plain(self.report),
            "arguments": _plain(self.arguments),
            "versions": _versions(self.packages),
        }
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def skip_if_complete(provenance: Provenance, outputs: Sequence[Path]) -> bool:
    """Print that the outputs are complete and return True, or return False if the stage has to make them.

    Raises:
        ValueError: an output cannot have its name.
    """
    check_names(outputs, MAX_NAME_BYTES)
    if not provenance.is_complete(outputs):
        return False
    more = f" and {len(outputs) - 1} more" if len(outputs) > 1 else ""
    print(f"skipped: {outputs[0]}{more}, complete and made from the same inputs and arguments")
    return True


def check_names(paths: Iterable[Path], max_bytes: int | None = None) -> None:
    """Raise ValueError for the first name that provenance cannot hold, or that is too long for the temporary files."""
    for path in paths:
        try:
            size = len(path.name.encode("utf-8"))
            str(path).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{str(path)!a}: the name is not UTF-8, which records cannot hold. Rename it") from None
        if max_bytes and size > max_bytes:
            raise ValueError(
                f"{path}: the name has {size} bytes, expected at most {max_bytes}. Temporary files add to it"
            )


def provenance_path(output: Path) -> Path:
    """Return `data.tfrecord.gz.json` for a file, `model/provenance.json` for a directory."""
    return output / DIRECTORY_PROVENANCE if output.is_dir() else output.with_name(output.name + ".json")


def read_provenance(output: Path) -> dict[str, Any] | None:
    """Return what made `output`, or None if no readable file says so."""
    try:
        value = json.loads(provenance_path(output).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def recorded_inputs(made_by: Mapping[str, Any], role: str | None = None) -> list[dict[str, Any]]:
    """Return name, size and hash of the inputs with this role, or of all inputs in their order.

    Version 0.1 wrote one list without roles: the vocabulary was its last entry, the text was all entries before.
    """
    inputs = made_by.get("inputs", [])
    if isinstance(inputs, dict):
        return inputs.get(role, []) if role else [file for files in inputs.values() for file in files]
    return {None: inputs, "vocab": inputs[-1:]}.get(role, inputs[:-1])


def _has_recorded_size(output: Path, made_by: Mapping[str, Any]) -> bool:
    try:
        if output.is_dir():
            return all((output / name).stat().st_size == size for name, size in made_by["files"].items())
        return made_by["output"] == {"name": output.name, "size": output.stat().st_size}
    except (OSError, KeyError, AttributeError):
        return False


def _state(path: Path) -> object:
    """Return what changes when a file is written, or None for a pipe, which has no state, and for a missing file."""
    if not path.is_file():
        return None
    status = path.stat()
    return *_identity(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _identity(path: Path) -> tuple[int, int]:
    """Return what is the same for all names of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _describe(path: Path) -> dict[str, Any]:
    if not path.is_file():  # standard input or another pipe: it cannot be read twice
        return {"name": str(path), "size": None, "sha256": None}
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
        size = os.fstat(file.fileno()).st_size
    return {"name": path.name, "size": size, "sha256": digest.hexdigest()}


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    installed = {package: metadata.version(package) for package in packages}
    return {"bert-japanese": __version__, "python": platform.python_version(), **installed}


def _plain(value: Any) -> Any:
    """Return `value` as JSON stores it, so that a new recipe equals one that was read back."""
    return json.loads(json.dumps(value, ensure_ascii=False, default=str))

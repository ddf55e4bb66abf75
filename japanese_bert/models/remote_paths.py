"""Files on other machines, such as `gs://bucket/model`: found by a pattern, or read as records of a training.

TensorFlow does it in its own processes, with the rights that Model Garden's trainer has. Elsewhere fsspec does.
"""

import glob
import io
import sys
from pathlib import Path, PosixPath
from typing import IO, Any

from japanese_bert.tfrecord.reading import open_file


def matching_files(pattern: str) -> list[str]:
    """Return the local or remote files that a pattern matches. Raise ValueError if no library knows its protocol."""
    if "://" not in pattern:
        return glob.glob(pattern)
    if "tensorflow" in sys.modules:
        from tensorflow.io import gfile

        return gfile.glob(pattern)
    files, path = _file_system(pattern)
    return [files.unstrip_protocol(found) for found in files.glob(path)]


def any_path(name: str) -> Path:
    """Return the path of a local or remote file."""
    return RemotePath(name) if "://" in name else Path(name)


class RemotePath(PosixPath):
    """A path with the methods of `Path` that readers of records call."""

    def __str__(self) -> str:
        scheme, _, path = super().__str__().partition(":/")
        return f"{scheme}:{'///' if scheme == 'file' else '//'}{path}"

    def is_file(self, **_: Any) -> bool:
        return self._ask("exists") and not self._ask("isdir")

    def is_dir(self, **_: Any) -> bool:
        return self._ask("isdir")

    def resolve(self, strict: bool = False) -> "RemotePath":
        return self

    def open(self, mode: str = "r", *_: Any, **how: Any) -> IO[Any]:  # type: ignore[override]
        with open_file(str(self)) as file:
            data = file.read()
        return io.BytesIO(data) if "b" in mode else io.StringIO(data.decode(how.get("encoding") or "utf-8"))

    def _ask(self, question: str) -> bool:
        if "tensorflow" in sys.modules:
            from tensorflow.errors import OpError
            from tensorflow.io import gfile

            try:
                return getattr(gfile, question)(str(self))
            except OpError as error:
                raise OSError(f"{self}: {error.message}") from None
        files, path = _file_system(str(self))
        return getattr(files, question)(path)


def _file_system(name: str) -> tuple[Any, str]:
    import fsspec

    try:
        return fsspec.core.url_to_fs(name)
    except (ValueError, ImportError) as error:  # an unknown protocol, or one whose package is not installed
        raise ValueError(f"{name}: {error}") from None

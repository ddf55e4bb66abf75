"""`@kernel`: numba compilation with a cache on disk that is never stale.

numba's own cache looks only at the file of the compiled function. It misses a change in a function that this one
calls from another module. Here a hash of all modules with kernels names the cache directory, so a new version never
runs old code.

numba numbers the files of one function's types. Two processes that start together (xargs -P) may give one number to two
types, and one of them then finds the other's code, which fails. Here the types name the file. So all processes that
write a file write the same content, and an index that lost an entry only means to compile again.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys


def _kernels_hash() -> str:
    """Return a hash of all modules of the package that have kernels, and of numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        source = path.read_bytes()
        if b"@kernel" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


def _set_cache_directory() -> bool:
    """Set the cache directory. Return False if it is not writable, and every process has to compile again."""
    root = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bert-japanese"
    )
    if root.startswith("~"):  # the user has no home: this would make a directory of that name
        return False
    directory = Path(root) / _kernels_hash()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    numba.config.CACHE_DIR = str(directory)
    return os.access(directory, os.W_OK)


def _load_compiler() -> None:
    """Load numba's compiler without SciPy's BLAS, which takes another 0.2 s and which no kernel here uses."""
    if "scipy.linalg" in sys.modules:
        return
    # None makes the import fail, as if SciPy were not installed. typeshed does not know this use of sys.modules.
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]
    try:
        cpu_target.target_context.refresh()
    finally:
        del sys.modules["scipy.linalg"]


IS_CACHED = _set_cache_directory()
if not IS_CACHED and not numba.config.DISABLE_JIT:
    _load_compiler()


class FilePerKey(IndexDataCacheFile):
    """numba's files of one function. The key, types and machine, gives the number of a file."""

    def save(self, key: object, data: object) -> None:
        name = self._data_name(int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8]))
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})

    def load(self, key: object) -> object:
        """Return what was saved, or None if the file is damaged. Then it is compiled again."""
        try:
            return super().load(key)
        except Exception:  # pickle raises errors of many kinds
            return None

    def _load_index(self) -> dict:
        try:
            return super()._load_index()
        except Exception:
            return {}


def kernel(function: Callable) -> Callable:
    """Return the function compiled: numba compiles it at its first call, for the types of the arguments."""
    compiled = numba.njit(cache=IS_CACHED, error_model="numpy")(function)
    if not numba.config.DISABLE_JIT and IS_CACHED:
        compiled._cache._cache_file.__class__ = FilePerKey
        save = compiled._cache.save_overload
        compiled._cache.save_overload = lambda *arguments: _save_if_there_is_room(save, *arguments)
        compiled._cache.load_overload = partial(_load_or_prepare, compiled._cache)
    return compiled


def _load_or_prepare(cache: FunctionCache, signature: object, target_context: object) -> object:
    """Return compiled code from the cache, or load the compiler, which takes 0.2 s, and return None."""
    rtsys.initialize(target_context)
    with cache._guard_against_spurious_io_errors():
        compiled = cache._load_overload(signature, target_context)
        if compiled is not None:
            return compiled
    _load_compiler()
    return None


def _save_if_there_is_room(save: Callable, *arguments: object) -> None:
    """Save compiled code, unless the disk or the quota is full. Then the next process compiles again."""
    with contextlib.suppress(OSError):
        save(*arguments)

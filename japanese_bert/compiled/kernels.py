"""`@kernel`: numba compilation with a cache on disk that cannot go stale.

numba's own cache looks only at the file of the compiled function: a change in a function it calls from another
module would go unnoticed. Here the cache directory is named after a hash of all modules with kernels, so a new
version never runs old code. Processes that start at once (xargs -P) may all compile; each replaces whole files, and
what they write is the same.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys


def _kernels_hash() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        source = path.read_bytes()
        if b"@kernel" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


def _set_cache_directory() -> bool:
    """Choose the cache directory; False if none is writable (then every process compiles for itself)."""
    root = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bert-japanese"
    )
    directory = Path(root) / _kernels_hash()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    numba.config.CACHE_DIR = str(directory)
    return os.access(directory, os.W_OK)


def _load_compiler() -> None:
    """Load what numba compiles with, without SciPy's BLAS: 0.2 s more for nothing that kernels here use."""
    if "scipy.linalg" in sys.modules:
        return
    sys.modules["scipy.linalg"] = None  # the import fails, which numba takes for a SciPy that is not installed
    try:
        cpu_target.target_context.refresh()
    finally:
        del sys.modules["scipy.linalg"]


IS_CACHED = _set_cache_directory()
if not IS_CACHED and not numba.config.DISABLE_JIT:
    _load_compiler()


def kernel(function: Callable) -> Callable:
    """Compile a function at its first call for the types of its arguments."""
    compiled = numba.njit(cache=IS_CACHED, error_model="numpy")(function)
    if not numba.config.DISABLE_JIT and IS_CACHED:
        save = compiled._cache.save_overload
        compiled._cache.save_overload = lambda *arguments: _save_if_there_is_room(save, *arguments)
        compiled._cache.load_overload = partial(_load_or_prepare, compiled._cache)
    return compiled


def _load_or_prepare(cache: object, signature: object, target_context: object) -> object:
    """Compiled code from the cache; only where there is none is the compiler loaded, which takes 0.2 s."""
    rtsys.initialize(target_context)
    with cache._guard_against_spurious_io_errors():
        compiled = cache._load_overload(signature, target_context)
        if compiled is not None:
            return compiled
    _load_compiler()
    return None


def _save_if_there_is_room(save: Callable, *arguments: object) -> None:
    """A full disk or quota at home costs the next process its time to compile, but stops none."""
    with contextlib.suppress(OSError):
        save(*arguments)

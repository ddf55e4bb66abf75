"""A copy of the tree, made once: an edit while the suite runs changes no run of it."""

import atexit
import hashlib
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.helpers.places import ROOT

LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", "tests", "docs", "benchmarks", "demo")


@cache
def tree() -> Path:
    """Return the copy. It ends with this process.

    The next copy of the same sources has the same name, unless both are there at once: compiled code is found by it.
    """
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    shutil.copytree(ROOT, directory / "tree", symlinks=True, ignore=LEFT_OUT)
    with suppress(OSError):
        directory = directory.rename(directory.with_name(f"faults-{sources_hash(directory)}"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory / "tree"


def sources_hash(directory: Path) -> str:
    """Return a hash of all Python sources of a tree."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*.py")):
        digest.update(str(path.relative_to(directory)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]

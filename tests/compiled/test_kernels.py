import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from japanese_bert.compiled.kernels import FilePerKey
from japanese_bert.corpus.documents import copy
from tests.helpers.places import ROOT

CALL_A_KERNEL = """
import sys
import numpy as np
from japanese_bert.tfrecord.writing import write_varint
from tests.helpers.places import ROOT
print(int(write_varint(np.zeros(8, np.uint8), 0, 300)), "numba.np.linalg" in sys.modules, "scipy.linalg" in sys.modules)
"""

# `gather_by_shard` calls `copy`, which lies in another module and in another folder than kernels.py.
DEAL = """
import numpy as np
from japanese_bert.corpus.dealing import gather_by_shard
from japanese_bert.corpus.documents import DOCUMENT
documents, dealt = np.zeros(1, DOCUMENT), np.zeros(3, np.uint8)
documents["end"] = 3
gather_by_shard(np.frombuffer(b"abc", np.uint8), documents, np.zeros(1, np.int64), dealt, 1)
print(dealt.tobytes().decode())
"""


@pytest.fixture
def call_a_kernel(tmp_path, monkeypatch):
    """Run a kernel in a new process with its own cache: (result, compiler loaded, SciPy's BLAS loaded)."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)

    def run(**environment: str) -> list[str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        process = subprocess.run(
            [sys.executable, "-c", CALL_A_KERNEL], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
        )
        return process.stdout.split()

    return run


def test_the_compiler_is_loaded_only_where_the_cache_has_no_code(call_a_kernel):
    assert call_a_kernel() == ["2", "True", "False"]
    assert call_a_kernel() == ["2", "False", "False"]


def test_kernels_are_plain_functions_without_the_jit(call_a_kernel):
    assert call_a_kernel(NUMBA_DISABLE_JIT="1") == ["2", "False", "False"]


def test_a_changed_kernel_of_another_folder_runs(tmp_path, monkeypatch):
    package, cache = tmp_path / "japanese_bert", tmp_path / "cache"
    shutil.copytree(ROOT / "japanese_bert", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    assert deal_in(tmp_path) == "abc"
    assert len(list(cache.iterdir())) == 1
    module = package / "corpus" / "documents.py"
    source = module.read_text(encoding="utf-8")
    changed = source.replace("np.uint64(index)] = source[", "np.uint64(index)] = 1 + source[")
    assert changed != source
    module.write_text(changed, encoding="utf-8")
    assert deal_in(tmp_path) == "bcd"
    assert len(list(cache.iterdir())) == 2


def deal_in(directory: Path) -> str:
    process = subprocess.run([sys.executable, "-c", DEAL], cwd=directory, capture_output=True, text=True, check=True)
    return process.stdout.strip()


def test_a_user_without_home_gets_no_directory_of_that_name(tmp_path, monkeypatch):
    for name in ("HOME", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    code = "import pwd\npwd.getpwuid = {}.__getitem__\n" + CALL_A_KERNEL
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert process.stdout.split()[0] == "2"
    assert list(tmp_path.iterdir()) == []


def test_two_processes_that_compile_one_kernel_for_two_types(tmp_path):
    """With a cold cache, as two recipes with tokens of 16 and 32 bits. Each read the index before the other saved."""
    one, other = (FilePerKey(str(tmp_path), "copy", "stamp") for _ in range(2))
    save_data = one._save_data

    def save_data_after_the_other(*arguments) -> None:
        other._load_index = dict
        other.save(("int32",), "code for 32 bits")
        save_data(*arguments)

    one._save_data = save_data_after_the_other
    one.save(("int16",), "code for 16 bits")
    third = FilePerKey(str(tmp_path), "copy", "stamp")
    assert third.load(("int16",)) in ("code for 16 bits", None)
    assert third.load(("int32",)) in ("code for 32 bits", None)
    third.save(("int16",), "code for 16 bits")
    third.save(("int32",), "code for 32 bits")
    assert [third.load((name,)) for name in ("int16", "int32")] == ["code for 16 bits", "code for 32 bits"]


def test_a_damaged_cache_is_written_again(tmp_path):
    for suffix in ("nbi", "nbc"):
        cache = FilePerKey(str(tmp_path), "copy", "stamp")
        cache.save(("int16",), "code")
        for path in tmp_path.glob(f"*.{suffix}"):
            path.write_bytes(path.read_bytes()[:-2])
        assert cache.load(("int16",)) is None
        cache.save(("int16",), "code")
        assert cache.load(("int16",)) == "code"


def test_kernels_are_saved_under_their_types():
    assert isinstance(copy._cache._cache_file, FilePerKey)

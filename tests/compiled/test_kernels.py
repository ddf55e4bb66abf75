import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

CALL_A_KERNEL = """
import sys
import numpy as np
from japanese_bert.tfrecord.writing import write_varint
from tests.helpers.places import ROOT
print(int(write_varint(np.zeros(8, np.uint8), 0, 300)), "numba.np.linalg" in sys.modules, "scipy.linalg" in sys.modules)
"""


@pytest.fixture
def call_a_kernel(tmp_path, monkeypatch):
    """Runs a kernel in a new process with a cache of its own: (result, compiler loaded, SciPy's BLAS loaded)."""
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

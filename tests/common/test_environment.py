"""Triton before TensorFlow, and no mixture of CUDA 12 and 13."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from japanese_bert.common import environment
from tests.helpers.places import ROOT

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="this build of PyTorch has no Triton: nothing can crash"
)
TOGETHER = "import tensorflow, torch, torch._dynamo; print('together')"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=300
    )


@pytest.mark.tensorflow
@needs_triton
def test_tensorflow_and_pytorch_load_in_one_process():
    first = "from japanese_bert.common.environment import import_triton_first; import_triton_first(); "
    process = run_python(first + TOGETHER)
    assert (process.returncode, process.stdout) == (0, "together\n"), process.stderr


def test_nothing_is_imported_where_triton_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    environment.import_triton_first()


def install(folder, *packages: str) -> None:
    for package in packages:
        (folder / f"{package}.dist-info").mkdir()


def test_a_mixture_of_cuda_versions_is_one_line(tmp_path, monkeypatch):
    install(tmp_path, "nvidia_nccl_cu12-2.27.7", "nvidia_cudnn_cu12-9.28.0.41", "nvidia_cudnn_cu13-9.20.0.48")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    monkeypatch.setattr(sys, "prefix", "/home/me/.venv")
    assert environment.mixed_cuda_packages() == ["cudnn"]
    with pytest.raises(ImportError) as raised:
        environment.check_cuda_packages()
    assert str(raised.value) == (
        "/home/me/.venv has nvidia-cudnn-cu12 (TensorFlow) and nvidia-cudnn-cu13 (PyTorch), which replace each other's "
        "files. Expected one of them. Remove /home/me/.venv and run ./install.sh, and for training on a GPU "
        "./install.sh train-gpu"
    )


@pytest.mark.parametrize(
    "packages",
    [
        (),
        ("nvidia_cudnn_cu12-9.28.0.41", "nvidia_nccl_cu12-2.27.7"),
        ("nvidia_cudnn_cu13-9.20.0.48", "nvidia_cublas-13.1.1.3", "nvidia_cusparselt_cu13-0.8.1"),
    ],
)
def test_one_cuda_version_is_fine(tmp_path, monkeypatch, packages):
    install(tmp_path, *packages)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    environment.check_cuda_packages()

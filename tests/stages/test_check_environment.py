"""What check_environment.py finds, and the remedies that it names."""

import pytest

from tools import check_environment
from tools.check_environment import Hardware, ask, obstacle, remedy

LIBRARIES = "Cublas, Cudnn"
GPU = Hardware(["NVIDIA A100, 81920 MiB, 550.54"], [], LIBRARIES, "CPU:0, GPU:0", "CPU, NVIDIA A100 (built for ...)")


def change(**values) -> Hardware:
    fields = {name: getattr(GPU, name) for name in Hardware.__slots__}
    return Hardware(**{**fields, **values})


@pytest.mark.parametrize(
    ("use", "hardware", "reason"),
    [
        ("training on GPUs", GPU, ""),
        (
            "training on GPUs",
            change(libraries="Cudnn; cannot open Cublas"),
            "TensorFlow cannot open the CUDA libraries: run ./install.sh train-gpu",
        ),
        (
            "training on GPUs",
            change(gpus=[]),
            "nvidia-smi lists no GPU: use a machine with one, or install NVIDIA's driver",
        ),
        (
            "training on GPUs",
            change(tensorflow="CPU:0"),
            "TensorFlow lists no GPU: update NVIDIA's driver (525 or later), or see CUDA_VISIBLE_DEVICES",
        ),
        ("training on a TPU", GPU, "tensorflow-tpu missing: run ./install.sh train-tpu"),
        ("JGLUE", GPU, ""),
        (
            "JGLUE",
            change(torch="CPU (built for CUDA 13.0)"),
            "PyTorch lists no GPU: update NVIDIA's driver (CUDA 13 needs 580 or later), or give --use_cpu",
        ),
        ("conversion", GPU, ""),
    ],
)
def test_every_obstacle_has_its_remedy(monkeypatch, use, hardware, reason):
    monkeypatch.setattr(check_environment, "find_spec", lambda name: name)
    assert obstacle(use, hardware) == reason


def test_a_missing_package_has_its_remedy(monkeypatch):
    monkeypatch.setattr(check_environment, "find_spec", lambda name: None if name == "dask" else name)
    assert obstacle("shards on a cluster", GPU) == "dask missing: run ./install.sh cluster"


def test_what_another_environment_has_is_not_installed_again(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".venv-train-gpu").mkdir()
    (tmp_path / ".venv-train-gpu" / "installed-train-gpu-7").touch()
    there = ".venv-train-gpu has it. Ask .venv-train-gpu/bin/python -m tools.check_environment"
    assert remedy("train-gpu") == there
    assert remedy("train-tpu") == "run ./install.sh train-tpu"
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv-train-gpu"))
    assert remedy("train-gpu") == "run ./install.sh train-gpu"


def test_a_tpu_environment_without_a_tpu(monkeypatch):
    monkeypatch.setattr(check_environment, "version", lambda package: f"{package} 2.20.0")
    monkeypatch.setattr(check_environment, "find_spec", lambda name: name)
    assert obstacle("training on a TPU", GPU) == "this machine has no TPU: use a TPU VM"
    assert obstacle("training on a TPU", change(tpus=["accel0"])) == ""


def test_everything_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(check_environment, "ask", lambda function: f"asked {function.__name__}")
    monkeypatch.setattr(check_environment, "nvidia_gpus", lambda: ["NVIDIA A100", "NVIDIA A100"])
    check_environment.main(check_environment.get_parser().parse_args([]))
    found = dict(line.split(": ", 1) for line in capsys.readouterr().out.strip().split("\n") if line)
    assert found["NVIDIA GPUs"] == "NVIDIA A100; NVIDIA A100"
    assert found["CUDA libraries that TensorFlow opens"] == "asked cuda_libraries"
    assert found["dictionary"] == "asked check_dictionary"
    assert "fugashi 1.5.2" in found["packages"]
    assert found["data stages"] == "ready"
    assert found.keys() >= check_environment.USES.keys()


def test_the_dictionary_is_opened():
    assert ask(check_environment.check_dictionary) == "unidic_lite 1.0.8, splits 東京 の 猫"


@pytest.mark.tensorflow
def test_tensorflows_own_loaders_are_called():
    """Without the packages of train-gpu at least one library cannot be opened; the names are known anyway."""
    found = ask(check_environment.cuda_libraries)
    for name in ("Cublas", "CublasLt", "CudaRuntime", "Cudnn", "Cufft", "Cupti", "Cusolver", "Cusparse"):
        assert name in found.replace(";", ",").replace("cannot open ", "").split(", ")


def crash() -> str:
    import os

    os.abort()


def test_a_crash_is_no_end():
    assert ask(crash) == "nothing, because the process crashed"

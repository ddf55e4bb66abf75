"""What one Python environment cannot hold or load together. Every entry point that may meet it calls this module."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

NVIDIA_PACKAGE = re.compile(r"nvidia_(.+)_cu(1[23])-")


def import_triton_first() -> None:
    """Import Triton, if it is installed. Call it before TensorFlow in a process that may also import PyTorch.

    PyTorch for CUDA imports Triton, for example in `torch._dynamo`. After TensorFlow 2.20 this ends the process with a
    segmentation fault (measured with Triton 3.7.1). `import torch` alone does not import Triton.
    """
    if find_spec("triton"):
        import triton  # noqa: F401


def mixed_cuda_packages() -> list[str]:
    """Return the NVIDIA libraries that are installed for CUDA 12 and for CUDA 13, such as `cudnn`."""
    files = [file.name for folder in sys.path for file in Path(folder).glob("nvidia_*.dist-info")]
    found = {match.groups() for name in files if (match := NVIDIA_PACKAGE.match(name))}
    return sorted(name for name, version in found if version == "12" and (name, "13") in found)


def check_cuda_packages() -> None:
    """Raise ImportError if CUDA 12 (TensorFlow) and CUDA 13 (PyTorch) are mixed: both write the same files."""
    if mixed := mixed_cuda_packages():
        raise ImportError(
            f"{sys.prefix} has nvidia-{mixed[0]}-cu12 (TensorFlow) and nvidia-{mixed[0]}-cu13 (PyTorch), which replace "
            f"each other's files. Expected one of them. Remove {sys.prefix} and run ./install.sh, and for training on "
            "a GPU ./install.sh train-gpu"
        )

"""Print what this machine and this Python environment have, and what will not work, with the remedy for each.

It opens what the stages need: the dictionary, the CUDA libraries with TensorFlow's own loader, the devices of both
frameworks. It changes nothing and needs no package.
"""

import argparse
import ctypes
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from japanese_bert.common import command_line
from japanese_bert.common.environment import check_cuda_packages
from japanese_bert.common.workers import call_in_child
from japanese_bert.tokenization.mecab import find_dictionary, make_tagger

PACKAGES = (
    "tensorflow", "tensorflow-tpu", "libtpu", "tf-models-official", "torch", "triton", "transformers", "numpy", "numba",
    "tokenizers", "fugashi", "unidic-lite",
)  # fmt: skip
TRAINING = ("tensorflow", "official", "tensorflow_text")
# Use -> the modules that it needs, and the name for install.sh that brings them.
USES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "data stages": (("fugashi", "unidic_lite", "numba", "isal", "tokenizers", "orjson", "tqdm"), "data"),
    "training on a CPU": (TRAINING, "all"),
    "training on GPUs": (TRAINING, "train-gpu"),
    "training on a TPU": (TRAINING, "train-tpu"),
    "conversion": ((*TRAINING, "torch", "transformers", "safetensors", "h5py", "msgpack"), "all"),
    "conversion to ONNX": (("torch", "transformers", "onnx", "onnxscript", "onnxruntime"), "all"),
    "JGLUE": (("torch", "transformers", "accelerate"), "all"),
    "shards on a cluster": (("dask", "distributed", "dask_jobqueue"), "cluster"),
}
# tsl::internal::DsoLoader::GetCudnnDsoHandle() and so on, in TensorFlow's library. Left out are the driver, NCCL, which
# is built in, and NVSHMEM, which is off by default.
LOADER = re.compile(rb"_ZN3tsl8internal9DsoLoader\d+Get(Cu(?!daDriver)[A-Za-z]+?)DsoHandleEv")
TPU_DEVICES = ("accel*", "vfio/[0-9]*")  # below /dev
DISKS = dict.fromkeys((os.getcwd(), tempfile.gettempdir()))  # stages write to both


def get_parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tpus = [path.name for pattern in TPU_DEVICES for path in Path("/dev").glob(pattern)]
    if not tpus:
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # without a TPU libtpu waits minutes for Google's servers
    hardware = Hardware(nvidia_gpus(), tpus, *map(ask, (cuda_libraries, tensorflow_devices, torch_devices)))
    facts = {
        "machine": f"{platform.platform()}, {os.cpu_count()} CPU cores, {available_memory():.0f} GB of memory free",
        "disk": ", ".join(f"{shutil.disk_usage(path).free / 1e9:.0f} GB free in {path}" for path in DISKS),
        "Python": f"{platform.python_version()} in {sys.prefix}",
        "packages": ", ".join(filter(None, map(version, PACKAGES))),
        "dictionary": ask(check_dictionary),
        "NVIDIA GPUs": "; ".join(hardware.gpus) or "none (nvidia-smi lists none)",
        "TPU": ", ".join(tpus) or "none (no /dev/accel* and no /dev/vfio/*)",
        "CUDA libraries that TensorFlow opens": hardware.libraries,
        "devices of TensorFlow": hardware.tensorflow,
        "devices of PyTorch": hardware.torch,
    }
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    print()
    for use in USES:
        reason = obstacle(use, hardware)
        print(f"{use}: {f'will not work. {reason}' if reason else 'ready'}")
    check_cuda_packages()


@dataclass(frozen=True, slots=True)
class Hardware:
    """What was found of accelerators, and what the frameworks say about them, in words."""

    gpus: Sequence[str]
    tpus: Sequence[str]
    libraries: str
    tensorflow: str
    torch: str


def ask(function: Callable[[], str]) -> str:
    """Return the result of a function in a process of its own, or the reason why there is none."""
    try:
        return call_in_child(function)
    except BrokenExecutor:
        return "nothing, because the process crashed"
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return f"nothing ({command_line.describe_error(error)})"


def available_memory() -> float:
    """Return GB."""
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(re.findall(r"MemAvailable: +(\d+) kB", meminfo)[0]) / 1e6


def version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""


def check_dictionary() -> str:
    dictionary = find_dictionary("unidic_lite")
    words = [word.surface for word in make_tagger(dictionary)("東京の猫")]
    return f"unidic_lite {dictionary.version}, splits {' '.join(words)}"


def nvidia_gpus() -> list[str]:
    """Return name, memory and driver of each GPU."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return output.strip().split("\n")


def cuda_libraries() -> str:
    """Call TensorFlow's own loader of each CUDA library."""
    spec = find_spec("tensorflow")
    if spec is None or spec.origin is None:
        raise ImportError("tensorflow is missing")
    path = Path(spec.origin).with_name("libtensorflow_framework.so.2")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        symbols = {match[1].decode(): match[0].decode() for match in LOADER.finditer(content)}
    library = ctypes.CDLL(str(path))
    opened = {name: opens(library[symbol]) for name, symbol in sorted(symbols.items())}
    closed = [name for name in opened if not opened[name]]
    found = ", ".join(name for name in opened if opened[name]) or "none"
    return f"{found}; cannot open {', '.join(closed)}" if closed or not opened else found


def opens(loader: Any) -> bool:
    """Call a function that returns an absl::StatusOr<void*>. Its first word is 1 if there is no error."""
    loader.restype, result = None, (ctypes.c_uint64 * 8)()
    loader(ctypes.byref(result))
    return result[0] == 1


def tensorflow_devices() -> str:
    import tensorflow as tf

    return ", ".join(device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices())


def torch_devices() -> str:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(["CPU", *names]) + f" (built for CUDA {torch.version.cuda})"


def obstacle(use: str, hardware: Hardware) -> str:
    """Return why a use will not work here, and what to do about it."""
    modules, name = USES[use]
    if lacking := [module for module in modules if find_spec(module) is None]:
        return f"{', '.join(lacking)} missing: {remedy(name)}"
    if use == "training on GPUs":
        return gpu_obstacle(hardware)
    if use == "training on a TPU":
        if not version("tensorflow-tpu"):
            return f"tensorflow-tpu missing: {remedy(name)}"
        return "" if hardware.tpus else "this machine has no TPU: use a TPU VM"
    if use == "JGLUE" and hardware.gpus and hardware.torch.startswith("CPU ("):
        return "PyTorch lists no GPU: update NVIDIA's driver (CUDA 13 needs 580 or later), or give --use_cpu"
    return ""


def remedy(name: str) -> str:
    """Return how to get what a name of install.sh brings. It may be in another environment of this folder."""
    for stamp in Path().glob(f".venv*/installed-{name}-*"):
        if stamp.parent.resolve() != Path(sys.prefix).resolve():
            return f"{stamp.parent} has it. Ask {stamp.parent}/bin/python -m tools.check_environment"
    return f"run ./install.sh {name}"


def gpu_obstacle(hardware: Hardware) -> str:
    if "cannot open" in hardware.libraries or not hardware.libraries:
        return f"TensorFlow cannot open the CUDA libraries: {remedy('train-gpu')}"
    if not hardware.gpus:
        return "nvidia-smi lists no GPU: use a machine with one, or install NVIDIA's driver"
    if "GPU" not in hardware.tensorflow:
        return "TensorFlow lists no GPU: update NVIDIA's driver (525 or later), or see CUDA_VISIBLE_DEVICES"
    return ""


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

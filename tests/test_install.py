"""install.sh and requirements/: names, pins, Python versions; each environment from nothing, which is slow."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import small_pretraining as small
from tests.helpers.places import ROOT

NAMES = ("data", "all", "train-gpu", "train-tpu", "test", "cluster", "transformers4")
# Transformers 4 wants older packages than the ones that all other files pin.
OTHER_VERSIONS = {("transformers4", "transformers"), ("transformers4", "tokenizers")}
# With --no-deps pip installs no package `tensorflow`. tensorflow-tpu has its modules.
TENSORFLOW_MISSING = {
    f"{package} requires tensorflow, which is not installed."
    for package in ("tf-models-official 2.20.0", "tf-keras 2.20.1", "tensorflow-text 2.20.1")
}
LIBRARIES = "Cublas, CublasLt, CudaRuntime, Cudnn, Cufft, Cupti, Cusolver, Cusparse"
# Opened by these libraries, not by TensorFlow, whose NCCL is built in.
DRIVER = "libcuda.so.1"  # of NVIDIA's driver, which a machine without GPU lacks. One library of cuDNN is linked with it
FURTHER = {"libnccl.so.2", "libnvrtc.so.12", "libnvJitLink.so.12"}


def pins(name: str) -> dict[str, str]:
    """Return the lines `package==version` of a file, without extras; a line with a marker has it in its name."""
    path = ROOT / ("requirements.txt" if name == "all" else f"requirements/{name}.txt")
    lines = re.findall(r"^([\w.-]+)(?:\[.+\])?==(\S+)( ; .+)?", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {package + marker: version for package, version, marker in lines}


def run_install(*names: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "install.sh", *names], env={**os.environ, **variables}, capture_output=True, encoding="utf-8"
    )


def test_one_package_has_one_version():
    versions: dict[str, set[str]] = {}
    for name in NAMES:
        for package, version in pins(name).items():
            if (name, package) not in OTHER_VERSIONS:
                versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_the_list_for_a_tpu_has_the_packages_for_a_gpu():
    wanted = {**pins("data"), **pins("train-gpu")}
    assert wanted.items() - pins("train-tpu").items() == {("tensorflow", "2.20.0")}
    assert len(wanted) > 10


def test_an_unknown_name_is_one_line():
    process = run_install("gpu")
    assert process.returncode == 1
    assert process.stderr == (
        "install.sh: error: gpu: unknown. Expected data, all, train-gpu, train-tpu, test, cluster or transformers4.\n"
    )


@pytest.mark.parametrize("version", ["Python 3.10.12", "Python 3.14.0"])
def test_another_python_is_one_line(tmp_path, version):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" != --version ] || echo "{version}"\n[ "$1" != -c ]\n', encoding="utf-8")
    python.chmod(0o755)
    process = run_install("data", PYTHON=str(python), VENV=str(tmp_path / "venv"))
    assert process.returncode == 1
    assert process.stderr == (
        f"install.sh: error: found {version}. Expected Python 3.11, 3.12 or 3.13, because TensorFlow 2.20 has no "
        "packages for others. Set PYTHON=/path/to/python3.12.\n"
    )
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_names_its_package(tmp_path):
    python = tmp_path / "python"
    script = 'case "$2" in *ensurepip*) exit 1 ;; *venv*) echo python3.12-venv ;; esac\n'
    python.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
    python.chmod(0o755)
    process = run_install("data", PYTHON=str(python), VENV=str(tmp_path / "venv"))
    assert process.stderr == (
        f"install.sh: error: {python} cannot make an environment. Run: sudo apt-get install python3.12-venv\n"
    )


@pytest.mark.parametrize("argument", ["transformers4", "requirements/transformers4.txt"])
def test_what_is_installed_is_skipped(tmp_path, argument):
    """The first call fails in pip, which is a stand-in here."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    pip = venv / "bin" / "pip"
    pip.write_text("#!/bin/sh\necho no network; exit 1\n", encoding="utf-8")
    pip.chmod(0o755)
    failed = run_install(argument, VENV=str(venv))
    assert failed.returncode == 1
    assert failed.stderr.startswith("no network\ninstall.sh: error: pip could not install requirements/transformers4.")
    pip.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    done = run_install(argument, VENV=str(venv))
    assert done.stdout.startswith(f"Installing requirements/transformers4.txt into {venv}, about ")
    assert "--no-deps" not in (venv / "install.log").read_text(encoding="utf-8")
    again = run_install(argument, VENV=str(venv))
    assert (again.returncode, again.stdout) == (0, "")


def test_environments_are_not_mixed_in_one_folder(tmp_path):
    make_stand_in(tmp_path / "venv")
    assert run_install("data", VENV=str(tmp_path / "venv")).returncode == 0
    process = run_install("train-gpu", VENV=str(tmp_path / "venv"))
    assert process.returncode == 1
    assert process.stderr == (
        f"install.sh: error: {tmp_path}/venv is an environment like .venv. Give train-gpu a VENV of its own.\n"
    )


def test_another_python_than_that_of_the_environment(tmp_path):
    make_stand_in(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\necho 3.9\n", encoding="utf-8")
    python.chmod(0o755)
    process = run_install("data", PYTHON=sys.executable, VENV=str(tmp_path / "venv"))
    assert process.stderr == (
        f"install.sh: error: {tmp_path}/venv has Python 3.9. Remove it first, or give VENV=/another/folder.\n"
    )


def make_stand_in(venv: Path) -> None:
    """Make an environment whose pip does nothing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (venv / "bin" / "pip").write_text("#!/bin/sh\n", encoding="utf-8")
    (venv / "bin" / "pip").chmod(0o755)


def run_in(venv: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    return subprocess.run(
        [venv / "bin" / "python", *arguments], cwd=ROOT, env=environment, capture_output=True, encoding="utf-8"
    )


def test_python_that_ignores_the_folder_of_a_script(tmp_path):
    """`python -P` or `-I`, or PYTHONSAFEPATH on hardened machines."""
    venv = tmp_path / "venv"
    make_stand_in(venv)
    assert run_install("data", VENV=str(venv)).returncode == 0
    script = ROOT / "merge_split_corpora.py"
    process = subprocess.run([venv / "bin" / "python", "-I", script, "--help"], capture_output=True, encoding="utf-8")
    assert (process.returncode, process.stderr) == (0, "")


@contextmanager
def installed(place: Path, *names: str) -> Iterator[Path]:
    """Install as a user does, from PyPI alone. Print seconds and size, and remove the environment at the end."""
    venv, started = place / "venv", time.monotonic()
    process = run_install(
        *names, VENV=str(venv), PIP_CONFIG_FILE="/dev/null", PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL=""
    )
    assert process.returncode == 0, process.stderr
    size = subprocess.run(["du", "-sm", venv], capture_output=True, encoding="utf-8").stdout.split()[0]
    print(f"\n{' '.join(names)}: {time.monotonic() - started:.0f} s, {size} MB")
    try:
        yield venv
    finally:
        shutil.rmtree(venv)


def broken_requirements(venv: Path) -> set[str]:
    lines = set(run_in(venv, "-m", "pip", "check").stdout.strip().split("\n"))
    return lines - {"No broken requirements found."}


def modules_of(venv: Path, *modules: str) -> list[str]:
    code = f"from importlib.util import find_spec; print(*[name for name in {modules} if find_spec(name)])"
    return run_in(venv, "-c", code).stdout.split()


def uses(venv: Path) -> dict[str, str]:
    """Return what check_environment.py prints, by the names of its lines."""
    process = run_in(venv, "-m", "tools.check_environment")
    assert process.returncode == 0, process.stderr
    return dict(line.partition(": ")[::2] for line in process.stdout.split("\n"))


def train_five_steps(venv: Path, place: Path, **variables: str) -> None:
    small.write_all(place)
    more = "trainer.train_steps=5,trainer.validation_interval=5"
    more += ",trainer.optimizer_config.learning_rate.polynomial.decay_steps=5"
    process = run_in(venv, *small.train_command(place, place / "model", more)[1:], **variables)
    assert process.returncode == 0, process.stderr[-3000:]
    assert (place / "model" / "ckpt-5.index").is_file()
    assert any((place / "model" / "validation").iterdir())


@pytest.mark.slow
def test_environment_of_data(tmp_path):
    with installed(tmp_path, "data") as venv:
        assert broken_requirements(venv) == set()
        assert modules_of(venv, "tensorflow", "torch", "transformers") == []
        corpus, vocab = small.write_corpus(tmp_path / "corpus.txt"), small.write_vocab(tmp_path / "vocab.txt")
        files = ["--input_file", corpus, "--vocab_file", vocab, "--subword_tokenizer_type", "wordpiece"]
        script = ROOT / "create_pretraining_data.py"
        process = run_in(venv, script, *files, "--output_file", tmp_path / "data.tfrecord", "--max_seq_length", "32")
        assert process.returncode == 0, process.stderr
        assert (tmp_path / "data.tfrecord").stat().st_size > 0
        assert uses(venv)["data stages"] == "ready"


@pytest.mark.slow
@pytest.mark.tensorflow
def test_environment_for_gpus(tmp_path):
    with installed(tmp_path, "train-gpu") as venv:
        assert broken_requirements(venv) == set()
        assert modules_of(venv, "tensorflow", "torch", "transformers") == ["tensorflow"]
        assert uses(venv)["CUDA libraries that TensorFlow opens"] == LIBRARIES
        nvidia = next(venv.glob("lib/python3*/site-packages/nvidia"))
        libraries = {path.name: path for path in nvidia.glob("*/lib/lib*.so.*")}
        assert libraries.keys() >= FURTHER
        for path in libraries.values():
            process = run_in(venv, "-c", f"import ctypes; ctypes.CDLL('{path}')")
            errors = process.stderr.strip().split("\n")[-1]
            assert process.returncode == 0 or errors.startswith(f"OSError: {DRIVER}: cannot open"), (path.name, errors)
        assert (nvidia / "cuda_nvcc" / "bin" / "ptxas").is_file()  # XLA compiles with both
        assert (nvidia / "cuda_nvcc" / "nvvm" / "libdevice" / "libdevice.10.bc").is_file()
        train_five_steps(venv, tmp_path)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_environment_for_tpus(tmp_path):
    with installed(tmp_path, "train-tpu") as venv:
        assert broken_requirements(venv) == TENSORFLOW_MISSING
        assert modules_of(venv, "tensorflow", "libtpu", "torch", "transformers") == ["tensorflow", "libtpu"]
        assert uses(venv)["devices of TensorFlow"] == "CPU:0, TPU_SYSTEM:0"
        train_five_steps(venv, tmp_path, TPU_SKIP_MDS_QUERY="1")  # else libtpu waits minutes for Google's servers


@pytest.mark.slow
def test_environment_of_the_recipe_and_of_tests(tmp_path):
    with installed(tmp_path, "all", "test", "cluster") as venv:
        assert broken_requirements(venv) == set()
        found = uses(venv)
        ready = {name for name, state in found.items() if state == "ready"}
        assert ready == {"data stages", "training on a CPU", "conversion", "conversion to ONNX", "JGLUE"} | {
            "shards on a cluster"
        }
        assert found["training on GPUs"].endswith("run ./install.sh train-gpu")


@pytest.mark.slow
def test_environment_of_transformers_4(tmp_path):
    """PyTorch and TensorFlow classes load in one process, as they do for a user of this version."""
    with installed(tmp_path, "transformers4") as venv:
        assert broken_requirements(venv) == set()
        code = "import transformers as t; t.BertForMaskedLM; t.TFBertForMaskedLM; t.FlaxBertForMaskedLM"
        process = run_in(venv, "-W", "ignore", "-c", code)
        assert process.returncode == 0, process.stderr

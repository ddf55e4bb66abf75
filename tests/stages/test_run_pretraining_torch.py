"""run_pretraining_torch.py: without TensorFlow, from a Hugging Face directory to a Hugging Face directory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from japanese_bert.conversion.hf_writing import PYTORCH_FILE, write_safetensors
from japanese_bert.torch_training.model import make_model, weights_to_save
from japanese_bert.torch_training.parameters import Model
from tests.helpers.places import ROOT
from tests.helpers.small_pretraining import make_config, make_data, num_tokens, write_all
from tests.helpers.torch_training import SCRIPT

WITHOUT_TENSORFLOW = """
import runpy, sys
for name in ("tensorflow", "official", "tf_keras"):
    sys.modules[name] = None  # an import raises ImportError
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

OF_THE_OTHER_TRAINER = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Write data, and `base`, a model directory with its tokenizer and a card."""
    place = write_all(tmp_path_factory.mktemp("run_torch"))
    base = place / "base"
    base.mkdir()
    config = make_config(num_tokens(place / "vocab.txt"))
    torch.manual_seed(1)
    write_safetensors(weights_to_save(make_model(config, Model())), base / PYTORCH_FILE)
    (base / "config.json").write_text(config.to_json().replace("gelu_new", "gelu"), encoding="utf-8")
    tokenizer = (ROOT / "hf_model_configs" / "bert_base_wordpiece" / "tokenizer_config.json").read_bytes()
    files = {"vocab.txt": (place / "vocab.txt").read_bytes(), "tokenizer_config.json": tokenizer}
    files["README.md"] = b"---\nlicense: cc-by-sa-4.0\n---\nA model.\n"
    for name, content in files.items():
        (base / name).write_bytes(content)
    return place


def run_without_tensorflow(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, SCRIPT, *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "", "TF_CONFIG": OF_THE_OTHER_TRAINER}
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)


def test_the_parser_needs_no_framework():
    code = "import sys, run_pretraining_torch as r; r.get_parser(); print({'torch', 'tensorflow'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.stdout == "set()\n"


@pytest.mark.slow
def test_continued_pretraining(place, tmp_path):
    """The short command of docs/continued_pretraining.md."""
    data = ["--train_files", place / "data" / "train_1.tfrecord.gz", "--train_steps", 6, "--batch_size", 8]
    start = ["--mode", "train", "--init_checkpoint", place / "base", "--model_dir", tmp_path / "model"]
    done = run_without_tensorflow(*start, *data, "--num_workers", 1)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in ("NOTE hidden_act is gelu.", f"start: from the weights of {place}/base", "step 6 of 6, "):
        assert line in done.stdout
    names = {path.name for path in (tmp_path / "model" / "ckpt-6").iterdir()}
    assert {"model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json", "README.md"} <= names
    card = (tmp_path / "model" / "ckpt-6" / "README.md").read_text(encoding="utf-8")
    for text in (
        "base_model: base",
        "license: cc-by-sa-4.0",
        "The `Trainer` of Transformers ran these stages",
        "# model",
    ):
        assert text in card


@pytest.mark.slow
def test_a_vocabulary_with_more_tokens(place, tmp_path):
    """A stage with new tokens follows one without them. The vocabulary has no newline at its end."""
    vocab = tmp_path / "larger.txt"
    vocab.write_bytes((place / "vocab.txt").read_bytes() + "東京".encode())
    make_data(place / "corpus_0.txt", vocab, tmp_path / "data.tfrecord.gz")
    steps, old = (
        ["--mode=train", "--train_steps=2", "--batch_size=8", "--num_workers=1"],
        place / "data/train_1.tfrecord.gz",
    )
    first = ["--init_checkpoint", place / "base", "--model_dir", tmp_path / "first"]
    done = run_without_tensorflow(*steps, *first, "--train_files", old, "--vocab_file", vocab)
    assert "vocabulary of" in done.stderr and done.returncode == 1  # the data has the old vocabulary
    done = run_without_tensorflow(*steps, *first, "--train_files", old)
    assert (done.returncode, done.stderr) == (0, "")
    for initial in (place / "base", tmp_path / "first" / "ckpt-2"):
        second = ["--init_checkpoint", initial, "--model_dir", tmp_path / initial.name, "--vocab_file", vocab]
        done = run_without_tensorflow(*steps, *second, "--train_files", tmp_path / "data.tfrecord.gz")
        assert (done.returncode, done.stderr) == (0, "")
        model = tmp_path / initial.name / "ckpt-2"
        assert (model / "vocab.txt").read_bytes() == vocab.read_bytes()
        assert "base_model: base" in (model / "README.md").read_text(encoding="utf-8")


def test_a_tokenizer_of_other_data_is_found_before_the_training(place, tmp_path):
    """A vocabulary of the same size with other tokens would end the training at its first checkpoint."""
    lines = (place / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "vocab.txt").write_text("\n".join([*lines[:-2], lines[-1], lines[-2], ""]), encoding="utf-8")
    flags = [
        "--train_files",
        place / "data/train_1.tfrecord.gz",
        "--vocab_file",
        tmp_path / "vocab.txt",
        "--mode=train",
    ]
    flags += ["--config_file", place / "model.yaml", "--config_file", place / "data.yaml", "--check_only"]
    done = run_without_tensorflow(*flags, "--model_dir", tmp_path / "model")
    assert done.returncode == 1
    assert "vocabulary sha256" in done.stderr and str(tmp_path / "vocab.txt") in done.stderr
    assert "checks: " in done.stdout  # as process 0


def test_a_mistake_is_one_line(place, tmp_path):
    model = ROOT / "configs" / "model" / "albert_base_wordpiece.yaml"
    done = run_without_tensorflow("--config_file", model, "--model_dir", tmp_path / "model")
    assert done.returncode == 1
    assert done.stderr.startswith("-c: error: --config_file") or "error: --config_file" in done.stderr
    assert done.stderr.count("\n") == 1 and "Train this with run_pretraining.py" in done.stderr
    assert not (tmp_path / "model").exists()

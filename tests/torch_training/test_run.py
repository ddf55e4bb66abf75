"""One training: it continues bit for bit, also after kills, and several processes compute what one computes."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
import torch
from transformers import AutoModelForPreTraining

from japanese_bert.torch_training import run as torch_run
from japanese_bert.torch_training.run import clear_error
from japanese_bert.training.curves import read_run
from tests.helpers.small_pretraining import make_config, num_tokens, run, write_model_yaml
from tests.helpers.torch_training import largest_difference, parse_torch, saved_weights, torch_command, train_torch

LOSSES = (("train", "lm_example_loss"), ("train", "next_sentence_loss"), ("validation", "validation_loss"))
EVERY_STEP = "trainer.steps_per_loop=1,trainer.summary_interval=1,trainer.max_to_keep=9"


def assert_same(found, expected) -> None:
    """Assert that two trainings ended with the same bits."""
    weights, others = saved_weights(found), saved_weights(expected)
    assert weights.keys() == others.keys()
    assert all(np.array_equal(weights[name], others[name]) for name in weights)


@pytest.fixture(scope="module")
def undisturbed(place, tmp_path_factory):
    """Train 20 steps with dropout."""
    directory = tmp_path_factory.mktemp("undisturbed")
    train_torch(place, directory, EVERY_STEP)
    return directory


class TestContinue:
    def test_bit_for_bit(self, place, undisturbed, tmp_path):
        shutil.copytree(undisturbed / "ckpt-10", tmp_path / "ckpt-10")
        assert "step 11 of 20" in train_torch(place, tmp_path, EVERY_STEP)
        assert_same(tmp_path / "ckpt-20", undisturbed / "ckpt-20")
        states = [torch.load(path / "ckpt-20" / "optimizer.pt") for path in (tmp_path, undisturbed)]
        assert str(states[0]) == str(states[1])

    def test_nothing_is_left_to_train(self, place, undisturbed):
        before = (undisturbed / "ckpt-20").stat().st_mtime_ns
        assert train_torch(place, undisturbed, EVERY_STEP) == ""
        assert (undisturbed / "ckpt-20").stat().st_mtime_ns == before

    def test_dropout_and_data_go_on_and_do_not_start_over(self, place, undisturbed, tmp_path):
        """The random state of another step gives other weights."""
        shutil.copytree(undisturbed / "ckpt-10", tmp_path / "ckpt-10")
        shutil.copy(undisturbed / "ckpt-5" / "rng_state.pth", tmp_path / "ckpt-10")
        train_torch(place, tmp_path, EVERY_STEP)
        assert largest_difference(saved_weights(tmp_path / "ckpt-20"), saved_weights(undisturbed / "ckpt-20")) > 0

    @pytest.mark.slow
    def test_ten_kills_at_random_moments(self, place, undisturbed, tmp_path):
        rng, kills = random.Random(12345), 0
        command = torch_command(place, tmp_path, more=EVERY_STEP)
        begin = time.monotonic()
        run(torch_command(place, tmp_path / "timed", more=EVERY_STEP))
        seconds = time.monotonic() - begin
        while kills < 10:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                time.sleep(rng.uniform(0.3, 1.05) * seconds)
                kills += process.poll() is None
                process.send_signal(signal.SIGKILL)
            if (tmp_path / "ckpt-20").exists():
                shutil.rmtree(tmp_path / "ckpt-20")  # go on from an earlier one
        run(command)
        assert_same(tmp_path / "ckpt-20", undisturbed / "ckpt-20")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_two_processes(command: list[str]) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    return [command[0], *launcher, *command[1:]]


@pytest.mark.slow
def test_two_processes_are_one(place, tmp_path):
    """Also if a training with one process is continued by two, with processes that load the data."""
    config = make_config(num_tokens(place / "vocab.txt"), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    write_model_yaml(place / "no_dropout.yaml", config)
    one, two, later = (tmp_path / name for name in ("one", "two", "later"))
    commands = {d: torch_command(place, d, more=EVERY_STEP, model="no_dropout.yaml") for d in (one, two, later)}
    run(commands[one])
    run([*in_two_processes(commands[two]), "--tokens_per_micro_batch=64"])
    shutil.copytree(one / "ckpt-10", later / "ckpt-10")
    run([*in_two_processes(commands[later]), "--num_workers=2"])
    expected = read_run([one])
    for directory in (two, later):
        found = read_run([directory])
        for key in LOSSES:
            assert len(found[key]) == (len(expected[key]) if directory == two else len(expected[key]) // 2)
            differences = [abs(value - dict(expected[key])[step]) for step, value in found[key]]
            print(directory.name, key, f"{max(differences):.1e}")
            assert max(differences) < 1e-5
        files = {path.name for path in (directory / "ckpt-20").iterdir()}
        assert {"rng_state_0.pth", "rng_state_1.pth"} <= files


def test_evaluation_alone_repeats_the_validation(place, undisturbed):
    expected = read_run([undisturbed])["validation", "validation_loss"][-1]
    printed = train_torch(place, undisturbed, EVERY_STEP, mode="eval")
    assert printed.startswith("step 20, validation: loss")
    step, found = read_run([undisturbed])["validation", "validation_loss"][-1]
    assert step == 20 and abs(found - expected[1]) < 1e-6


@pytest.mark.parametrize(("comparison", "best"), [("higher", max), ("lower", min)])
def test_the_model_of_the_best_validation_is_kept(place, tmp_path, comparison, best):
    more = f"{EVERY_STEP},trainer.validation_interval=5,trainer.best_checkpoint_export_subdir=best"
    more += f",trainer.best_checkpoint_eval_metric=lm_example_loss,trainer.best_checkpoint_metric_comp={comparison}"
    files = {"vocab.txt": place / "vocab.txt"}
    train_torch(place, tmp_path, more, **files)
    losses = dict(read_run([tmp_path])["validation", "lm_example_loss"])
    step = best(losses, key=lambda step: losses[step])
    assert (step == 5) == (comparison == "higher")  # the loss falls
    assert_same(tmp_path / "best", tmp_path / f"ckpt-{step}")
    AutoModelForPreTraining.from_pretrained(tmp_path / "best")
    card = (tmp_path / "best" / "README.md").read_text(encoding="utf-8")
    assert f"| steps | {step} |" in card and "The model loads in Transformers" in card and "Flax" not in card
    written = (tmp_path / "best" / "provenance.json").read_bytes()
    shutil.rmtree(tmp_path / "ckpt-20")
    train_torch(place, tmp_path, more, **files)  # the validation of step 20 again, which is not better than itself
    assert (tmp_path / "best" / "provenance.json").read_bytes() == written


def test_a_process_has_one_of_several_gpus(place, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_run, "uses_gpu", lambda params: True)
    monkeypatch.setattr(torch_run, "precision", lambda params: "float32")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert torch_run.make_arguments(parse_torch(place), str(tmp_path), 1, 0).n_gpu == 1


def test_a_record_file_that_was_cut(place, tmp_path):
    (tmp_path / "cut.gz").write_bytes((place / "data" / "train_1.tfrecord.gz").read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"cut\.gz: record \d+: ") as error:
        train_torch(place, tmp_path / "model", f"task.train_data.input_path={tmp_path}/cut.gz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to"),
            "out of memory with micro-batches of 512 tokens. Give",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory with micro-batches"),
        (RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed"), "Is the disk full?"),
    ],
)
def test_errors_of_pytorch_become_one_line(error, message):
    found = clear_error(error, 512)
    assert message in str(found) and "\n" not in str(found)
    assert isinstance(found, ValueError | OSError)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_during_a_checkpoint(place, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no right to mount")
    try:
        command = torch_command(place, disk / "model", more="trainer.max_to_keep=9")
        filler = disk / "filler"
        for size in (250_000, 500_000, 640_000, 700_000):
            filler.write_bytes(b"x" * size)
            done = subprocess.run(command, capture_output=True, encoding="utf-8")
            assert done.returncode == 1, done.stderr
            assert "disk" in done.stderr.lower() or "space" in done.stderr.lower(), done.stderr
            assert "Traceback" not in done.stderr
            assert not list((disk / "model").glob("*.tmp"))
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=8M", disk], check=True)
        run(command)
        assert (disk / "model" / "ckpt-20" / "provenance.json").is_file()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_validation_without_a_batch_is_an_error(place, tmp_path):
    data = "task.validation_data.global_batch_size=4096,task.validation_data.drop_remainder=true"
    with pytest.raises(ValueError, match=r"task\.validation_data: no batch\. Lower .*global_batch_size"):
        train_torch(place, tmp_path, data, mode="eval")

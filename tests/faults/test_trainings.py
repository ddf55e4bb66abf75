"""Trainings are killed at random moments, or have no room: the same command goes on from the last checkpoint."""

import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import Subject, assert_all_dead, message
from tests.faults.stage_table import Stage, write_encoder, write_pretraining
from tests.faults.test_disks import mounted, remount

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]
FILES = "task.train_data.input_path=in/train.tfrecord.gz,task.validation_data.input_path=in/valid.tfrecord.gz"
FINE_TUNING = Stage(
    "run_finetuning", "finetune", write_encoder,
    ("--experiment=bert/sentence_prediction", "--mode=train_and_eval", "--model_dir=out", "--config_file=in/task.yaml",
     "--tf_config_file=in/trained/config.json",
     f"--params_override={FILES},task.init_checkpoint=in/trained/ckpt-5,runtime.distribution_strategy=one_device,"
     "runtime.num_gpus=0"),
)  # fmt: skip
IN_TORCH = Stage(
    "run_pretraining_torch", "torch", write_pretraining,
    ("--model_dir=out", "--num_workers=0", "--config_file=in/data.yaml", "--config_file=in/model.yaml",
     "--params_override=task.train_data.input_path=in/data/*.gz,task.validation_data.input_path=in/held_out/*.gz,"
     "trainer.summary_interval=1,trainer.steps_per_loop=1"),
)  # fmt: skip
LAST = {FINE_TUNING: "ckpt-10.index", IN_TORCH: "ckpt-20/model.safetensors"}
for_trainings = pytest.mark.parametrize("stage", LAST, ids=str)


def undisturbed(subject: Subject) -> tuple[bytes, float]:
    """Return the last weights, and the seconds of a training."""
    place, start = subject.place(), time.monotonic()
    run = subject.run(place, cold=True)
    assert run.process.returncode == 0, run.read("stderr")[-3000:]
    return (place / "out" / LAST[subject.stage]).read_bytes(), time.monotonic() - start


def assert_goes_on(subject: Subject, place: Path, weights: bytes) -> None:
    run = subject.run(place, cold=True)
    assert run.process.returncode == 0, run.read("stderr")[-3000:]
    found = (place / "out" / LAST[subject.stage]).read_bytes()
    assert subject.stage != IN_TORCH or found == weights  # an index of TensorFlow has times


def strike(subject: Subject, weights: bytes, kill: signal.Signals, group: bool, delay: float) -> bool:
    place = subject.place()
    run = subject.start(place, cold=True)
    time.sleep(delay)
    if run.process.poll() is not None:
        return False
    run.kill(kill, group)
    run.wait()
    assert_all_dead(run)
    assert "Traceback" not in run.read("stderr"), run.read("stderr")[-3000:]
    assert_goes_on(subject, place, weights)
    return True


@for_trainings
def test_kills(subject, begin, stage):
    faults = begin("signals at random moments of a training")
    weights, seconds = undisturbed(subject)
    moments = faults.random(0)
    kinds = [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, False), (signal.SIGHUP, True)]
    kinds += [(signal.SIGINT, True)]
    faults.attempt_all(
        [
            (kill.name, partial(strike, subject, weights, kill, group, moments.uniform(0.1, 0.9) * seconds))
            for kill, group in kinds
        ]
    )


def train_without_room(subject: Subject, weights: bytes, kilobytes: int) -> bool:
    place = subject.place()
    with mounted(place / "out", kilobytes << 10):
        run = subject.run(place, cold=True)
        assert_all_dead(run)
        if run.process.returncode == 0:
            return False
        message(run, "No space left", "make room")
        remount(place / "out", "size=1g")
        assert_goes_on(subject, place, weights)
    return True


@pytest.mark.parametrize("stage", [IN_TORCH], ids=str)
def test_full_disk(subject, begin, stage):
    faults = begin("output directory full, several sizes")
    weights, _ = undisturbed(subject)
    faults.attempt_all([("500 kB", partial(train_without_room, subject, weights, 500))])

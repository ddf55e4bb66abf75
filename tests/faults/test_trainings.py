"""run_finetuning is killed at random moments: the same command goes on from the last checkpoint and ends."""

import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disturbed_runs import Subject, assert_all_dead
from tests.faults.stage_table import Stage, write_encoder

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]
FILES = "task.train_data.input_path=in/train.tfrecord.gz,task.validation_data.input_path=in/valid.tfrecord.gz"
FINE_TUNING = Stage(
    "run_finetuning", "finetune", write_encoder,
    ("--experiment=bert/sentence_prediction", "--mode=train_and_eval", "--model_dir=out", "--config_file=in/task.yaml",
     "--tf_config_file=in/trained/config.json",
     f"--params_override={FILES},task.init_checkpoint=in/trained/ckpt-5,runtime.distribution_strategy=one_device,"
     "runtime.num_gpus=0"),
)  # fmt: skip


def is_finished(place: Path) -> bool:
    return (place / "out" / "ckpt-10.index").exists()


def strike(subject: Subject, kill: signal.Signals, group: bool, delay: float) -> bool:
    place = subject.place()
    run = subject.start(place)
    time.sleep(delay)
    if run.process.poll() is not None:
        return False
    run.kill(kill, group)
    run.wait()
    assert_all_dead(run)
    assert "Traceback" not in run.read("stderr"), run.read("stderr")[-3000:]
    again = subject.run(place)
    assert again.process.returncode == 0, again.read("stderr")[-3000:]
    assert is_finished(place)
    return True


@pytest.mark.parametrize("stage", [FINE_TUNING], ids=str)
def test_kills(subject, begin, stage):
    faults = begin("signals at random moments of a training")
    place, start = subject.place(), time.monotonic()
    run = subject.run(place)
    assert run.process.returncode == 0, run.read("stderr")[-3000:]
    seconds, moments = time.monotonic() - start, faults.random(0)
    kinds = [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, False), (signal.SIGHUP, True)]
    faults.attempt_all(
        [
            (kill.name, partial(strike, subject, kill, group, moments.uniform(0.1, 0.9) * seconds))
            for kill, group in kinds
        ]
    )

"""run_pretraining.py trains a tiny model on the CPU: stages, kills, several workers, equal losses."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import run_pretraining
from japanese_bert.training.curves import read_run
from tests.helpers import converting
from tests.helpers import small_pretraining as small
from tests.helpers.recipes import blocks
from tests.test_configs import with_tensorflow

STEPS, WARMUP, RATE = 20, 4, 1e-3
DYNAMIC = "bert/pretraining_dynamic"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return small.write_all(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def first_stage(place) -> Path:
    small.train(place, place / "first")
    return place / "first"


def learning_rate(step: int, steps: int = STEPS) -> float:
    """Return the rate that the trainer reports: that of the next step. The warm-up ends at the decayed rate."""
    decayed = RATE * (1 - max(step, WARMUP) / steps)
    return decayed * min(1, step / WARMUP)


def validation(model_dir: Path) -> dict[str, float]:
    """Return the last values of a validation without the speed."""
    curves = {tag: curve for (split, tag), curve in read_run([model_dir]).items() if split == "validation"}
    return {tag: curve[-1][1] for tag, curve in curves.items() if tag != "steps_per_second"}


def short_command() -> str:
    """Return the command of docs/training.md that continues a model, in one line."""
    block = next(block for block in blocks(small.ROOT / "docs" / "training.md", "sh") if "--init_checkpoint" in block)
    return re.sub(r"\s*\\\n\s*", " ", block).strip()


def test_the_short_command_has_at_most_200_characters():
    assert len(short_command()) <= 200


def test_the_parser_needs_no_framework():
    code = "import sys, run_pretraining; run_pretraining.get_parser(); print('tensorflow' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], cwd=small.ROOT, capture_output=True, encoding="utf-8").stdout
    assert output == "False\n"


class TestStart:
    """In this process, without training."""

    pytestmark = with_tensorflow

    def run(self, place: Path, model_dir: Path, *more: str) -> None:
        arguments = small.train_command(place, model_dir)[2:]
        run_pretraining.main(run_pretraining.get_parser().parse_args([*arguments, *more]))

    def test_checks_alone(self, place, tmp_path, capsys):
        self.run(place, tmp_path / "model", "--check_only")
        output = capsys.readouterr()
        assert "checks: " in output.out
        assert "0 problem(s)" in output.out
        assert not (tmp_path / "model").exists()

    def test_problems_are_lines_and_nothing_starts(self, place, tmp_path, capsys):
        wrong = "--params_override=task.init_checkpoint=/nowhere/ckpt-1,trainer.train_steps=30"
        with pytest.raises(SystemExit) as error:
            self.run(place, tmp_path / "model", wrong)
        lines = capsys.readouterr().err.splitlines()
        assert error.value.code == 1
        assert [line.split(": ")[1] for line in lines] == ["error"] * 3
        assert not (tmp_path / "model").exists()

    def test_unknown_parameters_are_one_line(self, place, tmp_path):
        with pytest.raises(
            ValueError,
            match=r"--params_override: no parameter trainer\.train_stepz\. Did you",
        ):
            self.run(place, tmp_path / "model", "--params_override=trainer.train_stepz=30")


@pytest.mark.slow
@pytest.mark.tensorflow
class TestTraining:
    def test_every_step_has_its_rate_and_the_last_its_checkpoint(self, first_stage):
        curves = read_run([first_stage])
        rates = curves["train", "learning_rate"]
        assert [step for step, _ in rates] == [5, 10, 15, 20]
        assert [rate for _, rate in rates] == pytest.approx([learning_rate(step) for step, _ in rates], rel=1e-5)
        assert [step for step, _ in curves["validation", "validation_loss"]] == [10, 20]
        assert (first_stage / "ckpt-20.index").is_file()

    def test_reports_are_lines(self, place, tmp_path):
        """Loops are no lines here, because they take less than half a minute. Nothing else is printed."""
        output = small.train(place, tmp_path / "model")
        lines = output.partition("the trainer's output: ")[2].split("\n")
        steps = [line.partition(",")[0].partition(":")[0] for line in lines[1:-1]]
        assert lines[0] == f"{tmp_path}/model/train.log"
        assert steps[0] == "step 1 of 20"
        assert steps[-2:] == ["step 20 of 20", "step 20"]
        assert re.search(r", [\d,.]+ sequences/s, loss [\d.]+, masked LM loss .*, learning rate 0.0e\+00$", lines[-3])
        assert all(line.startswith("step ") for line in lines[1:-1])
        assert "train | step:     20" in small.trainer_log(tmp_path / "model")

    def test_a_training_that_fails_says_why_and_names_the_log(self, place, tmp_path):
        more = "trainer.recovery_max_trials=0,trainer.loss_upper_bound=0.1"
        process = subprocess.run(
            small.train_command(place, tmp_path / "model", more), capture_output=True, encoding="utf-8"
        )
        assert process.returncode == 1
        assert f"the trainer's output is in {tmp_path}/model/train.log" in process.stderr
        assert "which is larger than the bound 0.1" in process.stderr.rstrip("\n").rpartition("\n")[2]
        assert "which is larger than the bound 0.1" in small.trainer_log(tmp_path / "model")

    def test_second_stage_starts_with_the_losses_at_which_the_first_ended(self, place, first_stage, tmp_path):
        """Both losses are equal. With Model Garden's own start the next sentence loss differs."""
        start = f"task.init_checkpoint={first_stage}/ckpt-20"
        small.train(place, tmp_path / "evaluated", start, mode="eval")
        expected = validation(first_stage)
        assert validation(tmp_path / "evaluated") == pytest.approx(expected, abs=1e-5)
        assert len(expected) == 5
        output = small.train(place, tmp_path / "second", start)
        assert f"start: from the weights of {first_stage}/ckpt-20" in output
        assert [step for step, _ in read_run([first_stage, tmp_path / "second"])["train", "training_loss"]] == [
            *range(5, 45, 5)
        ]

    def test_the_short_command_trains(self, place, first_stage, tmp_path):
        """From params.yaml of the first stage, with the form of the data and the validation files found."""
        data = tmp_path / "pretraining_data" / "my_domain"
        shutil.copytree(place / "data", data)
        shutil.copytree(place / "held_out", data / "validation")
        (tmp_path / "tf2").mkdir()
        (tmp_path / "tf2" / "my_domain").symlink_to(first_stage)
        (tmp_path / "run_pretraining.py").symlink_to(small.ROOT / "run_pretraining.py")
        command = f"{sys.executable} {short_command().removeprefix('python ')}"
        for before, now in {"ckpt-0": "ckpt-20", "20000": "10", "256": "8", "num_gpus 8": "num_gpus 0"}.items():
            assert before in command
            command = command.replace(before, now)
        output = small.run(["bash", "-c", f"cd {tmp_path} && {command}"])
        assert "start: from the weights of tf2/my_domain/ckpt-20" in output
        assert "schedule: 10 steps, warm-up 1" in output
        assert "hardware: one_device, 1 worker(s) x 1 CPU" in output
        assert (tmp_path / "model" / "my_domain" / "ckpt-10.index").is_file()
        assert len(validation(tmp_path / "model" / "my_domain")) == 5

    def test_finished_run_is_left_as_it_is(self, place, first_stage):
        before = (first_stage / "ckpt-20.index").stat().st_mtime_ns
        assert "nothing is left to train" in small.train(place, first_stage)
        assert (first_stage / "ckpt-20.index").stat().st_mtime_ns == before

    @pytest.mark.parametrize("experiment", ["bert/pretraining", DYNAMIC])
    def test_killed_run_continues_with_step_and_rate(self, place, tmp_path, experiment):
        from japanese_bert.models.checkpoint_reading import read_step

        steps, model_dir = 400, tmp_path / "model"
        more = f"trainer.train_steps={steps},trainer.optimizer_config.learning_rate.polynomial.decay_steps={steps}"
        if experiment == DYNAMIC:
            more += f",{buckets_of(place)}"
        command = small.train_command(place, model_dir, more, experiment=experiment)
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            wait_for(model_dir / "ckpt-25.index", process)  # being written: the one before is whole
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        output = small.run(command)
        step = int(output.partition("start: continues from ")[2].partition(", step ")[2].split()[0])
        assert 20 <= step < steps
        assert f"restored model from {model_dir}/ckpt-{step}" in small.trainer_log(model_dir)
        assert read_step(str(model_dir / f"ckpt-{steps}")) == steps
        rates = read_run([model_dir])["train", "learning_rate"]
        assert [step for step, _ in rates] == list(range(5, steps + 5, 5))
        expected = [learning_rate(step, steps) for step, _ in rates]
        assert [rate for _, rate in rates] == pytest.approx(expected, rel=1e-5, abs=1e-9)
        if experiment == DYNAMIC:
            config = tmp_path / "config.json"
            config.write_text(small.make_config(131).to_json(), encoding="utf-8")
            verified = ["--verify", "--verify_tfrecord", f"{place}/held_out/valid.tfrecord.gz"]
            converting.run(model_dir, tmp_path / "hf", *verified, config=config)
            assert (tmp_path / "hf" / "model.safetensors").is_file()

    def test_two_workers_train_on_buckets(self, place, tmp_path):
        train_with_two_workers(place, tmp_path, buckets_of(place), experiment=DYNAMIC)
        curves = read_run([tmp_path / "two"])
        assert [step for step, _ in curves["train", "training_loss"]] == [5, 10, 15, 20]
        assert len(validation(tmp_path / "two")) == 5

    def test_two_workers_reach_the_losses_of_one_process(self, place, tmp_path):
        """So do two that were stopped and continued, which Model Garden alone cannot do.

        The runs are exactly comparable: one order of the data, no dropout, no gradients that are clipped per worker or
        summed. Each instance has as many predictions, because a worker's loss is the mean over its own predictions.
        """
        even = write_even_data(place, tmp_path)
        small.train(
            even,
            tmp_path / "start",
            "trainer.train_steps=1,trainer.validation_interval=1,trainer.steps_per_loop=1,trainer.summary_interval=1,trainer.checkpoint_interval=1",
        )
        exact = (
            f"task.init_checkpoint={tmp_path}/start/ckpt-1,task.train_data.seed=1,task.train_data.shuffle_buffer_size=1"
        )
        exact += ",trainer.best_checkpoint_export_subdir=best,trainer.best_checkpoint_eval_metric=masked_lm_accuracy"
        exact += ",task.scale_loss=true,trainer.optimizer_config.optimizer.adamw.gradient_clip_norm=0.0"
        for steps in (10, 20):
            more = f"{exact},trainer.train_steps={steps}"
            small.train(even, tmp_path / "one", more)
            train_with_two_workers(even, tmp_path, more)
        one, two = read_run([tmp_path / "one"]), read_run([tmp_path / "two"])
        printed = [(tmp_path / f"worker_{index}.log").read_text(encoding="utf-8") for index in range(2)]
        assert [text.count("step 20, validation: loss") for text in printed] == [1, 0]
        assert not re.search("^step |^checks: |NOTE|compiling", printed[1], re.MULTILINE)
        assert (tmp_path / "two" / "train.worker_1.log").is_file()
        best = [json.loads((tmp_path / name / "best/info.json").read_text(encoding="utf-8")) for name in ("one", "two")]
        assert best[0]["best_ckpt_global_step"] == best[1]["best_ckpt_global_step"]
        assert list((tmp_path / "two" / "best").glob("best_ckpt-*.index"))
        for split, tag, count in (
            ("train", "training_loss", 4),
            ("train", "lm_example_loss", 4),
            ("train", "next_sentence_loss", 4),
            ("train", "learning_rate", 4),
            ("validation", "validation_loss", 2),
        ):
            assert len(one[split, tag]) == count
            assert [step for step, _ in two[split, tag]] == [step for step, _ in one[split, tag]]
            values = [value for _, value in one[split, tag]]
            assert [value for _, value in two[split, tag]] == pytest.approx(values, rel=1e-4), (split, tag)
            assert values[0] != values[-1]


def buckets_of(place: Path) -> str:
    """Make data with buckets, in two files. Return the parameters that train on them."""
    for number, corpus in enumerate(("corpus_0.txt", "corpus_2.txt")):
        flags = ["--short_seq_prob", "0.6", "--seq_bucket_lengths", *map(str, small.BUCKETS)]
        small.make_data(place / corpus, place / "vocab.txt", place / "buckets" / f"{number}.gz", *flags)
    return f"task.train_data.input_path={place}/buckets/*.gz,task.train_data.seq_bucket_lengths={small.BUCKETS}"


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.01)


def write_even_data(place: Path, tmp_path: Path) -> Path:
    """Write one file of data with four predictions in each instance, and a model without dropout."""
    even = tmp_path / "even"
    flags = ["--masked_lm_prob", "0.9", "--short_seq_prob", "0"]
    for name, corpus in (("data/train", "corpus_0.txt"), ("held_out/valid", "corpus_4.txt")):
        path = small.make_data(place / corpus, place / "vocab.txt", even / f"{name}.tfrecord.gz", *flags)
        counts = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))["counts"]
        assert counts["masked_tokens"] == small.PREDICTIONS * counts["instances"]
    config = small.make_config(131, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    small.write_model_yaml(even / "model.yaml", config)
    shutil.copy(place / "data.yaml", even)
    return even


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def train_with_two_workers(even: Path, tmp_path: Path, more: str, **names: str) -> None:
    workers = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        worker = small.train_command(even, tmp_path / "two", more, runtime="multi_worker", **names)
        with open(tmp_path / f"worker_{index}.log", "ab") as log:
            environment = os.environ | {"TF_CONFIG": json.dumps(config)}
            processes.append(subprocess.Popen(worker, stdout=log, stderr=log, env=environment))
    for index, process in enumerate(processes):
        assert process.wait() == 0, (tmp_path / f"worker_{index}.log").read_text(encoding="utf-8")[-3000:]

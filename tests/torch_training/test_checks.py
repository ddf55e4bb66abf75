"""The checks before a training in PyTorch: those of run_pretraining.py, and its own."""

import itertools
import shutil

import pytest

from japanese_bert.torch_training.checks import check_torch_pretraining
from japanese_bert.torch_training.run import make_batches
from japanese_bert.training.command import Training
from tests.helpers.small_pretraining import BUCKETS, assert_problem, make_config, make_data, write_model_yaml
from tests.helpers.torch_training import parse_torch, train_torch


def check(place, more: str = "", mode: str = "train_and_eval", model_dir=None, model: str = "model.yaml", **files):
    training = Training(parse_torch(place, more, model), mode, str(model_dir or place / "new"))
    return check_torch_pretraining(training, files)


@pytest.fixture(scope="session")
def trained(place, tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    train_torch(place, directory, "trainer.train_steps=10")
    return directory


def test_a_training_that_can_start(place):
    findings = check(place)
    assert findings.problems == [] and findings.remarks == []
    for fact in ("hardware: 1 process(es), CPU, float32", "2 file(s) with 987 instances", "BertForPreTraining, 19,",
                 "start: new, with random weights", "disk: "):  # fmt: skip
        assert any(fact in line for line in findings.facts), fact


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("runtime.num_gpus=2", ["runtime.num_gpus is 2, but PyTorch finds 0. See nvidia-smi"]),
        ("trainer.train_steps=20.0", ["trainer.train_steps is 20.0, expected a whole number from 1"]),
        ("runtime.mixed_precision_dtype=float16", ["mixed_precision_dtype is float16, expected bfloat16"]),
        ("trainer.optimizer_config.optimizer.adamw.exclude_from_weight_decay=[kernel]", ["has 'kernel'"]),
        ("task.train_data.file_type=tfrecord", ["2 files", "compressed", "file_type=tfrecord_compressed"]),
        ("task.train_data.max_predictions_per_seq=9", ["--max_predictions_per_seq 4", "is 9"]),
        ("task.init_checkpoint=nothing", ["nothing: no such checkpoint"]),
        ("trainer.best_checkpoint_export_subdir=best", ["best_checkpoint_eval_metric is ''", "masked_lm_accuracy"]),
        ("trainer.max_to_keep=100000000", ["make room or set trainer.max_to_keep"]),
    ],
)  # fmt: skip
def test_problems(place, more, messages):
    assert_problem(check(place, more), *messages)


def test_another_vocabulary(place, tmp_path):
    (tmp_path / "vocab.txt").write_bytes((place / "vocab.txt").read_bytes() + "犬\n".encode())
    findings = check(place, **{"vocab.txt": tmp_path / "vocab.txt"})
    assert_problem(findings, "vocab.txt: has", "but vocab_size is", "in --config_file")


def test_no_checkpoint_to_evaluate(place):
    assert_problem(check(place, mode="eval"), "no checkpoint to evaluate")


def test_the_batch_is_a_multiple_of_the_processes(place, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert_problem(check(place), "task.train_data.global_batch_size is 8, not a multiple of the 3 processes")


def test_a_process_has_a_gpu_of_its_own(place, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "8")
    assert_problem(check(place), "8 processes on this machine, but it has 4 GPU(s). Start one for each GPU")
    assert_problem(check(place, "runtime.num_gpus=5"), "runtime.num_gpus is 5, but PyTorch finds 4")


def test_continuing(place, trained):
    findings = check(place, "trainer.train_steps=20,task.init_checkpoint=x", model_dir=trained)
    assert findings.problems == []
    assert f"start: continues from {trained}/ckpt-10, step 10" in findings.facts
    assert "since the last run trainer.train_steps has changed: 10 -> 20" in findings.remarks
    assert f"task.init_checkpoint is not used: {trained} has checkpoints of its own" in findings.remarks
    done = check(place, "trainer.train_steps=10", model_dir=trained)
    assert f"{trained}/ckpt-10 is at step 10 of 10: nothing is left to train" in done.remarks


def test_a_checkpoint_with_a_missing_file(place, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "model")
    (tmp_path / "model" / "ckpt-10" / "optimizer.pt").unlink()
    findings = check(place, model_dir=tmp_path / "model")
    assert_problem(findings, "ckpt-10/optimizer.pt: no such file. Copy it again, or remove this directory to continue")
    shutil.rmtree(tmp_path / "model" / "ckpt-10")
    findings = check(place, model_dir=tmp_path / "model")
    assert any(f"continues from {tmp_path}/model/ckpt-5" in line for line in findings.facts)


def test_a_checkpoint_of_another_model_or_trainer(place, trained, tmp_path):
    vocab_size = parse_torch(place).task.model.encoder.bert.vocab_size
    write_model_yaml(place / "deeper.yaml", make_config(vocab_size, num_hidden_layers=4))
    assert_problem(check(place, model_dir=trained, model="deeper.yaml"), "ckpt-10: another model than that of --config")
    (tmp_path / "ckpt-7.index").touch()
    assert_problem(check(place, model_dir=tmp_path), "ckpt-7.index: a checkpoint of run_pretraining.py")


def test_buckets_are_the_instances_of_static_data(place, tmp_path):
    batches = []
    for name, flags in {"static": [], "buckets": ["--seq_bucket_lengths", *map(str, BUCKETS)]}.items():
        path = make_data(place / "corpus_0.txt", place / "vocab.txt", tmp_path / name, *flags)
        more = f"task.train_data.input_path={path}"
        assert check(place, more).problems == []
        [step] = itertools.islice(make_batches(parse_torch(place, more), "train_data", 1, 256, 0), 1)
        batches.append([{key: value.tolist() for key, value in batch.items()} for batch in step])
    assert batches[0] == batches[1]

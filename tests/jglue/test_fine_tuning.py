"""Training of one task: the settings that reach transformers' Trainer, and the share of each device."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForPreTraining

from japanese_bert.jglue.fine_tuning import Devices, FineTuning, Settings, load_tokenizer, max_seq_length
from japanese_bert.jglue.tasks import TASKS, find_file, load_examples
from tests.helpers.small_jglue import write_data, write_model


@pytest.fixture
def model_dir(tmp_path, wordpiece_vocab) -> Path:
    return write_model(tmp_path / "my-model", wordpiece_vocab, "wordpiece")


def test_settings_of_the_benchmark(tmp_path, model_dir, monkeypatch):
    task = TASKS["jsts"]
    examples = load_examples(find_file(write_data(tmp_path / "datasets"), task, "train"), task)
    tuning = FineTuning(task, model_dir, examples, examples, Devices(2, use_cpu=True))
    arguments = tuning._training_arguments(Settings(3e-5, 4, 7), tmp_path)
    expected = {
        "learning_rate": 3e-5, "num_train_epochs": 4, "seed": 7, "weight_decay": 0, "max_grad_norm": 1,
        "per_device_train_batch_size": 16, "gradient_accumulation_steps": 2, "warmup_steps": 1,
    }  # fmt: skip
    assert {name: getattr(arguments, name) for name in expected} == expected
    assert arguments.lr_scheduler_type == "linear"
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # of `accelerate launch`. The record says "no"
    assert tuning._training_arguments(Settings(3e-5, 4, 7), tmp_path).mixed_precision == "no"
    assert arguments.optim == "adamw_torch"
    lengths = {name: task.max_seq_length for name, task in TASKS.items()}
    assert lengths == {"marc_ja": 512, "jsts": 128, "jnli": 128, "jsquad": 384, "jcommonsenseqa": 64}


def test_a_training_is_lines_in_a_log(tmp_path, model_dir, capsys):
    task = TASKS["jsts"]
    examples = load_examples(find_file(write_data(tmp_path / "datasets"), task, "train"), task)
    tuning = FineTuning(task, model_dir, examples, examples, Devices(use_cpu=True))
    tuning.run(Settings(3e-5, 3, 7), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "step 6 of 6, JSTS, seed 7, epoch 3.00"
    assert lines[0].startswith("step 1 of 6, JSTS, seed 7, epoch 0.50")


@pytest.mark.parametrize("name", ["jsts", "jcommonsenseqa"])
def test_parts_of_a_batch_change_nothing_but_rounding(tmp_path, model_dir, name):
    config = model_dir / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config.write_text(json.dumps(values), encoding="utf-8")
    examples = load_examples(find_file(write_data(tmp_path / "datasets"), TASKS[name], "train"), TASKS[name])
    whole, parts = (
        FineTuning(TASKS[name], model_dir, examples, examples, Devices(number, use_cpu=True)) for number in (1, 4)
    )
    settings = Settings(1e-3, 3, 7)
    expected, found = (tuning.run(settings, tmp_path)[1] for tuning in (whole, parts))
    assert found == pytest.approx(expected, rel=0.1)  # parts of a last batch that is not full count alike


def test_counts_name_the_answers_of_jsquad_only(tmp_path, model_dir):
    data = write_data(tmp_path / "datasets")
    for name in ("jsts", "jsquad"):
        examples = load_examples(find_file(data, TASKS[name], "valid"), TASKS[name])
        counts = FineTuning(TASKS[name], model_dir, examples, examples, Devices(use_cpu=True)).counts()
        assert counts["rows"] == {"train": 12, "evaluation": 12}
        assert counts.keys() == ({"rows", "answers"} if name == "jsquad" else {"rows"})


def test_batch_is_divided_among_devices(monkeypatch):
    assert Devices(use_cpu=True).batch_size(32) == 32
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Devices(2).batch_size(32) == 4
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="a batch of 32 cannot be divided among 3 devices"):
        Devices().batch_size(32)


def test_one_process_with_two_gpus_computes_in_float32(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert Devices().batch_size(32) == 16
    with pytest.raises(ValueError, match=r"--mixed_precision bf16: .* accelerate launch --num_processes 2 "):
        Devices(mixed_precision="bf16").batch_size(32)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Devices(mixed_precision="bf16").batch_size(32) == 16


def test_a_model_in_16_bits_is_trained_in_32(tmp_path, model_dir):
    examples = load_examples(find_file(write_data(tmp_path / "datasets"), TASKS["jsts"], "train"), TASKS["jsts"])
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModelForPreTraining.from_pretrained(model_dir).to(torch.bfloat16)  # the same rounded weights
        model.to(dtype).save_pretrained(model_dir)
        tuning = FineTuning(TASKS["jsts"], model_dir, examples, examples, Devices(use_cpu=True))
        losses.append(tuning.run(Settings(1e-5, 1, 7), tmp_path)[1])
    assert losses[0] == losses[1]


def test_one_process_of_torchrun_has_one_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    assert Devices().batch_size(32) == 4
    for name, value in {"WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert Devices().batch_size(32) == 32


def test_sequences_are_no_longer_than_the_model(model_dir):
    assert max_seq_length(TASKS["marc_ja"], model_dir, False) == 400
    assert max_seq_length(TASKS["jsts"], model_dir, False) == 128


def test_vocabulary_larger_than_the_models(model_dir):
    with open(model_dir / "vocab.txt", "a", encoding="utf-8") as file:
        file.write("新語\n")
    with pytest.raises(ValueError, match=r"my-model: the tokenizer has .* Copy the vocabulary that the model was"):
        load_tokenizer(model_dir, False)


def test_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json: no such file\. Give a directory that convert"):
        load_tokenizer(tmp_path, False)

"""A tiny pretrained model and labelled texts, for the tests of fine-tuning. Nothing here is a test."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from japanese_bert.models.config import BertConfig, load_bert_config
from japanese_bert.training.checks.findings import Findings
from japanese_bert.training.checks.finetuning import check_finetuning
from japanese_bert.training.command import Training
from tests.helpers import small_pretraining as small
from tools import create_classification_data, export_saved_model, run_finetuning

LABELS = ("short", "long", "other")
SEQ_LENGTH = 32
START = "task.init_checkpoint={place}/trained/ckpt-5"


def write_rows(path: Path, first: int) -> Path:
    """Write pairs whose label follows from their second text. Another `first` makes another file."""
    rows = []
    for number in range(first, first + 60):
        subject, verb = small.SUBJECTS[number % 10], small.VERBS[number % 7]
        row = {"a": f"{subject}{verb}", "b": ["の話。", "長い説明。長い説明。", "とは何か？"][number % 3]}
        rows.append({**row, "label": LABELS[number % 3], "score": number % 3 / 2})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def make_data(rows: Path, vocab: Path, output: Path, *flags: str) -> Path:
    """Make data of a classification, or of a regression with `--regression`. Later flags win."""
    what = ["--label_field", "score"] if "--regression" in flags else ["--labels", *LABELS]
    common = ["--text_fields", "a", "b", "--max_seq_length", str(SEQ_LENGTH), "--gzip_compress", *what]
    files = ["--input_file", str(rows), "--vocab_file", str(vocab), "--output_file", str(output)]
    parser = create_classification_data.get_parser()
    create_classification_data.main(parser.parse_args([*files, *common, *flags]))
    return output


def write_trained(directory: Path, config: BertConfig) -> Path:
    """Write a checkpoint as the trainer does: the encoder's pooler differs from the next sentence head's."""
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    model = build_model(model_params(config))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    checkpoint = tf.train.Checkpoint(model=model, global_step=tf.Variable(5, dtype=tf.int64), **model.checkpoint_items)
    tf.train.CheckpointManager(checkpoint, directory, max_to_keep=1).save(checkpoint_number=5)
    (directory / "config.json").write_text(config.to_json(), encoding="utf-8")
    return directory


def write_yaml(path: Path, steps: int = 10, **task) -> Path:
    data = {"global_batch_size": 8, "seq_length": SEQ_LENGTH, "file_type": "tfrecord_compressed"}
    rate = {"type": "polynomial", "polynomial": {"initial_learning_rate": 0.01, "decay_steps": steps}}
    trainer = {
        "train_steps": steps,
        "steps_per_loop": 5,
        "summary_interval": 5,
        "checkpoint_interval": 5,
        "validation_interval": 5,
        "optimizer_config": {
            "learning_rate": rate,
            "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 2}},
        },
    }
    task = {
        "model": {"num_classes": 3},
        "init_cls_pooler": True,
        "train_data": {**data, "is_training": True},
        "validation_data": {**data, "is_training": False, "drop_remainder": False},
        **task,
    }
    path.write_text(yaml.safe_dump({"task": task, "trainer": trainer}), encoding="utf-8")
    return path


def write_all(place: Path) -> Path:
    """Write `train` and `valid` (`.tfrecord.gz`, `.score.gz`), `vocab.txt`, `trained/ckpt-5` and `task.yaml`."""
    vocab = small.write_vocab(place / "vocab.txt")
    for name, first in (("train", 0), ("valid", 60)):
        rows = write_rows(place / f"{name}.jsonl", first)
        make_data(rows, vocab, place / f"{name}.tfrecord.gz")
        make_data(rows, vocab, place / f"{name}.score.gz", "--regression")
    (place / "trained").mkdir()
    write_trained(place / "trained", small.make_config(small.num_tokens(vocab)))
    write_yaml(place / "task.yaml")
    return place


def write_fake_saved_model(place: Path, directory: Path, **sizes: int) -> Path:
    """Write the parts of a SavedModel of `export_saved_model.py` that the checks read."""
    directory.mkdir()
    (directory / "saved_model.pb").touch()
    config = json.loads((place / "trained" / "config.json").read_text(encoding="utf-8"))
    (directory / "config.json").write_text(json.dumps({**config, **sizes}), encoding="utf-8")
    record = json.loads((place / "train.tfrecord.gz.json").read_text(encoding="utf-8"))
    values = {"stage": "export_saved_model", "inputs": record["inputs"]}
    (directory / "provenance.json").write_text(json.dumps(values), encoding="utf-8")
    return directory


def overrides(place: Path, more: str = "", ending: str = "tfrecord.gz") -> str:
    paths = f"task.train_data.input_path={place}/train.{ending},task.validation_data.input_path={place}/valid.{ending}"
    return f"{paths},{more}" if more else paths


def command(place: Path, model_dir: Path, more: str, *flags: str, ending: str = "tfrecord.gz") -> list[str]:
    """Return a subprocess's arguments, because a process can define the trainer's flags only once."""
    return [
        sys.executable,
        "-m",
        "tools.run_finetuning",
        "--experiment=bert/sentence_prediction",
        "--mode=train_and_eval",
        f"--model_dir={model_dir}",
        f"--config_file={place}/task.yaml",
        f"--config_file={small.ROOT}/configs/runtime/cpu.yaml",
        f"--params_override={overrides(place, more, ending)}",
        *flags,
    ]


def train(place: Path, model_dir: Path, more: str, *flags: str, ending: str = "tfrecord.gz") -> str:
    """Run to the end. Return what was printed."""
    return run(command(place, model_dir, more, *flags, ending=ending))


def run(arguments: list[str]) -> str:
    process = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    assert process.returncode == 0, process.stdout[-4000:]
    return process.stdout


def export(place: Path, module: Path) -> Path:
    """Write the SavedModel of `trained/ckpt-5`."""
    flags = ["--tf_checkpoint_path", f"{place}/trained", "--tf_config_file", f"{place}/trained/config.json"]
    flags += ["--vocab_file", f"{place}/vocab.txt", "--output_path", str(module)]
    export_saved_model.main(export_saved_model.get_parser().parse_args(flags))
    return module


def trained_config(place: Path) -> BertConfig:
    return load_bert_config(place / "trained" / "config.json")


def parse(place: Path, more: str = "", with_encoder: bool = True, ending: str = "tfrecord.gz"):
    """Return the trainer's configuration of `task.yaml` below `place`."""
    from official.core import train_utils
    from official.nlp.configs import finetuning_experiments  # noqa: F401

    files = [place / "task.yaml", small.ROOT / "configs/runtime/cpu.yaml"]
    if with_encoder:
        files = [run_finetuning.encoder_json(place / "trained" / "config.json"), *files]
    options = train_utils.ParseConfigOptions(
        experiment="bert/sentence_prediction",
        config_file=[str(path) for path in files],
        params_override=overrides(place, more.format(place=place), ending),
    )
    return train_utils.parse_configuration(options, print_return=False)


def check(
    place: Path, more: str = START, mode: str = "train_and_eval", check_provenance: bool = True, **names
) -> Findings:
    """Return the findings of all checks."""
    params = parse(place, more, **names)
    return check_finetuning(Training(params, mode, str(place / "new"), check_provenance))

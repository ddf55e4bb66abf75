"""A tiny model and its pretraining data, for the tests of training. Nothing here is a test."""

import subprocess
import sys
from pathlib import Path

import yaml

import create_pretraining_data
from japanese_bert.models.config import BertConfig
from japanese_bert.models.model_garden import model_params
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from japanese_bert.training.checks.findings import Findings
from japanese_bert.training.checks.pretraining import check_pretraining
from japanese_bert.training.command import Training
from tests.helpers.places import ROOT

SUBJECTS = ["猫", "東京の天気", "新しい駅", "ラーメン", "図書館", "サッカー", "量子力学", "確定申告", "梅雨", "詩"]
VERBS = ["が好きだ。", "について調べた。", "は大切です！", "を見て驚いた。", "とは何か？", "の話。", "も変わった。"]
SEQ_LENGTH, PREDICTIONS = 32, 4
BUCKETS = [16, 24, 32]


def write_corpus(path: Path, first: int = 0) -> Path:
    """Write ten documents. Another `first` makes another text of the same characters."""
    documents = []
    for index, subject in enumerate(SUBJECTS):
        ends = [f"{VERBS[(first + index + turn) % 7]}{'長い説明。' * (turn % 3)}" for turn in range(4 + index)]
        documents.append("".join(f"{subject}{end}\n" for end in ends))
    path.write_text("\n".join(documents), encoding="utf-8", newline="\n")
    return path


def write_vocab(path: Path) -> Path:
    characters = sorted({character for text in (*SUBJECTS, *VERBS, "長い説明。") for character in text})
    path.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]))
    return path


def num_tokens(vocab: Path) -> int:
    return vocab.read_bytes().count(b"\n")


def make_config(vocab_size: int, **changes) -> BertConfig:
    """Return sizes of which no two are equal."""
    sizes = {
        "vocab_size": vocab_size,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 48,
        "type_vocab_size": 2,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
    }
    return BertConfig(**{**sizes, **changes})


def write_model_yaml(path: Path, config: BertConfig) -> Path:
    rate = {"learning_rate": {"polynomial": {"initial_learning_rate": 1e-3}}}
    params = {"task": {"model": model_params(config)}, "trainer": {"optimizer_config": rate}}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return path


def write_shrunk_yaml(path: Path, model: str, vocab_size: int) -> Path:
    """Write a model of configs/model with the sizes of `make_config`. Word embeddings that have a size get 8."""
    params = yaml.safe_load((ROOT / "configs" / "model" / f"{model}.yaml").read_text(encoding="utf-8"))
    sizes = {"vocab_size": vocab_size, "hidden_size": 24, "num_layers": 3, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 40, "max_position_embeddings": 48, "embedding_size": 8, "embedding_width": 8}
    networks = [value for name, value in params["task"]["model"].items() if name.endswith("encoder")]
    for encoder in (network[network["type"]] for network in networks):
        encoder |= {name: size for name, size in sizes.items() if name in encoder}
    if len(networks) == 2:
        params["task"]["model"]["generator_encoder"]["bert"] |= {"hidden_size": 12, "num_layers": 2}
    for head in params["task"]["model"]["cls_heads"]:
        head["inner_dim"] = 24
    params["trainer"]["optimizer_config"]["learning_rate"]["polynomial"]["initial_learning_rate"] = 1e-3
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return path


def write_data_yaml(path: Path, steps: int = 20, batch: int = 8) -> Path:
    data = {
        "global_batch_size": batch,
        "seq_length": SEQ_LENGTH,
        "max_predictions_per_seq": PREDICTIONS,
        "use_next_sentence_label": True,
        "use_v2_feature_names": True,
        "file_type": "tfrecord_compressed",
    }
    trainer = {
        "train_steps": steps,
        "steps_per_loop": 5,
        "summary_interval": 5,
        "checkpoint_interval": 5,
        "validation_interval": 10,
        "validation_steps": 2,
        "max_to_keep": 3,
        "optimizer_config": {
            "optimizer": {"type": "adamw"},
            "learning_rate": {"type": "polynomial", "polynomial": {"decay_steps": steps, "end_learning_rate": 0.0}},
            "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 4}},
        },
    }
    task = {"train_data": {**data, "is_training": True}, "validation_data": {**data, "is_training": False}}
    path.write_text(yaml.safe_dump({"task": task, "trainer": trainer}), encoding="utf-8")
    return path


def make_data(corpus: Path, vocab: Path, output: Path, *flags: str) -> Path:
    """Make pretraining data. Later flags win."""
    common = ["--subword_tokenizer_type", "wordpiece", "--do_whole_word_mask", "--gzip_compress"]
    common += ["--use_v2_feature_names", "--max_seq_length", str(SEQ_LENGTH), "--dupe_factor", "10"]
    common += ["--max_predictions_per_seq", str(PREDICTIONS)]
    files = ["--input_file", str(corpus), "--vocab_file", str(vocab), "--output_file", str(output)]
    create_pretraining_data.main(create_pretraining_data.get_parser().parse_args([*common, *files, *flags]))
    return output


def write_all(place: Path) -> Path:
    """Write `data/train_1`, `data/train_2`, `held_out/valid`, `vocab.txt`, `model.yaml` and `data.yaml`."""
    vocab = write_vocab(place / "vocab.txt")
    for name, first in (("data/train_1", 0), ("data/train_2", 2), ("held_out/valid", 4)):
        corpus = write_corpus(place / f"corpus_{first}.txt", first)
        make_data(corpus, vocab, place / f"{name}.tfrecord.gz")
    write_model_yaml(place / "model.yaml", make_config(num_tokens(vocab)))
    write_data_yaml(place / "data.yaml")
    return place


def overrides(place: Path, more: str = "") -> str:
    paths = f"task.train_data.input_path={place}/data/*.gz,task.validation_data.input_path={place}/held_out/*.gz"
    return f"{paths},{more}" if more else paths


def train_command(
    place: Path,
    model_dir: Path,
    more: str = "",
    mode: str = "train_and_eval",
    runtime: str = "cpu",
    model: str = "model.yaml",
    experiment: str = "bert/pretraining",
) -> list[str]:
    """Return a subprocess's arguments, because a process can define the trainer's flags only once."""
    return [
        sys.executable,
        str(ROOT / "run_pretraining.py"),
        f"--experiment={experiment}",
        f"--mode={mode}",
        f"--model_dir={model_dir}",
        f"--config_file={place}/data.yaml",
        f"--config_file={place}/{model}",
        f"--config_file={ROOT}/configs/runtime/{runtime}.yaml",
        f"--params_override={overrides(place, more)}",
    ]


def train(place: Path, model_dir: Path, more: str = "", mode: str = "train_and_eval", **names: str) -> str:
    """Run to the end. Return what was printed."""
    return run(train_command(place, model_dir, more, mode, **names))


def trainer_log(model_dir: Path) -> str:
    """Return what the trainer itself printed."""
    return (model_dir / "train.log").read_text(encoding="utf-8")


def run(command: list[str]) -> str:
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    assert process.returncode == 0, process.stdout[-4000:]
    return process.stdout


def parse(
    place: Path,
    more: str = "",
    tpu: str | None = None,
    runtime: str | None = "cpu",
    model: str = "model.yaml",
    experiment: str = "bert/pretraining",
):
    """Return the trainer's configuration of `data.yaml` and a model's YAML below `place`."""
    from official.core import train_utils

    from japanese_bert.training import bucketed_data  # noqa: F401

    files = [place / "data.yaml", place / model]
    files += [ROOT / "configs" / "runtime" / f"{runtime}.yaml"] if runtime else []
    options = train_utils.ParseConfigOptions(
        experiment=experiment,
        config_file=[str(path) for path in files],
        params_override=overrides(place, more),
        tpu=tpu,
    )
    return train_utils.parse_configuration(options, print_return=False)


def check(
    place: Path,
    more: str = "",
    mode: str = "train_and_eval",
    model_dir: Path | None = None,
    check_provenance: bool = True,
    **names,
) -> Findings:
    """Return the findings of all checks."""
    params = parse(place, more, **names)
    return check_pretraining(Training(params, mode, str(model_dir or place / "new"), check_provenance))


def assert_problem(findings: Findings, *messages: str) -> None:
    """Assert that there is one problem, one line with all of this in it."""
    assert len(findings.problems) == 1, findings.problems
    assert "\n" not in findings.problems[0]
    for message in messages:
        assert message in findings.problems[0]


def train_path(place: Path, name: str) -> str:
    """Return overrides that train on a file of `other`."""
    return f"task.train_data.input_path={place}/other/{name}"

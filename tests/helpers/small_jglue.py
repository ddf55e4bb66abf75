"""Tiny files of JGLUE's tasks and a tiny model to train on them."""

import json
import random
from pathlib import Path

from japanese_bert.jglue.tasks import TASKS
from tests.helpers.places import ROOT

SUBJECTS = ("猫", "東京", "駅", "詩", "図書館")
VERBS = ("が好きだ。", "について調べた。", "を見て驚いた。", "も変わった。")
LABELS = dict(zip(VERBS, ("positive", "negative", "positive", "negative"), strict=True))


def make_rows(name: str, count: int) -> list[dict]:
    """Return made-up examples. Their labels follow from their text."""
    numbers = random.Random(name)
    rows = []
    for index in range(count):
        first, second = numbers.choices(SUBJECTS, k=2)
        verb = numbers.choice(VERBS)
        pair = {"sentence_pair_id": str(index), "sentence1": first + verb, "sentence2": second + verb}
        choices = {f"choice{place}": subject for place, subject in enumerate(SUBJECTS)}
        rows.append(
            {
                "marc_ja": {"review_id": f"R{index}", "sentence": first + verb, "label": LABELS[verb]},
                "jsts": {**pair, "label": 5.0 * (first == second) + 0.1 * (index % 3)},
                "jnli": {**pair, "label": "entailment" if first == second else "neutral"},
                "jcommonsenseqa": {
                    "q_id": index, "question": first + verb, **choices, "label": SUBJECTS.index(first)
                },
            }[name]
        )  # fmt: skip
    return rows


def make_squad(count: int) -> dict:
    numbers = random.Random(0)
    paragraphs = []
    for index in range(count):
        subjects = numbers.sample(SUBJECTS, 3)
        context = f"題{index} [SEP] " + "".join(subject + "が好きだ。" for subject in subjects)
        answers = [{"text": subjects[1], "answer_start": context.index(subjects[1])}]
        paragraphs.append({"context": context, "qas": [{"id": f"q{index}", "question": "何が？", "answers": answers}]})
    return {"data": [{"title": "題", "paragraphs": paragraphs}]}


def write_split(data_dir: Path, name: str, split: str, count: int) -> None:
    directory = data_dir / f"{name}-v1.3"
    directory.mkdir(parents=True, exist_ok=True)
    if name == "jsquad":
        text = json.dumps(make_squad(count), ensure_ascii=False)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in make_rows(name, count))
    (directory / f"{split}-v1.3.json").write_text(text, encoding="utf-8")


def write_data(data_dir: Path) -> Path:
    """Write training and valid files of every task."""
    for name in TASKS:
        write_split(data_dir, name, "train", 40)
        write_split(data_dir, name, "valid", 12)
    return data_dir


def write_model(directory: Path, vocab: Path, subwords: str) -> Path:
    """Write a random model of two layers in the files of the converter, with a slow tokenizer."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    config = BertConfig(
        vocab_size=vocab.read_bytes().count(b"\n"),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=400,
    )
    torch.manual_seed(0)
    BertForPreTraining(config).save_pretrained(directory)
    (directory / "vocab.txt").write_bytes(vocab.read_bytes())
    settings = json.loads((ROOT / f"hf_model_configs/bert_tiny_{subwords}/tokenizer_config.json").read_text())
    settings.pop("auto_map", None)
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return directory

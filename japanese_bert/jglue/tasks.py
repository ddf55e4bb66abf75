"""JGLUE's five tasks: their files, their examples and the settings of the benchmark (Kurihara et al., LREC 2022).

Files are `<data_dir>/<task>-v<version>/<split>-v<version>.json`. They hold JSON Lines, but JSQuAD is one JSON in the
layout of SQuAD 1.1. The owner of MARC-ja withdrew it: the task runs if the user has the files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from japanese_bert.common.json_files import parse_json
from japanese_bert.finetuning_data.questions import Example, Gold, read_squad

DEFAULT_LEARNING_RATE = 5e-5
SEARCHED_LEARNING_RATES = (5e-5, 3e-5, 2e-5)
SEARCHED_EPOCHS = (3, 4)
WARMUP_RATIO = 0.1
DOWNLOAD = "JGLUE's datasets folder, https://github.com/yahoojapan/JGLUE"


@dataclass(frozen=True, slots=True)
class Task:
    """One task as the benchmark defines it.

    `metrics` are in the order of the benchmark's tables. The first one chooses between settings.
    """

    name: str
    title: str
    metrics: tuple[str, ...]
    id_field: str
    text_fields: tuple[str, ...]
    max_seq_length: int
    batch_size: int = 32
    labels: tuple[str, ...] = ()
    num_train_epochs: int = 4  # of the benchmark's example command


_PAIR = "sentence_pair_id", ("sentence1", "sentence2")
_CHOICES = [f"choice{index}" for index in range(5)]

TASKS = {
    task.name: task
    for task in (
        Task("marc_ja", "MARC-ja", ("accuracy",), "review_id", ("sentence",), 512, labels=("positive", "negative")),
        Task("jsts", "JSTS", ("pearson", "spearman"), *_PAIR, 128),
        Task("jnli", "JNLI", ("accuracy",), *_PAIR, 128, labels=("entailment", "contradiction", "neutral")),
        Task("jsquad", "JSQuAD", ("exact_match", "f1"), "id", ("question", "context"), 384, num_train_epochs=3),
        Task("jcommonsenseqa", "JCommonsenseQA", ("accuracy",), "q_id", ("question", *_CHOICES), 64, batch_size=64),
    )
}


def find_file(data_dir: Path, task: Task, split: str) -> Path:
    """Return the newest version of a split.

    Raises:
        FileNotFoundError: the split has no file.
    """
    versions = {}
    for directory in data_dir.glob(f"{task.name}-v*"):
        version = directory.name.removeprefix(f"{task.name}-v")
        path = directory / f"{split}-v{version}.json"
        if path.is_file():
            versions[tuple(map(int, re.findall(r"\d+", version)))] = path
    if not versions:
        raise FileNotFoundError(f"{data_dir}/{task.name}-v*/{split}-v*.json: no such file. Get it from {DOWNLOAD}")
    return versions[max(versions)]


def load_examples(path: Path, task: Task) -> list[Example]:
    """Return all examples of a file in its order.

    Raises:
        ValueError: the file does not belong to this task, or two examples have one id.
    """
    examples = list(read_squad(path) if task.name == "jsquad" else _read_lines(path, task))
    if not examples:
        raise ValueError(f"{path}: no example. Expected {task.title} in the layout of {DOWNLOAD}")
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise ValueError(f"{path}: {task.id_field} {example.id} occurs twice")
        seen.add(example.id)
    return examples


def _read_lines(path: Path, task: Task) -> Iterator[Example]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, "row")
            texts = tuple(str(row[name]) for name in task.text_fields)
            yield Example(str(row[task.id_field]), texts, _gold(task, row["label"]))
        except (ValueError, KeyError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path}:{number}: no example of {task.title} ({reason})") from None


def _gold(task: Task, label: Any) -> Gold:
    """Return a label of a file in the type of its task. Version 1.0 of JSTS has strings for numbers."""
    if task.labels:
        if label not in task.labels:
            raise ValueError(f"label is {label!r}, expected one of {', '.join(task.labels)}")
        return label
    if task.name == "jsts":
        return float(label)
    if label not in range(len(task.text_fields) - 1):
        raise ValueError(f"label is {label!r}, expected the number of a choice")
    return int(label)

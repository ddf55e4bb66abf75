"""The history of a checkpoint: `params.yaml` beside it, and the provenance of the data that it names.

The trainer writes `params.yaml` into its model directory. There `task.init_checkpoint` leads to an earlier stage, and
`task.train_data.input_path` to the TFRecords and their `.json`. Paths are relative to the directory in which training
was started. What is missing is left out. Nothing is guessed.
"""

import glob
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from japanese_bert.common.provenance import read_provenance, recorded_inputs

PARAMS_FILE = "params.yaml"


@dataclass(frozen=True, slots=True)
class Corpus:
    """The text of one directory that TFRecords were made from. `name` is the directory's."""

    name: str
    files: int
    size: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """One run of the trainer, up to the checkpoint that was taken from it."""

    params: Mapping[str, Any]
    steps: int | None
    data: list[Mapping[str, Any]]  # provenance of the TFRecords

    def param(self, path: str) -> object:
        """Return a parameter by its full name, such as `task.train_data.seq_length`, None if it is not set."""
        value: object = self.params
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def chosen(self, path: str, name: str) -> object:
        """Return a value of the chosen type, as in `optimizer: {type: adamw, adamw: {weight_decay_rate: 0.01}}`."""
        return self.param(f"{path}.{self.param(f'{path}.type')}.{name}")

    def method(self, name: str) -> object:
        """Return an argument of data creation."""
        return self.data[0].get("method", {}).get(name) if self.data else None

    def corpora(self) -> list[Corpus]:
        """Return the corpora in the order of their names."""
        by_name: dict[str, list[Mapping]] = {}
        for made_by in self.data:
            by_name.setdefault(_corpus_name(made_by), []).append(made_by)
        return [_corpus(name, found) for name, found in sorted(by_name.items())]


def read_stages(prefix: Path) -> list[TrainingStage]:
    """Return the stages that led to a checkpoint, the first one first. The list is empty if nothing is recorded.

    Raises:
        ValueError: a `params.yaml` cannot be read.
    """
    stages: list[TrainingStage] = []
    directories: set[Path] = set()
    while (prefix.parent / PARAMS_FILE).is_file() and prefix.parent not in directories:
        directories.add(prefix.parent)
        params = _read_yaml(prefix.parent / PARAMS_FILE)
        stage = TrainingStage(params, _step(prefix), [])
        stage.data.extend(_read_data(stage.param("task.train_data.input_path")))
        stages.insert(0, stage)
        initial = Path(str(stage.param("task.init_checkpoint") or ""))
        prefix = initial / "latest" if initial.is_dir() else initial
    return stages


def _read_yaml(path: Path) -> Mapping[str, object]:
    import yaml

    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML ({error}). Expected the trainer's parameters") from None
    return params if isinstance(params, Mapping) else {}


def _step(prefix: Path) -> int | None:
    number = prefix.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def _read_data(input_path: object) -> list[Mapping[str, Any]]:
    """Return the provenance of the files that are still there."""
    patterns = input_path if isinstance(input_path, list) else str(input_path or "").split(",")
    paths = sorted({path for pattern in patterns for path in glob.glob(str(pattern))})
    return [made_by for path in paths if (made_by := read_provenance(Path(path)))]


def _corpus_name(made_by: Mapping) -> str:
    """Return `cc-100` for `corpus/cc-100/corpus_01.txt`."""
    path = Path(str(made_by.get("arguments", {}).get("input_file", "")).split(",")[0])
    return path.parent.name or path.name


def _corpus(name: str, data: list[Mapping]) -> Corpus:
    """Add up sizes and counts. A text file that several TFRecords were made from counts once."""
    sizes: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for made_by in data:
        texts = recorded_inputs(made_by, "text")
        sizes.update({text["sha256"] or text["name"]: text["size"] or 0 for text in texts})
        counts.update(made_by.get("counts", {}))
    return Corpus(name, len(sizes), sum(sizes.values()), counts)

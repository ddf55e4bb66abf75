"""What is known of a checkpoint's training: `params.yaml` beside it, and the records of the data that it names.

The trainer writes `params.yaml` into its model directory; `task.init_checkpoint` leads from there to an earlier
stage, `task.train_data.input_path` to the TFRecords and so to their `.json`. Paths count from the directory in which
training was started. What is not there any more is left out, nothing is guessed.
"""

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.common.provenance import read_provenance, recorded_inputs

PARAMS_FILE = "params.yaml"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Text that TFRecords were made of; `name` is that of its directory."""

    name: str
    files: int
    size: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """One run of the trainer, up to the checkpoint that was taken from it."""

    params: Mapping[str, object]
    steps: int | None
    data: list[Mapping[str, object]]  # records of the TFRecords

    def param(self, path: str) -> object:
        """`param("task.train_data.seq_length")`; None where it is not set."""
        value: object = self.params
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def chosen(self, path: str, name: str) -> object:
        """A value of what is in use, as in `optimizer: {type: adamw, adamw: {weight_decay_rate: 0.01}}`"""
        return self.param(f"{path}.{self.param(f'{path}.type')}.{name}")

    def method(self, name: str) -> object:
        """An argument of data creation."""
        return self.data[0].get("method", {}).get(name) if self.data else None

    def corpora(self) -> list[Corpus]:
        """In the order of their names."""
        records: dict[str, list[Mapping]] = {}
        for record in self.data:
            records.setdefault(_corpus_name(record), []).append(record)
        return [_corpus(name, found) for name, found in sorted(records.items())]


def read_stages(prefix: Path) -> list[TrainingStage]:
    """The stages that led to a checkpoint, the first one first; empty if nothing is recorded.

    Raises:
        ValueError: a `params.yaml` cannot be read.
    """
    stages: list[TrainingStage] = []
    directories: set[Path] = set()
    while (prefix.parent / PARAMS_FILE).is_file() and prefix.parent not in directories:
        directories.add(prefix.parent)
        params = _read_yaml(prefix.parent / PARAMS_FILE)
        stage = TrainingStage(params, _step(prefix), [])
        stage.data.extend(_data_records(stage.param("task.train_data.input_path")))
        stages.insert(0, stage)
        initial = Path(str(stage.param("task.init_checkpoint") or ""))
        prefix = initial / "latest" if initial.is_dir() else initial
    return stages


def _read_yaml(path: Path) -> Mapping[str, object]:
    import yaml

    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML ({error}); expected the trainer's parameters") from None
    return params if isinstance(params, Mapping) else {}


def _step(prefix: Path) -> int | None:
    number = prefix.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def _data_records(input_path: object) -> list[Mapping[str, object]]:
    patterns = input_path if isinstance(input_path, list) else str(input_path or "").split(",")
    paths = sorted({path for pattern in patterns for path in glob.glob(str(pattern))})
    return [record for path in paths if (record := read_provenance(Path(path)))]


def _corpus_name(record: Mapping) -> str:
    """`corpus/cc-100/corpus_01.txt` -> `cc-100`"""
    path = Path(str(record.get("arguments", {}).get("input_file", "")).split(",")[0])
    return path.parent.name or path.name


def _corpus(name: str, records: list[Mapping]) -> Corpus:
    sizes, counts = {}, {}
    for record in records:
        inputs = recorded_inputs(record, "text")
        sizes.update({item["sha256"] or item["name"]: item["size"] or 0 for item in inputs})
        for key, count in record.get("counts", {}).items():
            counts[key] = counts.get(key, 0) + count
    return Corpus(name, len(sizes), sum(sizes.values()), counts)

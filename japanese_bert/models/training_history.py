"""The history of a checkpoint: `params.yaml` beside it, and the provenance of the data that it names.

The trainer writes `params.yaml` into its model directory. There `task.init_checkpoint` leads to an earlier stage, and
`task.train_data.input_path` to the TFRecords and their `.json`. Paths are relative to the directory in which training
was started. What is missing is left out. Nothing is guessed. Only the history of a remote checkpoint (`gs://`) is read
from other machines.

The best checkpoint is in a folder of the model directory (`trainer.best_checkpoint_export_subdir`). A continued model
starts from a directory of convert_hf_checkpoint_to_tf2.py, whose provenance names the base model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from japanese_bert.common.json_files import read_json_object
from japanese_bert.common.provenance import read_provenance, recorded_inputs
from japanese_bert.models.remote_paths import RemotePath, any_path, matching_files
from japanese_bert.tokenization.identity import Tokenization, of_data, of_directory

PARAMS_FILE = "params.yaml"
HF_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
BEST_STEP_FILE = "info.json"  # beside a best checkpoint
CONTINUING_STAGE = "convert_hf_checkpoint_to_tf2"
TF1_STAGE = "convert_tf1_checkpoint_to_tf2"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model of others that a training continued. `added_tokens` tokens were added to its vocabulary."""

    name: str
    license: str | None
    added_tokens: int


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
    is_remote: bool = False

    def param(self, path: str) -> object:
        """Return a parameter by its full name, such as `task.train_data.seq_length`, None if it is not set."""
        value: object = self.params
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    @property
    def is_archive(self) -> bool:
        """Return True for an archive of Model Garden: its file describes the model and no training."""
        return "trainer" not in self.params and set(self.params.get("task") or {}) <= {"model"}

    def chosen(self, path: str, name: str) -> object:
        """Return a value of the chosen type, as in `optimizer: {type: adamw, adamw: {weight_decay_rate: 0.01}}`."""
        return self.param(f"{path}.{self.param(f'{path}.type')}.{name}")

    def initial_checkpoint(self) -> Path | None:
        """Return `task.init_checkpoint`, or None if the stage began with random weights.

        It is the prefix of a TF2 checkpoint, or a Hugging Face directory.
        """
        name = str(self.param("task.init_checkpoint") or "")
        initial = any_path(name) if self.is_remote else Path(name)
        if not initial.name:
            return None
        return initial / "latest" if initial.is_dir() and not is_hf_directory(initial) else initial

    def method(self, name: str) -> object:
        """Return an argument of data creation."""
        return self.data[0].get("method", {}).get(name) if self.data else None

    def tokenizations(self, vocab_size: int | None = None) -> list[Tokenization]:
        """Return what is recorded of the data. `vocab_size` is that of the last model, which may have more tokens."""
        size = self.param("task.model.encoder.bert.vocab_size")
        found = [of_data(item, f"{item.get('output', {}).get('name')}.json of the training data") for item in self.data]
        return [_before_tokens_were_added(item, size, vocab_size) for item in found]

    def corpora(self) -> list[Corpus]:
        """Return the corpora in the order of their names."""
        by_name: dict[str, list[Mapping]] = {}
        for made_by in self.data:
            by_name.setdefault(_corpus_name(made_by), []).append(made_by)
        return [_corpus(name, found) for name, found in sorted(by_name.items())]


def is_hf_directory(path: Path) -> bool:
    names = [f"{name}{end}" for name in HF_WEIGHT_FILES for end in ("", ".index.json")]
    return (path / "config.json").is_file() and any((path / name).is_file() for name in names)


def read_stages(prefix: Path, params: Mapping[str, Any] | None = None) -> list[TrainingStage]:
    """Return the stages that led to a checkpoint, the first one first. The list is empty if nothing is recorded.

    `params` are those of the last stage, which may not have begun.

    Raises:
        ValueError: a `params.yaml` cannot be read.
    """
    stages: list[TrainingStage] = []
    directories: set[Path] = set()
    checkpoint: Path | None = prefix
    while checkpoint:
        directory = checkpoint.parent.resolve() if params else model_directory(checkpoint.parent)
        if directory is None or directory in directories:
            break
        directories.add(directory)
        is_remote = isinstance(prefix, RemotePath)
        params = params or _read_yaml(directory / PARAMS_FILE)
        stage = TrainingStage(params, _step(checkpoint, directory), [], is_remote)
        if stages and stage.is_archive:
            break
        stage.data.extend(_read_data(stage.param("task.train_data.input_path"), is_remote))
        stages.insert(0, stage)
        checkpoint, params = stage.initial_checkpoint(), None
    return stages


def read_base_model(directories: Iterable[Path]) -> BaseModel | None:
    """Return the model that the first directory of convert_hf_checkpoint_to_tf2.py was made from, if there is one."""
    for directory in directories:
        made_by = read_provenance(directory) or {}
        if made_by.get("stage") in (CONTINUING_STAGE, TF1_STAGE):
            name = made_by.get("base_model") or Path(made_by["arguments"]["hf_model_dir"]).name  # version 0.1
            return BaseModel(name, made_by.get("base_license"), made_by.get("added_tokens", 0))
    return None


def start_of(stages: Sequence[TrainingStage], prefix: Path) -> Path | None:
    """Return the checkpoint that the first stage started from, None if it began with random weights."""
    return stages[0].initial_checkpoint() if stages and not stages[0].is_archive else prefix


def read_tokenizations(prefix: Path, vocab_size: int | None = None) -> list[Tokenization]:
    """Return what is recorded of the tokenizations that led to a checkpoint: of the model it continued, of all data.

    `vocab_size` is that of the model that continues the checkpoint.
    """
    stages = read_stages(prefix)
    start = start_of(stages, prefix)
    data = [item for stage in stages for item in stage.tokenizations(vocab_size)]
    return [*([of_directory_of(start, vocab_size)] if start else []), *data]


def of_directory_of(start: Path, vocab_size: int | None = None) -> Tokenization:
    """Return what the directory of initial weights states. They are a checkpoint in it, or the directory itself."""
    directory = start if start.is_dir() else start.parent
    config = directory / "config.json"
    size = read_json_object(config).get("vocab_size") if config.is_file() else None
    return _before_tokens_were_added(of_directory(directory), size, vocab_size)


def _before_tokens_were_added(stated: Tokenization, size: object, vocab_size: int | None) -> Tokenization:
    """Return a tokenization without its vocabulary if the last model has more tokens. They have other ids than its."""
    was_smaller = isinstance(size, int) and vocab_size is not None and size < vocab_size
    return replace(stated, vocab_sha256=None) if was_smaller else stated


def model_directory(directory: Path) -> Path | None:
    """Return the directory with the `params.yaml` of checkpoints: their own, or the one above that of a best one."""
    directory = directory.resolve()
    if (directory / PARAMS_FILE).is_file():
        return directory
    above = directory.parent / PARAMS_FILE
    if not above.is_file():
        return None
    best = TrainingStage(_read_yaml(above), None, []).param("trainer.best_checkpoint_export_subdir")
    return directory.parent if best == directory.name else None


def _read_yaml(path: Path) -> Mapping[str, object]:
    import yaml

    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not YAML ({error}). Expected the trainer's parameters") from None
    return params if isinstance(params, Mapping) else {}


def _step(prefix: Path, of_training: Path) -> int | None:
    """Return the step of a checkpoint. The name of a best one has the number of exports instead."""
    if prefix.parent.resolve() != of_training:
        info = prefix.with_name(BEST_STEP_FILE)
        step = read_json_object(info).get("best_ckpt_global_step") if info.is_file() else None
        return int(step) if isinstance(step, int | float) else None
    number = prefix.name.rpartition("-")[2]
    if not number.isdecimal():  # the best one of run_pretraining_torch.py
        number = str((read_provenance(prefix) or {}).get("method", {}).get("step"))
    return int(number) if number.isdecimal() else None


def _read_data(input_path: object, is_remote: bool) -> list[Mapping[str, Any]]:
    """Return the provenance of the files that are still there."""
    patterns = input_path if isinstance(input_path, list) else str(input_path or "").split(",")
    names = [str(pattern) for pattern in patterns if is_remote or "://" not in str(pattern)]
    paths = sorted({path for name in names for path in matching_files(name)})
    return [made_by for path in paths if (made_by := read_provenance(any_path(path)))]


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

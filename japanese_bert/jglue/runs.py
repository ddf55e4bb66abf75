"""The runs of a task: find those that are finished, train the others, score all.

A finished run is a file of predictions with its `<output>.json`. Scores are always computed from that file.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import InputFiles, Provenance
from japanese_bert.common.report import Stopwatch
from japanese_bert.finetuning_data.questions import Example
from japanese_bert.jglue.fine_tuning import Devices, FineTuning, Settings, is_main_process
from japanese_bert.jglue.scoring import predictions_bytes, read_predictions, score
from japanese_bert.jglue.tasks import (
    DEFAULT_LEARNING_RATE,
    SEARCHED_EPOCHS,
    SEARCHED_LEARNING_RATES,
    TASKS,
    Task,
    find_file,
    load_examples,
)

PACKAGES = ("torch", "transformers", "accelerate")
MODEL_FILE_TYPES = (".json", ".txt", ".safetensors", ".bin", ".model", ".py")
NOT_OF_THE_MODEL = ("provenance.json", "vocab.txt.json")  # they do not change what the model computes


@dataclass(frozen=True, slots=True)
class FineTuningRun:
    """One finished run. `file` is relative to the output directory. `is_kept` means that an earlier command made it."""

    settings: Settings
    scores: Mapping[str, float]
    file: str
    is_kept: bool


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """One model directory. `files` are names, sizes and hashes of all files that decide what it computes."""

    directory: Path
    trust_remote_code: bool
    files: list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """The values that all runs of a command share."""

    model: EvaluatedModel
    output_dir: Path
    eval_split: str
    max_train_samples: int | None
    devices: Devices
    overwrite: bool
    arguments: Mapping[str, object]


def load_evaluated_model(directory: Path, trust_remote_code: bool) -> EvaluatedModel:
    """Return the model of a directory, with the hashes of its files."""
    if not directory.is_dir():
        raise FileNotFoundError(
            f"{directory}: no such directory. Make it with convert_tf2_checkpoint_to_all_frameworks.py"
        )
    paths = [
        path
        for path in sorted(directory.iterdir())
        if path.is_file() and path.suffix in MODEL_FILE_TYPES and path.name not in NOT_OF_THE_MODEL
    ]
    files = InputFiles(model=paths).described()["model"]
    return EvaluatedModel(directory, trust_remote_code, files)


def find_files(data_dir: Path, tasks: Iterable[str], split: str) -> tuple[dict[str, tuple[Path, Path]], dict[str, str]]:
    """Return training and evaluation file of each task that has both, and the missing file of each other task.

    Raises:
        FileNotFoundError: no task has both files.
    """
    files, skipped = {}, {}
    for name in dict.fromkeys(tasks):
        try:
            files[name] = find_file(data_dir, TASKS[name], "train"), find_file(data_dir, TASKS[name], split)
        except FileNotFoundError as error:
            skipped[name] = str(error)
    if not files:
        raise FileNotFoundError(". ".join(skipped.values()))
    return files, skipped


def list_settings(
    task: Task, search: bool, learning_rate: float | None, num_train_epochs: int | None, seeds: Sequence[int]
) -> list[Settings]:
    """Return the settings of all runs of a task, with defaults for None. A search ignores both and returns a grid."""
    rates = SEARCHED_LEARNING_RATES if search else (learning_rate or DEFAULT_LEARNING_RATE,)
    epochs = SEARCHED_EPOCHS if search else (num_train_epochs or task.num_train_epochs,)
    return [Settings(*values) for values in itertools.product(rates, epochs, seeds)]


def run_task(
    experiment: Experiment, task: Task, files: tuple[Path, Path], settings: Sequence[Settings]
) -> Iterator[FineTuningRun]:
    """Train the runs that are not finished, and yield all in order. Only the main process yields."""
    provenances = dict(_plan(experiment, task, files, chosen) for chosen in settings)
    train, evaluation = (load_examples(path, task) for path in files)
    is_kept = {path: provenance.is_complete([path]) for path, provenance in provenances.items()}
    model, limit = experiment.model, experiment.max_train_samples
    tuning = None
    for path, chosen in zip(provenances, settings, strict=True):
        if not is_kept[path]:
            tuning = tuning or FineTuning(
                task, model.directory, train[:limit], evaluation, experiment.devices, model.trust_remote_code
            )
            _train_and_predict(tuning, chosen, path, provenances[path], experiment.overwrite)
        if is_main_process():
            scores = score_file(task, evaluation, path)
            yield FineTuningRun(chosen, scores, str(path.relative_to(experiment.output_dir)), is_kept[path])


def _plan(experiment: Experiment, task: Task, files: tuple[Path, Path], settings: Settings) -> tuple[Path, Provenance]:
    """Return the file of a run and its provenance."""
    method = {
        "task": task.name,
        **asdict(settings),
        "batch_size": task.batch_size,
        "max_seq_length": task.max_seq_length,
        "max_train_samples": experiment.max_train_samples,
        "mixed_precision": experiment.devices.mixed_precision,
        "trust_remote_code": experiment.model.trust_remote_code,
        "model": experiment.model.files,
    }
    path = experiment.output_dir / task.name / predictions_name(experiment, settings)
    return path, Provenance("evaluate_jglue", method, InputFiles(data=files), experiment.arguments, packages=PACKAGES)


def predictions_name(experiment: Experiment, settings: Settings) -> str:
    """Return `lr5e-05_epochs4_seed42.jsonl`. A trial and another split than valid have a longer name."""
    parts = [f"lr{settings.learning_rate:g}", f"epochs{settings.num_train_epochs}", f"seed{settings.seed}"]
    if experiment.max_train_samples is not None:
        parts.append(f"samples{experiment.max_train_samples}")
    if experiment.eval_split != "valid":
        parts.append(experiment.eval_split)
    return f"{'_'.join(parts)}.jsonl"


def _train_and_predict(
    tuning: FineTuning, settings: Settings, path: Path, provenance: Provenance, overwrite: bool
) -> None:
    """Train and predict in every process, and write in the main one."""
    if not is_main_process():
        tuning.run(settings, path.parent)
        return
    watch = Stopwatch()
    with open_outputs([path], provenance, overwrite) as (file,):
        predictions, loss = tuning.run(settings, path.parent)
        file.write(predictions_bytes(predictions))
        seconds = watch.measurements()["seconds"]  # CPU time and memory belong to all runs of the process
        provenance.report.update({**tuning.counts(), "training_loss": loss, "seconds": seconds})


def score_file(task: Task, examples: list[Example], predictions_file: Path) -> dict[str, float]:
    """Return the scores of a file of predictions.

    Raises:
        ValueError: the file does not hold exactly one prediction of the right type for each example.
    """
    predictions = read_predictions(predictions_file)
    try:
        return score(task, examples, predictions)
    except ValueError as error:
        raise ValueError(f"{predictions_file}: {error}. Expected one for each example of {task.title}") from None

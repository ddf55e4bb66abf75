"""Short flags of a training. Each sets all parameters that depend on it, in the form of one more --config_file.

Later ones win: what the flags imply, the user's --config_file, the flags themselves, --params_override.
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from japanese_bert.common.command_line import check_positive
from japanese_bert.models.config import architectures_of, load_bert_config
from japanese_bert.models.model_garden import continued_params
from japanese_bert.tfrecord.reading import open_file
from japanese_bert.training.data_files import PRETRAINING, match_files, read_data_file
from japanese_bert.training.parameters import parse_parameters, read_parameters

if TYPE_CHECKING:
    from official.core.config_definitions import TrainerConfig

CONFIGS = Path(__file__).parents[2] / "configs"
DATA, BATCH = ("task.train_data", "task.validation_data"), "global_batch_size"
PATHS = {
    "train_files": [f"{DATA[0]}.input_path"],
    "validation_files": [f"{DATA[1]}.input_path"],
    "init_checkpoint": ["task.init_checkpoint"],
    "batch_size": [f"{section}.{BATCH}" for section in DATA],
    "num_gpus": ["runtime.num_gpus"],
}
SHORT_FLAGS = (*PATHS, "train_steps", "learning_rate")
# How often at least a training reports, saves and validates, however short it is.
TIMES = {"summary_interval": 20, "checkpoint_interval": 5, "validation_interval": 5}
LOOPS = 20
ARCHIVE_CONFIGS = ("bert_config.json", "albert_config.json")


def add_short_flags(parser: argparse.ArgumentParser) -> None:
    short = parser.add_argument_group("short flags. They win over --config_file, --params_override wins over them")
    short.add_argument(
        "--train_files", nargs="+", help="TFRecords, names or patterns. Pretraining sees the form of the data there"
    )
    short.add_argument(
        "--validation_files", nargs="+", help="default: the folder validation/ beside the training files"
    )
    short.add_argument(
        "--init_checkpoint", help="weights to start from. Pretraining takes the model of the YAML file beside them"
    )
    short.add_argument("--train_steps", type=int, help="sets decay and, in proportion, warm-up and intervals too")
    short.add_argument("--batch_size", type=int, help="instances of one step on all devices, also of validation")
    short.add_argument("--learning_rate", type=float, help="peak learning rate")
    short.add_argument("--num_gpus", type=int, help="GPUs of this machine, 0 for the CPU; implies configs/runtime")


def config_files(args: argparse.Namespace, parse: Callable = parse_parameters) -> list[str]:
    """Return the values of --config_file and of the short flags. Raise ValueError for a wrong one.

    `parse` reads the parameters of the trainer that is to run.
    """
    flags = {name: vars(args)[name] for name in SHORT_FLAGS if vars(args)[name] is not None}
    check_positive({name: flags[name] for name in ("train_steps", "batch_size", "learning_rate") if name in flags})
    given = list(args.config_file or [])
    if not flags:
        return given
    parse(args)  # a mistake of the user's is found before anything is added
    files = [*implied_files(args, given), *given]
    params = parse(argparse.Namespace(**{**vars(args), "config_file": files}))
    trainer, held_out = params.trainer, str(params.task.validation_data.input_path)
    if args.train_files and "validation_files" not in flags and (not held_out or "<" in held_out):
        flags |= validation_beside(args.train_files[0])
    values = {path: flags[name] for name in PATHS if name in flags for path in PATHS[name]}
    values |= {path: ",".join(value) for path, value in values.items() if isinstance(value, list)}
    if args.train_steps:
        values |= schedule(args.train_steps, trainer)
    if args.learning_rate:
        values[f"{_rate_path(trainer)}.initial_learning_rate"] = args.learning_rate
    return [*files, as_config(values)]


def implied_files(args: argparse.Namespace, given: list[str]) -> list[str]:
    """Return --config_file values for the sections that the user's files leave out: data, model, hardware."""
    files = [read_parameters("--config_file", text) for text in given]
    tasks = [file.get("task") or {} for file in files]
    found, pretrains = [], "/pretraining" in args.experiment
    if pretrains and args.train_files and not any("seq_length" in (task.get("train_data") or {}) for task in tasks):
        found += [str(CONFIGS / "data" / "wikipedia.yaml"), *data_form(",".join(args.train_files), args.experiment)]
    if pretrains and args.init_checkpoint and not any("model" in task for task in tasks):
        found += model_files(args.init_checkpoint)
    if args.num_gpus is not None and not any("runtime" in file for file in files):
        found.append(str(CONFIGS / "runtime" / ("gpu.yaml" if args.num_gpus else "cpu.yaml")))
    return found


def data_form(pattern: str, experiment: str) -> list[str]:
    """Return the parameters that the first training file shows. The checks report a file that cannot be read."""
    try:
        file = read_data_file(min(match_files(pattern)), PRETRAINING)
    except (ValueError, OSError):
        return []
    shapes = file.record_shapes
    form = {
        "seq_length": max(shapes),
        "max_predictions_per_seq": shapes[max(shapes)],
        "use_v2_feature_names": "input_word_ids" in file.example.features,
        "use_next_sentence_label": "next_sentence_labels" in file.example.features,
        "file_type": "tfrecord_compressed" if file.example.is_compressed else "tfrecord",
    }
    found: dict[str, object] = {f"{section}.{name}": value for section in DATA for name, value in form.items()}
    if experiment.endswith("_dynamic"):
        found[f"{DATA[0]}.seq_bucket_lengths"] = list(shapes)
    return [as_config(found)]


def validation_beside(train_file: str) -> dict[str, list[str]]:
    """Return --validation_files for the folder `validation` beside a training file, nothing if it has no such files."""
    pattern = os.path.join(os.path.dirname(train_file), "validation", f"*{os.path.splitext(train_file)[1]}")
    with suppress(ValueError):
        match_files(pattern)
        return {"validation_files": [pattern]}
    return {}


def model_files(init_checkpoint: str) -> list[str]:
    """Return the model of a checkpoint, which is a directory or a file in one, or in the folder `best` of one.

    It is in `model.yaml` of a conversion, `bert_config.json` or `albert_config.json` of an archive, `params.yaml` of a
    training, or `config.json` of a Hugging Face directory. The `params.yaml` of an archive has no heads.
    """
    start = init_checkpoint.rstrip("/")
    for directory in (start, above := os.path.dirname(start), os.path.dirname(above)):
        names = [*ARCHIVE_CONFIGS, *(["config.json"] if directory == start else [])]
        configs = [config for name in names if (config := Path(directory, name)).is_file()]
        for name in ("model.yaml", "params.yaml"):
            path = os.path.join(directory, name)
            if _is_file(path) and (name == "model.yaml" or not configs):
                params = read_parameters("--init_checkpoint", path)
                model = (params.get("task") or params).get("model")  # ELECTRA's archives have no `task`
                return [path] if name == "model.yaml" else [json.dumps({"task": {"model": model}})] * bool(model)
        if configs:
            found = load_bert_config(configs[0])
            every_head = replace(found, architecture=architectures_of(found.model_type)[0])
            return [json.dumps(continued_params(every_head))]
    return []


def _is_file(path: str) -> bool:
    with suppress(OSError), open_file(path) as file:
        return bool(file.read(1))
    return False


def schedule(steps: int, trainer: "TrainerConfig") -> dict[str, object]:
    """Return all parameters that depend on `train_steps`, from those of a longer or shorter training."""
    values: dict[str, object] = {"trainer.train_steps": steps}
    if hasattr(trainer.optimizer_config.learning_rate.get(), "decay_steps"):
        values[f"{_rate_path(trainer)}.decay_steps"] = steps
    if steps == trainer.train_steps:
        return values  # intervals and warm-up are meant for it
    warmup = trainer.optimizer_config.warmup
    loop = min(trainer.steps_per_loop, _round_down(max(1, steps // LOOPS)))
    values["trainer.steps_per_loop"] = loop
    for name, times in TIMES.items():
        interval = min(getattr(trainer, name), steps // times)
        values[f"trainer.{name}"] = max(loop, interval // loop * loop)
    if trainer.validation_steps > 0:
        values["trainer.validation_steps"] = min(trainer.validation_steps, values["trainer.validation_interval"])
    before = getattr(warmup.get(), "warmup_steps", None) if warmup.type else None
    if before:
        share = max(1, round(before * steps / trainer.train_steps))
        values[f"trainer.optimizer_config.warmup.{warmup.type}.warmup_steps"] = share
    return values


def _round_down(number: int) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50 ... up to `number`: intervals of 1,000 steps are multiples of it."""
    power = 10 ** (len(str(number)) - 1)
    return max(factor * power for factor in (1, 2, 5) if factor * power <= number)


def _rate_path(trainer: "TrainerConfig") -> str:
    return f"trainer.optimizer_config.learning_rate.{trainer.optimizer_config.learning_rate.type}"


def as_config(values: Mapping[str, object]) -> str:
    """Return parameters in the form of --config_file and --params_override: name=value,..."""
    return ",".join(f"{path}={value!r}" for path, value in values.items())

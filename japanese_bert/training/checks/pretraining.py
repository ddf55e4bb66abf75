"""Everything that can be known in seconds to go wrong in days of training, found before Model Garden's trainer starts.

`check_all` takes the trainer's configuration and returns what it found: facts, remarks, and problems, one line each.
Several of the problems the trainer would not tell of at all: it would train from scratch, on one machine, at learning
rate 0, or with layers left out. Paths may be `gs://...`.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.training.checks.described_model import (
    Gin,
    Model,
    check_encoders,
    check_heads,
    check_positions,
    describe_model,
    vocab_sizes,
)
from japanese_bert.training.checks.pretraining_files import DataFile, file_problem, read_files
from japanese_bert.training.checks.start import check_start

BYTES_PER_PARAMETER = 12  # of a checkpoint: the weight and two moments of AdamW or LAMB, float32
Check = Callable[[], str | None]
STRATEGIES = ("one_device", "mirrored", "multi_worker_mirrored", "parameter_server", "tpu", "off")
MAX_SHOWN = 3


@dataclass(slots=True)
class Findings:
    """Lines for people. `facts` are what will be trained with what, `remarks` what may be a mistake."""

    facts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_all(params, mode: str, model_dir: str, check_records: bool = True, gin: Gin = Gin()) -> Findings:  # noqa: B008
    """`params` is Model Garden's ExperimentConfig, `mode`, `model_dir` and `gin` are the trainer's flags.

    A check returns one line or nothing, adds remarks where it likes, and raises ValueError for a problem.
    """
    found = Findings()
    run_checks([lambda: check_hardware(params, model_dir, found.remarks)], found)
    is_sound = run_checks([lambda: check_encoders(params, gin), lambda: check_heads(params, found.remarks)], found)
    checks: list[Check] = [
        lambda: check_data(params, mode, check_records, found.remarks),
        lambda: check_positions(params, found.remarks),
    ]
    if "train" in mode:
        checks += [lambda: check_schedule(params, found.remarks)]
    run_checks(checks, found)
    models: list[Model] = []
    if is_sound and run_checks([lambda: models.append(describe_model(params, gin))], found):
        run_checks([lambda: f"model: {models[0].kind}, {models[0].num_trained:,} weights to train"], found)
        disk: list[Check] = [lambda: check_disk(params, models[0], model_dir)] if "train" in mode else []
        run_checks([*disk, lambda: check_start(params, models[0], mode, model_dir, found.remarks)], found)
    return found


def run_checks(checks: list[Check], found: Findings) -> bool:
    """True if none of them found a problem."""
    before = len(found.problems)
    for check in checks:
        try:
            fact = check()
        except (ValueError, OSError) as error:
            found.problems += str(error).split("\n")
        else:
            found.facts += [fact] if fact else []
    return len(found.problems) == before


# --- hardware


def check_hardware(params, model_dir: str, remarks: list[str]) -> str:
    strategy = params.runtime.distribution_strategy
    if strategy not in STRATEGIES:
        raise ValueError(
            f"runtime.distribution_strategy is {strategy!r}, expected one of {', '.join(STRATEGIES)} (in quotes); give "
            "--config_file=configs/runtime/{cpu,gpu,tpu,multi_worker}.yaml"
        )
    if strategy == "tpu":
        return _check_tpu(params, model_dir)
    num_devices = _count_devices(params, strategy, remarks)
    num_workers = _check_workers(strategy, remarks)
    num_replicas = num_workers * num_devices
    for name in ("train_data", "validation_data"):
        batch = getattr(params.task, name).global_batch_size
        if batch % num_replicas:
            raise ValueError(f"task.{name}.global_batch_size is {batch}, no multiple of the {num_replicas} devices")
    kind = "GPU" if params.runtime.num_gpus else "CPU"
    return f"hardware: {strategy}, {num_workers} worker(s) x {num_devices} {kind}"


def _check_tpu(params, model_dir: str) -> str:
    address = params.runtime.tpu
    if not address:
        raise ValueError("runtime.distribution_strategy is tpu, but there is no --tpu; on a TPU VM give --tpu=local")
    paths = [model_dir, params.task.train_data.input_path, params.task.validation_data.input_path]
    local = [path for path in paths if isinstance(path, str) and path and not path.startswith("gs://")]
    if address != "local" and local:
        raise ValueError(f"{local[0]}: the workers of the TPU {address} cannot read this; use a bucket, gs://...")
    return f"hardware: TPU {address}"


def _count_devices(params, strategy: str, remarks: list[str]) -> int:
    """Of this machine."""
    import tensorflow as tf

    wanted, present = params.runtime.num_gpus, len(tf.config.list_physical_devices("GPU"))
    if wanted > present:
        raise ValueError(
            f"runtime.num_gpus is {wanted}, but TensorFlow finds {present} GPUs; see nvidia-smi and "
            "CUDA_VISIBLE_DEVICES, install tensorflow[and-cuda], or set runtime.num_gpus"
        )
    if wanted < present:
        remarks.append(f"{present} GPUs are here; set runtime.num_gpus={present}, or CUDA_VISIBLE_DEVICES")
    if params.runtime.mixed_precision_dtype == "float16" and not present:
        remarks.append("runtime.mixed_precision_dtype=float16 is some 30 times slower on a CPU; set float32")
    return max(1, present if strategy == "multi_worker_mirrored" else wanted)  # that one takes all it sees


def _check_workers(strategy: str, remarks: list[str]) -> int:
    """The number of workers in the environment variable TF_CONFIG, which says who the others are."""
    text = os.environ.get("TF_CONFIG")
    if strategy != "multi_worker_mirrored":
        if text and strategy != "parameter_server":
            remarks.append(f"TF_CONFIG is set but {strategy} ignores it: every machine would train a model of its own")
        return 1
    if not text:
        raise ValueError(
            "runtime.distribution_strategy is multi_worker_mirrored, but the environment variable TF_CONFIG is not "
            "set, so that this machine would train alone; see docs/training.md, several machines"
        )
    try:
        config = json.loads(text)
        workers = [*config["cluster"].get("chief", []), *config["cluster"]["worker"]]
        task_type, index = config["task"]["type"], int(config["task"]["index"])
        known = index < len(config["cluster"][task_type])
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise ValueError(
            f"TF_CONFIG is {text}, expected "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
        )
    return len(workers)


# --- data


def check_data(params, mode: str, check_records: bool, remarks: list[str]) -> str:
    names = [name for name, word in (("train_data", "train"), ("validation_data", "eval")) if word in mode]
    found = {name: _check_section(params, name, check_records) for name in names}
    if len(found) == 2:
        _check_held_out(found["train_data"], found["validation_data"], remarks)
    if len({file.vocab_hash for files in found.values() for file in files} - {None}) > 1:
        raise ValueError(
            "the files of task.train_data and task.validation_data were made with different vocabularies; see "
            "'inputs' in their .json, and make them with one vocab.txt"
        )
    data = params.task.train_data
    shape = f"{data.seq_length} tokens, {data.max_predictions_per_seq} predictions"
    return "; ".join(f"{name}: {_describe(files)}" for name, files in found.items()) + f"; {shape}"


def _describe(files: list[DataFile]) -> str:
    counts = [file.num_instances for file in files]
    return f"{len(files)} file(s)" + (f" with {sum(counts):,} instances" if None not in counts else "")


def match_input(data, section: str, advice: str) -> list[str]:
    """The files that `data.input_path` names.

    Raises:
        ValueError: it is not set, or matches none.
    """
    from official.core.input_reader import match_files

    if not data.input_path or "<" in str(data.input_path):
        raise ValueError(f"{section}.input_path is not set; give it in --params_override")
    try:
        return sorted(match_files(data.input_path))
    except ValueError as error:
        raise ValueError(f"{section}.input_path: {error} {advice}") from None


def _check_section(params, name: str, check_records: bool) -> list[DataFile]:
    data, section = getattr(params.task, name), f"task.{name}"
    files, problems = read_files(match_input(data, section, "Make the data with create_pretraining_data.py"))
    problems += [file_problem(file, data, section, vocab_sizes(params), check_records) for file in files]
    problems = [f"{section}: {problem}" for problem in problems if problem]
    if problems:
        more = [f"{section}: and {len(problems) - MAX_SHOWN} more files"] if len(problems) > MAX_SHOWN else []
        raise ValueError("\n".join(problems[:MAX_SHOWN] + more))
    _check_batches(params, name, files)
    return files


def _check_batches(params, name: str, files: list[DataFile]) -> None:
    """A validation of no batch gives no number at all; training repeats its data."""
    counts = [file.num_instances for file in files]
    data = getattr(params.task, name)
    if (
        name == "validation_data"
        and None not in counts
        and sum(counts) < data.global_batch_size
        and data.drop_remainder
    ):
        raise ValueError(
            f"task.{name}: {sum(counts):,} instances do not fill one batch of {data.global_batch_size:,}, so that "
            f"nothing would be validated; set task.{name}.global_batch_size"
        )


def _check_held_out(train: list[DataFile], validation: list[DataFile], remarks: list[str]) -> None:
    """Raise ValueError for a file in both; remark where the text is the same but its instances are others."""
    training = {os.path.realpath(file.path): file for file in train}
    contents = {json.dumps(_content(file), sort_keys=True): file.path for file in train if file.record}
    for file in validation:
        copy_of = contents.get(json.dumps(_content(file), sort_keys=True)) if file.record else None
        if os.path.realpath(file.path) in training or copy_of:
            raise ValueError(
                f"task.validation_data: {file.path} is a training file{f' ({copy_of})' if copy_of else ''}, so that "
                "validation would not tell overfitting; hold out a shard"
            )
        if any(file.corpus_hashes & other.corpus_hashes for other in train):
            remarks.append(f"{file.path}: made from the text of a training file; hold out a shard of the corpus")


def _content(file: DataFile) -> Mapping:
    """All that decides the bytes of a file."""
    record = file.record
    return {"method": record["method"], "inputs": recorded_inputs(record), "size": record["output"]["size"]}


# --- schedule and disk


def check_schedule(params, remarks: list[str]) -> str:
    trainer, optimizer = params.trainer, params.trainer.optimizer_config
    steps = trainer.train_steps
    rate = optimizer.learning_rate.get() if optimizer.learning_rate.type else None
    warmup = optimizer.warmup.get() if optimizer.warmup.type else None
    path = f"trainer.optimizer_config.learning_rate.{optimizer.learning_rate.type}"
    decay_steps = getattr(rate, "decay_steps", 1)
    warmup_steps = getattr(warmup, "warmup_steps", 0)
    if decay_steps is None or rate.initial_learning_rate is None:
        raise ValueError(f"{path} lacks decay_steps or initial_learning_rate; see configs/data and configs/model")
    if warmup_steps is None:
        raise ValueError(
            f"trainer.optimizer_config.warmup.{optimizer.warmup.type} lacks warmup_steps; see configs/data"
        )
    if warmup_steps >= steps:
        remarks.append(f"warmup_steps is {warmup_steps:,} of trainer.train_steps {steps:,}: the rate only grows")
    if optimizer.learning_rate.type == "polynomial" and decay_steps < steps and not rate.cycle:
        message = f"{path}.decay_steps is {decay_steps:,}, but trainer.train_steps {steps:,}; set them equal"
        if not rate.end_learning_rate:
            raise ValueError(f"{message}, or the last {steps - decay_steps:,} steps would train at learning rate 0")
        remarks.append(message)
    if decay_steps > steps and optimizer.learning_rate.type == "polynomial":
        remarks.append(f"{path}.decay_steps is {decay_steps:,}: training ends at step {steps:,}, before the rate has")
    _check_intervals(trainer)
    return f"schedule: {steps:,} steps, warm-up {warmup_steps:,}, rate {rate.initial_learning_rate:g}"


def _check_intervals(trainer) -> None:
    for name in ("summary_interval", "checkpoint_interval", "validation_interval"):
        if getattr(trainer, name) % trainer.steps_per_loop:
            raise ValueError(
                f"trainer.{name} is {getattr(trainer, name)}, expected a multiple of steps_per_loop "
                f"{trainer.steps_per_loop}: nothing is done in the middle of a loop"
            )


def check_disk(params, model: Model, model_dir: str) -> str | None:
    """Raise ValueError if the checkpoints that training keeps, and one in the making, do not fit."""
    if "://" in model_dir:
        return None
    directory = Path(model_dir)
    size = BYTES_PER_PARAMETER * model.num_parameters
    there = len(list(directory.glob("ckpt-*.index"))) if directory.is_dir() else 0
    needed = size * max(0, params.trainer.max_to_keep + 1 - there)
    while not directory.exists():
        directory = directory.absolute().parent
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise ValueError(
            f"{model_dir}: {params.trainer.max_to_keep} checkpoints of {size / 1e9:.2f} GB and one in the making need "
            f"{needed / 1e9:.1f} GB more, but {free / 1e9:.1f} GB are free; make room or set trainer.max_to_keep"
        )
    return f"disk: {needed / 1e9:.1f} GB for checkpoints of {size / 1e9:.2f} GB, {free / 1e9:.1f} GB free"

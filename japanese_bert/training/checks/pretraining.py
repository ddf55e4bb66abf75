"""What would go wrong in days of pretraining, found in seconds, before the trainer starts.

The trainer is silent about several of the problems. It would train from scratch, on one machine, at learning rate 0, or
with layers left out. Paths may be `gs://...`.
"""

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.training.checks.described_model import (
    DescribedModel,
    check_encoders,
    check_heads,
    check_positions,
    describe_trainer_model,
    has_next_sentence_head,
    vocab_sizes,
)
from japanese_bert.training.checks.file_problems import match_input, name_files, raise_problems
from japanese_bert.training.checks.findings import Findings, check
from japanese_bert.training.checks.hardware import check_hardware
from japanese_bert.training.checks.pretraining_files import pretraining_file_problem
from japanese_bert.training.checks.schedule import check_schedule
from japanese_bert.training.checks.start import check_start
from japanese_bert.training.checks.tokenizations import check_tokenizations, tokenizations_of_start
from japanese_bert.training.command import Training
from japanese_bert.training.data_files import PRETRAINING, DataFile, count_instances, read_data_files

BYTES_PER_PARAMETER = 12  # of a checkpoint: the weight and two moments of AdamW or LAMB, float32


def check_pretraining(
    training: Training, check_devices: Callable = check_hardware, check_weights: Callable | None = None
) -> Findings:
    """Return the findings of all checks. The trainer in PyTorch has its own checks of devices and weights."""
    findings, params = Findings(), training.params
    check_devices(findings, params, training.model_dir)
    can_be_built = check_encoders(findings, params, training.gin) & check_heads(findings, params)
    check_pretraining_data(findings, training)
    check_positions(findings, params)
    if training.trains:
        check_schedule(findings, params)
    if can_be_built:
        (check_weights or check_model)(findings, training)
    return findings


@check
def check_model(findings: Findings, training: Training) -> None:
    """Check that the model can be built, and that disk and start fit it."""
    model = describe_trainer_model(training.params, training.gin)
    findings.facts.append(f"model: {model.kind}, {model.num_trained:,} weights to train")
    if has_next_sentence_head(training.params) and not training.params.task.train_data.use_next_sentence_label:
        findings.remarks.append(
            "nothing trains the next sentence head, because use_next_sentence_label is false. To leave it out, set "
            "task.model.cls_heads: [] in a --config_file"
        )
    if training.trains:
        check_disk(findings, training.params, model, training.model_dir)
    check_start(findings, training, model)


@check
def check_pretraining_data(findings: Findings, training: Training) -> None:
    """Check every data file, and that validation is held out."""
    found = {name: _read_section(training, name) for name in training.sections}
    if len(found) == 2:
        _check_held_out(findings, found["train_data"], found["validation_data"])
    vocab_size = max(vocab_sizes(training.params).values(), default=None)
    start = tokenizations_of_start(training.params.task.init_checkpoint, vocab_size)
    check_tokenizations(findings, itertools.chain(*found.values()), start, training.check_provenance)
    data = training.params.task.train_data
    shape = f"{data.seq_length} tokens, {data.max_predictions_per_seq} predictions"
    if buckets := getattr(data, "seq_bucket_lengths", ()):
        shape += f", buckets {', '.join(map(str, buckets))}"
    findings.facts.append("; ".join([f"{name}: {_describe_files(files)}" for name, files in found.items()] + [shape]))


def _describe_files(files: list[DataFile]) -> str:
    count = count_instances(files)
    return f"{len(files)} file(s)" + ("" if count is None else f" with {count:,} instances")


def _read_section(training: Training, name: str) -> list[DataFile]:
    """Return the files of a section, all of them read and checked."""
    data, section, sizes = getattr(training.params.task, name), f"task.{name}", vocab_sizes(training.params)
    _check_buckets(data, section)
    files, problems = read_data_files(match_input(data, section, PRETRAINING), PRETRAINING)
    found = [pretraining_file_problem(file, data, section, sizes, training.check_provenance) for file in files]
    raise_problems(problems + [problem for problem in found if problem], section)
    _check_equal_shapes(files, data, section)
    count = count_instances(files)
    if name == "validation_data" and data.drop_remainder and count is not None and count < data.global_batch_size:
        raise ValueError(
            f"{section}: {count:,} instances do not fill one batch of {data.global_batch_size:,}, so that nothing "
            f"would be validated. Set {section}.global_batch_size"
        )
    return files


def _check_buckets(data, section: str) -> None:
    """Raise ValueError if the buckets of a section do not end at its sequence length."""
    buckets = list(getattr(data, "seq_bucket_lengths", ()))
    if buckets and (buckets != sorted(set(buckets)) or buckets[-1] != data.seq_length):
        raise ValueError(
            f"{section}.seq_bucket_lengths is {', '.join(map(str, buckets))}. Expected ascending lengths up to "
            f"{section}.seq_length, {data.seq_length}"
        )


def _check_equal_shapes(files: list[DataFile], data, section: str) -> None:
    """Raise ValueError if the records of a bucket would differ in their predictions, at which the loader stops."""
    buckets = getattr(data, "seq_bucket_lengths", ())
    shapes = {json.dumps(file.record_shapes): file.path for file in files if file.provenance}
    if buckets and len(shapes) > 1:
        first, second = list(shapes.values())[:2]
        raise ValueError(
            f"{section}: {first} and {second} were made with other --seq_bucket_lengths or --masked_lm_prob. Expected "
            "the same number of predictions in all records of a bucket. Make all files with the same flags"
        )


def _check_held_out(findings: Findings, train: list[DataFile], validation: list[DataFile]) -> None:
    """Raise ValueError for a file in both. Remark on a file with the text of a training file in other instances."""
    training = {os.path.realpath(file.path) for file in train}
    contents = {_content(file): file.path for file in train if file.provenance}
    same_text = []
    for file in validation:
        copy_of = contents.get(_content(file)) if file.provenance else None
        if os.path.realpath(file.path) in training or copy_of:
            raise ValueError(
                f"task.validation_data: {file.path} is a training file{f' ({copy_of})' if copy_of else ''}, so that "
                "validation would not show overfitting. Hold out a shard"
            )
        if any(file.text_hashes & other.text_hashes for other in train):
            same_text.append(file.path)
    if same_text:
        findings.remarks.append(
            f"{name_files(same_text)}: made from the text of a training file. Hold out a shard of the corpus"
        )


def _content(file: DataFile) -> str:
    """Return everything that decides the bytes of a file."""
    made_by = file.provenance or {}
    return json.dumps([made_by["method"], recorded_inputs(made_by), made_by["output"]["size"]], sort_keys=True)


@check
def check_disk(findings: Findings, params, model: DescribedModel, model_dir: str) -> None:
    """Check that the checkpoints that training keeps, the best one too, and one in the making fit on the disk."""
    if "://" in model_dir:
        return
    directory = Path(model_dir)
    size = BYTES_PER_PARAMETER * model.num_parameters
    found = list(directory.glob("ckpt-*")) if directory.is_dir() else []
    existing = sum(path.suffix == ".index" or (path.is_dir() and not path.suffix) for path in found)
    kept = params.trainer.max_to_keep + bool(params.trainer.best_checkpoint_export_subdir)
    needed = size * max(0, kept + 1 - existing)
    while not directory.exists():
        directory = directory.absolute().parent
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise ValueError(
            f"{model_dir}: {kept} checkpoints of {size / 1e9:.2f} GB and one in the making need "
            f"{needed / 1e9:.1f} GB more, but {free / 1e9:.1f} GB are free: make room or set trainer.max_to_keep"
        )
    findings.facts.append(
        f"disk: {needed / 1e9:.1f} GB for checkpoints of {size / 1e9:.2f} GB, {free / 1e9:.1f} GB free"
    )

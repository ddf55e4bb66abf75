"""What would go wrong in a fine-tuning, found in seconds, before the trainer starts.

The experiments are `bert/sentence_prediction`, `bert/squad` and `bert/tagging`, from `task.init_checkpoint` or
`task.hub_module_url`. The trainer is silent about several of the problems. It would train from scratch, with layers
left out, with a pooler that was never trained, or on a SavedModel of other sizes than the configuration has.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

from japanese_bert.models.checkpoint_reading import (
    Mismatch,
    check_checksums,
    compare_with_config,
    is_encoder_alone,
)
from japanese_bert.models.config import BertConfig
from japanese_bert.models.model_garden import config_of_encoder
from japanese_bert.models.weight_names import IN_HEAD, POOLER
from japanese_bert.training.checks.described_model import check_positions, vocab_sizes
from japanese_bert.training.checks.file_problems import match_input, raise_problems
from japanese_bert.training.checks.findings import Findings, check
from japanese_bert.training.checks.finetuning_files import finetuning_file_problem
from japanese_bert.training.checks.hardware import check_hardware
from japanese_bert.training.checks.hub_modules import SavedEncoder, read_saved_encoder
from japanese_bert.training.checks.schedule import check_schedule
from japanese_bert.training.checks.start import changes, find_initial, latest_of_model_dir
from japanese_bert.training.checks.tokenizations import check_tokenizations, tokenizations_of_start
from japanese_bert.training.command import Training
from japanese_bert.training.data_files import (
    CLASSIFICATION,
    FINE_TUNING_KINDS,
    QUESTION_ANSWERING,
    DataFile,
    DataKind,
    count_instances,
    read_data_files,
)

EXPERIMENT = "bert/sentence_prediction"
# Settings of a fine-tuning that starts with the encoder's own pooler, or with the pooler of the next sentence head.
OWN_POOLER = "task.model.use_encoder_pooler=true and task.init_cls_pooler=false"
HEAD_POOLER = "task.model.use_encoder_pooler=false and task.init_cls_pooler=true"
METRIC_TYPES = {"int": ("accuracy", "f1", "matthews_corrcoef"), "float": ("pearson_spearman_corr",)}


def check_finetuning(training: Training) -> Findings:
    """Return the findings of all checks."""
    findings = Findings()
    try:
        saved = read_saved_encoder(training.params.task.hub_module_url)
        training = replace(training, params=with_encoder_of(saved, training.params))
    except ValueError as error:
        findings.problems.append(str(error))
        return findings
    check_hardware(findings, training.params, training.model_dir)
    task_fits = check_task(findings, training.params.task)
    positions_fit = (
        check_module_positions(findings, training.params, saved.sizes)
        if saved and saved.sizes
        else check_positions(findings, training.params)
    )
    if task_fits and positions_fit:
        check_finetuning_data(findings, training, saved)
    if training.trains:
        check_schedule(findings, training.params)
    check_encoder_start(findings, training, saved)
    return findings


def with_encoder_of(saved: SavedEncoder | None, params):
    """Return `params` with the sizes of the SavedModel, so that the checks see what will be trained.

    Raises:
        ValueError: the configuration has no encoder, or one of other sizes, which the trainer would not use.
    """
    if saved is None and is_default(params.task.model.encoder):
        raise ValueError("task.model.encoder is not set. Give --tf_config_file model_configs/<name>/config.json")
    if saved is None or saved.encoder is None:
        return params
    given, kind = params.task.model.encoder, saved.encoder["type"]
    for name, size in saved.encoder[kind].items():
        found = getattr(given.get(), name, None)
        if not is_default(given) and (given.type, found) != (kind, size):
            raise ValueError(
                f"task.model.encoder: is {given.type} with {name} {found}, but {saved.url}, which would be used, is "
                f"{kind} with {size}. Leave out the encoder (--tf_config_file)"
            )
    return params.replace(task={"model": {"encoder": saved.encoder}})


def is_default(encoder) -> bool:
    """Return True for Model Garden's default, a BERT of 30,522 words. None of our configurations has that size."""
    from official.core import exp_factory

    return encoder.as_dict() == exp_factory.get_exp_config(EXPERIMENT).task.model.encoder.as_dict()


@check
def check_module_positions(findings: Findings, params, sizes: Mapping[str, int]) -> None:
    """Check that the sequences of the data fit the positions of a SavedModel of others."""
    limit = sizes.get("max_position_embeddings")
    if limit is None:
        findings.remarks.append("the SavedModel shows no number of positions: whether sequences fit was not checked")
        return
    for name in ("train_data", "validation_data"):
        length = getattr(params.task, name).seq_length
        if length > limit:
            raise ValueError(f"task.{name}.seq_length is {length}, but the SavedModel has {limit} positions")


def data_kind_of(task) -> DataKind:
    """Return the kind of data that a task reads."""
    return FINE_TUNING_KINDS[type(task).__name__]


@check
def check_task(findings: Findings, task) -> None:
    """Check what the task predicts, and how it is measured."""
    if data_kind_of(task) is QUESTION_ANSWERING:
        findings.facts.append("task: question answering")
    elif data_kind_of(task) is CLASSIFICATION:
        _check_classes(findings, task)
    else:
        names = task.class_names or []
        if len(set(names)) < max(2, len(names)):
            raise ValueError(f"task.class_names is {names}, expected the --labels of create_tagging_data.py")
        findings.facts.append(f"task: tagging, {len(names)} labels ({', '.join(map(str, names))})")


def _check_classes(findings: Findings, task) -> None:
    """Check that classes, labels and metric fit together."""
    num_classes, label_type = task.model.num_classes, task.train_data.label_type
    if num_classes < 1:
        raise ValueError(
            f"task.model.num_classes is {num_classes}, expected the number of labels, or 1 for a regression. See "
            "configs/finetuning"
        )
    if label_type not in METRIC_TYPES:
        raise ValueError(f"task.train_data.label_type is {label_type}, expected {' or '.join(METRIC_TYPES)}")
    if (num_classes == 1) != (label_type == "float"):
        raise ValueError(
            f"task.model.num_classes is {num_classes}, but task.train_data.label_type {label_type}. A regression has 1 "
            "and float, classes have 2 or more and int"
        )
    if task.metric_type not in METRIC_TYPES[label_type] or (task.metric_type == "f1" and num_classes != 2):
        raise ValueError(
            f"task.metric_type is {task.metric_type}, which fails at the first validation with {num_classes} classes. "
            f"Set task.metric_type={METRIC_TYPES[label_type][0]}"
        )
    kind = "regression" if num_classes == 1 else f"{num_classes} classes"
    findings.facts.append(f"task: {kind}, {task.metric_type}")


@check
def check_finetuning_data(findings: Findings, training: Training, saved: SavedEncoder | None) -> None:
    """Check every data file, that all have the same labels and vocabulary, and that validation is held out."""
    found = {name: _read_and_check(training, name, saved) for name in training.sections}
    if len(found) == 2:
        _check_other_text(found["train_data"], found["validation_data"])
    files = [file for section in found.values() for file in section]
    _check_same_labels(files)
    others = tokenizations_of_start(training.params.task.init_checkpoint)
    others += [saved.tokenization] if saved and saved.tokenization else []
    check_tokenizations(findings, files, others, training.check_provenance)
    findings.facts.append("; ".join(_describe_section(training.params, name, files) for name, files in found.items()))


def _read_and_check(training: Training, name: str, saved: SavedEncoder | None) -> list[DataFile]:
    """Return the files of a section, all of them read and checked."""
    task, section = training.params.task, f"task.{name}"
    kind = data_kind_of(task)
    files, problems = read_data_files(match_input(getattr(task, name), section, kind), kind)
    sizes = vocab_sizes(training.params)
    if saved and saved.sizes:
        sizes = {f"{name} of the SavedModel": size for name, size in saved.sizes.items() if name == "vocab_size"}
    found = [finetuning_file_problem(file, task, section, sizes, training.check_provenance) for file in files]
    raise_problems(problems + [problem for problem in found if problem], section)
    return files


def _check_same_labels(files: list[DataFile]) -> None:
    """Raise ValueError for other labels than the first file has."""
    known = [(file.path, file.labels) for file in files if file.provenance]
    for path, labels in known:
        if labels != known[0][1]:
            raise ValueError(f"{path}: its --labels differ from those of {known[0][0]}, or are in another order")


def _describe_section(params, name: str, files: list[DataFile]) -> str:
    count = count_instances(files)
    if count is None:
        return f"{name}: {len(files)} file(s)"
    epochs = params.trainer.train_steps * params.task.train_data.global_batch_size / count
    more = f", {epochs:.1f} epochs" if name == "train_data" else ""
    return f"{name}: {len(files)} file(s) with {count:,} examples{more}"


def _check_other_text(train: list[DataFile], validation: list[DataFile]) -> None:
    for file in validation:
        for other in train:
            if file.text_hashes & other.text_hashes or os.path.realpath(file.path) == os.path.realpath(other.path):
                raise ValueError(
                    f"task.validation_data: {file.path} has the text of the training file {other.path}, so that "
                    "validation would not show overfitting. Hold some examples out"
                )


@check
def check_encoder_start(findings: Findings, training: Training, saved: SavedEncoder | None) -> None:
    """Check that the encoder from which the trainer starts can be read and fits the configuration."""
    task = training.params.task
    if task.init_checkpoint and task.hub_module_url:
        raise ValueError("task.init_checkpoint and task.hub_module_url are both set. Give one of them")
    latest = latest_of_model_dir(training.model_dir)
    if latest is not None:
        findings.remarks += changes(training.params, training.model_dir)
        start = f"continues from {latest}, whatever task.init_checkpoint and task.hub_module_url say"
    elif not training.trains:
        raise ValueError(f"{training.model_dir}: no checkpoint to evaluate. Give the --model_dir of a fine-tuning")
    elif saved:
        _remark_on_saved_encoder(findings, task, saved)
        start = f"from the SavedModel {saved.url}"
    elif task.init_checkpoint:
        prefix = find_initial(task.init_checkpoint)
        _check_checkpoint(findings, task, prefix)
        start = f"from the weights of {prefix}"
    else:
        findings.remarks.append(
            "neither task.init_checkpoint nor task.hub_module_url is set: no pretrained weights are used"
        )
        start = "new, with random weights"
    findings.facts.append(f"start: {start}")


def _remark_on_saved_encoder(findings: Findings, task, saved: SavedEncoder) -> None:
    if saved.encoder is None:
        sizes = ", ".join(f"{name} {size:,}" for name, size in (saved.sizes or {}).items())
        findings.remarks.append(
            f"{saved.url}: {sizes}. It was not made by export_saved_model.py, so that it does not show its tokenizer, "
            "and whether its pooler was trained"
        )
    if data_kind_of(task) is not CLASSIFICATION:
        return
    if task.model.use_encoder_pooler and saved.sizes and "pooled_output" not in saved.sizes:
        raise ValueError(f"{saved.url}: has no pooled_output. Set task.model.use_encoder_pooler=false")
    if not task.model.use_encoder_pooler:
        findings.remarks.append(
            "the pooler starts at random: set task.model.use_encoder_pooler=true for the SavedModel's own"
        )


def _check_checkpoint(findings: Findings, task, prefix: str) -> None:
    config = config_of_encoder(task.model.encoder)
    uses_pooler = data_kind_of(task) is CLASSIFICATION
    if uses_pooler:
        _check_pooler(findings, task, prefix, is_electra=bool(config and config.model_type == "electra"))
    if config is None:
        kind = task.model.encoder.type
        findings.remarks.append(f"{prefix}: not compared with the model, whose encoder is of type {kind}")
    else:
        _check_encoder_fits(prefix, config, needs_pooler=uses_pooler and task.init_cls_pooler)
        check_checksums(prefix, config)


def _check_pooler(findings: Findings, task, prefix: str, is_electra: bool) -> None:
    """Check that the pooler of the fine-tuning is the trained one, if there is one.

    An archive of Model Garden has the encoder alone, with its trained pooler. Pretraining trains the pooler of the next
    sentence head instead.
    """
    own, of_head = OWN_POOLER, HEAD_POOLER
    if is_encoder_alone(prefix):
        if task.init_cls_pooler:
            raise ValueError(f"{prefix}: has no next sentence head, whose pooler {of_head} takes. Set {own}")
        if not task.model.use_encoder_pooler:
            findings.remarks.append(f"the pooler starts at random: set {own} for the encoder's own, which is trained")
    elif task.model.use_encoder_pooler:
        raise ValueError(
            "task.model.use_encoder_pooler is true, but the encoder's own pooler in a checkpoint of pretraining was "
            f"never trained. Set {of_head}"
        )
    elif not task.init_cls_pooler and not is_electra:
        findings.remarks.append(f"the pooler starts at random: set {of_head} for the pooler of the next sentence head")


def _check_encoder_fits(prefix: str, config: BertConfig, needs_pooler: bool) -> None:
    """Check the variables of the encoder, and of the pooler if it is used. The trainer restores nothing else."""
    mismatch = compare_with_config(prefix, config)
    if needs_pooler and (config.model_type == "electra" or any(name.startswith(POOLER) for name in mismatch.missing)):
        raise ValueError(
            f"{prefix}: has no next sentence head, whose pooler task.init_cls_pooler=true takes. Set it to false"
        )
    parts = ("encoder/", IN_HEAD, POOLER)
    summary = Mismatch(
        [name for name in mismatch.missing if name.startswith(parts[:2])],
        [item for item in mismatch.unexpected if item[0].startswith(parts[0])],
        [item for item in mismatch.of_other_shape if item[0].startswith(parts)],
    ).summary()
    if summary:
        raise ValueError(
            f"{prefix}: does not fit task.model.encoder: {summary}. Give the --tf_config_file of the trained model, "
            "e.g. model_configs/bert_base_wordpiece/config.json"
        )

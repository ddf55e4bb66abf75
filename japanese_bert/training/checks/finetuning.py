"""Everything that can be known in seconds to go wrong in a fine-tuning, found before Model Garden's trainer starts.

For `bert/sentence_prediction` from `task.init_checkpoint` or `task.hub_module_url`. As in `pretraining_checks.py`
each problem is one line; several of them the trainer would not tell of: it would train from scratch, with layers left
out, with a pooler that was never trained, or on a SavedModel of other sizes than the configuration has.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.common.provenance import read_provenance, recorded_inputs
from japanese_bert.conversion.saved_model import CONFIG_FILE, FILE
from japanese_bert.models.checkpoint_reading import Mismatch, compare_with_config, read_whole
from japanese_bert.models.config import BertConfig, load_bert_config
from japanese_bert.models.model_garden import EMBEDDING_SIZES, ENCODER_FIELDS, encoder_params
from japanese_bert.models.weight_names import IN_HEAD, POOLER
from japanese_bert.training.checks.finetuning_files import DataFile, file_problem, read_file
from japanese_bert.training.checks.pretraining import Findings, check_hardware, check_schedule, match_input, run_checks
from japanese_bert.training.checks.start import changes, find_initial, latest_of_model_dir

EXPERIMENT = "bert/sentence_prediction"
ENCODER_OF = {"bert": "BertForPreTraining", "albert": "AlbertForPreTraining", "electra": "ElectraForPreTraining"}
METRICS = {"int": ("accuracy", "f1", "matthews_corrcoef"), "float": ("pearson_spearman_corr",)}


def check_all(params, mode: str, model_dir: str, check_records: bool = True) -> Findings:
    """`params` is Model Garden's ExperimentConfig, `mode` and `model_dir` the trainer's flags."""
    found = Findings()
    try:
        module = read_saved_model(params.task.hub_module_url)
        params = with_encoder_of(module, params)
    except ValueError as error:
        found.problems.append(str(error))
        return found
    run_checks([lambda: check_hardware(params, model_dir, found.remarks)], found)
    if run_checks([lambda: check_task(params, module)], found):
        run_checks([lambda: check_data(params, mode, module, check_records)], found)
    if "train" in mode:
        run_checks([lambda: check_schedule(params, found.remarks)], found)
    run_checks([lambda: check_start(params, mode, model_dir, module, found.remarks)], found)
    return found


# --- the SavedModel


@dataclass(frozen=True, slots=True)
class Module:
    """`encoder` is as `task.model.encoder`, None where the directory does not tell; so is the vocabulary's hash."""

    url: str
    encoder: Mapping | None = None
    vocab_hash: str | None = None


def read_saved_model(url: str) -> Module | None:
    """What `task.hub_module_url` names; `None` if it is not set.

    Raises:
        ValueError: there is no SavedModel.
    """
    import tensorflow as tf

    name = url.removeprefix("file://")
    if not name or name.startswith(("http://", "https://")):
        return Module(url) if url else None
    if not tf.io.gfile.exists(f"{name.rstrip('/')}/{FILE}"):
        raise ValueError(
            f"task.hub_module_url {url}: {FILE} is not there; make a SavedModel with export_saved_model.py"
        )
    directory = Path(name)
    record = read_provenance(directory) or {}
    if record.get("stage") != "export_saved_model":
        return Module(url)
    vocab_hash = recorded_inputs(record, "vocab")[0]["sha256"]
    return Module(url, encoder_params(load_bert_config(directory / CONFIG_FILE)), vocab_hash)


def with_encoder_of(module: Module | None, params):
    """`params` with the sizes of the SavedModel, so that all else is checked against what will be trained.

    Raises:
        ValueError: the configuration has an encoder too, of other sizes, which the trainer would not use; or none.
    """
    if module is None and is_default(params.task.model.encoder):
        raise ValueError("task.model.encoder is not set; give --tf_config_file model_configs/<name>/config.json")
    if module is None or module.encoder is None:
        return params
    given, kind = params.task.model.encoder, module.encoder["type"]
    for name, size in module.encoder[kind].items():
        found = getattr(given.get(), name, None)
        if not is_default(given) and (given.type, found) != (kind, size):
            raise ValueError(
                f"task.model.encoder: is {given.type} with {name} {found}, but {module.url}, which would be used, is "
                f"{kind} with {size}; leave the encoder (--tf_config_file) out"
            )
    return params.replace(task={"model": {"encoder": module.encoder}})


def is_default(encoder) -> bool:
    """A BERT of 30,522 words, which no configuration of ours has."""
    from official.core import exp_factory

    return encoder.as_dict() == exp_factory.get_exp_config(EXPERIMENT).task.model.encoder.as_dict()


# --- task and data


def check_task(params, module: Module | None) -> str:
    task = params.task
    num_classes, label_type = task.model.num_classes, task.train_data.label_type
    if num_classes < 1:
        raise ValueError(
            f"task.model.num_classes is {num_classes}, expected the number of labels, or 1 for a regression; see "
            "configs/finetuning"
        )
    if (num_classes == 1) != (label_type == "float"):
        raise ValueError(
            f"task.model.num_classes is {num_classes}, but task.train_data.label_type {label_type}; a regression has 1 "
            "and float, classes have 2 or more and int"
        )
    if task.metric_type not in METRICS[label_type] or (task.metric_type == "f1" and num_classes != 2):
        raise ValueError(
            f"task.metric_type is {task.metric_type}, which fails at the first validation with {num_classes} classes; "
            f"set task.metric_type={METRICS[label_type][0]}"
        )
    limit = _encoder(params, module) and _encoder(params, module).max_position_embeddings
    for name in ("train_data", "validation_data"):
        length = getattr(task, name).seq_length
        if limit and length > limit:
            raise ValueError(f"task.{name}.seq_length is {length}, but max_position_embeddings of the model is {limit}")
    return f"task: {'regression' if num_classes == 1 else f'{num_classes} classes'}, {task.metric_type}"


def _encoder(params, module: Module | None):
    """None where a SavedModel does not tell its own."""
    return None if module and module.encoder is None else params.task.model.encoder.get()


def check_data(params, mode: str, module: Module | None, check_records: bool) -> str:
    names = [name for name, word in (("train_data", "train"), ("validation_data", "eval")) if word in mode]
    found = {name: _check_section(params, name, module, check_records) for name in names}
    if len(found) == 2:
        _check_held_out(found["train_data"], found["validation_data"])
    files = [file for section in found.values() for file in section if file.record]
    for file in files:
        if file.record["method"]["labels"] != files[0].record["method"]["labels"]:
            raise ValueError(
                f"{file.path}: its --labels are other ones than those of {files[0].path}, or in another order"
            )
        if file.vocab_hash != files[0].vocab_hash:
            raise ValueError(f"{file.path}: made with another vocabulary than {files[0].path}; see their .json")
        if module and module.vocab_hash not in (None, file.vocab_hash):
            raise ValueError(f"{file.path}: made with another vocabulary than {module.url} has in its assets")
    return "; ".join(_describe(params, name, files) for name, files in found.items())


def _describe(params, name: str, files: list[DataFile]) -> str:
    counts = [file.num_instances for file in files]
    if None in counts:
        return f"{name}: {len(files)} file(s)"
    text = f"{name}: {len(files)} file(s) with {sum(counts):,} examples"
    if name != "train_data":
        return text
    epochs = params.trainer.train_steps * params.task.train_data.global_batch_size / sum(counts)
    return f"{text}, {epochs:.1f} epochs"


def _check_section(params, name: str, module: Module | None, check_records: bool) -> list[DataFile]:
    data, section = getattr(params.task, name), f"task.{name}"
    paths = match_input(data, section, "Make it with create_classification_data.py")
    files = [read_file(path) for path in paths]
    encoder = _encoder(params, module)
    vocab_size = encoder.vocab_size if encoder else None
    for file in files:
        problem = file_problem(file, data, section, params.task, vocab_size, check_records)
        if problem:
            raise ValueError(f"{section}: {problem}")
    return files


def _check_held_out(train: list[DataFile], validation: list[DataFile]) -> None:
    for file in validation:
        for other in train:
            same_text = file.text_hash is not None and file.text_hash == other.text_hash
            if same_text or os.path.realpath(file.path) == os.path.realpath(other.path):
                raise ValueError(
                    f"task.validation_data: {file.path} has the text of the training file {other.path}, so that "
                    "validation would not tell overfitting; hold some examples out"
                )


# --- the start


def check_start(params, mode: str, model_dir: str, module: Module | None, remarks: list[str]) -> str:
    task = params.task
    if task.init_checkpoint and task.hub_module_url:
        raise ValueError("task.init_checkpoint and task.hub_module_url are both set; give one of them")
    latest = latest_of_model_dir(model_dir)
    if latest is not None:
        remarks += changes(params, model_dir)
        return f"start: continues from {latest}, whatever task.init_checkpoint and task.hub_module_url say"
    if "train" not in mode:
        raise ValueError(f"{model_dir}: no checkpoint to evaluate; give the --model_dir of a fine-tuning")
    if module:
        if module.encoder is None:
            remarks.append(
                f"{module.url}: was not made by export_saved_model.py; its sizes and vocabulary are not checked"
            )
        if not task.model.use_encoder_pooler:
            remarks.append(
                "the pooler starts at random; set task.model.use_encoder_pooler=true for the SavedModel's own"
            )
        return f"start: from the SavedModel {module.url}"
    if not task.init_checkpoint:
        remarks.append("neither task.init_checkpoint nor task.hub_module_url is set: no pretrained weights are used")
        return "start: new, with random weights"
    return _check_initial(params, find_initial(task.init_checkpoint), remarks)


def _check_initial(params, prefix: str, remarks: list[str]) -> str:
    task = params.task
    if task.model.use_encoder_pooler:
        raise ValueError(
            "task.model.use_encoder_pooler is true, but the encoder's own pooler in a checkpoint of pretraining was "
            "never trained; set task.model.use_encoder_pooler=false and task.init_cls_pooler=true"
        )
    config = _config_of(task.model.encoder)
    if not task.init_cls_pooler and not (config and config.model_type == "electra"):
        remarks.append("the pooler starts at random; set task.init_cls_pooler=true for that of the next sentence head")
    if config is None:
        remarks.append(f"{prefix}: not compared with the model, whose encoder is of type {task.model.encoder.type}")
    else:
        _check_fit(prefix, config, task.init_cls_pooler)
        read_whole(prefix, config)
    return f"start: from the weights of {prefix}"


def _config_of(encoder) -> BertConfig | None:
    """The inverse of `encoder_params`, None for other encoders. An ELECTRA is a BERT with `embedding_size`."""
    if encoder.type not in ("bert", "albert"):
        return None
    values = encoder.get().as_dict()
    kind = "electra" if values.get("embedding_size") else encoder.type
    names = ENCODER_FIELDS | EMBEDDING_SIZES.get(kind, {})
    return BertConfig(**{field: values[name] for name, field in names.items()}, architecture=ENCODER_OF[kind])


def _check_fit(prefix: str, config: BertConfig, needs_pooler: bool) -> None:
    """Of the encoder, and of the pooler where it is used; nothing else is restored."""
    mismatch = compare_with_config(prefix, config)
    if needs_pooler and (config.model_type == "electra" or any(name.startswith(POOLER) for name in mismatch.missing)):
        raise ValueError(
            f"{prefix}: has no next sentence head, whose pooler task.init_cls_pooler=true takes; set it to false"
        )
    parts = ("encoder/", IN_HEAD, POOLER)
    lines = Mismatch(
        [name for name in mismatch.missing if name.startswith(parts[:2])],
        [item for item in mismatch.unexpected if item[0].startswith(parts[0])],
        [item for item in mismatch.of_other_shape if item[0].startswith(parts)],
    ).lines()
    if lines:
        more = f" and {len(lines) - 1} more such" if len(lines) > 1 else ""
        raise ValueError(
            f"{prefix}: does not fit task.model.encoder: {lines[0]}{more}; give the --tf_config_file of the trained "
            "model, e.g. model_configs/bert_base_wordpiece/config.json"
        )

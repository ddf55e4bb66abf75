"""The model that a trainer's configuration describes: its encoders, and its variables by their names in a checkpoint.

The variables of BERT and ALBERT are known (`models/weight_names.py`). Model Garden itself builds other models, with its
gin files, in a process of its own. Reason: if several machines train, the trainer must be the first to use TensorFlow
in its process.
"""

import os
import pickle
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from japanese_bert.common.workers import call_in_child
from japanese_bert.models.checkpoint_reading import (
    NO_WEIGHTS,
    Mismatch,
    Shape,
    find_mismatch,
    names_of,
    reading_checkpoint,
)
from japanese_bert.models.config import BertConfig
from japanese_bert.models.model_garden import ENCODER_INPUTS, NEXT_SENTENCE_HEAD, config_of_encoder
from japanese_bert.models.weight_names import is_next_sentence, own_pooler_of, weights_of
from japanese_bert.training.checks.findings import Findings, check
from japanese_bert.training.command import NO_GIN, Gin

ENCODERS = ("encoder", "discriminator_encoder", "generator_encoder")  # fields of task.model
POOLERS = ("pooler_transform", "cls_transform")  # the encoders' own, which pretraining never trains
GENERATOR_HEAD = "generator_classification_head"  # ELECTRA's next sentence head, which exists without labels too


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """One model. `variables` are all of its checkpoint by their names there, `untrained` those that never change.

    Only a BERT or ALBERT has a `config`.
    """

    kind: str
    variables: Mapping[str, Shape]
    untrained: Sequence[str]
    config: BertConfig | None = None

    @property
    def num_parameters(self) -> int:
        return sum(map(prod, self.variables.values()))

    @property
    def num_trained(self) -> int:
        return self.num_parameters - sum(prod(self.variables[name]) for name in self.untrained)


def encoders_of(params) -> dict[str, object]:
    """Return the encoders by their names, such as task.model.encoder.albert. ELECTRA has two."""
    found = {name: getattr(params.task.model, name, None) for name in ENCODERS}
    return {f"task.model.{name}.{encoder.type}": encoder.get() for name, encoder in found.items() if encoder}


def is_electra(params) -> bool:
    """Return True if `task.model` has the two encoders of an ELECTRA."""
    return hasattr(params.task.model, "discriminator_encoder")


def has_next_sentence_head(params) -> bool:
    """Return True if `task.model` has the head that next sentence labels train."""
    return any(head.name == NEXT_SENTENCE_HEAD for head in params.task.model.cls_heads or [])


def bert_config_of(params) -> BertConfig | None:
    """Return the architecture if its variables are known: a BERT without factorized embeddings, or an ALBERT."""
    encoder = getattr(params.task.model, "encoder", None)
    config = config_of_encoder(encoder) if encoder else None
    if encoder is None or config is None or config.has_projection != (encoder.type == "albert"):
        return None
    is_albert = encoder.type == "albert"
    return config if is_albert else replace(config, architecture="BertForPreTraining", embedding_size=None)


def vocab_sizes(params) -> dict[str, int]:
    """Return the vocabulary sizes of all encoders by the names of the parameters."""
    names = ("vocab_size", "word_vocab_size")
    encoders = encoders_of(params).items()
    return {f"{path}.{n}": getattr(encoder, n) for path, encoder in encoders for n in names if hasattr(encoder, n)}


@check
def check_encoders(findings: Findings, params, gin: Gin) -> None:
    """Check that the gin file of the model is given, and that the sizes of its encoders fit."""
    name = params.task.name or ""
    if name.endswith(".gin") and name not in {os.path.basename(path) for path in gin.files}:
        raise ValueError(
            f"the model of --config_file needs --gin_file=configs/model/{name}, or a plain BERT would be trained"
        )
    for path, encoder in encoders_of(params).items():
        size, heads = getattr(encoder, "hidden_size", 0), getattr(encoder, "num_attention_heads", 1)
        if size % heads:
            raise ValueError(f"{path}: hidden_size {size} is not a multiple of num_attention_heads {heads}")
    if is_electra(params):
        _check_electra(params.task.model)


def _check_electra(model) -> None:
    generator, discriminator = model.generator_encoder, model.discriminator_encoder
    for name, encoder in (("generator_encoder", generator), ("discriminator_encoder", discriminator)):
        if encoder.type != "bert":
            raise ValueError(f"task.model.{name}.type is {encoder.type}, but ELECTRA needs bert")
    widths = [encoder.bert.embedding_size or encoder.bert.hidden_size for encoder in (generator, discriminator)]
    if model.tie_embeddings and widths[0] != widths[1]:
        raise ValueError(
            f"embedding_size is {widths[0]} in task.model.generator_encoder and {widths[1]} in "
            "task.model.discriminator_encoder, but both share their word embeddings: set them equal"
        )


@check
def check_heads(findings: Findings, params) -> None:
    """Check that the next sentence head and its labels fit together."""
    uses_labels = params.task.train_data.use_next_sentence_label
    if params.task.validation_data.use_next_sentence_label != uses_labels:
        raise ValueError(
            "use_next_sentence_label differs between task.train_data and task.validation_data, so that the first "
            "validation fails: set them equal"
        )
    if is_electra(params):
        if uses_labels:
            findings.remarks.append(
                "ELECTRA's loss of next sentences is a sum over the batch, where all others are means, and Hugging "
                "Face has no place for that head: set use_next_sentence_label=false in train_data and validation_data"
            )
        return
    if uses_labels and not has_next_sentence_head(params):
        raise ValueError(
            f"task.model.cls_heads has no head named {NEXT_SENTENCE_HEAD}, which use_next_sentence_label needs: add "
            "it, or set use_next_sentence_label=false in train_data and validation_data"
        )
    encoder = params.task.model.encoder
    size = encoder.get().hidden_size if encoder.type in ("bert", "albert") else None
    inner = [head.inner_dim for head in params.task.model.cls_heads or [] if head.name == NEXT_SENTENCE_HEAD]
    if size and inner and inner[0] != size:
        raise ValueError(
            f"task.model.cls_heads: inner_dim is {inner[0]}, but hidden_size is {size}. Hugging Face's "
            "pooler is as wide as the model: set them equal"
        )


@check
def check_positions(findings: Findings, params) -> None:
    """Check that the sequences of the data fit the positions of every encoder."""
    for path, encoder in encoders_of(params).items():
        limit = getattr(encoder, "max_position_embeddings", getattr(encoder, "max_sequence_length", None))
        if limit is None:
            findings.remarks.append(f"{path} has no number of positions: whether sequences fit was not checked")
            continue
        for name in ("train_data", "validation_data"):
            length = getattr(params.task, name).seq_length
            if length > limit:
                raise ValueError(
                    f"task.{name}.seq_length is {length}, but {path} has {limit} positions. Use shorter data, or a "
                    "model with more positions"
                )


def describe_trainer_model(params, gin: Gin = NO_GIN) -> DescribedModel:
    """Return the model of a configuration.

    Raises:
        ValueError: Model Garden cannot build it.
    """
    config = None if gin.files or gin.params else bert_config_of(params)
    if config is None or params.task.model.encoder.get().hidden_activation != "gelu":  # Model Garden may not know it
        return call_in_child(_build_and_describe_alone, pickle.dumps(params.task), gin)
    variables = {row.tf_name: row.tf_shape(config) for row in weights_of(config)}
    if not has_next_sentence_head(params):
        variables = {name: shape for name, shape in variables.items() if not is_next_sentence(name)}
    pooler, size = own_pooler_of(config), config.hidden_size
    poolers = {f"{pooler}/kernel": (size, size), f"{pooler}/bias": (size,)}
    return DescribedModel(config.model_type, {**variables, **poolers}, tuple(poolers), config)


def _build_and_describe_alone(task_config: bytes, gin: Gin) -> DescribedModel:
    """Build in a process that needs no accelerator and is no worker of a cluster."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TPU_LOAD_LIBRARY": "0"}
    os.environ.pop("TF_CONFIG", None)
    warnings.simplefilter("ignore")  # Model Garden's dependencies warn about each other
    return build_and_describe(pickle.loads(task_config), gin)


def build_and_describe(task_config, gin: Gin = NO_GIN) -> DescribedModel:
    """Build the model in this process. Raise ValueError if that fails."""
    import tensorflow as tf

    try:
        model = build_trainer_model(task_config, gin)
    except Exception as error:  # of any kind: Model Garden does not check the configuration first
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"Model Garden cannot build the model of --config_file and --gin_file: {reason}") from None
    variables = variables_by_name(tf.train.Checkpoint(model=model, **model.checkpoint_items))
    parts = POOLERS if task_config.train_data.use_next_sentence_label else (*POOLERS, GENERATOR_HEAD)
    untrained = [name for name, variable in variables.items() if any(part in variable.name for part in parts)]
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    return DescribedModel(_kind_of(task_config, model), shapes, untrained)


def build_trainer_model(task_config, gin: Gin = NO_GIN):
    """Return the trainer's own model, with all its variables."""
    import gin as gin_config
    from official.common import registry_imports  # noqa: F401
    from official.core import task_factory

    gin_config.parse_config_files_and_bindings(list(gin.files), list(gin.params), finalize_config=False)
    model = task_factory.get_task(task_config).build_model()
    call_once(model, task_config)
    return model


def call_once(model, task_config) -> None:
    """Let a model make the variables that only its first call makes."""
    import numpy as np

    data = task_config.train_data
    predictions = ["masked_lm_positions"] + (["masked_lm_ids"] if hasattr(model, "generator_network") else [])
    inputs = {name: np.zeros((1, data.seq_length), np.int32) for name in ENCODER_INPUTS}
    model(inputs | {name: np.zeros((1, data.max_predictions_per_seq), np.int32) for name in predictions})


def _kind_of(task_config, model) -> str:
    if hasattr(model, "generator_network"):
        return "electra"
    encoder = type(model.encoder_network).__name__
    return encoder if encoder == "EncoderScaffold" else task_config.model.encoder.type


def variables_by_name(root) -> dict:
    """Return all variables of an object by their names in its checkpoint: the shortest way from it to each."""
    import tensorflow as tf

    ways, variables, waiting = {id(root): ""}, {}, deque([root])
    kept = [root]  # while it is alive no other object has its id
    while waiting:
        parent = waiting.popleft()
        for name, child in tf.train.TrackableView.children(parent).items():
            if id(child) not in ways:
                way = ways[id(child)] = f"{ways[id(parent)]}{name.replace('.', '..').replace('/', '.S')}/"
                kept.append(child)
                waiting.append(child)
                if isinstance(child, tf.Variable):
                    variables[way.removesuffix("/")] = child
    return variables


def compare_with_model(prefix: str, model: DescribedModel) -> Mismatch:
    """Return what in a checkpoint does not fit. Each weight is read once, so that TensorFlow checks its checksum.

    Raises:
        ValueError: the checkpoint cannot be read.
    """
    with reading_checkpoint(prefix) as reader:
        shapes = reader.get_variable_to_shape_map()
        keys = {name: key for name, key in names_of(shapes).items() if not NO_WEIGHTS.fullmatch(name)}
        for key in keys.values():
            reader.get_tensor(key)
    found = {name: tuple(shapes[key]) for name, key in keys.items()}
    mismatch = find_mismatch(model.variables, found)
    return replace(mismatch, missing=[name for name in mismatch.missing if name not in model.untrained])

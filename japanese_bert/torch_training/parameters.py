"""The parameters of Model Garden's `bert/pretraining` that the trainer in PyTorch follows: same names, same defaults.

A parameter that it does not follow is refused, so that no YAML file means two things.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from japanese_bert.training.parameters import check_parameters, leaves, read_sources


class Parameters:
    """A section of the configuration."""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]


class Choice(Parameters):
    """A section that chooses one of its sections by `type`."""

    type: str | None

    def get(self) -> Any:
        return getattr(self, self.type or "", None)


@dataclass(frozen=True)
class Data(Parameters):
    input_path: str | Sequence[str] = ""
    global_batch_size: int = 512
    is_training: bool = True
    drop_remainder: bool = True
    seed: int | None = None
    seq_length: int = 512
    max_predictions_per_seq: int = 76
    use_next_sentence_label: bool = True
    use_position_id: bool = False
    use_v2_feature_names: bool = False
    file_type: str = "tfrecord"
    seq_bucket_lengths = ()  # no parameter: records may have any lengths, because batches are made by length anyway


@dataclass(frozen=True)
class BertEncoder(Parameters):
    vocab_size: int = 30522
    hidden_size: int = 768
    num_layers: int = 12
    num_attention_heads: int = 12
    hidden_activation: str = "gelu"
    intermediate_size: int = 3072
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    embedding_size: int | None = None
    output_range: int | None = None
    return_all_encoder_outputs: bool = False
    return_attention_scores: bool = False
    return_word_embeddings: bool = False
    norm_first: bool = False


@dataclass(frozen=True)
class EncoderSection(Choice):
    type: str | None = "bert"
    bert: BertEncoder = BertEncoder()


@dataclass(frozen=True)
class Head(Parameters):
    inner_dim: int = 0
    num_classes: int = 2
    activation: str = "tanh"
    dropout_rate: float = 0.0
    cls_token_idx: int = 0
    name: str | None = None


@dataclass(frozen=True)
class Model(Parameters):
    encoder: EncoderSection = EncoderSection()
    cls_heads: Sequence[Head] = (Head(inner_dim=768, dropout_rate=0.1, name="next_sentence"),)
    mlm_activation: str = "gelu"
    mlm_initializer_range: float = 0.02
    mlm_output_weights_use_proj: bool = False


@dataclass(frozen=True)
class TaskSection(Parameters):
    init_checkpoint: str = ""
    model: Model = Model()
    scale_loss: bool = False
    train_data: Data = Data()
    validation_data: Data = Data(is_training=False)
    name: str | None = None


@dataclass(frozen=True)
class AdamW(Parameters):
    name: str = "AdamWeightDecay"
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False
    weight_decay_rate: float = 0.01
    include_in_weight_decay: Sequence[str] | None = None
    exclude_from_weight_decay: Sequence[str] | None = ("LayerNorm", "layer_norm", "bias")
    gradient_clip_norm: float = 1.0
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None


@dataclass(frozen=True)
class Optimizer(Choice):
    type: str | None = "adamw"
    adamw: AdamW = AdamW()


@dataclass(frozen=True)
class PolynomialRate(Parameters):
    name: str = "PolynomialDecay"
    initial_learning_rate: float | None = 1e-4
    decay_steps: int | None = None
    end_learning_rate: float = 0.0
    power: float = 1.0
    cycle: bool = False
    offset: int = 0


@dataclass(frozen=True)
class LearningRate(Choice):
    type: str | None = "polynomial"
    polynomial: PolynomialRate = PolynomialRate()


@dataclass(frozen=True)
class PolynomialWarmup(Parameters):
    name: str = "polynomial"
    power: float = 1.0
    warmup_steps: int | None = None


@dataclass(frozen=True)
class LinearWarmup(Parameters):
    name: str = "linear"
    warmup_learning_rate: float = 0.0
    warmup_steps: int | None = None


@dataclass(frozen=True)
class Warmup(Choice):
    type: str | None = "polynomial"
    polynomial: PolynomialWarmup = PolynomialWarmup()
    linear: LinearWarmup = LinearWarmup()


@dataclass(frozen=True)
class OptimizerSection(Parameters):
    optimizer: Optimizer = Optimizer()
    learning_rate: LearningRate = LearningRate()
    warmup: Warmup = Warmup()
    ema: None = None


@dataclass(frozen=True)
class TrainerSection(Parameters):
    optimizer_config: OptimizerSection = OptimizerSection()
    steps_per_loop: int = 1000
    summary_interval: int = 1000
    checkpoint_interval: int = 1000
    max_to_keep: int = 5
    train_steps: int = 1_000_000
    validation_steps: int = -1
    validation_interval: int = 1000
    best_checkpoint_export_subdir: str = ""
    best_checkpoint_eval_metric: str = ""
    best_checkpoint_metric_comp: str = "higher"


@dataclass(frozen=True)
class Runtime(Parameters):
    """`num_gpus` is None if no file or flag sets it: every process that torchrun starts has a GPU, if there is one."""

    distribution_strategy: str = "mirrored"
    enable_xla: bool = True
    tpu: str | None = None
    num_gpus: int | None = None
    mixed_precision_dtype: str | None = None


@dataclass(frozen=True)
class ExperimentSection(Parameters):
    task: TaskSection = field(default_factory=TaskSection)
    trainer: TrainerSection = field(default_factory=TrainerSection)
    runtime: Runtime = field(default_factory=Runtime)


OTHERS = (
    "run_pretraining_torch.py trains BERT with AdamW and a polynomial learning rate. Train this with run_pretraining.py"
)
# Sections that choose, and what they may choose here.
TYPES: Mapping[str, Sequence[str | None]] = {
    "task.model.encoder.type": ("bert",),
    "trainer.optimizer_config.optimizer.type": ("adamw",),
    "trainer.optimizer_config.learning_rate.type": ("polynomial",),
    "trainer.optimizer_config.warmup.type": ("polynomial", "linear", None),
    "runtime.distribution_strategy": ("one_device", "mirrored", "multi_worker_mirrored"),
}
# Parameters of which the trainer follows one value.
FIXED = {
    "task.scale_loss": False,
    "task.train_data.use_position_id": False,
    "task.validation_data.use_position_id": False,
    "task.model.mlm_activation": "gelu",
    "task.model.mlm_output_weights_use_proj": False,
    "task.model.encoder.bert.hidden_activation": "gelu",
    "task.model.encoder.bert.norm_first": False,
    "task.model.encoder.bert.output_range": None,
    "trainer.optimizer_config.ema": None,
    **{
        f"trainer.optimizer_config.optimizer.adamw.{name}": AdamW.__dataclass_fields__[name].default
        for name in ("amsgrad", "include_in_weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
    },
}


def parse_torch_parameters(args: argparse.Namespace) -> ExperimentSection:
    """Return what --config_file and --params_override describe. Raise ValueError for a mistake, or for other models."""
    if args.experiment != "bert/pretraining":
        raise ValueError(f"--experiment {args.experiment}: {OTHERS}")
    params = ExperimentSection()
    for source, values in read_sources(args):
        _refuse_other_models(source, values)
        check_parameters(source, values, params)
        params = _updated(params, values)
    found = dict(leaves(params.as_dict()))
    for path, expected in FIXED.items():
        if found[path] != expected:
            raise ValueError(f"{path} is {found[path]}, expected {expected}. {OTHERS}")
    return params


def _refuse_other_models(source: str, values: Mapping) -> None:
    for path, value in leaves(values):
        is_other = path in TYPES and value not in TYPES[path]
        if is_other or "discriminator_encoder." in path or (path == "task.name" and str(value).endswith(".gin")):
            raise ValueError(f"{source}: {path} is {value}. {OTHERS}")


def _updated(section: Any, values: Mapping) -> Any:
    """Return the section with new values."""
    changes = {}
    for name, value in values.items():
        if not hasattr(section, name):
            raise ValueError(f"no parameter {name} in a head of task.model.cls_heads")
        before = getattr(section, name)
        if name == "cls_heads":
            changes[name] = tuple(_updated(Head(), head) for head in value or ())
        elif isinstance(before, Parameters):
            changes[name] = _updated(before, value or {})
        else:
            changes[name] = value
    return dataclasses.replace(section, **changes)

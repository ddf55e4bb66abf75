"""`config.json`: the architecture of a BERT, ALBERT or ELECTRA, as the converter reads it and Hugging Face expects it.

Field names are Hugging Face's. Model Garden's YAML holds the same values under other names. A test compares the two.
The module needs no package, because environments without TensorFlow read it too (see `conversion/frameworks.py`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_type_hints

from japanese_bert.common.json_files import read_json_object

# Model Garden computes "gelu" in the tanh form, which Hugging Face calls "gelu_new" ("gelu" is the exact form there;
# with it logits differ by 2e-4 to 3e-3). "gelu" is accepted, because older configuration files contain it.
TANH_GELU_NAMES = ("gelu_new", "gelu")
TOKENIZER_CLASS = "BertJapaneseTokenizer"
LAYER_NORM_EPS = 1e-12  # fixed in Model Garden's encoder and masked language model head

MAX_LAYERS, MAX_SIZE = 1000, 1 << 24  # larger ones are mistakes, which would run without an end or fill the memory

# Logits that the converter compares: of masked tokens [instances, predictions, vocabulary], of the next sentence
# [instances, 2], of "this token was replaced" [instances, tokens].
MASKED, NEXT_SENTENCE, REPLACED = "masked", "next_sentence", "replaced"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One class of Transformers that a trained model can become. A run of ELECTRA becomes two of them.

    `kind` is the model's name in text. `logits` are the attributes of the class's output, in their order there.
    """

    model_type: str
    kind: str
    logits: Mapping[str, str]

    @property
    def has_next_sentence(self) -> bool:
        return NEXT_SENTENCE in self.logits

    @property
    def predicts_tokens(self) -> bool:
        return MASKED in self.logits

    def describe(self) -> str:
        """Return the name in text, such as `BERT without next sentence head`."""
        if self.model_type == "electra":
            return self.kind
        return f"{self.kind} {'with' if self.has_next_sentence else 'without'} next sentence head"


ARCHITECTURES: Mapping[str, Architecture] = {
    "BertForPreTraining": Architecture(
        "bert", "BERT", {MASKED: "prediction_logits", NEXT_SENTENCE: "seq_relationship_logits"}
    ),
    "BertForMaskedLM": Architecture("bert", "BERT", {MASKED: "logits"}),
    "AlbertForPreTraining": Architecture(
        "albert", "ALBERT", {MASKED: "prediction_logits", NEXT_SENTENCE: "sop_logits"}
    ),
    "AlbertForMaskedLM": Architecture("albert", "ALBERT", {MASKED: "logits"}),
    "ElectraForPreTraining": Architecture("electra", "ELECTRA discriminator", {REPLACED: "logits"}),
    "ElectraForMaskedLM": Architecture("electra", "ELECTRA generator", {MASKED: "logits"}),
}


def architectures_of(model_type: str) -> list[str]:
    """Return the classes of a model type. The first one is the default (an ELECTRA has none)."""
    return [name for name, item in ARCHITECTURES.items() if item.model_type == model_type]


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The sizes and rates of one model. Dropout and initializer matter only to further training.

    `embedding_size` is None if the architecture fixes it to `hidden_size`.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    initializer_range: float
    embedding_size: int | None = None
    architecture: str = "BertForPreTraining"

    @property
    def model_type(self) -> str:
        return ARCHITECTURES[self.architecture].model_type

    @property
    def embedding_width(self) -> int:
        return self.embedding_size or self.hidden_size

    @property
    def has_projection(self) -> bool:
        """Return True if a projection leads from embedding to hidden size."""
        return self.embedding_width != self.hidden_size

    def to_json(self, tokenizer_class: str = TOKENIZER_CLASS) -> str:
        """Return the `config.json` of a Hugging Face directory."""
        values = {
            **{name: value for name, value in asdict(self).items() if value is not None},
            "architectures": [self.architecture],
            "hidden_act": TANH_GELU_NAMES[0],
            "layer_norm_eps": LAYER_NORM_EPS,
            "model_type": self.model_type,
            "pad_token_id": 0,
            "tokenizer_class": tokenizer_class,
        }
        del values["architecture"]
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


def num_positions(config) -> int | None:
    """Return how many tokens a model of Transformers takes, None without a limit. RoBERTa counts from padding on."""
    size = getattr(config, "max_position_embeddings", None)
    return size - config.pad_token_id - 1 if size and "roberta" in config.model_type else size


def load_bert_config(path: Path) -> BertConfig:
    """Read a `config.json`. Fields that do not describe the architecture are ignored.

    Raises:
        ValueError: a field is missing or has a value that no model of Model Garden's trainer can have.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Expected e.g. model_configs/bert_base_wordpiece/config.json")
    values = read_json_object(path)
    architecture = _architecture(path, values)
    types = get_type_hints(BertConfig) | {"embedding_size": int}
    del types["architecture"]
    if ARCHITECTURES[architecture].model_type == "bert":
        del types["embedding_size"]
    _check_fields(path, values, types)
    config = BertConfig(**{name: values[name] for name in types}, architecture=architecture)
    _check_sizes(path, config, values)
    return config


def load_configs_with_every_head(paths: Sequence[Path], flag: str, generator_flag: str) -> list[BertConfig]:
    """Return the configurations of a model with all heads, even if `architectures` names a class with one.

    Raises:
        ValueError: these are not one BERT or ALBERT, or the discriminator and the generator of an ELECTRA.
    """
    configs = [load_bert_config(path) for path in paths]
    classes = architectures_of(configs[0].model_type)
    names = [config.architecture for config in configs]
    if configs[0].model_type != "electra" and len(configs) == 1:
        return [replace(configs[0], architecture=classes[0])]
    if names != classes:
        raise ValueError(
            f"{paths[0]}: architectures is {' and '.join(names)}. Expected a BERT or ALBERT in {flag} alone, or "
            f"{classes[0]} in {flag} and {classes[-1]} in {generator_flag}"
        )
    return configs


def notes_of(path: Path) -> list[str]:
    """Return what to know of the `config.json` of a model that is continued. It may be missing."""
    if not path.is_file() or json.loads(path.read_text(encoding="utf-8")).get("hidden_act") != "gelu":
        return []
    return [
        "hidden_act is gelu. The trainer computes its tanh form, gelu_new. The released Japanese models were trained "
        "with gelu_new, whatever their config.json says. A model that was trained with the exact form starts with "
        "logits that differ by about 1e-3"
    ]


def _architecture(path: Path, values: dict) -> str:
    """Return the class that `architectures` names. The default of a BERT or ALBERT is the class with all heads.

    Google's own files do not name the type. Only that of an ALBERT has `embedding_size`.
    """
    model_type = values.get("model_type", "albert" if values.get("embedding_size") else "bert")
    named = values.get("architectures")
    known = architectures_of(model_type) if isinstance(model_type, str) else []
    if not known:
        raise ValueError(f"{path}: model_type is {model_type!r}, expected bert, albert or electra")
    if not named and model_type != "electra":
        return known[0]
    if not isinstance(named, list) or len(named) != 1 or named[0] not in known:
        choice = " or ".join(f'["{name}"] ({ARCHITECTURES[name].describe()})' for name in known)
        raise ValueError(f"{path}: architectures is {json.dumps(named)}, expected {choice}")
    return named[0]


def _check_fields(path: Path, values: dict, types: Mapping[str, type]) -> None:
    for name, number_type in types.items():
        limit = MAX_LAYERS if name == "num_hidden_layers" else MAX_SIZE
        if not _is_allowed(values.get(name), number_type, limit):
            expected = f"a positive integer, at most {limit:,}" if number_type is int else "a number of at least 0"
            raise ValueError(f"{path}: {name} is {values.get(name)!r}, expected {expected}")
    activation, eps = values.get("hidden_act", "gelu_new"), values.get("layer_norm_eps", LAYER_NORM_EPS)
    if activation not in TANH_GELU_NAMES:
        raise ValueError(f"{path}: hidden_act is {activation!r}, expected {TANH_GELU_NAMES[0]!r}")
    if eps != LAYER_NORM_EPS:
        raise ValueError(f"{path}: layer_norm_eps is {eps!r}, expected {LAYER_NORM_EPS}, the value of Model Garden")


def _is_allowed(value: object, number_type: type, limit: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) and 0 < value <= limit if number_type is int else 0 <= value < math.inf


def _check_sizes(path: Path, config: BertConfig, values: dict) -> None:
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"{path}: hidden_size {config.hidden_size} is not a multiple of num_attention_heads "
            f"{config.num_attention_heads}"
        )
    if config.model_type == "albert":
        groups = [values.get(name, 1) for name in ("num_hidden_groups", "inner_group_num")]
        if groups != [1, 1]:
            raise ValueError(
                f"{path}: num_hidden_groups and inner_group_num are {groups[0]!r} and {groups[1]!r}, expected 1 and 1: "
                "all layers of Model Garden's ALBERT share one set of weights"
            )
        if not config.has_projection:
            raise ValueError(
                f"{path}: embedding_size is hidden_size ({config.hidden_size}). Expected another size: Hugging Face's "
                "ALBERT always has a projection between the two"
            )

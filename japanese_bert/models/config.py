"""`config.json`: the architecture of a BERT, ALBERT or ELECTRA, as the converter reads it and Hugging Face wants it.

Field names are Hugging Face's. Model Garden's YAML says the same under other names; a test compares the two.
"""

import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from japanese_bert.models.architectures import ARCHITECTURES, architectures_of

# Model Garden computes "gelu" in the tanh form, which Hugging Face calls "gelu_new" ("gelu" is the exact form there;
# with it logits differ by 2e-4 to 3e-3). "gelu" is accepted: it is what older configuration files say.
TANH_GELU_NAMES = ("gelu_new", "gelu")
LAYER_NORM_EPS = 1e-12  # fixed in Model Garden's encoder and masked language model head


@dataclass(frozen=True, slots=True)
class BertConfig:
    """Sizes and rates; dropout and initializer change no logits but matter to whoever trains on.

    `embedding_size` is None where it cannot differ from `hidden_size`.
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
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def model_type(self) -> str:
        return ARCHITECTURES[self.architecture].model_type

    @property
    def embedding_width(self) -> int:
        return self.embedding_size or self.hidden_size

    @property
    def has_projection(self) -> bool:
        """From embedding to hidden size."""
        return self.embedding_width != self.hidden_size

    def to_json(self) -> str:
        """The `config.json` of a Hugging Face directory."""
        values = {
            **{name: value for name, value in asdict(self).items() if value is not None},
            "architectures": [self.architecture],
            "hidden_act": TANH_GELU_NAMES[0],
            "layer_norm_eps": LAYER_NORM_EPS,
            "model_type": self.model_type,
            "pad_token_id": 0,
            "tokenizer_class": "BertJapaneseTokenizer",
        }
        del values["architecture"]
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


REQUIRED = {field.name: field.type for field in fields(BertConfig) if field.default is MISSING}


def load_bert_config(path: Path) -> BertConfig:
    """Read a `config.json`; fields that do not describe the architecture are ignored.

    Raises:
        ValueError: a field is missing or has a value that no model of Model Garden's trainer can have.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected e.g. model_configs/bert_base_wordpiece/config.json")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a JSON object with the fields of BERT's config.json")
    architecture = _architecture(path, values)
    types = REQUIRED | ({"embedding_size": int} if ARCHITECTURES[architecture].is_factorized else {})
    _check_fields(path, values, types)
    config = BertConfig(**{name: values[name] for name in types}, architecture=architecture)
    _check_sizes(path, config, values)
    return config


def _architecture(path: Path, values: dict) -> str:
    """The class that `architectures` names, by default the one with all heads that a BERT or ALBERT can have."""
    model_type, named = values.get("model_type", "bert"), values.get("architectures")
    known = architectures_of(model_type) if isinstance(model_type, str) else []
    if not known:
        raise ValueError(f"{path}: model_type is {model_type!r}, expected bert, albert or electra")
    if not named and model_type != "electra":
        return known[0]
    if not isinstance(named, list) or len(named) != 1 or named[0] not in known:
        choice = " or ".join(f'["{name}"] ({ARCHITECTURES[name].describe()})' for name in known)
        raise ValueError(f"{path}: architectures is {json.dumps(named)}, expected {choice}")
    return named[0]


def _check_fields(path: Path, values: dict, types: dict[str, type]) -> None:
    for name, number_type in types.items():
        value = values.get(name)
        allowed = (int,) if number_type is int else (int, float)
        is_number = isinstance(value, allowed) and not isinstance(value, bool)
        if not is_number or value < 0 or (number_type is int and value == 0):
            raise ValueError(f"{path}: {name} is {value!r}, expected a number that is {_expected(number_type)}")
    activation, eps = values.get("hidden_act", "gelu_new"), values.get("layer_norm_eps", LAYER_NORM_EPS)
    if activation not in TANH_GELU_NAMES:
        raise ValueError(f"{path}: hidden_act is {activation!r}, expected {TANH_GELU_NAMES[0]!r}")
    if eps != LAYER_NORM_EPS:
        raise ValueError(f"{path}: layer_norm_eps is {eps!r}, Model Garden's is always {LAYER_NORM_EPS}")


def _check_sizes(path: Path, config: BertConfig, values: dict) -> None:
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"{path}: hidden_size {config.hidden_size} is no multiple of num_attention_heads "
            f"{config.num_attention_heads}"
        )
    if config.model_type == "albert":
        groups = [values.get(name, 1) for name in ("num_hidden_groups", "inner_group_num")]
        if groups != [1, 1]:
            raise ValueError(
                f"{path}: num_hidden_groups and inner_group_num are {groups[0]!r} and {groups[1]!r}, but all layers "
                "of Model Garden's ALBERT share one set of weights: 1 and 1"
            )
        if not config.has_projection:
            raise ValueError(
                f"{path}: embedding_size is hidden_size, {config.hidden_size}, but Hugging Face's ALBERT always has a "
                "projection between two sizes"
            )


def _expected(number_type: type) -> str:
    return "whole and positive" if number_type is int else "not negative"

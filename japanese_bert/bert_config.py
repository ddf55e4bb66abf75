"""`config.json`: the architecture of a BERT, as the converter reads it and as Hugging Face wants it.

Field names are Hugging Face's. Model Garden's YAML says the same under other names; a test compares the two.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

# Model Garden computes "gelu" in the tanh form, which Hugging Face calls "gelu_new" ("gelu" is the exact form there;
# with it logits differ by 2e-4 to 3e-3). "gelu" is accepted: it is what older configuration files say.
TANH_GELU_NAMES = ("gelu_new", "gelu")
LAYER_NORM_EPS = 1e-12  # fixed in Model Garden's encoder and masked language model head


@dataclass(frozen=True, slots=True)
class BertConfig:
    """Sizes and rates; dropout and initializer change no logits but matter to whoever trains on."""

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

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def to_json(self) -> str:
        """The `config.json` of a Hugging Face directory."""
        values = {
            **asdict(self),
            "architectures": ["BertForPreTraining"],
            "hidden_act": TANH_GELU_NAMES[0],
            "layer_norm_eps": LAYER_NORM_EPS,
            "model_type": "bert",
            "pad_token_id": 0,
            "tokenizer_class": "BertJapaneseTokenizer",
        }
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


def load_bert_config(path: Path) -> BertConfig:
    """Read a `config.json`; fields that do not describe the architecture are ignored.

    Raises:
        ValueError: a field is missing or has a value that Model Garden's BERT cannot have.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected e.g. model_configs/bert_base_wordpiece/config.json")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    _check_fields(path, values)
    config = BertConfig(**{field.name: values[field.name] for field in fields(BertConfig)})
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"{path}: hidden_size {config.hidden_size} is no multiple of num_attention_heads "
            f"{config.num_attention_heads}"
        )
    return config


def _check_fields(path: Path, values: object) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a JSON object with the fields of BERT's config.json")
    for field in fields(BertConfig):
        value = values.get(field.name)
        allowed = (int,) if field.type is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or value < 0 or (field.type is int and value == 0):
            raise ValueError(f"{path}: {field.name} is {value!r}, expected a number that is {_expected(field.type)}")
    activation, eps = values.get("hidden_act", "gelu_new"), values.get("layer_norm_eps", LAYER_NORM_EPS)
    if activation not in TANH_GELU_NAMES:
        raise ValueError(f"{path}: hidden_act is {activation!r}, expected {TANH_GELU_NAMES[0]!r}")
    if eps != LAYER_NORM_EPS:
        raise ValueError(f"{path}: layer_norm_eps is {eps!r}, Model Garden's is always {LAYER_NORM_EPS}")


def _expected(number_type: type) -> str:
    return "whole and positive" if number_type is int else "not negative"

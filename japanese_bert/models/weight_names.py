"""The name and shape of every weight of a trained model, in Model Garden's checkpoint and in Hugging Face's.

Each class of Transformers has a table, made of the parts that several classes share. A row is one variable. Networks of
other types than `bert` and `albert` have no table.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from japanese_bert.models.config import BertConfig


@dataclass(frozen=True, slots=True)
class Weight:
    """One variable: its name in the checkpoint, its name in the class of Transformers, its shape in the checkpoint.

    Letters of `shape`: V vocabulary, E embedding, H hidden, I intermediate, P positions, T segment types, N heads,
    D head size, C classes, 1. A name with `{layer}` stands for one variable of every layer.
    """

    tf_name: str
    hf_name: str
    shape: str

    @property
    def is_kernel(self) -> bool:
        """Return True for the kernel of a dense layer, which is [in, out] in TensorFlow and [out, in] in PyTorch."""
        return self.tf_name.endswith("/kernel")

    def tf_shape(self, config: BertConfig) -> tuple[int, ...]:
        sizes = _sizes(config)
        return tuple(sizes[letter] for letter in self.shape.split())

    def hf_shape(self, config: BertConfig) -> tuple[int, ...]:
        """Return the shape in PyTorch: heads are joined into one axis, kernels are transposed."""
        sizes = _sizes(config)
        joined = tuple(sizes[letter] for letter in self.shape.replace("N D", "H").split())
        return joined[::-1] if self.is_kernel else joined

    def to_hf(self, array: np.ndarray, config: BertConfig) -> np.ndarray:
        """Return the variable as PyTorch stores it."""
        shape = self.hf_shape(config)
        return np.ascontiguousarray(array.reshape(shape[::-1]).T if self.is_kernel else array.reshape(shape))

    def to_tf(self, array: np.ndarray, config: BertConfig) -> np.ndarray:
        """Invert `to_hf`."""
        return (array.T if self.is_kernel else array).reshape(self.tf_shape(config))


@dataclass(frozen=True, slots=True)
class WeightTable:
    """The weights of one class of Transformers.

    The first row holds the word embeddings. Several objects share them, so that a checkpoint may have them under
    `other_name` instead. `unused` has patterns of the other variables of a checkpoint, and why they are left out.
    """

    rows: tuple[Weight, ...]
    other_name: str | None
    unused: Mapping[str, str]


def _rows(tf_prefix: str, hf_prefix: str, rows: tuple[tuple[str, str, str], ...]) -> tuple[Weight, ...]:
    return tuple(Weight(tf_prefix + tf_name, hf_prefix + hf_name, shape) for tf_name, hf_name, shape in rows)


# Networks number all their layers. 0 to 3 are the three embeddings and their layer norm. 4 is the projection from
# embedding to hidden size, if these differ. The layers of the transformer and an untrained pooler follow.
PROJECTION = 4
_EMBEDDINGS = (
    ("layer_with_weights-1/embeddings", "position_embeddings.weight", "P E"),
    ("layer_with_weights-2/embeddings", "token_type_embeddings.weight", "T E"),
    ("layer_with_weights-3/gamma", "LayerNorm.weight", "E"),
    ("layer_with_weights-3/beta", "LayerNorm.bias", "E"),
)
_DENSE = (("kernel", "weight", "E H"), ("bias", "bias", "H"))
_LAYER = (
    ("_attention_layer/_query_dense/kernel", "attention.self.query.weight", "H N D"),
    ("_attention_layer/_query_dense/bias", "attention.self.query.bias", "N D"),
    ("_attention_layer/_key_dense/kernel", "attention.self.key.weight", "H N D"),
    ("_attention_layer/_key_dense/bias", "attention.self.key.bias", "N D"),
    ("_attention_layer/_value_dense/kernel", "attention.self.value.weight", "H N D"),
    ("_attention_layer/_value_dense/bias", "attention.self.value.bias", "N D"),
    ("_attention_layer/_output_dense/kernel", "attention.output.dense.weight", "N D H"),
    ("_attention_layer/_output_dense/bias", "attention.output.dense.bias", "H"),
    ("_attention_layer_norm/gamma", "attention.output.LayerNorm.weight", "H"),
    ("_attention_layer_norm/beta", "attention.output.LayerNorm.bias", "H"),
    ("_intermediate_dense/kernel", "intermediate.dense.weight", "H I"),
    ("_intermediate_dense/bias", "intermediate.dense.bias", "I"),
    ("_output_dense/kernel", "output.dense.weight", "I H"),
    ("_output_dense/bias", "output.dense.bias", "H"),
    ("_output_layer_norm/gamma", "output.LayerNorm.weight", "H"),
    ("_output_layer_norm/beta", "output.LayerNorm.bias", "H"),
)
_ALBERT_LAYER = (
    ("_attention_layer/_query_dense/kernel", "attention.query.weight", "H N D"),
    ("_attention_layer/_query_dense/bias", "attention.query.bias", "N D"),
    ("_attention_layer/_key_dense/kernel", "attention.key.weight", "H N D"),
    ("_attention_layer/_key_dense/bias", "attention.key.bias", "N D"),
    ("_attention_layer/_value_dense/kernel", "attention.value.weight", "H N D"),
    ("_attention_layer/_value_dense/bias", "attention.value.bias", "N D"),
    ("_attention_layer/_output_dense/kernel", "attention.dense.weight", "N D H"),
    ("_attention_layer/_output_dense/bias", "attention.dense.bias", "H"),
    ("_attention_layer_norm/gamma", "attention.LayerNorm.weight", "H"),
    ("_attention_layer_norm/beta", "attention.LayerNorm.bias", "H"),
    ("_intermediate_dense/kernel", "ffn.weight", "H I"),
    ("_intermediate_dense/bias", "ffn.bias", "I"),
    ("_output_dense/kernel", "ffn_output.weight", "I H"),
    ("_output_dense/bias", "ffn_output.bias", "H"),
    ("_output_layer_norm/gamma", "full_layer_layer_norm.weight", "H"),
    ("_output_layer_norm/beta", "full_layer_layer_norm.bias", "H"),
)
_TRANSFORM = (
    ("dense/kernel", "dense.weight", "H E"),
    ("dense/bias", "dense.bias", "E"),
    ("layer_norm/gamma", "LayerNorm.weight", "E"),
    ("layer_norm/beta", "LayerNorm.bias", "E"),
)
_POOLER = (("kernel", "weight", "H H"), ("bias", "bias", "H"))
_TWO_CLASSES = (("kernel", "weight", "H C"), ("bias", "bias", "C"))

IN_HEAD, IN_ENCODER = "masked_lm/embedding_table", "encoder/layer_with_weights-0/embeddings"
POOLER, OUTPUT_LAYER = "next_sentence..pooler_dense/", "model/classification_heads/0/out_proj/"

_BERT = (
    Weight(IN_HEAD, "bert.embeddings.word_embeddings.weight", "V E"),
    *_rows("encoder/", "bert.embeddings.", _EMBEDDINGS),
    *_rows("encoder/layer_with_weights-{layer}/", "bert.encoder.layer.{layer}.", _LAYER),
    *_rows("masked_lm/", "cls.predictions.transform.", _TRANSFORM),
    Weight("masked_lm/output_bias.Sbias", "cls.predictions.bias", "V"),
)
_BERT_NEXT_SENTENCE = (
    *_rows(POOLER, "bert.pooler.dense.", _POOLER),
    *_rows(OUTPUT_LAYER, "cls.seq_relationship.", _TWO_CLASSES),
)
# All layers of an ALBERT share one set of weights.
_ALBERT = (
    Weight(IN_HEAD, "albert.embeddings.word_embeddings.weight", "V E"),
    *_rows("encoder/", "albert.embeddings.", _EMBEDDINGS),
    *_rows(f"encoder/layer_with_weights-{PROJECTION}/", "albert.encoder.embedding_hidden_mapping_in.", _DENSE),
    *_rows(
        f"encoder/layer_with_weights-{PROJECTION + 1}/",
        "albert.encoder.albert_layer_groups.0.albert_layers.0.",
        _ALBERT_LAYER,
    ),
    *_rows("masked_lm/", "predictions.", _TRANSFORM),
    Weight("masked_lm/output_bias.Sbias", "predictions.bias", "V"),
)
_ALBERT_NEXT_SENTENCE = (
    *_rows(POOLER, "albert.pooler.", _POOLER),
    *_rows(OUTPUT_LAYER, "sop_classifier.classifier.", _TWO_CLASSES),
)


def _electra(network: str) -> tuple[Weight, ...]:
    """Return the rows of one of the two networks, which share the word embeddings."""
    return (
        *_rows(network, "electra.embeddings.", _EMBEDDINGS),
        *_rows(f"{network}layer_with_weights-{PROJECTION}/", "electra.embeddings_project.", _DENSE),
        *_rows(f"{network}layer_with_weights-{{layer}}/", "electra.encoder.layer.{layer}.", _LAYER),
    )


_GENERATOR_NETWORK = "model/generator_network/"
_DISCRIMINATOR = (
    Weight(IN_ENCODER, "electra.embeddings.word_embeddings.weight", "V E"),
    *_electra("encoder/"),
    Weight("model/discriminator_projection/kernel", "discriminator_predictions.dense.weight", "H H"),
    Weight("model/discriminator_projection/bias", "discriminator_predictions.dense.bias", "H"),
    Weight("model/discriminator_head/kernel", "discriminator_predictions.dense_prediction.weight", "H 1"),
    Weight("model/discriminator_head/bias", "discriminator_predictions.dense_prediction.bias", "1"),
)
_GENERATOR = (
    Weight("model/masked_lm/embedding_table", "electra.embeddings.word_embeddings.weight", "V E"),
    *_electra(_GENERATOR_NETWORK),
    *_rows("model/masked_lm/", "generator_predictions.", _TRANSFORM),
    Weight("model/masked_lm/output_bias.Sbias", "generator_lm_head.bias", "V"),
)

BOOKKEEPING = {
    r"_CHECKPOINTABLE_OBJECT_GRAPH": "names of objects",
    r"global_step|save_counter": "counters",
    r"optimizer/.*|.*/\.OPTIMIZER_SLOT/.*": "the optimizer's state",
}
_OWN_POOLER = "the encoder's own pooler, never trained"
_UNUSED = {**BOOKKEEPING, r"encoder/layer_with_weights-{pooler}/(kernel|bias)": _OWN_POOLER}
_CLASSIFICATION = {
    r"model/classification/.*": "the generator's next sentence head, for which Hugging Face's ELECTRA has no place"
}
_UNUSED_OF_DISCRIMINATOR = {
    **_UNUSED,
    **_CLASSIFICATION,
    r"model/(generator_network|masked_lm)/.*": "the generator, which ElectraForMaskedLM in config.json selects",
}
_UNUSED_OF_GENERATOR = {
    **BOOKKEEPING,
    **_CLASSIFICATION,
    _GENERATOR_NETWORK + r"layer_with_weights-{pooler}/(kernel|bias)": _OWN_POOLER,
    r"encoder/.*|model/discriminator_.*": "the discriminator, which ElectraForPreTraining in config.json selects",
}

TABLES: Mapping[str, WeightTable] = {
    "BertForPreTraining": WeightTable(_BERT + _BERT_NEXT_SENTENCE, IN_ENCODER, _UNUSED),
    "BertForMaskedLM": WeightTable(_BERT, IN_ENCODER, _UNUSED),
    "AlbertForPreTraining": WeightTable(_ALBERT + _ALBERT_NEXT_SENTENCE, IN_ENCODER, _UNUSED),
    "AlbertForMaskedLM": WeightTable(_ALBERT, IN_ENCODER, _UNUSED),
    "ElectraForPreTraining": WeightTable(_DISCRIMINATOR, None, _UNUSED_OF_DISCRIMINATOR),
    "ElectraForMaskedLM": WeightTable(_GENERATOR, IN_ENCODER, _UNUSED_OF_GENERATOR),
}


def weights_of(config: BertConfig) -> list[Weight]:
    """Return the rows of the table with every layer written out, and the projection only if there is one."""
    first = _first_layer(config)
    rows = []
    for row in TABLES[config.architecture].rows:
        if config.has_projection or f"layer_with_weights-{PROJECTION}/" not in row.tf_name:
            count = config.num_hidden_layers if "{layer}" in row.tf_name else 1
            for layer in range(count):
                names = row.tf_name.replace("{layer}", str(first + layer)), row.hf_name.replace("{layer}", str(layer))
                rows.append(Weight(*names, row.shape))
    return rows


def word_embeddings_of(config: BertConfig) -> str:
    """Return the name of the word embeddings in `weights_of`."""
    return TABLES[config.architecture].rows[0].tf_name


def find_word_embeddings(names: Collection[str], config: BertConfig) -> str:
    """Return the name of the word embeddings in a checkpoint that has these names."""
    name, other = word_embeddings_of(config), TABLES[config.architecture].other_name
    return other if other is not None and other in names and name not in names else name


def is_next_sentence(tf_name: str) -> bool:
    """Return True for the weights of the next sentence head."""
    return tf_name.startswith((POOLER, OUTPUT_LAYER))


def reason_to_leave_out(name: str, config: BertConfig) -> str | None:
    """Return why a variable that no row names is not used, None if no checkpoint should have it."""
    layers = 1 if config.model_type == "albert" else config.num_hidden_layers
    pooler = str(_first_layer(config) + layers)
    for pattern, reason in TABLES[config.architecture].unused.items():
        if re.fullmatch(pattern.replace("{pooler}", pooler), name):
            return reason
    return None


def _first_layer(config: BertConfig) -> int:
    return PROJECTION + config.has_projection


def _sizes(config: BertConfig) -> dict[str, int]:
    return {
        "V": config.vocab_size,
        "E": config.embedding_width,
        "H": config.hidden_size,
        "I": config.intermediate_size,
        "P": config.max_position_embeddings,
        "T": config.type_vocab_size,
        "N": config.num_attention_heads,
        "D": config.head_size,
        "C": 2,
        "1": 1,
    }

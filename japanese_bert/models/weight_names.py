"""The name and shape of every weight of a trained model, in Model Garden's checkpoint, in Hugging Face's and in TF1's.

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
    """One variable: its names in the checkpoint, in the class of Transformers and in TF1, its shape in the checkpoint.

    Letters of `shape`: V vocabulary, E embedding, H hidden, I intermediate, P positions, T segment types, N heads,
    D head size, C classes, 1. A name with `{layer}` stands for one variable of every layer.
    """

    tf_name: str
    hf_name: str
    tf1_name: str
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

    def tf1_shape(self, config: BertConfig) -> tuple[int, ...]:
        """Return the shape in TF1: heads are joined, and only what is called a kernel there is [in, out]."""
        return self.hf_shape(config)[:: -1 if self.tf1_name.endswith("/kernel") else 1]

    def tf1_to_hf(self, array: np.ndarray) -> np.ndarray:
        """Return a variable of TF1 as PyTorch stores it."""
        return np.ascontiguousarray(array.T) if self.tf1_name.endswith("/kernel") else array

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


# A part has a prefix of names in each of the three: TF2's and TF1's end in "/", Transformers' in ".".
def _dense(tf_prefix: str, hf_prefix: str, tf1_prefix: str, inputs: str, outputs: str) -> tuple[Weight, ...]:
    kernel = Weight(f"{tf_prefix}kernel", f"{hf_prefix}weight", f"{tf1_prefix}kernel", f"{inputs} {outputs}")
    return kernel, Weight(f"{tf_prefix}bias", f"{hf_prefix}bias", f"{tf1_prefix}bias", outputs)


def _norm(tf_prefix: str, hf_prefix: str, tf1_prefix: str, size: str) -> tuple[Weight, ...]:
    names = (("gamma", "weight"), ("beta", "bias"))
    return tuple(Weight(tf_prefix + tf, hf_prefix + hf, tf1_prefix + tf, size) for tf, hf in names)


# Networks number all their layers. 0 to 3 are the three embeddings and their layer norm. 4 is the projection from
# embedding to hidden size, if these differ. The layers of the transformer and an untrained pooler follow.
PROJECTION = 4


def _embeddings(network: str, hf_prefix: str, tf1_prefix: str) -> tuple[Weight, ...]:
    """Return all but the word embeddings."""
    names = ((1, "position_embeddings", "P E"), (2, "token_type_embeddings", "T E"))
    return (
        *(
            Weight(f"{network}layer_with_weights-{n}/embeddings", f"{hf_prefix}{name}.weight", tf1_prefix + name, shape)
            for n, name, shape in names
        ),
        *_norm(f"{network}layer_with_weights-3/", f"{hf_prefix}LayerNorm.", f"{tf1_prefix}LayerNorm/", "E"),
    )


# A layer of the transformer: names in TF2's checkpoint, in Transformers' BERT and ALBERT, and in TF1's ALBERT. TF1's
# BERT has Transformers' names, with "/". Then inputs and outputs. A layer norm has no inputs.
_LAYER = (
    ("_attention_layer/_query_dense", "attention.self.query", "attention.query", "attention_1/self/query", "H", "N D"),
    ("_attention_layer/_key_dense", "attention.self.key", "attention.key", "attention_1/self/key", "H", "N D"),
    ("_attention_layer/_value_dense", "attention.self.value", "attention.value", "attention_1/self/value", "H", "N D"),
    (
        "_attention_layer/_output_dense",
        "attention.output.dense",
        "attention.dense",
        "attention_1/output/dense",
        "N D",
        "H",
    ),
    ("_attention_layer_norm", "attention.output.LayerNorm", "attention.LayerNorm", "LayerNorm", "", "H"),
    ("_intermediate_dense", "intermediate.dense", "ffn", "ffn_1/intermediate/dense", "H", "I"),
    ("_output_dense", "output.dense", "ffn_output", "ffn_1/intermediate/output/dense", "I", "H"),
    ("_output_layer_norm", "output.LayerNorm", "full_layer_layer_norm", "LayerNorm_1", "", "H"),
)


def _layer(tf_prefix: str, hf_prefix: str, tf1_prefix: str, is_albert: bool = False) -> list[Weight]:
    rows: list[Weight] = []
    for tf_name, bert_name, albert_name, tf1_albert_name, inputs, outputs in _LAYER:
        hf_name = albert_name if is_albert else bert_name
        tf1_name = tf1_albert_name if is_albert else bert_name.replace(".", "/")
        names = f"{tf_prefix}{tf_name}/", f"{hf_prefix}{hf_name}.", f"{tf1_prefix}{tf1_name}/"
        rows += _dense(*names, inputs, outputs) if inputs else _norm(*names, outputs)
    return rows


def _transform(head: str, hf_prefix: str, tf1_prefix: str) -> tuple[Weight, ...]:
    """Return the layers of a masked language model head before the word embeddings."""
    dense = _dense(f"{head}dense/", f"{hf_prefix}dense.", f"{tf1_prefix}dense/", "H", "E")
    return dense + _norm(f"{head}layer_norm/", f"{hf_prefix}LayerNorm.", f"{tf1_prefix}LayerNorm/", "E")


IN_HEAD, IN_ENCODER = "masked_lm/embedding_table", "encoder/layer_with_weights-0/embeddings"
POOLER, OUTPUT_LAYER = "next_sentence..pooler_dense/", "model/classification_heads/0/out_proj/"


def _next_sentence(pooler: str, output_layer: str) -> tuple[Weight, ...]:
    """Return the rows of the next sentence head by their names in Transformers. TF1 has its kernel transposed."""
    return (
        *_dense(POOLER, pooler, "bert/pooler/dense/", "H", "H"),
        Weight(f"{OUTPUT_LAYER}kernel", f"{output_layer}weight", "cls/seq_relationship/output_weights", "H C"),
        Weight(f"{OUTPUT_LAYER}bias", f"{output_layer}bias", "cls/seq_relationship/output_bias", "C"),
    )


_BERT = (
    Weight(IN_HEAD, "bert.embeddings.word_embeddings.weight", "bert/embeddings/word_embeddings", "V E"),
    *_embeddings("encoder/", "bert.embeddings.", "bert/embeddings/"),
    *_layer("encoder/layer_with_weights-{layer}/", "bert.encoder.layer.{layer}.", "bert/encoder/layer_{layer}/"),
    *_transform("masked_lm/", "cls.predictions.transform.", "cls/predictions/transform/"),
    Weight("masked_lm/output_bias.Sbias", "cls.predictions.bias", "cls/predictions/output_bias", "V"),
)
_BERT_NEXT_SENTENCE = _next_sentence("bert.pooler.dense.", "cls.seq_relationship.")
# All layers of an ALBERT share one set of weights.
_ALBERT_PROJECTION = "albert.encoder.embedding_hidden_mapping_in.", "bert/encoder/embedding_hidden_mapping_in/"
_ALBERT_LAYER = (
    "albert.encoder.albert_layer_groups.0.albert_layers.0.",
    "bert/encoder/transformer/group_0/inner_group_0/",
)
_ALBERT = (
    Weight(IN_HEAD, "albert.embeddings.word_embeddings.weight", "bert/embeddings/word_embeddings", "V E"),
    *_embeddings("encoder/", "albert.embeddings.", "bert/embeddings/"),
    *_dense(f"encoder/layer_with_weights-{PROJECTION}/", *_ALBERT_PROJECTION, "E", "H"),
    *_layer(f"encoder/layer_with_weights-{PROJECTION + 1}/", *_ALBERT_LAYER, is_albert=True),
    *_transform("masked_lm/", "predictions.", "cls/predictions/transform/"),
    Weight("masked_lm/output_bias.Sbias", "predictions.bias", "cls/predictions/output_bias", "V"),
)
_ALBERT_NEXT_SENTENCE = _next_sentence("albert.pooler.", "sop_classifier.classifier.")
_ELECTRA_WORDS = "electra.embeddings.word_embeddings.weight", "electra/embeddings/word_embeddings"


def _electra(network: str, tf1_network: str) -> tuple[Weight, ...]:
    """Return the rows of one of the two networks, which share the word embeddings. TF1's share all embeddings."""
    projection = "electra.embeddings_project.", f"{tf1_network}embeddings_project/"
    layer = "electra.encoder.layer.{layer}.", f"{tf1_network}encoder/layer_{{layer}}/"
    return (
        *_embeddings(network, "electra.embeddings.", "electra/embeddings/"),
        *_dense(f"{network}layer_with_weights-{PROJECTION}/", *projection, "E", "H"),
        *_layer(f"{network}layer_with_weights-{{layer}}/", *layer),
    )


_GENERATOR_NETWORK = "model/generator_network/"
_DISCRIMINATOR_HEAD = "discriminator_predictions.dense_prediction.", "discriminator_predictions/dense_1/"
_DISCRIMINATOR = (
    Weight(IN_ENCODER, *_ELECTRA_WORDS, "V E"),
    *_electra("encoder/", "electra/"),
    *_dense(
        "model/discriminator_projection/",
        "discriminator_predictions.dense.",
        "discriminator_predictions/dense/",
        "H",
        "H",
    ),
    *_dense("model/discriminator_head/", *_DISCRIMINATOR_HEAD, "H", "1"),
)
_GENERATOR = (
    Weight("model/masked_lm/embedding_table", *_ELECTRA_WORDS, "V E"),
    *_electra(_GENERATOR_NETWORK, "generator/"),
    *_transform("model/masked_lm/", "generator_predictions.", "generator_predictions/"),
    Weight("model/masked_lm/output_bias.Sbias", "generator_lm_head.bias", "generator_predictions/output_bias", "V"),
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
                names = row.hf_name.replace("{layer}", str(layer)), row.tf1_name.replace("{layer}", str(layer))
                rows.append(Weight(row.tf_name.replace("{layer}", str(first + layer)), *names, row.shape))
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


def own_pooler_of(config: BertConfig) -> str:
    """Return the name of the encoder's own pooler, the layer after the last one of the transformer."""
    layers = 1 if config.model_type == "albert" else config.num_hidden_layers
    return f"encoder/layer_with_weights-{_first_layer(config) + layers}"


def reason_to_leave_out(name: str, config: BertConfig) -> str | None:
    """Return why a variable that no row names is not used, None if no checkpoint should have it."""
    pooler = own_pooler_of(config).rpartition("-")[2]
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
        "D": config.hidden_size // config.num_attention_heads,
        "C": 2,
        "1": 1,
    }

"""The classes of Transformers that a trained model can become, as `architectures` of `config.json` names them.

A run of the trainer becomes one of them; one of ELECTRA becomes two, discriminator and generator. Nothing here needs
a package: other environments read this too (see frameworks.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Logits that are computed and compared: of masked tokens [instances, predictions, vocabulary], of the next sentence
# [instances, 2], of "this token was replaced" [instances, tokens].
MASKED, NEXT_SENTENCE, REPLACED = "masked", "next_sentence", "replaced"


@dataclass(frozen=True, slots=True)
class Architecture:
    """`kind` is what the model is called in text; `logits` are the attributes of the class's output, in its order."""

    model_type: str
    kind: str
    logits: Mapping[str, str]

    @property
    def has_next_sentence(self) -> bool:
        return NEXT_SENTENCE in self.logits

    @property
    def predicts_tokens(self) -> bool:
        return MASKED in self.logits

    @property
    def is_factorized(self) -> bool:
        """Word embeddings may have a size of their own."""
        return self.model_type != "bert"

    def describe(self) -> str:
        """`BERT without next sentence head`"""
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
    """Those to choose from, the first one for a `config.json` that names none (ELECTRA must name its half)."""
    return [name for name, item in ARCHITECTURES.items() if item.model_type == model_type]

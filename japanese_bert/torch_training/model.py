"""Transformers' BERT with the losses of Model Garden's pretraining. Logits are computed at masked positions only.

The names of the weights stay those of `BertForPreTraining`, or of `BertForMaskedLM` without next sentences.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig as TransformersConfig
from transformers import BertForMaskedLM, BertForPreTraining

from japanese_bert.models.config import LAYER_NORM_EPS, BertConfig
from japanese_bert.torch_training.parameters import Model

TIED = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")


class Sums(IntEnum):
    """What is added up over sequences. A forward pass returns the first four."""

    LM_LOSS = 0
    LM_CORRECT = 1
    NEXT_SENTENCE_LOSS = 2
    NEXT_SENTENCE_CORRECT = 3
    PREDICTIONS = 4
    SEQUENCES = 5


class _Pretraining:
    """The forward pass of both classes."""

    bert: Any
    cls: Any
    training: bool
    head_dropout: float

    def forward(
        self,
        input_ids,
        token_type_ids,
        attention_mask,
        masked_positions,
        masked_lm_labels,
        next_sentence_labels=None,
    ) -> torch.Tensor:
        """Return `Sums` without its counts. Positions count from the first token of the batch, [batch * length]."""
        outputs = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        masked = outputs[0].flatten(0, 1).index_select(0, masked_positions)
        found = _loss_and_correct(self.cls.predictions(masked), masked_lm_labels)
        if next_sentence_labels is None:
            next_sentence = torch.zeros_like(found)
        else:
            pooled = functional.dropout(outputs[1], self.head_dropout, self.training)
            next_sentence = _loss_and_correct(self.cls.seq_relationship(pooled), next_sentence_labels)
        return torch.cat([found, next_sentence])


class PretrainingWithNextSentence(_Pretraining, BertForPreTraining):
    """BertForPreTraining."""


class PretrainingWithoutNextSentence(_Pretraining, BertForMaskedLM):
    """BertForMaskedLM."""


def with_counts(sums: torch.Tensor, batches: Sequence[Mapping[str, torch.Tensor]]) -> torch.Tensor:
    """Return all `Sums` of some micro-batches. Counts are no part of the compiled model: it would depend on them."""
    counts = [sum(len(batch[name]) for batch in batches) for name in ("masked_lm_labels", "input_ids")]
    return torch.cat([sums, sums.new_tensor([float(count) for count in counts])])


def _loss_and_correct(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the sum of the cross entropy in float32, and how often the largest logit is right."""
    logits = logits.float()
    correct = (logits.detach().argmax(-1) == labels).sum().float()
    return torch.stack([functional.cross_entropy(logits, labels, reduction="sum"), correct])


def make_model(config: BertConfig, params: Model) -> PretrainingWithNextSentence | PretrainingWithoutNextSentence:
    """Return a model with random weights, drawn as Model Garden draws them."""
    has_next_sentence = config.architecture == "BertForPreTraining"
    sizes = {
        name: getattr(config, name) for name in BertConfig.__slots__ if name not in ("architecture", "embedding_size")
    }
    # One kernel for gelu_new: a step of a small model on CPUs takes 4% less time.
    made_of = TransformersConfig(**sizes, hidden_act="gelu_pytorch_tanh", layer_norm_eps=LAYER_NORM_EPS)
    model = (PretrainingWithNextSentence if has_next_sentence else PretrainingWithoutNextSentence)(made_of)
    model.head_dropout = params.cls_heads[0].dropout_rate if has_next_sentence else 0.0
    for name, weight in model.named_parameters():
        if name.startswith(("bert.pooler.", "cls.seq_relationship.")) and weight.ndim == 2:
            nn.init.xavier_uniform_(weight)
        elif weight.ndim == 2:
            rate = params.mlm_initializer_range if name.startswith("cls.") else config.initializer_range
            nn.init.trunc_normal_(weight, std=rate, a=-2 * rate, b=2 * rate)
    return model


def load_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Set every weight of a model. A head that the model lacks is left out."""
    names = model.state_dict().keys() - set(TIED)
    found = {name: torch.from_numpy(array) for name, array in weights.items() if name in names}
    left = model.load_state_dict(found, strict=False)
    missing = [name for name in left.missing_keys if name not in TIED]
    if missing:
        raise ValueError(f"no weight {missing[0]} for the model of --config_file")


def weights_to_save(model: nn.Module) -> dict[str, np.ndarray]:
    """Return the weights as a Hugging Face directory stores them: without the decoder, which is tied."""
    return {name: array.cpu().numpy() for name, array in model.state_dict().items() if name not in TIED}

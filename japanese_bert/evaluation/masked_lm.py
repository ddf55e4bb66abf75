"""A model directory of Transformers -> the loss of each hidden token, and whether it is found.

The head computes hidden positions only. It takes most of the time of a small model: a vocabulary of 32,768 tokens costs
as much at one position as ten layers of 128.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers

from japanese_bert.jglue.features import takes_segments
from japanese_bert.jglue.fine_tuning import load_tokenizer
from japanese_bert.models.config import num_positions

TOKENS_AT_ONCE = 4096


class MaskedSequence(NamedTuple):
    """A sequence with its special tokens. The tokens at the positions `hidden` become [MASK] and are asked for."""

    token_ids: Sequence[int]
    token_type_ids: Sequence[int]
    hidden: Sequence[int]


class Answer(NamedTuple):
    """Loss (nats) and correctness of each hidden token. `next_sentence` is a label, or None without such a head."""

    losses: np.ndarray
    is_correct: np.ndarray
    next_sentence: int | None


class MaskedLM:
    """A model with its tokenizer, on a GPU if there is one."""

    def __init__(self, model_dir: Path) -> None:
        """Load the model.

        Raises:
            ValueError: it has no masked LM head.
        """
        self.tokenizer = load_tokenizer(model_dir, trust_remote_code=False)
        config = transformers.AutoConfig.from_pretrained(model_dir, trust_remote_code=False)
        self.has_next_sentence = config.architectures == ["BertForPreTraining"]
        model_class = (
            transformers.AutoModelForPreTraining if self.has_next_sentence else transformers.AutoModelForMaskedLM
        )
        self._model, found = model_class.from_pretrained(
            model_dir, trust_remote_code=False, output_loading_info=True
        )  # fmt: skip
        if found["missing_keys"]:
            raise ValueError(f"{model_dir}: has no weight {min(found['missing_keys'])}. Expected a masked LM")
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.float().eval().to(self._device)
        self._model.base_model.register_forward_hook(self._keep_hidden)
        self._has_segments = takes_segments(self._model)
        self._places: tuple[torch.Tensor, torch.Tensor]
        longest = self.tokenizer.model_max_length
        self.max_seq_length = min(longest, num_positions(config) or longest)

    def _keep_hidden(self, module, inputs, outputs):
        """Leave only the hidden positions of the last layer to the head: [hidden tokens, hidden_size]."""
        outputs["last_hidden_state"] = outputs["last_hidden_state"][self._places]
        return outputs

    def answer(self, sequences: Iterable[MaskedSequence], tokens_at_once: int = TOKENS_AT_ONCE) -> Iterator[Answer]:
        """Yield the answer of each sequence. Those of one batch follow each other: give similar lengths in turn."""
        batch: list[MaskedSequence] = []
        longest = 0
        for sequence in sequences:
            longest = max(longest, len(sequence.token_ids))
            if batch and longest * (len(batch) + 1) > tokens_at_once:
                yield from self._answer_batch(batch)
                batch, longest = [], len(sequence.token_ids)
            batch.append(sequence)
        if batch:
            yield from self._answer_batch(batch)

    @torch.inference_mode()
    def _answer_batch(self, batch: list[MaskedSequence]) -> list[Answer]:
        lengths = [len(sequence.token_ids) for sequence in batch]
        inputs = {name: torch.zeros(len(batch), max(lengths), dtype=torch.long) for name in _INPUTS}
        inputs["input_ids"] += self.tokenizer.pad_token_id
        for row, (sequence, length) in enumerate(zip(batch, lengths, strict=True)):
            for name, values in zip(_INPUTS, (*sequence[:2], [1] * length), strict=True):
                inputs[name][row, :length] = torch.tensor(values)
        counts = [len(sequence.hidden) for sequence in batch]
        rows = torch.arange(len(batch)).repeat_interleave(torch.tensor(counts))
        places = [place for sequence in batch for place in sequence.hidden]
        self._places = rows, torch.tensor(places, dtype=torch.long)
        labels = inputs["input_ids"][self._places]
        inputs["input_ids"][self._places] = self.tokenizer.mask_token_id
        if not self._has_segments:
            del inputs["token_type_ids"]
        output = self._model(**{name: tensor.to(self._device) for name, tensor in inputs.items()})
        return _split(output, labels.to(self._device), counts)


_INPUTS = ("input_ids", "token_type_ids", "attention_mask")


def _split(output: Any, labels: torch.Tensor, counts: Sequence[int]) -> list[Answer]:
    """Return the answers of a batch. `counts` are the hidden tokens of its sequences."""
    has_next_sentence = "seq_relationship_logits" in output
    logits = (output["prediction_logits"] if has_next_sentence else output["logits"]).float()
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").cpu().numpy()
    is_correct = (logits.argmax(-1) == labels).cpu().numpy()
    next_sentences = (
        output["seq_relationship_logits"].argmax(-1).tolist() if has_next_sentence else [None] * len(counts)
    )
    ends = np.cumsum(counts)[:-1]
    return [*map(Answer, np.split(losses, ends), np.split(is_correct, ends), next_sentences)]

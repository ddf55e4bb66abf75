"""Random instances of a data set as text for people: which tokens were masked, kept or replaced, and what they were."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from japanese_bert.inspection.counting import PIECE_PREFIX, TokenTable
from japanese_bert.pretraining_data.reading import InstanceBlock
from japanese_bert.tokenization.vocab import CLS, PAD, SEP

MASKED, KEPT, REPLACED, UNKNOWN, ANSWER, PLAIN = "masked", "kept", "replaced", "unknown", "answer", ""
OUTSIDE = "[outside of the vocabulary]"


@dataclass(frozen=True, slots=True)
class Sample:
    """One instance. `number` is its record in the file, from 1. `labels` are those of fine-tuning data."""

    file: str
    number: int
    ids: np.ndarray
    segment_ids: np.ndarray
    predictions: dict[int, int]  # position -> id of the label
    next_sentence: int
    labels: np.ndarray


@dataclass(frozen=True, slots=True)
class TextPart:
    """Some text of an instance, and what happened to it. `label` is the text before masking."""

    text: str
    kind: str
    label: str = ""


class Sampler:
    """A uniform random choice of `size` instances of all that it is given, the same in every run."""

    def __init__(self, size: int, seed: int = 12345) -> None:
        self._size = size
        self._numbers = np.random.default_rng(seed)
        self._chosen: list[tuple[float, Sample]] = []

    def add(self, block: InstanceBlock, labels: np.ndarray, file: str, first: int) -> None:
        """Give it instances number `first`, ... of a file."""
        if not self._size:
            return
        keys = self._numbers.random(len(block))
        limit = self._chosen[-1][0] if len(self._chosen) == self._size else 1.0
        for row in np.flatnonzero(keys < limit):
            self._chosen.append((float(keys[row]), _sample(block, labels, int(row), file, first)))
        self._chosen = sorted(self._chosen, key=lambda pair: pair[0])[: self._size]

    def samples(self) -> list[Sample]:
        """Return the chosen instances in the order of the files."""
        return sorted((sample for _, sample in self._chosen), key=lambda sample: (sample.file, sample.number))


def _sample(block: InstanceBlock, labels: np.ndarray, row: int, file: str, first: int) -> Sample:
    tokens = slice(*block.offsets[row : row + 2])
    predictions = slice(*block.prediction_offsets[row : row + 2])
    pairs = zip(block.positions[predictions].tolist(), block.labels[predictions].tolist(), strict=True)
    return Sample(
        file,
        first + row + 1,
        block.token_ids[tokens].copy(),
        block.segment_ids[tokens].copy(),
        dict(pairs),
        int(block.next_sentence_labels[row]),
        labels[row].copy() if len(labels) else labels,
    )


def segments(sample: Sample, table: TokenTable) -> list[list[TextPart]]:
    """Return the parts of segment A and, if there is one, of segment B. [CLS], [SEP] and padding are left out."""
    parts: list[list[TextPart]] = [[], []]
    skipped = {table.vocab.ids[token] for token in (CLS, SEP, PAD)}
    for position, (token, segment) in enumerate(zip(sample.ids.tolist(), sample.segment_ids.tolist(), strict=True)):
        if token not in skipped or position in sample.predictions:
            parts[segment].append(_text_part(sample, position, token, table))
    return [list(_joined(found)) for found in parts if found]


def _text_part(sample: Sample, position: int, token: int, table: TokenTable) -> TextPart:
    label = sample.predictions.get(position)
    if label is None:
        is_answer = len(sample.labels) and sample.labels[2] <= position <= sample.labels[3]
        return TextPart(
            _token_text(token, table), ANSWER if is_answer else UNKNOWN if token == table.unknown else PLAIN
        )
    kind = MASKED if token == table.mask else KEPT if token == label else REPLACED
    return TextPart(_token_text(token, table), kind, _token_text(label, table))


def _token_text(token: int, table: TokenTable) -> str:
    return table.vocab.tokens[token] if token < len(table.vocab) else OUTSIDE


def _joined(parts: list[TextPart]) -> Iterator[TextPart]:
    """Yield the parts without the signs of pieces. Plain ones are joined. Latin words get a space between them."""
    spaced = []
    for before, part in zip([TextPart("", PLAIN), *parts], parts, strict=False):
        is_piece = (part.label or part.text).startswith(PIECE_PREFIX)
        needs_space = not is_piece and is_latin((before.label or before.text)[-1:] + (part.label or part.text)[:1])
        text, label = (text.removeprefix(PIECE_PREFIX) for text in (part.text, part.label))
        spaced += [TextPart(" ", PLAIN)] * needs_space + [TextPart(text, part.kind, label)]
    for kind, group in groupby(spaced, key=lambda part: part.kind):
        if kind in (PLAIN, ANSWER):
            yield TextPart("".join(part.text for part in group), kind)
        else:
            yield from group


def is_latin(pair: str) -> bool:
    """Return True for two letters or digits of Latin text, which a space may have been between."""
    return len(pair) == 2 and pair.isascii() and pair.isalnum()

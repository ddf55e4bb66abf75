"""Blocks of instances -> counts and distributions of a data set. Masked tokens are counted as what they were before.

A word is a token and the `##` tokens after it, as far as a segment goes. So words are only seen in WordPiece data.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.inspection.characters import SCRIPTS, WRONG_ENCODING, WRONG_SHARE, script_of
from japanese_bert.pretraining_data.reading import InstanceBlock
from japanese_bert.pretraining_data.word_table import HASH_PRIME, HASH_START
from japanese_bert.tokenization.vocab import CLS, MASK, PAD, SEP, UNK, Vocab

PIECE_PREFIX = "##"


class TokenTable:
    """What is known of each token of a vocabulary. The last row stands for all ids outside of it."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab
        self.mask, self.unknown = vocab.ids[MASK], vocab.ids[UNK]
        tokens = (*vocab.tokens, "")
        self.is_piece = np.array([token.startswith(PIECE_PREFIX) and token != PIECE_PREFIX for token in tokens])
        self.is_special = np.isin(np.arange(len(tokens)), [vocab.ids[token] for token in (PAD, CLS, SEP, MASK)])
        self.is_wrong = np.array([bool(set(token) & set(WRONG_ENCODING)) for token in tokens])
        self.is_real = np.isin(np.arange(len(tokens)), vocab.real_token_ids())
        texts = [
            token.removeprefix(PIECE_PREFIX) if real else "" for token, real in zip(tokens, self.is_real, strict=True)
        ]
        self.is_capital = np.array([text != text.lower() for text in texts])
        self.is_small = np.array([text != text.upper() for text in texts])
        self.scripts = np.array([[text_scripts(text)[name] for name in SCRIPTS] for text in texts])


def text_scripts(text: str) -> Counter[str]:
    """Return how many characters of a text belong to each script."""
    return Counter(map(script_of, text))


@dataclass(slots=True)
class DataCounts:
    """The counts of a data set. A histogram has the number of instances (or words) with value i in place i."""

    table: TokenTable
    totals: Counter[str] = field(default_factory=Counter)
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # tokens of an instance
    seq_lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # padding included
    predictions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # of an instance
    word_lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # tokens of a word
    tokens: np.ndarray = field(init=False)  # of each id

    def __post_init__(self) -> None:
        self.tokens = np.zeros(len(self.table.is_piece), np.int64)

    def add(self, block: InstanceBlock) -> tuple[np.ndarray, np.ndarray]:
        """Count the instances of a block. Return two hashes of each: of its text, and of text and masks."""
        lengths, masked = block.lengths, masked_places(block)
        originals = unmasked(block)
        ids = np.minimum(originals, len(self.table.vocab))
        self.lengths = added(self.lengths, lengths)
        self.seq_lengths = added(self.seq_lengths, block.seq_lengths)
        self.predictions = added(self.predictions, np.diff(block.prediction_offsets))
        self.tokens += np.bincount(ids, minlength=len(self.tokens))
        inputs = block.token_ids[masked]
        self.totals.update(
            instances=len(block),
            tokens=len(originals),
            slots=int(block.seq_lengths.sum()),
            masked_tokens=len(masked),
            replaced_by_mask=int((inputs == self.table.mask).sum()),
            kept=int((inputs == block.labels).sum()),
            without_predictions=int((np.diff(block.prediction_offsets) == 0).sum()),
            labelled=int((block.next_sentence_labels >= 0).sum()),
            random_next=int((block.next_sentence_labels == 1).sum()),
            wrong_encoding=int(
                (np.add.reduceat(self.table.is_wrong[ids], block.offsets[:-1]) > WRONG_SHARE * lengths).sum()
            ),
        )
        self._count_words(ids, block.offsets, masked)
        return hash_block(block, originals)

    def _count_words(self, ids: np.ndarray, offsets: np.ndarray, masked: np.ndarray) -> None:
        is_special = self.table.is_special[ids]
        is_start = ~self.table.is_piece[ids]
        is_start[1:] |= is_special[:-1]
        is_start[offsets[:-1]] = True
        starts = np.flatnonzero(is_start)
        lengths = np.diff(np.append(starts, len(ids)))
        num_masked = np.bincount(np.cumsum(is_start)[masked] - 1, minlength=len(starts))
        is_long = (num_masked > 0) & (lengths > 1)
        self.totals["masked_long_words"] += int(is_long.sum())
        self.totals["whole_words"] += int((num_masked == lengths)[is_long].sum())
        self.word_lengths = added(self.word_lengths, lengths[~is_special[starts]])

    def scripts(self) -> dict[str, int]:
        """Return how many characters of each script the tokens have."""
        return dict(zip(SCRIPTS, map(int, self.tokens @ self.table.scripts), strict=True))


def masked_places(block: InstanceBlock) -> np.ndarray:
    """Return where the predicted tokens are among all tokens of a block."""
    return np.repeat(block.offsets[:-1], np.diff(block.prediction_offsets)) + block.positions


def unmasked(block: InstanceBlock) -> np.ndarray:
    """Return the ids before they were masked."""
    ids = block.token_ids.copy()
    ids[masked_places(block)] = block.labels
    return ids


def added(histogram: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a histogram with more values in it."""
    counts = np.bincount(values, minlength=len(histogram))
    counts[: len(histogram)] += histogram
    return counts


def quantile(histogram: np.ndarray, share: float) -> int:
    """Return the smallest value that at least this share of all values does not exceed."""
    sums = np.cumsum(histogram)
    return int(np.searchsorted(sums, max(1, np.ceil(share * sums[-1])))) if len(sums) and sums[-1] else 0


def hash_block(block: InstanceBlock, originals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return hashes of the text of each instance, and of text, masks and label."""
    hashes = np.empty((2, len(block)), np.uint64)
    hash_instances(
        (originals, block.token_ids, block.segment_ids, block.offsets),
        (block.positions, block.prediction_offsets, block.next_sentence_labels),
        hashes,
    )
    return hashes[0], hashes[1]


@kernel
def hash_instances(tokens, predictions, hashes):
    originals, inputs, segments, offsets = tokens
    positions, prediction_offsets, labels = predictions
    for row in range(len(offsets) - 1):
        text = whole = HASH_START
        for index in range(offsets[row], offsets[row + 1]):
            text = (text ^ np.uint64(originals[index] << 1 | segments[index])) * HASH_PRIME
            whole = (whole ^ np.uint64(inputs[index])) * HASH_PRIME
        for index in range(prediction_offsets[row], prediction_offsets[row + 1]):
            whole = (whole ^ np.uint64(positions[index])) * HASH_PRIME
        whole = (whole ^ np.uint64(labels[row] + 1) ^ text) * HASH_PRIME
        hashes[0, row] = text ^ text >> np.uint64(32)
        hashes[1, row] = whole ^ whole >> np.uint64(29)

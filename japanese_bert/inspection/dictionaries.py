"""Sampled instances -> do their words end where MeCab ends them? So no record of the dictionary is needed.

Measured on novels: 99.7% of the boundaries agree if the data was made with this dictionary (unidic_lite), and 92% if it
was made with another one (ipadic). They are never all the same: spaces and the ends of sentences are lost.
"""

from collections.abc import Sequence
from itertools import pairwise

from japanese_bert.inspection.counting import PIECE_PREFIX, TokenTable
from japanese_bert.inspection.samples import Sample, is_latin
from japanese_bert.tokenization.words import WordSplitter

ENOUGH_BOUNDARIES = 500
USUAL_AGREEMENT = 0.97


def boundary_agreement(samples: Sequence[Sample], table: TokenTable, splitter: WordSplitter) -> float | None:
    """Return the share of word boundaries that both have, None if the vocabulary has no pieces or there are few words.

    Segments with an unknown token are left out. So is the rest of a word at the start of a segment.
    """
    common = different = 0
    for sample in samples if table.is_piece.any() else ():
        for words in _words_of(sample, table):
            text = "".join(words[:1] + [" " * is_latin(a[-1] + b[0]) + b for a, b in pairwise(words)])
            found, expected = _ends(words), _ends(splitter.split(text))
            common += len(found & expected)
            different += len(found ^ expected)
    return common / (common + different) if common + different >= ENOUGH_BOUNDARIES else None


def _words_of(sample: Sample, table: TokenTable) -> list[list[str]]:
    """Return the words of each segment before they were masked."""
    segments: list[list[str]] = [[], []]
    is_readable = [True, True]
    for position, (token, segment) in enumerate(zip(sample.ids.tolist(), sample.segment_ids.tolist(), strict=True)):
        token = sample.predictions.get(position, token)
        if token >= len(table.vocab) or token == table.unknown:
            is_readable[segment] = False
        elif not table.is_piece[token]:
            segments[segment] += [""] if table.is_special[token] else [table.vocab.tokens[token]]
        elif segments[segment] and segments[segment][-1]:
            segments[segment][-1] += table.vocab.tokens[token].removeprefix(PIECE_PREFIX)
    return [[word for word in words if word] for words, is_good in zip(segments, is_readable, strict=True) if is_good]


def _ends(words: Sequence[str]) -> set[int]:
    """Return where words end, in characters without spaces."""
    ends, position = set(), 0
    for word in words:
        position += len(word)
        ends.add(position)
    return ends

"""Quality of documents: what is measured of each, and the rules that drop one, in one table.

The rules follow C4 (Raffel et al. 2020), Gopher (Rae et al. 2021, table A1), Swallow (Okazaki et al. 2024), the NWJC
toolkit and HojiChar. These count words. Here everything is in characters or sentences, so no rule needs MeCab.
Compiled code measures a block of documents at once, at some 100 MB/s.
"""

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.random_streams import mix

NGRAM = 20  # characters: about Gopher's 10 words
FACTOR = np.uint64(0x9E3779B97F4A7C15)
LINE_ENDS = "。．.!?！？…‥」』)）]］】〉》〕”\"'♪"


class Kind(IntEnum):
    """The class of a character."""

    OTHER = 0  # letters of other scripts
    HIRAGANA = 1
    KATAKANA = 2
    KANJI = 3
    LATIN = 4
    PUNCTUATION = 5  # of Japanese sentences
    SYMBOL = 6  # also digits


# What is counted of a document: all characters without line ends, those of each kind, sentences, and the parts below.
MEASURE = np.dtype(
    [("characters", np.int64), ("kinds", np.int64, len(Kind))]
    + [
        (name, np.int64)
        for name in ("sentences", "sentences_cut", "without_end", "in_repeated_lines", "in_repeated_ngrams")
    ]
)


@cache
def kind_table() -> np.ndarray:
    """Return the kind of each character up to U+FFFF, and of all others in the last place: a kanji or an emoji."""
    table = np.full(0x10001, Kind.SYMBOL, np.uint8)
    for code in range(0x10000):
        if chr(code).isalpha():
            table[code] = Kind.LATIN if code < 0x250 or 0xFF21 <= code <= 0xFF5A else Kind.OTHER
    for start, end, kind in (
        (0x3041, 0x3097, Kind.HIRAGANA), (0x309D, 0x30A0, Kind.HIRAGANA), (0x30A1, 0x3100, Kind.KATAKANA),
        (0x31F0, 0x3200, Kind.KATAKANA), (0xFF66, 0xFFA0, Kind.KATAKANA), (0x3400, 0x4DC0, Kind.KANJI),
        (0x4E00, 0xA000, Kind.KANJI), (0xF900, 0xFB00, Kind.KANJI), (0x3001, 0x3004, Kind.PUNCTUATION),
        (0x3008, 0x3012, Kind.PUNCTUATION), (0x10000, 0x10001, Kind.KANJI),
    ):  # fmt: skip
        table[start:end] = kind
    for character in "々ー・ .,!?()[]'\"，．！？（）「」『』…―":
        table[ord(character)] = {"々": Kind.KANJI, "ー": Kind.KATAKANA}.get(character, Kind.PUNCTUATION)
    return table


@cache
def end_table() -> np.ndarray:
    """Return 1 for each character that ends a sentence, and 2 for one that says that it is cut."""
    table = np.zeros(0x10001, np.uint8)
    for character in LINE_ENDS:
        table[ord(character)] = 2 if character in "…‥" else 1
    return table


class Rule(NamedTuple):
    """A rule that drops a document if its value is below `web` or `strict` (or above, if `is_most`)."""

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    is_most: bool
    web: float
    strict: float


def japanese_share(measures: np.ndarray) -> np.ndarray:
    """Return the share of kana, kanji and Japanese punctuation."""
    kinds = measures["kinds"]
    japanese = kinds[:, [Kind.HIRAGANA, Kind.KATAKANA, Kind.KANJI, Kind.PUNCTUATION]].sum(axis=1)
    return japanese / measures["characters"]


def hiragana_share(measures: np.ndarray) -> np.ndarray:
    """Return the share of hiragana. Lists of names and keywords have few."""
    return measures["kinds"][:, Kind.HIRAGANA] / measures["characters"]


def katakana_share(measures: np.ndarray) -> np.ndarray:
    """Return the share of katakana. Lists of goods have many."""
    return measures["kinds"][:, Kind.KATAKANA] / measures["characters"]


def symbol_share(measures: np.ndarray) -> np.ndarray:
    """Return the share of symbols and digits."""
    return measures["kinds"][:, Kind.SYMBOL] / measures["characters"]


def number_of_sentences(measures: np.ndarray) -> np.ndarray:
    """Return the sentences of each document."""
    return measures["sentences"]


def share_without_end(measures: np.ndarray) -> np.ndarray:
    """Return the share of characters in sentences that end without a full stop, a bracket or the like."""
    return measures["without_end"] / measures["characters"]


def share_of_cut_sentences(measures: np.ndarray) -> np.ndarray:
    """Return the share of sentences that end in `…`, as those of teasers do."""
    return measures["sentences_cut"] / measures["sentences"]


def share_in_repeated_lines(measures: np.ndarray) -> np.ndarray:
    """Return the share of characters in sentences that were there before in the document."""
    return measures["in_repeated_lines"] / measures["characters"]


def share_in_repeated_ngrams(measures: np.ndarray) -> np.ndarray:
    """Return the share of characters in runs of 20 that were there before in the document."""
    return measures["in_repeated_ngrams"] / measures["characters"]


# The first rule that a document breaks counts its characters.  Sources of the thresholds: docs/own_corpus.md.
QUALITY_RULES = (
    Rule("few_japanese", japanese_share, False, 0.5, 0.7),
    Rule("few_hiragana", hiragana_share, False, 0.05, 0.2),
    Rule("many_katakana", katakana_share, True, 0.7, 0.5),
    Rule("many_symbols", symbol_share, True, 0.4, 0.25),
    Rule("few_sentences", number_of_sentences, False, 2, 3),
    Rule("no_ends", share_without_end, True, 0.9, 0.5),
    Rule("cut_sentences", share_of_cut_sentences, True, 0.3, 0.2),
    Rule("repeated_lines", share_in_repeated_lines, True, 0.3, 0.2),
    Rule("repeated_ngrams", share_in_repeated_ngrams, True, 0.4, 0.25),
)
PRESETS = ("none", "web", "strict")
# Rules that are not shares of one document.
LISTED_WORDS = {"web": 3, "strict": 1}  # occurrences of words of --listed_words that drop a document
BOILERPLATE = {"web": 10, "strict": 5}  # documents with the same line. It is dropped from all of them
BOILERPLATE_LENGTH = 15  # characters. Shorter lines recur in good text: 「そうですか。」


def broken_rules(measures: np.ndarray, preset: str) -> np.ndarray:
    """Return for each document the number of the first rule that it breaks, or -1."""
    broken = np.full(len(measures), -1)
    for number, rule in reversed(list(enumerate(QUALITY_RULES))):
        value, limit = rule.value(measures), getattr(rule, preset)
        broken[value > limit if rule.is_most else value < limit] = number
    return broken


def word_pattern(words: Sequence[str]) -> re.Pattern:
    """Return a pattern for any of the words, the longest first."""
    firsts = "".join(sorted({word[0] for word in words}))
    one_of = "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
    return re.compile(f"(?=[{re.escape(firsts)}])(?:{one_of})")


def measure_documents(codes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return one MEASURE for each document. `codes[ends[n - 1]:ends[n]]` are its characters, a line end after each
    sentence."""
    measures = np.zeros(len(ends), MEASURE)
    longest = int(np.diff(ends, prepend=0).max(initial=1))
    slots = 1 << (2 * longest).bit_length()
    table, stamps = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
    _measure(codes, ends, kind_table(), end_table(), table, stamps, measures)
    return measures


@kernel
def _measure(codes, ends, kinds, line_ends, table, stamps, measures):
    start = 0
    for number in range(len(ends)):
        measure = measures[number]
        stop = ends[number]
        _measure_sentences(codes, start, stop, kinds, line_ends, table, stamps, 2 * number + 1, measure)
        measure["in_repeated_ngrams"] = _repeated_ngrams(codes, start, stop, table, stamps, 2 * number + 2)
        start = stop


@kernel
def _measure_sentences(codes, start, stop, kinds, line_ends, table, stamps, stamp, measure):
    """Count kinds, sentences, their ends, and the sentences that were there before."""
    first, value = start, np.uint64(0)
    for position in range(start, stop):
        code = _capped(codes[position])
        if code != 10:
            measure["characters"] += 1
            measure["kinds"][kinds[code]] += 1
            value = mix(value + np.uint64(code))
            continue
        end = line_ends[_capped(codes[position - 1])]
        measure["sentences"] += 1
        measure["sentences_cut"] += end == 2
        measure["without_end"] += (position - first) * (end == 0)
        measure["in_repeated_lines"] += (position - first) * _was_there(value, table, stamps, stamp)
        first, value = position + 1, np.uint64(0)


@kernel
def _capped(code):
    """Return the place of a character in the tables."""
    return np.int64(code) if code < 0x10000 else np.int64(0x10000)


@kernel
def _repeated_ngrams(codes, start, stop, table, stamps, stamp):
    """Return how many characters stand in an n-gram that was there before in the document."""
    power = np.uint64(1)
    for _ in range(NGRAM):
        power = power * FACTOR
    rolling, size, covered, covered_to = np.uint64(0), 0, 0, start
    for position in range(start, stop):
        if codes[position] == 10:
            continue
        rolling = rolling * FACTOR + np.uint64(codes[position])
        size += 1
        if size > NGRAM:
            rolling -= power * np.uint64(codes[_back(codes, position, NGRAM)])
        if size >= NGRAM and _was_there(mix(rolling), table, stamps, stamp):
            covered += min(NGRAM, size - covered_to + start)
            covered_to = size + start
    return covered


@kernel
def _back(codes, position, count):
    """Return the position `count` characters before this one, without line ends."""
    while count:
        position -= 1
        count -= codes[position] != 10
    return position


@kernel
def _was_there(value, table, stamps, stamp):
    """Return whether the value is in the table with this stamp, and put it there. Other stamps count as free."""
    mask = np.uint64(len(table) - 1)
    slot = value & mask
    while stamps[slot] == stamp:
        if table[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & mask
    table[slot] = value
    stamps[slot] = stamp
    return False

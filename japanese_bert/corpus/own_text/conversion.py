"""Texts -> documents of clean sentences, in blocks for worker processes, with counts of everything that is dropped.

`characters_in` is `characters_out` plus all of `dropped_characters`, for each document alone as well. A paragraph is a
line of the text. Its sentences are split as those of Wikipedia are.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from japanese_bert.corpus.own_text import quality, signatures
from japanese_bert.corpus.own_text.markup import drop_markup
from japanese_bert.corpus.own_text.sources import SourceBlock, SourceOptions, TextRow, read_rows
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.corpus.wikipedia.sentences import drop_unprintable, fold_spaces, split_sentences

# A document holds paragraphs, which hold sentences. `size` is in bytes with line ends.
PARAGRAPH = np.dtype([("hash", np.uint64), ("size", np.uint32), ("characters", np.uint32), ("sentences", np.uint32)])
PREPARED = np.dtype([("hash", np.uint64), ("paragraphs", np.uint32)])
_LINE_END = re.compile("[\n\r\u2028\u2029]")
_OTHER_SPACE = re.compile(r"[^\S ]")
_WIDE = re.compile("[！-～]+")
_NARROW = {code: code - 0xFEE0 for code in range(ord("！"), ord("～") + 1)}
_MARK = re.compile("[。．.!?！？]")
_TAIL = "。．.!?！？" + "」』)]}】〉》〕”）］｝ "


@dataclass(frozen=True)
class ConversionOptions:
    """What becomes of a text. Lengths are of sentences, in characters."""

    min_length: int
    max_length: int
    markup_rules: Sequence[str] = ()
    preset: str = "none"
    listed_words: Sequence[str] = ()


@dataclass(slots=True)
class PreparedBlock:
    """The documents of some rows: text, PREPARED, PARAGRAPH and signatures. `corrupt` names each row without text."""

    text: bytes = b""
    documents: np.ndarray = field(default_factory=lambda: np.empty(0, PREPARED))
    paragraphs: np.ndarray = field(default_factory=lambda: np.empty(0, PARAGRAPH))
    signatures: np.ndarray = field(default_factory=lambda: np.empty((0, signatures.NUM_HASHES), np.uint8))
    counts: Counter = field(default_factory=Counter)
    dropped_documents: Counter = field(default_factory=Counter)
    dropped_characters: Counter = field(default_factory=Counter)
    corrupt: list[str] = field(default_factory=list)

    def add_counts(self, other: "PreparedBlock") -> None:
        """Add the counts of another block."""
        self.counts.update(other.counts)
        self.dropped_documents.update(other.dropped_documents)
        self.dropped_characters.update(other.dropped_characters)
        self.corrupt.extend(other.corrupt)


class TextConverter:
    """The rules that make documents of texts. Without `full_stops`, a line is a sentence."""

    def __init__(
        self, sources: SourceOptions, options: ConversionOptions, full_stops: FullStopFinder | None, signs: bool
    ) -> None:
        self._sources, self._options, self._full_stops, self._signs = sources, options, full_stops, signs
        self._words = quality.word_pattern(options.listed_words) if options.listed_words else None

    def __call__(self, rows: SourceBlock) -> PreparedBlock:
        """Return the documents of the rows."""
        block = PreparedBlock()
        texts = [row.text for row in read_rows(rows, self._sources) if self._has_text(row, block)]
        documents = [
            ["\n".join([*sentences, ""]) for sentences in paragraphs]
            for paragraphs in self.convert(texts, block.dropped_characters)
            if paragraphs
        ]
        block.dropped_documents["without_sentences"] += len(texts) - len(documents)
        if documents:
            self._fill(block, documents)
        return block

    def _has_text(self, row: TextRow, block: PreparedBlock) -> bool:
        block.counts["rows"] += 1
        if row.problem:
            block.corrupt.append(f"{row.where}: {row.problem}")
            return False
        block.counts["documents_in"] += 1
        block.counts["characters_in"] += len(row.text)
        return True

    def convert(self, texts: Sequence[str], dropped: Counter) -> list[list[list[str]]]:
        """Return the sentences to keep of each text, by paragraph. `dropped` counts characters by reason."""
        return [
            [kept for line in self._lines(text, dropped) if (kept := self._sentences(line, dropped))] for text in texts
        ]

    def _lines(self, text: str, dropped: Counter) -> Iterator[str]:
        lines = _LINE_END.split(drop_markup(text, self._options.markup_rules, dropped))
        dropped["line_ends"] += len(lines) - 1
        return _clean_lines(lines, dropped)

    def _sentences(self, line: str, dropped: Counter) -> list[str]:
        """Return the sentences of a line. A full-width mark ends a sentence as its half-width NFKC form does."""
        sentences = [line]
        if self._full_stops and _MARK.search(line.rstrip(_TAIL)):
            narrow = _WIDE.sub(lambda run: run[0].translate(_NARROW), line)
            sentences = split_sentences(narrow, self._full_stops.find(narrow), self._options.max_length, line)
        dropped["white_space"] += len(line) - sum(map(len, sentences))
        return self._select(sentences, dropped)

    def _select(self, sentences: list[str], dropped: Counter) -> list[str]:
        shortest, longest = self._options.min_length, self._options.max_length
        kept = [sentence for sentence in sentences if shortest <= len(sentence) <= longest]
        if len(kept) < len(sentences):
            dropped["short_sentences"] += sum(len(sentence) for sentence in sentences if len(sentence) < shortest)
            dropped["long_sentences"] += sum(len(sentence) for sentence in sentences if len(sentence) > longest)
        return kept

    def _fill(self, block: PreparedBlock, documents: list[list[str]]) -> None:
        """Measure all documents at once, drop those of low quality, and describe the others."""
        texts = ["".join(paragraphs) for paragraphs in documents]
        reasons = self._reasons(texts)
        for text, reason in zip(texts, reasons, strict=True):
            if reason:
                block.dropped_documents[reason] += 1
                block.dropped_characters[reason] += len(text) - text.count("\n")
        documents = [paragraphs for paragraphs, reason in zip(documents, reasons, strict=True) if not reason]
        paragraphs = [paragraph for document in documents for paragraph in document]
        codes, ends = _codes(paragraphs)
        _fill_paragraphs(block, paragraphs, codes, ends)
        counts = [len(document) for document in documents]
        ends = ends[np.cumsum(counts, dtype=np.int64) - 1]
        block.documents = np.empty(len(documents), PREPARED)
        block.documents["paragraphs"] = counts
        block.documents["hash"] = _hashes(codes, ends)
        if self._signs:
            block.signatures = signatures.sign_documents(codes, ends)

    def _reasons(self, texts: list[str]) -> list[str]:
        """Return the rule that each document breaks, or an empty string."""
        preset = self._options.preset
        if preset == "none":
            return [""] * len(texts)
        broken = quality.broken_rules(quality.measure_documents(*_codes(texts)), preset)
        names = [quality.QUALITY_RULES[number].name if number >= 0 else "" for number in broken.tolist()]
        if self._words is None:
            return names
        limit = quality.LISTED_WORDS[preset]
        return [
            name or ("listed_words" if len(self._words.findall(text)) >= limit else "")
            for name, text in zip(names, texts, strict=True)
        ]


def _clean_lines(lines: list[str], dropped: Counter) -> Iterator[str]:
    """Yield the lines that hold text, without unprintable characters, and with single spaces."""
    for line in lines:
        length = len(line)
        if not line.isprintable():
            line = _OTHER_SPACE.sub(" ", line)
            line = drop_unprintable(line, "")
            dropped["unprintable"] += length - len(line)
            length = len(line)
        folded = fold_spaces(line, "") if " " in line else line
        dropped["white_space"] += length - len(folded)
        if folded:
            yield folded


def _codes(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the characters of all texts, and where each text ends."""
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    return np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32), ends


def _hashes(codes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    hashes = np.empty(len(ends), np.uint64)
    signatures.hash_spans(codes, ends, hashes)
    return hashes


def _fill_paragraphs(block: PreparedBlock, texts: list[str], codes: np.ndarray, ends: np.ndarray) -> None:
    data = [text.encode("utf-8") for text in texts]
    block.text = b"".join(data)
    table = block.paragraphs = np.empty(len(texts), PARAGRAPH)
    table["sentences"] = [text.count("\n") for text in texts]
    table["characters"] = np.diff(ends, prepend=0) - table["sentences"]
    table["size"] = [len(part) for part in data]
    table["hash"] = _hashes(codes, ends)

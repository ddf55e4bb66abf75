"""Rows of a dump -> corpus text, in blocks for worker processes, with counts of everything that is dropped.

Rows are counted by result, text in characters. `characters_in` plus `characters_added_by_nfkc` is `characters_out`
plus all of `dropped_characters`.
"""

from collections import Counter
from dataclasses import dataclass, field

from japanese_bert.corpus.wikipedia.cirrussearch import Page, RowBlock, parse_row
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.corpus.wikipedia.sentences import clean_text, normalize, select_sentences, split_sentences


@dataclass(slots=True)
class CorpusBlock:
    """The corpus text of some rows. `corrupt` names each line that cannot be read, and why."""

    text: bytes = b""
    counts: Counter = field(default_factory=Counter)
    dropped_rows: Counter = field(default_factory=Counter)
    dropped_characters: Counter = field(default_factory=Counter)
    corrupt: list[str] = field(default_factory=list)

    def add(self, other: "CorpusBlock") -> None:
        """Add the counts of another block."""
        self.counts.update(other.counts)  # not +=, which drops negative sums
        self.dropped_rows.update(other.dropped_rows)
        self.dropped_characters.update(other.dropped_characters)
        self.corrupt.extend(other.corrupt)


class PageConverter:
    """The rules that make sentences of pages. Lengths are in characters."""

    def __init__(self, full_stops: FullStopFinder, min_sentence_length: int, max_sentence_length: int) -> None:
        self._full_stops = full_stops
        self._min_length = min_sentence_length
        self._max_length = max_sentence_length

    def convert_rows(self, rows: RowBlock) -> CorpusBlock:
        """Return the corpus text of the rows that are pages: one sentence per line, a blank line after each page."""
        block = CorpusBlock()
        lines: list[str] = []
        for number, line in enumerate(rows.lines.split(b"\n")[:-1], rows.first_line):
            if not line.strip():
                continue
            try:
                page = parse_row(line)
            except ValueError as error:
                block.corrupt.append(f"{rows.path}:{number}: {error}")
                page = "corrupt"
            block.counts["rows"] += 1
            if isinstance(page, Page):
                sentences = self.convert_page(page, block)
                lines.extend([*sentences, ""] if sentences else [])
            else:
                block.dropped_rows[page] += 1
        block.text = "\n".join([*lines, ""]).encode("utf-8")
        return block

    def convert_page(self, page: Page, block: CorpusBlock) -> list[str]:
        """Return the sentences to keep of one page, and add its counts to `block`."""
        normal = normalize(page.text)
        text = clean_text(normal, page.title, block.dropped_characters)
        sentences = split_sentences(text, self._full_stops.find(text), self._max_length)
        block.dropped_characters["white_space"] += text.count(" ") - "".join(sentences).count(" ")
        kept = list(select_sentences(sentences, self._min_length, self._max_length, block.dropped_characters))
        counts = block.counts
        counts["characters_in"] += len(page.text)
        counts["characters_added_by_nfkc"] += len(normal) - len(page.text)
        counts["characters_out"] += sum(map(len, kept))
        counts["pages_in"] += 1
        counts["pages_out"] += bool(kept)
        counts["sentences_out"] += len(kept)
        return kept

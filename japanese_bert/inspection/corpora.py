"""Corpus text -> counts and distributions: documents, sentences, characters, and lines that are repeated or unusual.

Lines are as in `corpus/lines.py`: a blank line or the end of a file ends a document, invalid bytes are left out.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.compiled.kernels import kernel
from japanese_bert.corpus.documents import NEWLINE, decode, is_white_space
from japanese_bert.inspection.characters import SCRIPTS, WRONG_ENCODING, WRONG_SHARE, is_invisible, script_of
from japanese_bert.inspection.counting import PIECE_PREFIX
from japanese_bert.inspection.repeats import Repeats
from japanese_bert.pretraining_data.word_table import HASH_PRIME, HASH_START
from japanese_bert.tokenization.vocab import Vocab

NUM_CODES = 0x110000
INVALID = NUM_CODES  # the place of invalid bytes among the characters
MAX_VALUE = 1 << 16  # the last place of a histogram counts longer ones, too
MAX_EXAMPLES = 5
SHOWN_BYTES = 600
LONG_ENOUGH = 10  # characters of a repeated line that is an example


@dataclass(slots=True)
class Line:
    """A line of a corpus. `text` is its beginning, to be shown."""

    path: Path
    number: int
    num_characters: int
    text: str


@dataclass(slots=True)
class TextCounts:
    """The counts of a corpus. A histogram has the number of lines (or documents) with value i in place i."""

    totals: Counter[str] = field(default_factory=Counter)
    characters: np.ndarray = field(default_factory=lambda: np.zeros(NUM_CODES + 1, np.int64))
    line_lengths: np.ndarray = field(default_factory=lambda: np.zeros(MAX_VALUE, np.int64))  # characters
    document_lengths: np.ndarray = field(default_factory=lambda: np.zeros(MAX_VALUE, np.int64))  # lines
    repeats: Repeats = field(default_factory=Repeats)
    longest: Line | None = None
    repeated: list[Line] = field(default_factory=list)
    wrong: list[Line] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def scripts(self) -> dict[str, int]:
        """Return how many characters there are of each script. White space and control characters do not count."""
        counts = dict.fromkeys(SCRIPTS, 0)
        for code in np.flatnonzero(self.characters[:NUM_CODES]).tolist():
            if not is_invisible(chr(code)):
                counts[script_of(chr(code))] += int(self.characters[code])
        return counts

    def unknown_characters(self, vocab: Vocab) -> Counter[str]:
        """Count the characters after NFKC that a vocabulary does not have, neither alone nor as a piece.

        Marks that NFKC joins with the character before them are left out.
        """
        known = {token.removeprefix(PIECE_PREFIX) for token in vocab.text_ids()}
        unknown: Counter[str] = Counter()
        for code in np.flatnonzero(self.characters[:NUM_CODES]).tolist():
            for character in unicodedata.normalize("NFKC", chr(code)):
                if character not in known and not is_invisible(character) and not unicodedata.combining(character):
                    unknown[character] += int(self.characters[code])
        return unknown


def read_corpora(paths: Sequence[Path], progress: Callable[[int], object]) -> TextCounts:
    """Count all lines of all files. A file that cannot be read further is a problem. `progress` gets bytes."""
    counts = TextCounts()
    is_wrong = np.zeros(NUM_CODES, np.bool_)
    is_wrong[[ord(character) for character in WRONG_ENCODING]] = True
    for path in paths:
        number, open_lines = 0, np.zeros(1, np.int64)
        try:
            for block in read_line_blocks(path, progress):
                number += _count_lines(counts, (path, number), block, is_wrong, open_lines)
        except (ValueError, OSError) as error:
            counts.problems.append(str(error))
        end_of_document(open_lines, counts.document_lengths)
    counts.totals.update(documents=int(counts.document_lengths.sum()))
    return counts


def _count_lines(
    counts: TextCounts, place: tuple[Path, int], block: bytes, is_wrong: np.ndarray, open_lines: np.ndarray
) -> int:
    """Count the lines of a block, and return how many there are."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
    lengths, wrong = np.empty((2, len(ends)), np.int64)
    hashes = np.empty(len(ends), np.uint64)
    results = (lengths, wrong, hashes, open_lines, counts.document_lengths)
    scan_lines(np.frombuffer(block, np.uint8), is_wrong, counts.characters, results)
    rows = np.flatnonzero(lengths)  # of lines that are not blank
    lengths_of_text = lengths[rows]
    counts.line_lengths += np.bincount(np.minimum(lengths_of_text, MAX_VALUE - 1), minlength=MAX_VALUE)
    is_repeated = counts.repeats.add(hashes[rows], 0) >= 0
    is_wrong_line = (wrong[rows] > WRONG_SHARE * lengths_of_text) & (wrong[rows] > 1)  # 縺れた is a word
    counts.totals.update(
        sentences=len(rows), characters=int(lengths_of_text.sum()), wrong_lines=int(is_wrong_line.sum())
    )

    def line(row: int) -> Line:
        start = int(ends[row - 1]) + 1 if row else 0
        text = block[start : min(int(ends[row]), start + SHOWN_BYTES)].decode("utf-8", errors="ignore")
        return Line(place[0], place[1] + int(row) + 1, int(lengths[row]), text)

    if len(rows) and (counts.longest is None or lengths_of_text.max() > counts.longest.num_characters):
        counts.longest = line(rows[lengths_of_text.argmax()])
    is_example = is_repeated & (lengths_of_text >= LONG_ENOUGH)
    counts.repeated += map(line, rows[is_example][: MAX_EXAMPLES - len(counts.repeated)])
    counts.wrong += map(line, rows[is_wrong_line][: MAX_EXAMPLES - len(counts.wrong)])
    return len(ends)


@kernel
def scan_lines(lines, is_wrong, characters, results):
    """Count the characters of complete lines, and fill arrays with the length of each line, 0 for a blank one, ..."""
    lengths, wrong, hashes, open_lines, documents = results
    position = row = 0
    while position < len(lines):
        length, wrong[row], value, is_blank = 0, 0, HASH_START, True
        while True:
            code, size = decode(lines, position)
            position += size
            if code == NEWLINE:
                break
            if code <= 0:
                characters[INVALID] += 1
                continue
            characters[code] += 1
            length += 1
            wrong[row] += is_wrong[code]
            value = (value ^ np.uint64(code)) * HASH_PRIME
            is_blank &= is_white_space(code)
        lengths[row] = 0 if is_blank else length
        hashes[row] = value ^ value >> np.uint64(32)
        if is_blank:
            end_of_document(open_lines, documents)
        else:
            open_lines[0] += 1
        row += 1


@kernel
def end_of_document(open_lines, documents):
    """Count the open document, if it has lines."""
    if open_lines[0]:
        documents[min(open_lines[0], len(documents) - 1)] += 1
    open_lines[0] = 0

"""Lines of bytes -> documents as a shard holds them: white space folded, NULs and invalid bytes dropped, lines chosen.

NULs and bytes that are not UTF-8 (also surrogates) are dropped first, as in `lines.py`. Then each run of white space
(`str.isspace`) becomes one space, and both ends of a line are stripped. A line with nothing left is blank, and ends a
document. tests/corpus/test_documents.py has the same rule in plain Python.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.corpus.lines import drop_byte_order_mark

HELD_BYTES = 1 << 22  # of finished documents: a batch
NEWLINE, SPACE = ord("\n"), ord(" ")
PLAIN_FIRST, PLAIN_LAST, PLAIN_SIZE = 0xE3, 0xEC, 3  # first bytes of U+3000 to U+CFFF, and how many each has
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)  # numba tests a signed position for being negative
SMALLEST_DOCUMENT = 3  # bytes: a character, the end of its line, a blank line

DOCUMENT = np.dtype([(name, np.int64) for name in ("start", "end", "num_lines", "num_characters")])


class ReadCount(IntEnum):
    """One thing that a reader counts, by its place in an array. An invalid byte counts as a character."""

    DOCUMENTS_IN = 0
    LINES_IN = 1
    CHARACTERS_IN = 2
    DOCUMENTS_LEFT_EMPTY = 3
    BLANK_LINES = 4
    SHORT_LINES = 5
    LONG_LINES = 6
    CHARACTERS_OF_SHORT_LINES = 7
    CHARACTERS_OF_LONG_LINES = 8
    WHITE_SPACE = 9
    NUL_CHARACTERS = 10
    INVALID_UTF8_BYTES = 11
    BYTE_ORDER_MARKS = 12


class State(IntEnum):
    """One number that a reader keeps between blocks, by its place in an array. The last four: the open document."""

    NUM_DOCUMENTS = 0
    TEXT_END = 1
    START = 2
    LINES_READ = 3
    LINES_KEPT = 4
    CHARACTERS_KEPT = 5


class LineLengths(NamedTuple):
    """The lengths of lines to keep, in characters after folding."""

    shortest: int
    longest: int


class DocumentBatch(NamedTuple):
    """Some documents, of dtype DOCUMENT. Each is `text[start:end]` and includes the blank line that ends it.

    `num_characters` does not count the ends of lines.
    """

    text: np.ndarray
    documents: np.ndarray


def at_least(array: np.ndarray, size: int) -> np.ndarray:
    """Return the array, or a larger one that begins with its content."""
    if len(array) >= size:
        return array
    larger = np.empty(max(int(size), 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


class DocumentReader:
    """The reader of one corpus. It holds some megabytes of documents, and at least the longest one.

    `counters` has one number for each ReadCount.
    """

    def __init__(self, lengths: LineLengths) -> None:
        self.counters = np.zeros(len(ReadCount), np.int64)
        self._lengths = lengths
        self._text = np.empty(2 * HELD_BYTES, np.uint8)
        self._documents = np.empty(0, DOCUMENT)
        self._state = np.zeros(len(State), np.int64)

    def read_file(self, blocks: Iterable[bytes]) -> Iterator[DocumentBatch]:
        """Yield the documents of a file in batches, each when it is full. The end of the file ends a document.

        `blocks` hold complete lines. The next batch overwrites the one before.
        """
        for number, block in enumerate(blocks):
            if number == 0:
                block, marks = drop_byte_order_mark(block)
                self.counters[[ReadCount.CHARACTERS_IN, ReadCount.BYTE_ORDER_MARKS]] += marks
            self._make_room(len(block))
            lines = np.frombuffer(block, np.uint8)
            fold_lines(lines, self._lengths, self._text, self._documents, self._state, self.counters)
            if self._state[State.TEXT_END] >= HELD_BYTES:
                yield from self.take()
        self._make_room(0)
        end_document(self._text, self._documents, self._state, self.counters)

    def counts(self) -> dict[str, int]:
        """Return all counters by name."""
        return {count.name.lower(): int(self.counters[count]) for count in ReadCount}

    def take(self) -> Iterator[DocumentBatch]:
        """Yield the finished documents, if there are any."""
        state = self._state
        if state[State.NUM_DOCUMENTS]:
            yield DocumentBatch(self._text, self._documents[: state[State.NUM_DOCUMENTS]])
            unfinished = self._text[state[State.START] : state[State.TEXT_END]].copy()
            self._text[: len(unfinished)] = unfinished
            state[[State.NUM_DOCUMENTS, State.TEXT_END, State.START]] = 0, len(unfinished), 0

    def _make_room(self, num_bytes: int) -> None:
        """Make room for a block and a blank line after the last document. Folding never lengthens text."""
        self._text = at_least(self._text, self._state[State.TEXT_END] + num_bytes + 1)
        self._documents = at_least(
            self._documents, self._state[State.NUM_DOCUMENTS] + num_bytes // SMALLEST_DOCUMENT + 2
        )


@kernel
def fold_lines(lines, lengths, text, documents, state, counters):
    """Append the text of complete lines to `text`, and the documents that end among them to `documents`."""
    position = 0
    while position < len(lines):
        start = state[State.TEXT_END]
        position, end, num_characters = fold_line(lines, position, text, start, counters)
        counters[ReadCount.LINES_IN] += 1
        if num_characters == 0:
            counters[ReadCount.BLANK_LINES] += 1
            end_document(text, documents, state, counters)
            continue
        state[State.LINES_READ] += 1
        if num_characters < lengths.shortest:
            counters[ReadCount.SHORT_LINES] += 1
            counters[ReadCount.CHARACTERS_OF_SHORT_LINES] += num_characters
        elif num_characters > lengths.longest:
            counters[ReadCount.LONG_LINES] += 1
            counters[ReadCount.CHARACTERS_OF_LONG_LINES] += num_characters
        else:
            end_line(text, end, num_characters, state)


@kernel
def fold_line(lines, position, text, end, counters):
    """Append a line to text[:end] without its newline. Return position of the next line, end of text, characters."""
    num_read = num_kept = 0
    is_after_space = False
    while True:
        size = end_of_plain_run(lines, position) - position
        count = size // PLAIN_SIZE
        if size == 0:
            code, size = decode(lines, position)
            count = 1
            if code == NEWLINE:
                break
            if code <= 0 or is_white_space(code):
                counters[reason_to_drop(code)] += 1
                is_after_space |= code > 0
                num_read += 1
                position += size
                continue
        if is_after_space and num_kept:
            text[end] = SPACE
            end += 1
            num_kept += 1
            counters[ReadCount.WHITE_SPACE] -= 1
        is_after_space = False
        copy(lines, position, size, text, end)
        end += size
        num_kept += count
        num_read += count
        position += size
    counters[ReadCount.CHARACTERS_IN] += num_read
    return position + 1, end, num_kept


@kernel
def reason_to_drop(code):
    """Return the counter of an invalid byte, a NUL or white space."""
    if code < 0:
        return ReadCount.INVALID_UTF8_BYTES
    return ReadCount.NUL_CHARACTERS if code == 0 else ReadCount.WHITE_SPACE


@kernel
def end_of_plain_run(lines, position):
    """Return the end of a run of three-byte characters other than white space. Most of Japanese text is such a run.

    This loop makes folding three times as fast, 2,300 MB/s. With a chained comparison it would be half as fast.
    """
    at = np.uint64(position)
    while (
        lines[at] >= PLAIN_FIRST
        and lines[at] <= PLAIN_LAST
        and lines[at + ONE] & 0xC0 == 0x80
        and lines[at + TWO] & 0xC0 == 0x80
        and not (lines[at] == 0xE3 and lines[at + ONE] == 0x80 and lines[at + TWO] == 0x80)  # U+3000
    ):
        at += THREE
    return np.int64(at)


@kernel
def copy(source, start, size, target, position):
    for index in range(size):
        target[np.uint64(position) + np.uint64(index)] = source[np.uint64(start) + np.uint64(index)]


@kernel
def end_line(text, end, num_characters, state):
    """Add the line that ends at `end` to the open document."""
    text[end] = NEWLINE
    state[State.TEXT_END] = end + 1
    state[State.LINES_KEPT] += 1
    state[State.CHARACTERS_KEPT] += num_characters


@kernel
def end_document(text, documents, state, counters):
    """End the open document, if it has lines, and begin another."""
    if state[State.LINES_READ]:
        counters[ReadCount.DOCUMENTS_IN] += 1
        counters[ReadCount.DOCUMENTS_LEFT_EMPTY] += state[State.LINES_KEPT] == 0
    if state[State.LINES_KEPT]:
        text[state[State.TEXT_END]] = NEWLINE
        state[State.TEXT_END] += 1
        document = documents[state[State.NUM_DOCUMENTS]]
        document["start"], document["end"] = state[State.START], state[State.TEXT_END]
        document["num_lines"] = state[State.LINES_KEPT]
        document["num_characters"] = state[State.CHARACTERS_KEPT]
        state[State.NUM_DOCUMENTS] += 1
        state[State.START] = state[State.TEXT_END]
    state[State.LINES_READ] = state[State.LINES_KEPT] = state[State.CHARACTERS_KEPT] = 0


@kernel
def decode(data, position):
    """Return code point and number of bytes of the character at `position`, or -1 and 1 for an invalid byte.

    Surrogates are invalid. A newline must follow, and the function reads no byte after it.
    """
    first = np.int64(data[position])
    if first < 0x80:
        return first, 1
    if first < 0xC2:
        return -1, 1
    second = np.int64(data[position + 1])
    if second & 0xC0 != 0x80:
        return -1, 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | second & 0x3F, 2
    third = np.int64(data[position + 2])
    if third & 0xC0 != 0x80:
        return -1, 1
    if first < 0xF0:
        code = (first & 0x0F) << 12 | (second & 0x3F) << 6 | third & 0x3F
        return (code, 3) if code >= 0x800 and code >> 11 != 0xD800 >> 11 else (-1, 1)
    fourth = np.int64(data[position + 3])
    if fourth & 0xC0 != 0x80:
        return -1, 1
    code = (first & 0x0F) << 18 | (second & 0x3F) << 12 | (third & 0x3F) << 6 | fourth & 0x3F
    return (code, 4) if 0x10000 <= code < 0x110000 else (-1, 1)


@kernel
def is_white_space(code):
    """Return the same as `str.isspace` for a character."""
    if code <= SPACE:
        return code == SPACE or 0x09 <= code <= 0x0D or code >= 0x1C
    return (
        code == 0x85
        or code == 0xA0
        or code == 0x1680
        or 0x2000 <= code <= 0x200A
        or code == 0x2028
        or code == 0x2029
        or code == 0x202F
        or code == 0x205F
        or code == 0x3000
    )

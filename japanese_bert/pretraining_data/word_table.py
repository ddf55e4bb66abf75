"""Words -> rows of a table, found in compiled code from the text of many words at once.

In Japanese text every third character begins a word. To make a Python string of each word, hash it and look it up would
take a third of MeCab's time. Here a block of text stays bytes, and each new word becomes a string once.
"""

from collections.abc import Callable

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.tokenization.words import SENTENCE_END, WORD_END

END_OF_WORD, END_OF_SENTENCE = ord(WORD_END), ord(SENTENCE_END)
MAX_WORDS = 1 << 17  # 5 MB; Japanese text has 62,000 distinct words in 10 MB, 160,000 in 100 MB
MEAN_WORD_BYTES = 16  # of distinct words; 10 in Japanese text
HASH_START, HASH_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a, 64 bits


class WordTable:
    """The numbers of words in the order of their first occurrence. Each new word is passed to `add_word`.

    Before the table is full, at about `max_words` words, it is emptied and calls `forget`.
    """

    def __init__(
        self, add_word: Callable[[str], object], forget: Callable[[], object], max_words: int = MAX_WORDS
    ) -> None:
        self._add_word = add_word
        self._forget = forget
        self._max_words = max_words
        self._make_empty(max_words, max_words * MEAN_WORD_BYTES)

    def rows(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the row of each word, and for each sentence the number of words up to its end, both int64.

        `text` is the output of `WordSplitter.mark`.
        """
        data = np.frombuffer(text.encode("utf-8"), np.uint8)
        rows = np.empty(text.count(WORD_END), np.int64)
        sentence_ends = np.empty(text.count(SENTENCE_END), np.int64)
        self._make_room(len(rows), len(data))
        known = self._num_words[0]
        find_rows(data, self._slots, self._hashes, self._ends, self._characters, self._num_words, rows, sentence_ends)
        for row in range(known, self._num_words[0]):
            word = self._characters[self._ends[row] : self._ends[row + 1]]
            self._add_word(word.tobytes().decode("utf-8"))
        return rows, sentence_ends

    def _make_room(self, num_words: int, num_bytes: int) -> None:
        used = self._num_words[0]
        if used + num_words > len(self._hashes) or self._ends[used] + num_bytes > len(self._characters):
            self._forget()
            size = max(self._max_words, num_words)
            self._make_empty(size, max(size * MEAN_WORD_BYTES, num_bytes))

    def _make_empty(self, num_words: int, num_bytes: int) -> None:
        # A slot holds row + 1, at the place of the word's hash or soon after.
        self._slots = np.zeros(2 << (num_words - 1).bit_length(), np.int32)
        self._hashes = np.empty(num_words, np.uint64)
        self._ends = np.zeros(num_words + 1, np.int64)  # of the words in `characters`: word r begins at ends[r]
        self._characters = np.empty(num_bytes, np.uint8)
        self._num_words = np.zeros(1, np.int64)


@kernel
def find_rows(data, slots, hashes, ends, characters, num_words, rows, sentence_ends):
    """Fill `rows` and `sentence_ends`. New words get the next rows, and `num_words` counts them."""
    count = 0
    sentence = 0
    start = 0
    value = HASH_START
    for position in range(len(data)):
        byte = data[position]
        if byte == END_OF_WORD:
            rows[count] = find_row(data[start:position], value, slots, hashes, ends, characters, num_words)
            count += 1
        elif byte == END_OF_SENTENCE:
            sentence_ends[sentence] = count
            sentence += 1
        else:
            value = (value ^ np.uint64(byte)) * HASH_PRIME
            continue
        start = position + 1
        value = HASH_START


@kernel
def find_row(word, value, slots, hashes, ends, characters, num_words):
    """Return the row of a word with hash `value`. A new word gets the next row."""
    slot = np.int64((value ^ (value >> np.uint64(32))) & np.uint64(len(slots) - 1))
    while slots[slot]:
        row = slots[slot] - 1
        if hashes[row] == value and is_same(word, characters, ends[row], ends[row + 1]):
            return row
        slot = (slot + 1) & (len(slots) - 1)
    row = num_words[0]
    num_words[0] += 1
    slots[slot] = row + 1
    hashes[row] = value
    ends[row + 1] = ends[row] + len(word)
    characters[ends[row] : ends[row + 1]] = word
    return row


@kernel
def is_same(word, characters, start, end):
    if end - start != len(word):
        return False
    index = 0
    while index < len(word) and word[index] == characters[start + index]:
        index += 1
    return index == len(word)

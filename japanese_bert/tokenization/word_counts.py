"""Corpus text -> how often each word occurs.

MeCab makes words of U+2028 and other exotic white space. Words are cut at white space again, because the trainer takes
words as text. Memory grows with the distinct words (about 250 bytes each), not with the corpus.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.common.workers import map_in_order
from japanese_bert.corpus.lines import decode_text, drop_nuls
from japanese_bert.tokenization.words import WordSplitter

SENTENCES_PER_BLOCK = 10_000


class Reservoir:
    """A uniform sample of a stream of unknown length in one pass (algorithm R, a block at a time).

    The sample depends on the seed and the stream alone, not on how the stream is cut into blocks.
    """

    def __init__(self, size: int, random_seed: int) -> None:
        import numpy as np

        self.sentences: list[str] = []
        self._size = size
        self._seen = 0
        self._rng = np.random.default_rng(random_seed)

    def add(self, sentences: list[str]) -> None:
        """Draw from the next sentences of the stream."""
        import numpy as np

        room = min(self._size - len(self.sentences), len(sentences))
        self.sentences += sentences[:room]
        late = sentences[room:]
        counts_so_far = np.arange(self._seen + room + 1, self._seen + len(sentences) + 1)
        slots = (self._rng.random(len(late)) * counts_so_far).astype(np.int64)
        for index in np.flatnonzero(slots < self._size):
            self.sentences[slots[index]] = late[index]
        self._seen += len(sentences)


def count_words(blocks: Iterable[bytes], splitter: WordSplitter, num_workers: int) -> tuple[Counter[str], Counter[str]]:
    """Return the counts of words, and totals: sentences, words, blank lines, NULs and invalid bytes.

    `blocks` are complete lines. MeCab takes nine tenths of the time. So blocks of other sizes, counters kept in the
    workers or words counted in compiled code are no faster on 20 MB.
    """
    words: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for block_words, block_totals in map_in_order(lambda block: _count_block(block, splitter), blocks, num_workers):
        words.update(block_words)
        totals.update(block_totals)
    return words, totals


def read_corpus(paths: list[Path], progress: Callable[[int], object] | None = None) -> Iterator[bytes]:
    """Yield blocks of complete lines of all files."""
    for path in paths:
        yield from read_line_blocks(path, progress)


def sample_corpus(blocks: Iterable[bytes], size: int, random_seed: int, totals: Counter[str]) -> Iterator[bytes]:
    """Yield `size` sentences drawn from all of `blocks`, again as blocks of lines. Only the sample takes memory.

    `totals` counts all sentences, blank lines, NULs and invalid bytes, also those outside the sample.
    """
    reservoir = Reservoir(size, random_seed)
    for block in blocks:
        reservoir.add(clean_sentences(block, totals))
    sentences = reservoir.sentences
    for start in range(0, len(sentences), SENTENCES_PER_BLOCK):
        yield "".join(f"{sentence}\n" for sentence in sentences[start : start + SENTENCES_PER_BLOCK]).encode("utf-8")


def clean_sentences(block: bytes, totals: Counter[str]) -> list[str]:
    """Return the lines stripped, without blank ones, and without NULs and bytes that are not UTF-8."""
    text, num_invalid = decode_text(block)
    text, num_nuls = drop_nuls(text)
    text, num_marks = re.subn(r"(?m)^\ufeff", "", text) if "\ufeff" in text else (text, 0)
    lines = text.removesuffix("\n").split("\n")
    sentences = [sentence for line in lines if (sentence := line.strip())]
    totals["sentences"] += len(sentences)
    totals["blank_lines"] += len(lines) - len(sentences)
    totals["invalid_utf8_bytes"] += num_invalid
    totals["nul_characters"] += num_nuls
    totals["byte_order_marks"] += num_marks
    return sentences


def _count_block(block: bytes, splitter: WordSplitter) -> tuple[Counter[str], Counter[str]]:
    words: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for sentence in clean_sentences(block, totals):
        words.update(" ".join(splitter.split(sentence)).split())
    totals["words"] = words.total()
    return words, totals

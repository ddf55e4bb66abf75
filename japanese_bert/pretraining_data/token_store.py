"""Tokenize once: corpus text -> flat files of token ids, from which any number of instances is cut.

Three arrays hold a corpus:

- the ids of all tokens: `uint16` for a vocabulary of at most 32,768 entries, else `uint32`. The highest bit marks the
  first piece of a word.
- the token offset of every sentence: `int64`, one more entry than there are sentences.
- the sentence offset of every document: the same.

They are files mapped into memory. So a corpus may be larger than memory, and a store in named files can serve another
run.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.common.workers import map_in_order
from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.mapped_arrays import append_array, map_array, release_pages
from japanese_bert.corpus.lines import decode_text, drop_byte_order_mark, drop_nuls
from japanese_bert.pretraining_data.word_table import WordTable
from japanese_bert.tokenization.vocab import UNK, Vocab
from japanese_bert.tokenization.words import WordSplitter

TOKENIZE_BLOCK_BYTES = 1 << 17
DOCUMENTS_AT_ONCE, TOKENS_AT_ONCE = 4096, 1 << 18


@dataclass(slots=True)
class CorpusCounts:
    """The counts of what was read and what was dropped."""

    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    words: int = 0
    invalid_utf8_bytes: int = 0
    nul_characters: int = 0
    sentences_without_tokens: int = 0

    def add(self, other: "CorpusCounts") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class TokenBlock:
    """The tokens of some lines. A document ends after each sentence number (in the block) of `document_ends`."""

    tokens: np.ndarray
    sentence_lengths: np.ndarray
    document_ends: np.ndarray
    counts: CorpusCounts


@dataclass(frozen=True, slots=True)
class TokenStore:
    """A tokenized corpus. The `word_start_bit` of a token marks the first piece of a word."""

    tokens: np.ndarray
    sentence_offsets: np.ndarray
    document_offsets: np.ndarray
    counts: CorpusCounts

    @property
    def word_start_bit(self) -> int:
        return 1 << (8 * self.tokens.dtype.itemsize - 1)


class BlockTokenizer:
    """The way from lines to ids. It calls MeCab for each sentence, because several in one call change the words."""

    def __init__(self, splitter: WordSplitter, encode_word: Callable[[str], list[int]], vocab: Vocab) -> None:
        self._splitter = splitter
        self._unknown = vocab.ids[UNK]
        self.dtype = np.dtype(np.uint16 if len(vocab) <= 1 << 15 else np.uint32)
        self._word_start = self.dtype.type(1 << (8 * self.dtype.itemsize - 1))
        self._pieces = _Pieces(encode_word)
        self._table = WordTable(self._pieces.add, self._pieces.clear)

    def __call__(self, block: bytes) -> TokenBlock:
        counts = CorpusCounts()
        sentences: list[str] = []
        document_ends: list[int] = []
        text, counts.invalid_utf8_bytes = decode_text(block)
        for line in text.split("\n")[:-1]:
            if sentence := line.strip():
                sentence, num_nuls = drop_nuls(sentence)
                sentences.append(sentence)
                counts.nul_characters += num_nuls
            else:
                document_ends.append(len(sentences))
        rows, sentence_ends = self._table.rows(self._splitter.mark(sentences))
        tokens, sentence_lengths = self._pieces.expand(rows, sentence_ends, self.dtype)
        kept = sentence_lengths > 0
        counts.words = len(rows)
        counts.tokens = len(tokens)
        counts.unknown_tokens = int(np.count_nonzero(tokens & (self._word_start - 1) == self._unknown))
        counts.sentences = int(np.count_nonzero(kept))
        counts.sentences_without_tokens = len(kept) - counts.sentences
        kept_before = np.concatenate([[0], np.cumsum(kept)])
        return TokenBlock(tokens, sentence_lengths[kept], kept_before[document_ends], counts)


class _Pieces:
    """The ids of each row of a word table. Each distinct word is cut into pieces once."""

    def __init__(self, encode_word: Callable[[str], list[int]]) -> None:
        self._encode_word = encode_word
        self.clear()

    def clear(self) -> None:
        self._ids = array("q")
        self._ends = array("q", [0])

    def add(self, word: str) -> None:
        self._ids.extend(self._encode_word(word))
        self._ends.append(len(self._ids))

    def expand(self, rows: np.ndarray, sentence_ends: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens of all words, with word start bits, and the number of tokens of each sentence."""
        ends = np.frombuffer(self._ends, np.int64)
        tokens = np.empty(count_pieces(rows, ends), dtype)
        sentence_lengths = np.zeros(len(sentence_ends), np.int64)
        if len(tokens):
            expand_words(rows, sentence_ends, ends, np.frombuffer(self._ids, np.int64), tokens, sentence_lengths)
        return tokens, sentence_lengths


@kernel
def count_pieces(rows, piece_ends):
    count = 0
    for row in rows:
        count += piece_ends[row + 1] - piece_ends[row]
    return count


@kernel
def expand_words(rows, sentence_ends, piece_ends, pieces, tokens, sentence_lengths):
    """Fill `tokens` with the pieces of the words in `rows`, and count them by sentence."""
    word_start = 1 << (8 * tokens.itemsize - 1)
    position = 0
    word = 0
    for sentence in range(len(sentence_ends)):
        sentence_start = position
        while word < sentence_ends[sentence]:
            bit = word_start
            for index in range(piece_ends[rows[word]], piece_ends[rows[word] + 1]):
                tokens[position] = pieces[index] | bit
                bit = 0
                position += 1
            word += 1
        sentence_lengths[sentence] = position - sentence_start


class TokenStoreWriter:
    """The writer of a token store to three open files."""

    def __init__(self, dtype: np.dtype, new_file: Callable[[], BinaryIO]) -> None:
        self._dtype = dtype
        self._tokens, self._sentences, self._documents = new_file(), new_file(), new_file()
        self.counts = CorpusCounts()
        self._document_start = 0
        append_array(self._sentences, np.zeros(1, np.int64))
        append_array(self._documents, np.zeros(1, np.int64))

    def append(self, block: TokenBlock) -> None:
        append_array(self._tokens, block.tokens)
        append_array(self._sentences, self.counts.tokens + np.cumsum(block.sentence_lengths))
        self._end_documents(self.counts.sentences + block.document_ends)
        self.counts.add(block.counts)

    def close(self) -> TokenStore:
        """End the last document and map the files."""
        self._end_documents(np.array([self.counts.sentences], np.int64))
        return TokenStore(
            tokens=map_array(self._tokens, self._dtype),
            sentence_offsets=map_array(self._sentences, np.dtype(np.int64)),
            document_offsets=map_array(self._documents, np.dtype(np.int64)),
            counts=self.counts,
        )

    def _end_documents(self, ends: np.ndarray) -> None:
        """Write the ends of documents. An end without a sentence since the one before is left out."""
        ends = np.unique(ends)
        ends = ends[ends > self._document_start]
        if len(ends):
            self._document_start = int(ends[-1])
            self.counts.documents += len(ends)
            append_array(self._documents, ends)


def build_token_store(
    paths: list[Path],
    tokenizer: BlockTokenizer,
    new_file: Callable[[], BinaryIO],
    num_workers: int = 1,
    progress: Callable[[int], object] | None = None,
    block_bytes: int = TOKENIZE_BLOCK_BYTES,
) -> TokenStore:
    """Tokenize shards into files that `new_file` opens. The end of a shard ends a document.

    Raises:
        ValueError: a shard is not text.
    """
    writer = TokenStoreWriter(tokenizer.dtype, new_file)

    def blocks() -> Iterator[bytes]:
        for path in paths:
            for number, block in enumerate(read_line_blocks(path, progress, block_bytes)):
                if number == 0:
                    block, _ = drop_byte_order_mark(block)
                yield block
            yield b"\n"

    tokenizer(b"\n")  # load compiled code before processes are forked
    for block in map_in_order(tokenizer, blocks(), num_workers):
        writer.append(block)
    return writer.close()


def with_separators(store: TokenStore, separator: int, new_file: Callable[[], BinaryIO]) -> TokenStore:
    """Return the store with the word `separator` before each document, in new files. A document is one sentence there.

    Text that runs on over documents then is a range of tokens, as every segment.
    """
    tokens, sentences, documents = new_file(), new_file(), new_file()
    append_array(sentences, np.zeros(1, np.int64))
    append_array(documents, np.zeros(1, np.int64))
    word = store.tokens.dtype.type(separator | store.word_start_bit)
    for document in range(0, len(store.document_offsets) - 1, DOCUMENTS_AT_ONCE):
        starts = store.sentence_offsets[store.document_offsets[document : document + DOCUMENTS_AT_ONCE + 1]]
        for first in range(starts[0], starts[-1], TOKENS_AT_ONCE):
            part = store.tokens[first : min(first + TOKENS_AT_ONCE, starts[-1])]
            inside = slice(*np.searchsorted(starts[:-1], [first, first + len(part)]))
            append_array(tokens, np.insert(part, starts[:-1][inside] - first, word))
        numbers = np.arange(document + 1, document + len(starts))
        append_array(sentences, starts[1:] + numbers)
        append_array(documents, numbers)
        release_pages(store.tokens)
    return TokenStore(
        tokens=map_array(tokens, store.tokens.dtype),
        sentence_offsets=map_array(sentences, np.dtype(np.int64)),
        document_offsets=map_array(documents, np.dtype(np.int64)),
        counts=store.counts,
    )

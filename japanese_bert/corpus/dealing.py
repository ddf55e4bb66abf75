"""Documents -> shards of about equal size, dealt at random, written as a stream.

The first documents go one to each shard, in random order. Every later document goes to the smaller of two shards drawn
at random. For any number of documents, this keeps the largest gap between shards near the size of one long document
(Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001). Documents keep their order inside a shard.
"""

from collections.abc import Sequence

import numpy as np

from japanese_bert.common.text_files import Writable
from japanese_bert.compiled.kernels import kernel
from japanese_bert.corpus.documents import DocumentBatch, at_least, copy

DRAWS_AT_ONCE = 1 << 16


class ShardWriter:
    """The writer of all shards. It holds one batch of documents, whatever the size of the corpus.

    `sizes` are the characters dealt to each shard so far. `num_documents` and others are totals.
    """

    def __init__(self, files: Sequence[Writable], generator: np.random.Generator) -> None:
        self.sizes = np.zeros(len(files), np.int64)
        self.num_documents = self.num_lines = self.num_characters = 0
        self._files = files
        self._generator = generator
        self._dealt = np.empty(0, np.uint8)
        self._pairs = np.repeat(generator.permutation(len(files))[:, np.newaxis], 2, axis=1)

    def write(self, batch: DocumentBatch) -> None:
        """Deal the documents of a batch and write them."""
        documents = batch.documents
        pairs = self._draw_pairs(len(documents))
        shards = np.empty(len(documents), np.int64)
        choose_shards(documents, pairs, self.sizes, shards)
        self._dealt = at_least(self._dealt, len(batch.text))
        ends = gather_by_shard(batch.text, documents, shards, self._dealt, len(self._files))
        dealt = self._dealt.data
        for file, start, end in zip(self._files, [0, *ends[:-1]], ends, strict=True):
            file.write(dealt[start:end])
        self.num_documents += len(documents)
        self.num_lines += int(documents["num_lines"].sum())
        self.num_characters += int(documents["num_characters"].sum())

    def _draw_pairs(self, count: int) -> np.ndarray:
        """Return two candidate shards for each document: the same shard twice while some shard may be empty.

        They are drawn in lots of a fixed size, so that the sequence does not depend on the sizes of batches.
        """
        while len(self._pairs) < count:
            lot = self._generator.integers(len(self._files), size=(DRAWS_AT_ONCE, 2))
            self._pairs = np.concatenate([self._pairs, lot])
        drawn, self._pairs = self._pairs[:count], self._pairs[count:]
        return drawn


@kernel
def choose_shards(documents, pairs, sizes, shards):
    """Fill `shards` with the smaller candidate of each document, and add its characters to `sizes`."""
    for number in range(len(documents)):
        one, other = pairs[number]
        shard = one if sizes[one] <= sizes[other] else other
        line_ends = documents[number]["num_lines"] - 1
        sizes[shard] += documents[number]["num_characters"] + line_ends
        shards[number] = shard


@kernel
def gather_by_shard(text, documents, shards, dealt, num_shards):
    """Copy the documents to `dealt`, first those of the first shard, and so on. Return the ends of the shards."""
    sizes = np.zeros(num_shards, np.int64)
    for number in range(len(documents)):
        sizes[shards[number]] += documents[number]["end"] - documents[number]["start"]
    ends = np.cumsum(sizes) - sizes
    for number in range(len(documents)):
        start, size = documents[number]["start"], documents[number]["end"] - documents[number]["start"]
        copy(text, start, size, dealt, ends[shards[number]])
        ends[shards[number]] += size
    return ends

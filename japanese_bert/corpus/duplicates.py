"""Drop documents whose text was there before, by a 64-bit hash of it."""

import hashlib
from collections import Counter

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.corpus.documents import DocumentBatch

FREE = 0  # marks a free slot of the table
FIRST_SLOTS = 1 << 16


class DuplicateFilter:
    """The hashes of all documents so far: 16 to 32 bytes for each different one, and half as much more while it grows.

    In 66 million documents (CC-100), it drops one by mistake with a probability of 1 in 10,000.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._table = np.zeros(FIRST_SLOTS, np.uint64)
        self._num_hashes = 0

    def select(self, batch: DocumentBatch) -> DocumentBatch:
        """Return the documents of a batch that are new."""
        documents = batch.documents
        is_new = np.zeros(len(documents), np.bool_)
        self._make_room(len(documents))
        insert(self._table, hash_documents(batch), is_new)
        self._num_hashes += int(is_new.sum())
        repeated = documents[~is_new]
        self.dropped["documents"] += len(repeated)
        self.dropped["lines"] += int(repeated["num_lines"].sum())
        self.dropped["characters"] += int(repeated["num_characters"].sum())
        return DocumentBatch(batch.text, documents[is_new])

    def _make_room(self, num_hashes: int) -> None:
        """Double the table until at least half of it stays free."""
        while 2 * (self._num_hashes + num_hashes) > len(self._table):
            hashes = self._table[self._table != FREE]
            self._table = np.zeros(2 * len(self._table), np.uint64)
            insert(self._table, hashes, np.zeros(len(hashes), np.bool_))


def hash_documents(batch: DocumentBatch) -> np.ndarray:
    """Return a 64-bit hash (BLAKE2b) of each document."""
    text = batch.text.data
    bounds = zip(batch.documents["start"].tolist(), batch.documents["end"].tolist(), strict=True)
    hashes = (hashlib.blake2b(text[start:end], digest_size=8).digest() for start, end in bounds)
    return np.frombuffer(b"".join(hashes), np.uint64)


@kernel
def insert(table, hashes, is_new):
    """Put each hash into its slot of the table, or the next free one. Set `is_new` for those that are not there yet."""
    mask = np.uint64(len(table) - 1)
    for number in range(len(hashes)):
        value = max(hashes[number], np.uint64(1))  # 0 is a free slot
        slot = value & mask
        while table[slot] != value and table[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        is_new[number] = table[slot] != value
        table[slot] = value

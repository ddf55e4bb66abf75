"""Documents -> `corpus_NN.txt` shards of about equal size, dealt at random, written as a stream.

The first documents go one to each shard in random order; every later one goes to the smaller of two shards drawn
at random, which keeps the largest gap between shards near the size of one long document however many there are
(Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001). Inside a shard documents keep their order.
"""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np

SHARD_NAME = re.compile(r"corpus_\d+\.txt(\.gz)?")
DRAWS_AT_ONCE = 1 << 16
HELD_CHARACTERS = 1 << 20


def shard_paths(output_dir: Path, num_files: int, compress: bool = False) -> list[Path]:
    """`corpus_01.txt`, `corpus_02.txt`, ... numbered as `seq -f %02g 1 64` counts."""
    suffix = ".txt.gz" if compress else ".txt"
    return [output_dir / f"corpus_{number:02d}{suffix}" for number in range(1, num_files + 1)]


def check_no_other_shards(shards: list[Path]) -> None:
    """Raise FileExistsError if other shards lie beside them, which `corpus_*.txt` would pick up unnoticed."""
    present = [path for path in shards[0].parent.glob("corpus_*") if SHARD_NAME.fullmatch(path.name)]
    others = sorted(set(present) - set(shards))
    if others:
        raise FileExistsError(
            f"{others[0]}: a shard of another run ({len(others)} in all), not one of the {len(shards)} "
            "of this run; remove them with their .json files, or name another --output_dir"
        )


class ShardWriter:
    """Deals documents to shards; holds about a million characters, whatever the size of the corpus.

    `sizes` are the characters dealt to each shard so far.
    """

    def __init__(self, files: list[BinaryIO], generator: "np.random.Generator") -> None:
        self.sizes = [0] * len(files)
        self._files = files
        self._draws = _draw_pairs(len(files), generator)
        self._documents: list[list[str]] = [[] for _ in files]
        self._held = 0

    def write(self, documents: Iterable[str]) -> None:
        before = sum(self.sizes)
        sizes, held = self.sizes, self._documents
        for document, (one, other) in zip(documents, self._draws, strict=False):
            shard = one if sizes[one] <= sizes[other] else other
            sizes[shard] += len(document)
            held[shard].append(document)
        self._held += sum(sizes) - before
        if self._held >= HELD_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write what is held; call it once after the last document."""
        for file, documents in zip(self._files, self._documents, strict=True):
            if documents:
                file.write("\n\n".join([*documents, ""]).encode("utf-8"))
                documents.clear()
        self._held = 0


def _draw_pairs(num_files: int, generator: "np.random.Generator") -> Iterator[tuple[int, int]]:
    """Two candidate shards for each document: the same shard twice while some shard may be empty.

    Drawn in lots of a fixed size, so that the sequence does not depend on how the input is cut into blocks.
    """
    for shard in generator.permutation(num_files).tolist():
        yield shard, shard
    while True:
        yield from generator.integers(num_files, size=(DRAWS_AT_ONCE, 2)).tolist()


def drop_lines(
    batches: Iterable[list[str]], min_length: int | None, max_length: int | None, dropped: Counter
) -> Iterator[list[str]]:
    """Documents without their lines of fewer or more characters, and without documents that had no other."""
    shortest, longest = min_length or 0, max_length or sys.maxsize
    for documents in batches:
        kept = []
        for document in documents:
            lines = document.split("\n")
            selected = [line for line in lines if shortest <= len(line) <= longest]
            dropped["short_lines"] += sum(len(line) < shortest for line in lines)
            dropped["long_lines"] += sum(len(line) > longest for line in lines)
            if selected:
                kept.append("\n".join(selected))
        dropped["documents_left_empty"] += len(documents) - len(kept)
        yield kept


def drop_duplicates(batches: Iterable[list[str]], dropped: Counter) -> Iterator[list[str]]:
    """The first of documents with equal text, told by a 64-bit hash."""
    seen: set[int] = set()
    for documents in batches:
        kept = []
        for document in documents:
            digest = hashlib.blake2b(document.encode("utf-8"), digest_size=8).digest()
            number = int.from_bytes(digest, "little")
            if number not in seen:
                seen.add(number)
                kept.append(document)
        dropped["duplicate_documents"] += len(documents) - len(kept)
        yield kept

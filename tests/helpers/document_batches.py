"""Documents as the reader of a corpus hands them on."""

import sys
from collections.abc import Iterable, Iterator

from japanese_bert.corpus.documents import DocumentBatch, DocumentReader, LineLengths


def batches_of(parts: Iterable[str]) -> Iterator[DocumentBatch]:
    """Yield the documents of each text as a batch."""
    reader = DocumentReader(LineLengths(0, sys.maxsize))
    for part in parts:
        yield from reader.read_file([part.encode()])
        yield from reader.take()


def texts_of(batch: DocumentBatch) -> list[str]:
    bounds = zip(batch.documents["start"], batch.documents["end"], strict=True)
    return [batch.text[start:end].tobytes().decode("utf-8").removesuffix("\n\n") for start, end in bounds]

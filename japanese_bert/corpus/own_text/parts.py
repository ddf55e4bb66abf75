"""Prepared documents on disk, a directory for some input files: the unit of restart, and of work on a cluster.

`text` holds the sentences, one a line. `documents`, `paragraphs` and `signatures` are arrays that describe it.
`provenance.json` says what it was made from, and has the counts.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.common.provenance import read_provenance
from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.mapped_arrays import append_array, map_array, release_pages
from japanese_bert.corpus.own_text.conversion import PARAGRAPH, PREPARED, PreparedBlock
from japanese_bert.corpus.own_text.signatures import NUM_HASHES

PART_STAGE = "make_corpus_part"
SIGNATURE = np.dtype((np.void, NUM_HASHES))
CHUNK_DOCUMENTS = 1 << 15
COUNTS = ("counts", "dropped_documents", "dropped_characters")
PART_FILES = ("text", "documents", "paragraphs", "signatures")


def write_part(directory: Path, blocks: Iterable[PreparedBlock]) -> PreparedBlock:
    """Write the documents of all blocks. Return the sum of their counts."""
    total = PreparedBlock()
    with ExitStack() as stack:
        files = {name: stack.enter_context(open(directory / name, "wb")) for name in PART_FILES}
        for block in blocks:
            files["text"].write(block.text)
            for name in PART_FILES[1:]:
                append_array(files[name], getattr(block, name))
            total.add_counts(block)
    return total


class PreparedPart:
    """A part that was written, with the numbers of its first document and its first paragraph in the whole corpus.

    Raises:
        ValueError: this is no part, or it is damaged.
    """

    def __init__(self, directory: Path, first_document: int, first_paragraph: int) -> None:
        made_by = read_provenance(directory)
        if not made_by or made_by.get("stage") != PART_STAGE:
            raise ValueError(f"{directory}: no part. Expected what make_corpus.py --output_part wrote")
        self.directory, self.made_by = directory, made_by
        types = (np.dtype(np.uint8), PREPARED, PARAGRAPH, SIGNATURE)
        arrays = (_map_file(directory / name, dtype) for name, dtype in zip(PART_FILES, types, strict=True))
        self.text, self.documents, self.paragraphs, self.signatures = arrays
        self.first_document, self.first_paragraph = first_document, first_paragraph
        sizes = {name: (directory / name).stat().st_size for name in PART_FILES}
        if sizes != made_by.get("files"):
            raise ValueError(f"{directory}: its files have other sizes than when they were written. Make it again")

    def chunks(self) -> Iterator["Chunk"]:
        """Yield the documents of the part in lots that fit into memory."""
        paragraph = byte = 0
        for start in range(0, len(self.documents), CHUNK_DOCUMENTS):
            chunk = Chunk(self, start, paragraph, byte)
            yield chunk
            paragraph, byte = chunk.end_paragraph, chunk.end_byte
            for array in (self.text, self.documents, self.paragraphs, self.signatures):
                release_pages(array)


class Chunk:
    """Consecutive documents of a part. `document_numbers` and `paragraph_numbers` are those of the whole corpus."""

    def __init__(self, part: PreparedPart, start: int, paragraph: int, byte: int) -> None:
        self.documents = part.documents[start : start + CHUNK_DOCUMENTS]
        self.signatures = part.signatures[start : start + CHUNK_DOCUMENTS]
        self.end_paragraph = paragraph + int(self.documents["paragraphs"].sum())
        self.paragraphs = part.paragraphs[paragraph : self.end_paragraph]
        self.end_byte = byte + int(self.paragraphs["size"].sum())
        self.text = part.text[byte : self.end_byte]
        self.document_numbers = slice(part.first_document + start, part.first_document + start + len(self.documents))
        self.paragraph_numbers = slice(part.first_paragraph + paragraph, part.first_paragraph + self.end_paragraph)

    def owners(self) -> np.ndarray:
        """Return for each paragraph the place of its document in the chunk."""
        return np.repeat(np.arange(len(self.documents)), self.documents["paragraphs"])

    def write_kept(self, is_kept: np.ndarray) -> np.ndarray:
        """Return the text of the kept paragraphs, with a blank line after each document that has one."""
        output = np.empty(len(self.text) + len(self.documents), np.uint8)
        size = _copy_kept(self.text, self.documents["paragraphs"], self.paragraphs["size"], is_kept, output)
        return output[:size]


def open_parts(directories: Iterable[Path]) -> list[PreparedPart]:
    """Return the parts in this order."""
    parts: list[PreparedPart] = []
    documents = paragraphs = 0
    for directory in directories:
        parts.append(PreparedPart(directory, documents, paragraphs))
        documents += len(parts[-1].documents)
        paragraphs += len(parts[-1].paragraphs)
    return parts


def common_method(parts: list[PreparedPart]) -> dict[str, Any]:
    """Return how all parts were made.

    Raises:
        ValueError: two parts were made in different ways.
    """
    first = parts[0].made_by
    for part in parts:
        for name in ("method", "dictionary"):
            if part.made_by[name] != first[name]:
                raise ValueError(
                    f"{part.directory}: was made with other arguments than {parts[0].directory}. Make all parts alike"
                )
    return first["method"]


def remove_parts(parts: Iterable[Path]) -> None:
    """Remove parts, and their directory if nothing else is in it."""
    for part in parts:
        if (read_provenance(part) or {}).get("stage") == PART_STAGE:
            for name in ("provenance.json", *PART_FILES):
                (part / name).unlink(missing_ok=True)
            with suppress(OSError):
                part.rmdir()
        with suppress(OSError):
            part.parent.rmdir()


def _map_file(path: Path, dtype: np.dtype) -> np.ndarray:
    with open(path, "r+b") as file:  # only a file that may be written can be mapped so
        return map_array(file, dtype)


@kernel
def _copy_kept(text, counts, sizes, is_kept, output):
    position = written = np.int64(0)
    paragraph = 0
    for count in counts:
        start = written
        for _ in range(count):
            end = position + np.int64(sizes[paragraph])
            if is_kept[paragraph]:
                output[written : written + end - position] = text[position:end]
                written += end - position
            position = end
            paragraph += 1
        if written > start:
            output[written] = 10
            written += 1
    return written

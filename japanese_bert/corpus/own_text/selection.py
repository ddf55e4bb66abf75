"""All documents -> those to keep: no exact copies, no near copies, no lines that recur everywhere.

The first of equal documents stays, in the order of the parts. A document is a near copy if its estimated similarity to
an earlier one is at least the threshold, less 0.05 for the error of the estimate. Documents come first, so a paragraph
is never lost because its first document went. Memory is bounded: one run of keys, and a byte for each document and each
paragraph, in files that are mapped.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from japanese_bert.compiled.mapped_arrays import append_array, map_array, take
from japanese_bert.corpus.own_text.grouping import RUN_KEYS, Grouper, Pairs
from japanese_bert.corpus.own_text.parts import COUNTS, SIGNATURE, Chunk, PreparedPart, common_method, open_parts
from japanese_bert.corpus.own_text.quality import BOILERPLATE, BOILERPLATE_LENGTH
from japanese_bert.corpus.own_text.signatures import BANDS, MARGIN, NUM_HASHES, band_keys, similarity

PAIRS_AT_ONCE = 1 << 17  # signatures of 40 MB
ZEROS = 1 << 20


class Reason(IntEnum):
    """Why a document or a paragraph is dropped."""

    KEPT = 0
    DUPLICATE_DOCUMENTS = 1
    NEAR_DUPLICATES = 2
    BOILERPLATE_LINES = 3
    DUPLICATE_PARAGRAPHS = 4


@dataclass(frozen=True)
class SelectionOptions:
    """What counts as a duplicate. `boilerplate` is the number of documents that have the same line, or 0."""

    documents: bool = False
    paragraphs: bool = False
    near: float | None = None
    boilerplate: int = 0
    run_keys: int = RUN_KEYS


@dataclass
class SelectedCounts:
    """What is written and what is dropped, by reason."""

    counts: Counter = field(default_factory=Counter)
    dropped_documents: Counter = field(default_factory=Counter)
    dropped_characters: Counter = field(default_factory=Counter)


def write_selected(
    directories: list[Path],
    options: SelectionOptions,
    write: Callable[[memoryview], object],
    new_file: Callable[[], BinaryIO],
) -> dict[str, Any]:
    """Write the documents of all parts that are to be kept. Return all counts, those of the parts too.

    Lines that recur are boilerplate where the parts were made with a preset of quality rules that says so.

    Raises:
        ValueError: the parts cannot belong to one corpus, or have no signatures.
    """
    parts = open_parts(directories)
    method = common_method(parts)
    if options.near is not None and not method["signatures"]:
        raise ValueError(f"{directories[0]}: was made without --near_duplicates. Make the parts again with it")
    options = replace(options, boilerplate=BOILERPLATE.get(method["quality"], 0))
    selected = Selection(parts, options, new_file).write(write)
    report: dict[str, Any] = {name: {} for name in COUNTS}
    for made_by in (*(part.made_by for part in parts), vars(selected)):
        for name in COUNTS:
            for key, value in made_by[name].items():
                report[name][key] = report[name].get(key, 0) + value
    report["corrupt_rows"] = [row for part in parts for row in part.made_by["corrupt_rows"]]
    report["encodings"] = {key: value for part in parts for key, value in part.made_by["encodings"].items()}
    return report


class Selection:
    """The reasons of all documents and paragraphs of the parts. `new_file` opens temporary files."""

    def __init__(self, parts: list[PreparedPart], options: SelectionOptions, new_file: Callable[[], BinaryIO]) -> None:
        self._parts, self._options, self._new_file = parts, options, new_file
        self._documents = self._reasons(sum(len(part.documents) for part in parts))
        self._paragraphs = self._reasons(sum(len(part.paragraphs) for part in parts))
        if options.documents or options.near is not None:
            self._drop_equal_documents()
        if options.near is not None:
            self._drop_near_duplicates(options.near - MARGIN)
        if options.boilerplate:
            self._drop_boilerplate(options.boilerplate)
        if options.paragraphs:
            self._drop_equal_paragraphs()

    def write(self, write: Callable[[memoryview], object]) -> SelectedCounts:
        """Write all that is kept, and return the counts."""
        total = SelectedCounts()
        for chunk in self._chunks():
            reasons = self._reasons_of(chunk)
            write(chunk.write_kept(reasons == Reason.KEPT).data)
            self._count(chunk, reasons, total)
        return total

    def _reasons(self, count: int) -> np.ndarray:
        file = self._new_file()
        for start in range(0, count, ZEROS):
            file.write(bytes(min(ZEROS, count - start)))
        return map_array(file, np.dtype(np.uint8))

    def _chunks(self) -> Iterator[Chunk]:
        for part in self._parts:
            yield from part.chunks()

    def _grouper(self, tell: Callable[[Pairs], object]) -> Grouper:
        return Grouper(self._new_file(), tell, self._options.run_keys)

    def _drop_equal_documents(self) -> None:
        def tell(pairs: Pairs) -> None:
            self._documents[pairs.later] = Reason.DUPLICATE_DOCUMENTS

        grouper = self._grouper(tell)
        for chunk in self._chunks():
            grouper.add(chunk.documents["hash"].copy(), _numbers(chunk.document_numbers))
        _exhaust(grouper)

    def _drop_near_duplicates(self, threshold: float) -> None:
        file = self._new_file()
        for chunk in self._chunks():
            append_array(file, chunk.signatures)
        signatures = map_array(file, SIGNATURE)

        def tell(pairs: Pairs) -> None:
            for start in range(0, len(pairs.later), PAIRS_AT_ONCE):
                part = Pairs(*(items[start : start + PAIRS_AT_ONCE] for items in pairs))
                is_open = self._documents[part.later] == Reason.KEPT
                first, later = (items[is_open].astype(np.int64) for items in part)
                similar = similarity(_rows(signatures, first), _rows(signatures, later)) >= threshold
                self._documents[later[similar]] = Reason.NEAR_DUPLICATES

        grouper = self._grouper(tell)
        for chunk in self._chunks():
            kept = np.flatnonzero(self._documents[chunk.document_numbers] == Reason.KEPT)
            keys = band_keys(chunk.signatures[kept].view(np.uint8).reshape(-1, NUM_HASHES))
            grouper.add(keys.ravel(), np.repeat(_numbers(chunk.document_numbers)[kept], BANDS))
        _exhaust(grouper)

    def _drop_boilerplate(self, least: int) -> None:
        grouper = self._grouper(lambda pairs: None)
        for chunk in self._chunks():
            kept, keys = self._long_paragraphs(chunk)
            owners = chunk.owners()[kept].astype(np.uint64)
            order = np.lexsort((keys, owners))
            keys, owners = keys[order], owners[order]
            is_new = np.ones(len(keys), np.bool_)  # once for each document
            is_new[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
            grouper.add(keys[is_new], owners[is_new])
        file = self._new_file()
        for entries in grouper.finish():
            append_array(file, entries["key"][entries["count"] >= least])
        recurring = map_array(file, np.dtype(np.uint64))  # sorted
        for chunk in self._chunks() if len(recurring) else ():
            kept, keys = self._long_paragraphs(chunk)
            place = np.minimum(np.searchsorted(recurring, keys), len(recurring) - 1)
            numbers = kept[recurring[place] == keys] + chunk.paragraph_numbers.start
            self._paragraphs[numbers] = Reason.BOILERPLATE_LINES

    def _drop_equal_paragraphs(self) -> None:
        def tell(pairs: Pairs) -> None:
            self._paragraphs[pairs.later] = Reason.DUPLICATE_PARAGRAPHS

        grouper = self._grouper(tell)
        for chunk in self._chunks():
            kept, keys = self._long_paragraphs(chunk)
            grouper.add(keys, _numbers(chunk.paragraph_numbers)[kept])
        _exhaust(grouper)

    def _long_paragraphs(self, chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
        """Return places and hashes of the kept paragraphs that are long enough to be compared."""
        is_kept = self._reasons_of(chunk) == Reason.KEPT
        places = np.flatnonzero(is_kept & (chunk.paragraphs["characters"] >= BOILERPLATE_LENGTH))
        return places, chunk.paragraphs["hash"][places]

    def _reasons_of(self, chunk: Chunk) -> np.ndarray:
        """Return the reason of each paragraph of a chunk: that of its document, or its own."""
        of_documents = self._documents[chunk.document_numbers][chunk.owners()]
        return np.where(of_documents, of_documents, self._paragraphs[chunk.paragraph_numbers])

    def _count(self, chunk: Chunk, reasons: np.ndarray, total: SelectedCounts) -> None:
        characters = np.bincount(reasons, weights=chunk.paragraphs["characters"], minlength=len(Reason))
        sentences = np.bincount(reasons, weights=chunk.paragraphs["sentences"], minlength=len(Reason))
        documents = self._documents[chunk.document_numbers]
        with_text = len(np.unique(chunk.owners()[reasons == Reason.KEPT]))
        total.counts["documents_out"] += with_text
        total.counts["sentences_out"] += int(sentences[Reason.KEPT])
        total.counts["characters_out"] += int(characters[Reason.KEPT])
        for reason in list(Reason)[1:]:
            total.dropped_characters[reason.name.lower()] += int(characters[reason])
            total.dropped_documents[reason.name.lower()] += int((documents == reason).sum())
        total.dropped_documents["without_other_lines"] += int((documents == Reason.KEPT).sum()) - with_text


def _numbers(numbers: slice) -> np.ndarray:
    return np.arange(numbers.start, numbers.stop, dtype=np.uint64)


def _exhaust(grouper: Grouper) -> None:
    for _ in grouper.finish():
        pass


def _rows(signatures: np.ndarray, places: np.ndarray) -> np.ndarray:
    return take(signatures, places).view(np.uint8).reshape(-1, NUM_HASHES)

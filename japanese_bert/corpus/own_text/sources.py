"""JSON Lines, Parquet and text files in any encoding -> blocks of rows for worker processes.

A file's kind is that of its name: `.jsonl`, `.json`, `.ndjson`, `.parquet`, or else text. Text is UTF-8 from here on,
with line ends `\\n`.
"""

import codecs
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from japanese_bert.common.encodings import check_format, guess_encoding, is_json_lines, marked_encoding
from japanese_bert.common.text_files import (
    STANDARD_INPUT,
    complete_lines,
    expand_paths,
    read_blocks,
    split_names,
    without_records,
)
from japanese_bert.corpus.wikipedia.cirrussearch import parse_object

Progress = Callable[[int], object]

JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
TEXT_SUFFIXES = (".txt", ".text", ".md")
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
DOCUMENT_KINDS = ("blank_line", "line", "file")
PARQUET_ROWS = 256
MAX_SAMPLE_BLOCKS = 16  # of ASCII, before a file counts as UTF-8
_BLANK_LINE = re.compile(rb"^(?:[ \t\v\f\r]|\xe3\x80\x80)*\n", re.MULTILINE)
_BETWEEN_DOCUMENTS = re.compile(r"\n(?:[^\S\n]*\n)+")


class SourceBlock(NamedTuple):
    """Some rows of a file: lines of JSON, complete documents of text, or values of a Parquet column with their ids."""

    path: Path
    first: int  # number of the first row
    kind: str
    content: Any


class TextRow(NamedTuple):
    """One text, where it stands, and the reason if it cannot be read."""

    where: str
    text: str
    problem: str = ""


@dataclass(frozen=True)
class SourceOptions:
    """How files are read. `verdicts` gets the encoding of each text file."""

    text_field: str = "text"
    id_field: str | None = None
    encoding: str = "auto"
    documents: str = "blank_line"
    verdicts: dict[str, str] = field(default_factory=dict)


def source_files(names: list[str]) -> list[Path]:
    """Return the files of names, globs, comma lists and directories, sorted by path.

    So a corpus does not depend on the order of the list. Standard input comes last. A directory gives its files with a
    known suffix at any depth. Hidden ones, and what stages write beside their outputs, are left out.
    """
    parts = split_names(names)
    files = [file for part in parts for file in (_files_below(Path(part)) if Path(part).is_dir() else [part])]
    return sorted(expand_paths(files), key=lambda path: (path == STANDARD_INPUT, str(path)))


def _files_below(directory: Path) -> list[str]:
    found = list(_all_below(directory))
    known = {
        name
        for name in found
        if kind_of(Path(name)) != "text" or plain_name(Path(name)).suffix.lower() in TEXT_SUFFIXES
    }
    chosen = {name for name in without_records(known) if not _is_left_out(os.path.basename(name))}
    if not chosen:
        suffixes = ", ".join((*JSON_SUFFIXES, ".parquet", *TEXT_SUFFIXES))
        raise FileNotFoundError(
            f"{directory}: no file of this directory ends in {suffixes}. Name others by a glob, such as '{directory}/*'"
        )
    if left := len(found) - len(chosen):
        print(f"{directory}: {len(chosen)} files, {left} with other suffixes are left out")
    return sorted(chosen)


def _all_below(directory: Path) -> Iterator[str]:
    """Yield the files at any depth, also behind links, but none of a directory twice. Hidden directories stay out."""
    seen: set[str] = set()
    for where, directories, names in os.walk(directory, followlinks=True):
        directories[:] = sorted(name for name in directories if not _is_left_out(name))
        real = os.path.realpath(where)
        if real in seen:
            directories.clear()
            continue
        seen.add(real)
        yield from (os.path.join(where, name) for name in names)


def _is_left_out(name: str) -> bool:
    """Return whether a file or directory is hidden, or of a stage that is not finished."""
    return name.startswith(".") or name.endswith((".tmp", ".parts"))


def plain_name(path: Path) -> Path:
    """Return the name without the suffix of a compression."""
    return Path(path.stem) if path.suffix in PACKED_SUFFIXES else Path(path.name)


def kind_of(path: Path) -> str:
    """Return `json`, `parquet` or `text`."""
    suffix = plain_name(path).suffix.lower()
    if suffix == ".parquet":
        return "parquet"
    return "json" if suffix in JSON_SUFFIXES else "text"


def read_source_blocks(path: Path, options: SourceOptions, progress: Progress | None = None) -> Iterator[SourceBlock]:
    """Yield the rows of a file. A file without any is a block of kind `empty`."""
    kind = kind_of(path)
    blocks = _parquet_blocks(path, options, progress) if kind == "parquet" else _line_blocks(path, options, progress)
    is_empty = True
    for block in blocks:
        is_empty = False
        yield block
    if is_empty:
        yield SourceBlock(path, 0, "empty", None)


def _line_blocks(path: Path, options: SourceOptions, progress: Progress | None) -> Iterator[SourceBlock]:
    lines = read_utf8_lines(path, options, progress)
    first_block = next(lines, b"")
    is_json = is_json_lines(first_block)
    if is_json and kind_of(path) == "text" and path != STANDARD_INPUT:
        name = path.with_suffix(f".jsonl{path.suffix}") if path.suffix in PACKED_SUFFIXES else f"{path}.jsonl"
        raise ValueError(f"{path}: is JSON Lines under the name of a text. Rename it to {name}")
    blocks = chain([first_block] if first_block else [], lines)
    if kind_of(path) == "json" or is_json:
        if first_block.lstrip().startswith(b"["):
            raise ValueError(f"{path}: is one JSON array. Expected an object a line. Run: jq -c '.[]' {path}")
        yield from _numbered(path, blocks)
    elif options.documents == "line":
        yield from (SourceBlock(path, 0, "line", block) for block in blocks)
    elif options.documents == "file":
        text = b"".join(blocks)
        yield from [SourceBlock(path, 0, "file", text)] if text else []
    else:
        yield from (SourceBlock(path, 0, "blank_line", block) for block in _whole_documents(blocks))


def _numbered(path: Path, blocks: Iterator[bytes]) -> Iterator[SourceBlock]:
    first = 1
    for block in blocks:
        yield SourceBlock(path, first, "json", block)
        first += block.count(b"\n")


def _whole_documents(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same lines, cut after blank lines only."""
    pending: list[bytes] = []
    for block in blocks:
        end = max((match.end() for match in _BLANK_LINE.finditer(block)), default=0)
        if end:
            yield b"".join([*pending, block[:end]])
            pending = []
        pending.append(block[end:])
    if any(pending):
        yield b"".join(pending)


def read_utf8_lines(path: Path, options: SourceOptions, progress: Progress | None = None) -> Iterator[bytes]:
    """Yield blocks of complete lines in UTF-8, from a file in any encoding.

    Raises:
        ValueError: no encoding fits, or a byte is not of the encoding.
    """
    blocks = read_blocks(path, progress)
    head: list[bytes] = []
    encoding = options.encoding
    if encoding == "auto":
        head, encoding = _find_encoding(path, blocks)
    options.verdicts[str(path)] = encoding
    if encoding not in ("utf-8", "utf-8-sig"):
        print(f"{path}: {encoding}" + (", detected" if options.encoding == "auto" else ""))
    for block in complete_lines(path, _recode(path, chain(head, blocks), encoding)):
        yield block.replace(b"\r\n", b"\n") if b"\r" in block else block


def _find_encoding(path: Path, blocks: Iterator[bytes]) -> tuple[list[bytes], str]:
    """Return the blocks up to the first one that is not ASCII, and the encoding."""
    head: list[bytes] = []
    for block in blocks:
        if not head:
            check_format(path, block)
        head.append(block)
        if not block.isascii() or b"\x1b$" in block or marked_encoding(head[0]) or len(head) == MAX_SAMPLE_BLOCKS:
            break
    sample = head[-1] if head else b""
    encoding = marked_encoding(head[0]) if head else "utf-8"
    encoding = encoding or guess_encoding(sample)
    if encoding is None:
        _check_encoding(path, iter(head), "utf-8")
    return head, encoding or "utf-8"


def _check_encoding(path: Path, blocks: Iterator[bytes], encoding: str) -> None:
    for _ in _recode(path, blocks, encoding):
        pass


def _recode(path: Path, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the bytes as UTF-8, without a byte order mark."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    is_utf8 = encoding == "utf-8"
    offset, lines = 0, 1
    for block in chain(blocks, [b""]):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            start = offset - pending + error.start
            lines += error.object[: error.start].count(b"\n") if isinstance(error.object, bytes) else 0
            raise ValueError(
                f"{path}:{lines}: the byte 0x{error.object[error.start]:02x} at offset {start:,} is not {encoding} "
                f"({error.reason}). Name another --encoding, such as cp932 or euc-jp, or repair the file"
            ) from None
        yield block if is_utf8 else text.encode("utf-8")
        offset += len(block)
        lines += block.count(b"\n")


def _parquet_blocks(path: Path, options: SourceOptions, progress: Progress | None) -> Iterator[SourceBlock]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(f"{path}: reading Parquet needs pyarrow. Run: pip install pyarrow==26.0.1") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = [name.split(".")[0] for name in (options.text_field, options.id_field) if name]
        for name in names:
            if name not in file.schema_arrow.names:
                raise ValueError(f"no column {name}. The columns are {', '.join(file.schema_arrow.names)}")
        first, share = 1, path.stat().st_size / max(1, file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=sorted(set(names))):
            yield SourceBlock(path, first, "parquet", batch.select(names).to_pylist())
            first += batch.num_rows
            if progress:
                progress(round(share * batch.num_rows))
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise ValueError(f"{path}: {str(error).split(chr(10))[0]}. Expected a Parquet file with --text_field") from None


def read_rows(block: SourceBlock, options: SourceOptions) -> Iterator[TextRow]:
    """Yield the texts of a block."""
    path, first, kind, content = block
    if kind == "empty":
        yield TextRow(str(path), "", "no text in this file")
    elif kind == "json":
        for number, line in enumerate(content.split(b"\n")[:-1], first):
            if line.strip():
                yield _row_of_line(f"{path}:{number}", line, options)
    elif kind == "parquet":
        yield from (_row_of_object(f"{path}:{first + number}", row, options) for number, row in enumerate(content))
    else:
        yield from (TextRow(str(path), text) for text in _documents(content.decode("utf-8"), kind) if text.strip())


def _documents(text: str, kind: str) -> list[str]:
    if kind == "file":
        return [text]
    return text.split("\n") if kind == "line" else _BETWEEN_DOCUMENTS.split(text.strip("\n"))


def _row_of_line(where: str, line: bytes, options: SourceOptions) -> TextRow:
    try:
        return _row_of_object(where, parse_object(line), options)
    except ValueError as error:
        return TextRow(where, "", str(error))


def _row_of_object(where: str, row: dict, options: SourceOptions) -> TextRow:
    if options.id_field and (name := _value_of(row, options.id_field)) is not None:
        where = f"{where} ({name})"
    value = _value_of(row, options.text_field)
    if isinstance(value, str):
        return TextRow(where, value)
    found = "no field" if value is None else f"{type(value).__name__} in"
    fields = f". The fields are: {', '.join(row) or 'none'}" if value is None else ""
    return TextRow(where, "", f"{found} --text_field {options.text_field}{fields}")


def _value_of(row: object, name: str) -> Any:
    """Return the value of a field. A dot goes into an object, unless a field has the whole name."""
    if not isinstance(row, dict):
        return None
    if name in row or "." not in name:
        return row.get(name)
    outer, inner = name.split(".", 1)
    return _value_of(row.get(outer), inner)

"""Rows of a Wikimedia CirrusSearch dump -> pages.

There are two layouts: one `<wiki>-<date>-cirrussearch-content.json.gz` (until 2025-12-29), and a directory of files
`<wiki>_content-<date>-NNNNN.json.bz2` (https://dumps.wikimedia.org/other/cirrus_search_index/).
Lines alternate between an action, `{"index": {...}}`, and a page. Their keys, types and order have changed over
the years. So a row is recognised by its parsed JSON and never by its first bytes.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.common.encodings import check_format
from japanese_bert.common.text_files import expand_paths, read_line_blocks, split_names, without_records

SUCCESS_MARK = "_SUCCESS"
DUMP_SUFFIXES = (".json", ".json.gz", ".json.bz2", ".json.xz")


@dataclass(frozen=True, slots=True)
class Page:
    """One article: title and text as the search index holds them, without headings and markup."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Complete lines of one file. `first_line` counts from 1."""

    path: Path
    first_line: int
    lines: bytes


def dump_files(names: str) -> list[Path]:
    """Return the files of comma-separated files, globs and dump directories. Those of a directory are sorted.

    Raises:
        FileNotFoundError: nothing matches, or a directory holds no complete dump.
    """
    parts = [part for name in split_names([names]) for part in (_files_of_dump(Path(name)) or [name])]
    return expand_paths(parts)


def read_row_blocks(paths: list[Path], progress: Callable[[int], object] | None = None) -> Iterator[RowBlock]:
    """Yield all rows of the files in blocks."""
    for path in paths:
        first_line = 1
        for lines in read_line_blocks(path, progress, check=check_format):
            yield RowBlock(path, first_line, lines)
            first_line += lines.count(b"\n")


def parse_row(line: bytes) -> Page | str:
    """Return a page to keep, or the reason why the row has none.

    >>> parse_row('{"page_id": 1, "title": "梅雨", "text": "梅雨は雨季の一種。"}'.encode())
    Page(title='梅雨', text='梅雨は雨季の一種。')
    >>> parse_row(b'{"page_id": 2, "title": "", "namespace": 0, "page_type": "redirect"}')
    'redirects'

    Raises:
        ValueError: the row is not a row of a dump.
    """
    row = parse_object(line)
    if len(row) == 1 and "index" in row:
        return "actions"
    if row.get("page_type") == "redirect":
        return "redirects"
    if row.get("page_type") not in (None, "primary"):
        return "other_page_types"
    if row.get("namespace") not in (None, 0):
        return "other_namespaces"
    title, text = row.get("title") or "", row.get("text") or ""
    if not isinstance(title, str) or not isinstance(text, str):
        raise ValueError(f"title and text are {type(title).__name__} and {type(text).__name__}. Expected strings")
    return Page(title, text) if text.strip() else "without_text"


def parse_object(line: bytes) -> dict:
    """Return the object of a row. `orjson` is three times as fast as `json`, but refuses half of a surrogate pair."""
    import orjson

    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"is JSON of type {type(row).__name__}. Expected an object")
    return row


def _files_of_dump(directory: Path) -> list[str]:
    """Return the files of a dump directory, or none if the path is not a directory."""
    if not directory.is_dir():
        return []
    if not (directory / SUCCESS_MARK).is_file():
        raise FileNotFoundError(
            f"{directory / SUCCESS_MARK}: no such file. The dump is not complete, or this is not the directory of its "
            ".json.bz2 files. Wait for the dump, download it again, or name the files themselves"
        )
    names = without_records({path.name for path in directory.iterdir()})
    files = sorted(str(directory / name) for name in names if name.endswith(DUMP_SUFFIXES))
    if not files:
        raise FileNotFoundError(f"{directory}: no dump file. Expected names that end in .json.bz2")
    return files

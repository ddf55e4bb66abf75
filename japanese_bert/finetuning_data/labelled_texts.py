"""Texts with labels, one example per line: JSON Lines or TSV -> `LabelledText`.

The first line of TSV names the columns. Nothing is quoted. Files that end in .tsv (.tsv.gz ...) are TSV, all others are
JSON Lines, such as JGLUE's .json files.
"""

import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.common.json_files import parse_json
from japanese_bert.corpus.lines import numbered_lines


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One example: a text or a pair of texts. `label` is the number of a class, or the score of a regression."""

    texts: tuple[str, ...]
    label: int | float


@dataclass(frozen=True, slots=True)
class Columns:
    """The fields to read. `labels` are in the order of their numbers, and empty for a regression."""

    text_fields: Sequence[str]
    label_field: str
    labels: Sequence[str]


def read_labelled_texts(path: Path, columns: Columns) -> Iterator[LabelledText]:
    """Yield all examples of a file in its order. Blank lines are skipped.

    Raises:
        ValueError: a line is not such an example. The message has file and line.
    """
    rows = _rows_of_tsv(path) if ".tsv" in path.suffixes else _rows_of_json(path)
    for number, row in rows:
        try:
            yield LabelledText(tuple(_text(row, name) for name in columns.text_fields), _label(row, columns))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None


def _rows_of_json(path: Path) -> Iterator[tuple[int, dict]]:
    for number, line in numbered_lines(path):
        row = parse_json(line, f"{path}:{number}")
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: is a JSON {type(row).__name__}, expected one object on each line")
        yield number, row


def _rows_of_tsv(path: Path) -> Iterator[tuple[int, dict]]:
    lines = numbered_lines(path)
    _, header = next(lines, (1, ""))
    names = header.split("\t")
    for number, line in lines:
        values = line.split("\t")
        if len(values) != len(names):
            raise ValueError(f"{path}:{number}: has {len(values)} columns, expected {len(names)} as in the first line")
        yield number, dict(zip(names, values, strict=True))


def _field(row: dict, name: str) -> object:
    if name not in row:
        raise ValueError(f"no field {name} (but {', '.join(row)}). See --text_fields and --label_field")
    return row[name]


def _text(row: dict, name: str) -> str:
    text = _field(row, name)
    if not isinstance(text, str):
        raise ValueError(f"{name} is {_shown(text)}, expected text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{name} has half a character (a lone surrogate \\ud800 ... \\udfff)") from None
    return text


def _label(row: dict, columns: Columns) -> int | float:
    value = _field(row, columns.label_field)
    if not columns.labels:
        return _score(value, columns.label_field)
    label = value if isinstance(value, str) else _shown(value)
    if label not in columns.labels:
        raise ValueError(f"{columns.label_field} is {label!r}, expected one of --labels {' '.join(columns.labels)}")
    return columns.labels.index(label)


def _score(value: object, name: str) -> float:
    """Return a number, or text that holds one (as in the first version of JSTS), which fits 32 bits."""
    try:
        score = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        struct.pack("<f", score)
    except (ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{name} is {value!r}, expected a number")
    return score


def _shown(value: object) -> str:
    """Return a value as JSON spells it."""
    return json.dumps(value, ensure_ascii=False)

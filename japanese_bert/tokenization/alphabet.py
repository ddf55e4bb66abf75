"""The surfaces of a MeCab dictionary -> the alphabet of the vocabulary.

The surfaces come from the dictionary's source, `lex.csv`, or from its compiled form (`dictionary_file.py`). Both
give the same alphabet.
"""

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.tokenization.vocab import read_tokens


def collect_characters(surfaces: Iterable[str]) -> tuple[int, set[str]]:
    """Return the number of surfaces and the set of their characters."""
    count = 0
    characters: set[str] = set()
    for surface in surfaces:
        count += 1
        characters.update(surface)
    return count, characters


def make_alphabet(characters: Iterable[str]) -> list[str]:
    """Return the NFKC forms of all characters that are one printable character, by code point.

    >>> make_alphabet("ｱか\u3000㎏ガ")
    [' ', 'か', 'ア', 'ガ']
    """
    normalized = {unicodedata.normalize("NFKC", character) for character in characters}
    return sorted(character for character in normalized if len(character) == 1 and character.isprintable())


def iter_lex_surfaces(path: Path) -> Iterator[str]:
    """Yield the first column of a dictionary's `lex.csv`, which may be compressed.

    Raises:
        ValueError: a line is not UTF-8, or has no comma.
    """
    number = 0
    for block in read_line_blocks(path):
        for line in block.split(b"\n")[:-1]:
            number += 1
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                raise ValueError(
                    f"{path}:{number}: not UTF-8. Convert the file first, e.g. by iconv -f EUC-JP"
                ) from None
            if text.strip():
                yield _first_column(text, f"{path}:{number}")


def load_alphabet(path: Path) -> list[str]:
    """Read an alphabet file: one character per line. The line of U+0020 is one space.

    Raises:
        ValueError: a line is not one character, or occurs twice. The message has file and line.
    """
    lines = read_tokens(path, "alphabet", "make_alphabet_from_unidic.py")
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if len(line) != 1:
            raise ValueError(f"{path}:{number}: is {line!r}. Expected one character per line")
        if line in seen:
            raise ValueError(f"{path}:{number}: {line!r} occurs twice. Expected each character once")
        seen.add(line)
    return lines


def _first_column(line: str, place: str) -> str:
    surface = next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0]
    if len(surface) == len(line):
        raise ValueError(f"{place}: no comma. Expected a dictionary's lex.csv (surface,left id,right id,cost,...)")
    return surface

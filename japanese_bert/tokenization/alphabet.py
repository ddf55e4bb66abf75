"""The surfaces of a MeCab dictionary -> the alphabet of the vocabulary.

The surfaces come from the dictionary's source, `lex.csv`, or from its compiled form (`dictionary_file.py`). Both
give the same alphabet.
"""

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from japanese_bert.corpus.lines import numbered_lines
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
    for number, line in numbered_lines(path):
        surface = next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0]
        if len(surface) == len(line):
            raise ValueError(
                f"{path}:{number}: no comma. Expected a dictionary's lex.csv (surface,left id,right id,cost,...)"
            )
        yield surface


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

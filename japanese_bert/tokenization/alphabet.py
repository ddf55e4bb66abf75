"""The surfaces of a MeCab dictionary -> the alphabet of the vocabulary.

The surfaces come from the dictionary's source, `lex.csv`, or from its compiled form, `sys.dic`; both give the same
alphabet. `sys.dic` (MeCab 0.996, dictionary.cpp and darts.h), little-endian:

    10 x uint32   magic, version, type, number of tokens, left and right context ids,
                  bytes of the double array, of the tokens, of the features, 0
    32 bytes      character set, padded with NULs
    8 bytes each  units of a Darts double array: int32 base, uint32 check

A state of the double array is the base of its unit. Byte `c` leads from state `b` to unit `b + c + 1`, if the check
of that is `b`. A surface ends at state `b` if the check of unit `b` is `b`; the base there is
`-1 - (256 * first token + number of tokens)`.
"""

import csv
import struct
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from japanese_bert.common.text_files import read_line_blocks

if TYPE_CHECKING:
    import numpy as np

HEADER = struct.Struct("<10I32s")
MAGIC_MASK = 0xEF718F77  # magic = this XOR the size of the file
MAX_SURFACE_BYTES = 1 << 14  # MeCab's own limit is lower; a corrupt file must not loop
LEAVES_AT_ONCE = 1 << 16
CHARSET_NAMES = {"utf8": "utf-8", "euc": "euc_jp", "sjis": "shift_jis"}  # MeCab's short names -> Python's


def collect_characters(surfaces: Iterable[str]) -> tuple[int, set[str]]:
    """The number of surfaces and their set of characters."""
    count, characters = 0, set()
    for surface in surfaces:
        count += 1
        characters.update(surface)
    return count, characters


def make_alphabet(characters: Iterable[str]) -> list[str]:
    """NFKC of every character, kept where it is one printable character, by code point.

    >>> make_alphabet("ｱか\u3000㎏ガ")
    [' ', 'か', 'ア', 'ガ']
    """
    normalized = {unicodedata.normalize("NFKC", character) for character in characters}
    return sorted(character for character in normalized if len(character) == 1 and character.isprintable())


def iter_lex_surfaces(path: Path) -> Iterator[str]:
    """The first column of a dictionary's `lex.csv`, which may be compressed.

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
                raise ValueError(f"{path}:{number}: not UTF-8; convert the file first, e.g. iconv -f EUC-JP") from None
            if text.strip():
                yield _first_column(text, f"{path}:{number}")


def iter_dictionary_surfaces(path: Path) -> Iterator[str]:
    """The surfaces of a compiled dictionary, `sys.dic`, in no particular order.

    Raises:
        ValueError: not a compiled dictionary, truncated, or in an unknown character set.
    """
    charset, num_tokens, base, check = _read_double_array(path)
    leaves = _leaves(base, check)
    found = int(((-1 - base[leaves].astype("int64")) & 0xFF).sum())
    if found != num_tokens:
        raise ValueError(f"{path}: has {found:,} tokens, its header says {num_tokens:,}; install the dictionary anew")
    try:
        for surface in _iter_keys(base, check, leaves):
            yield surface.decode(charset)
    except (LookupError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: a surface is not in the character set of its header ({error})") from None


def load_alphabet(path: Path) -> list[str]:
    """Read an alphabet file: one character per line; the line of U+0020 holds one space.

    Raises:
        ValueError: a line is not one character, or stands twice; the message has file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such alphabet; make it with make_alphabet_from_unidic.py")
    try:
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error}); expected one character per line") from None
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if len(line) != 1:
            raise ValueError(f"{path}:{number}: {line!r}: expected one character per line")
        if line in seen:
            raise ValueError(f"{path}:{number}: {line!r} stands twice; an alphabet has each character once")
        seen.add(line)
    return lines


def _first_column(line: str, place: str) -> str:
    surface = next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0]
    if len(surface) == len(line):
        raise ValueError(f"{place}: no comma; expected a dictionary's lex.csv (surface,left id,right id,cost,...)")
    return surface


def _read_double_array(path: Path) -> tuple[str, int, "np.ndarray", "np.ndarray"]:
    """Character set, number of tokens, base (int32) and check (uint32) of every unit."""
    import numpy as np

    with open(path, "rb") as file:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size or HEADER.unpack(header)[0] ^ MAGIC_MASK != path.stat().st_size:
            raise ValueError(f"{path}: truncated, or no dictionary compiled by MeCab; install the dictionary anew")
        _, _, _, num_tokens, _, _, num_bytes, *_, charset = HEADER.unpack(header)
        units = np.fromfile(file, dtype=[("base", "<i4"), ("check", "<u4")], count=num_bytes // 8)
    name = charset.split(b"\0")[0].decode("ascii", errors="replace").lower()
    base, check = np.ascontiguousarray(units["base"]), np.ascontiguousarray(units["check"])
    return CHARSET_NAMES.get(name, name), num_tokens, base, check


def _leaves(base: "np.ndarray", check: "np.ndarray") -> "np.ndarray":
    """Units at which a surface ends."""
    import numpy as np

    return np.flatnonzero((base < 0) & (check == np.arange(len(check))))


def _iter_keys(base: "np.ndarray", check: "np.ndarray", leaves: "np.ndarray") -> Iterator[bytes]:
    """The bytes on the way from the root to each leaf, found by climbing from many leaves at once.

    The 570,018 surfaces of unidic-lite take 0.8 s; walking down byte by byte in Python takes 50 s.
    """
    import numpy as np

    unit_of_state = np.zeros(len(base), dtype=np.int64)
    inner = np.flatnonzero(base > 0)
    unit_of_state[base[inner]] = inner
    for start in range(0, len(leaves), LEAVES_AT_ONCE):
        yield from _climb(check, unit_of_state, unit_of_state[check[leaves[start : start + LEAVES_AT_ONCE]]])


def _climb(check: "np.ndarray", unit_of_state: "np.ndarray", units: "np.ndarray") -> list[bytes]:
    """The bytes from the root to each of `units`; the root is unit 0."""
    import numpy as np

    reversed_bytes: list[np.ndarray] = []
    while units.any() and len(reversed_bytes) < MAX_SURFACE_BYTES:
        states = check[units]
        reversed_bytes.append(np.where(units > 0, units - states - 1, 0).astype(np.uint8))
        units = np.where(units > 0, unit_of_state[states], 0)
    rows = np.stack(reversed_bytes[::-1], axis=1)
    return [row.lstrip(b"\0") for row in rows.view(f"V{rows.shape[1]}").ravel().tolist()]

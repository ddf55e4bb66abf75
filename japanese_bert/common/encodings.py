"""Bytes -> which encoding they have, or which format they are instead of text.

Encodings are tried strictly: UTF-8, then those of Japanese text. If several fit, the right one is that which gives the
largest share of kana and Japanese punctuation.
"""

import codecs
import json
import re
from pathlib import Path

# What a file begins with, what it is, and what makes text of it.
FORMATS = (
    (b"PK\x03\x04", "a zip archive", "Unpack it first: unzip {path}"),
    (b"\x1f\x8b", "gzip data", "Name it {path}.gz"),
    (b"BZh", "bzip2 data", "Name it {path}.bz2"),
    (b"\xfd7zXZ\x00", "xz data", "Name it {path}.xz"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "Run make_corpus.py on it. Its name must end in .zst"),
    (b"PAR1", "a Parquet file", "Run make_corpus.py on it. Its name must end in .parquet"),
    (b"%PDF-", "a PDF", "Extract its text first: pdftotext {path}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", "Save it as text first"),
)
MARKS = (  # byte order marks. That of UTF-32 begins like one of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CANDIDATES = ("utf-16-le", "utf-16-be", "iso2022_jp", "euc_jp", "cp932")
READABLE_NAMES = {"cp932": "Shift_JIS (cp932)", "euc_jp": "EUC-JP", "iso2022_jp": "ISO-2022-JP"}
LONGEST_CHARACTER = 8  # bytes, with an escape sequence. A sample may end inside a character
MIN_SHARE = 0.05  # of kana and punctuation in Japanese text. Wrong encodings give rare ideographs
MAX_INVALID = 0.1  # of the bytes that are not ASCII: more is another encoding, less is damage
_USUAL = re.compile("[ぁ-んァ-ヶー、。「」]")
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")


def check_format(path: Path, block: bytes) -> None:
    """Raise ValueError if a file begins as one of FORMATS."""
    for mark, name, remedy in FORMATS:
        if block.startswith(mark):
            if path == Path("-"):
                remedy = "Make text of it before the pipe"
            raise ValueError(f"{path}: is {name}, expected text. {remedy.format(path=path)}")


def marked_encoding(block: bytes) -> str | None:
    """Return the encoding that a byte order mark names."""
    return next((name for mark, name in MARKS if block.startswith(mark)), None)


def decodes(sample: bytes, encoding: str) -> str | None:
    """Return the text of a sample, which may end inside a character, or None if it has another encoding."""
    try:
        return sample.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - LONGEST_CHARACTER:
            return None
        return sample[: error.start].decode(encoding)


def guess_encoding(sample: bytes) -> str | None:
    """Return the encoding of text, or None if no candidate fits.

    >>> [guess_encoding("日本の首都です。".encode(name)) for name in ("utf-8", "cp932", "euc_jp", "utf-16-le")]
    ['utf-8', 'cp932', 'euc_jp', 'utf-16-le']
    """
    if marked := marked_encoding(sample):
        return marked
    if b"\x1b$" not in sample and b"\0" not in sample and decodes(sample, "utf-8") is not None:
        return "utf-8"
    shares = {name: _share_of_usual(decodes(sample, name)) for name in CANDIDATES if _may_be(name, sample)}
    best = max(shares, key=lambda name: shares[name], default="")
    if best and shares[best] >= MIN_SHARE:
        return best
    return "utf-8" if decodes(sample, "utf-8") is not None else None


def _may_be(encoding: str, sample: bytes) -> bool:
    needed = {"iso2022_jp": b"\x1b$", "utf-16-le": b"\0", "utf-16-be": b"\0"}
    return needed.get(encoding, b"") in sample


def _share_of_usual(text: str | None) -> float:
    return len(_USUAL.findall(text)) / max(1, len(text)) if text else 0.0


def check_is_utf8_text(path: Path, block: bytes) -> None:
    """Raise ValueError if the first block of a file is not UTF-8 text, or is JSON Lines. Some damaged bytes may be."""
    check_format(path, block)
    encoding = marked_encoding(block) or _other_encoding(block)
    if encoding not in ("utf-8", "utf-8-sig"):
        raise ValueError(
            f"{path}: is {READABLE_NAMES.get(encoding, encoding)}, expected UTF-8 text. Run make_corpus.py on it first"
        )
    if is_json_lines(block):
        raise ValueError(f"{path}: is JSON Lines, expected text. Run make_corpus.py on it first, with --text_field")


def _other_encoding(block: bytes) -> str:
    """Return the encoding of bytes that are not UTF-8, or `utf-8`. Some NULs and some invalid bytes are damage.

    UTF-16 and ISO-2022-JP may be UTF-8 as well, but they look unlike it.
    """
    invalid = len(block) - len(block.decode("utf-8", errors="ignore").encode("utf-8"))
    not_ascii = sum(len(run) for run in _NOT_ASCII.findall(block)) if invalid > LONGEST_CHARACTER else 0
    is_damaged = invalid > LONGEST_CHARACTER and invalid > MAX_INVALID * not_ascii
    if not is_damaged and not any(mark in block for mark in (b"\x1b$B", b"\x1b$@", b"\n\0", b"\0\n")):
        return "utf-8"
    return guess_encoding(block) or ("not UTF-8, and no other Japanese encoding" if is_damaged else "utf-8")


def is_json_lines(block: bytes) -> bool:
    """Return whether the first line that is not blank is a JSON object."""
    line = block.removeprefix(codecs.BOM_UTF8).lstrip().split(b"\n", 1)[0].strip()
    if not (line.startswith(b'{"') or line.startswith(b"{ ")) or not line.endswith(b"}"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False

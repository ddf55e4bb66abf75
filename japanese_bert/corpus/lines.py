"""What every stage drops of a corpus line: bytes that are not UTF-8, NULs, and a byte order mark before the first line.

The functions also return how much they drop, because every stage counts it. `documents.py` has the same rule in
compiled code. It folds white space as well. train_tokenizer.py drops a byte order mark before any line. Reason: a
sample is drawn from files that were joined. Other control characters: `wikipedia/sentences.py` drops them from
pages, `tokenization/words.py` from words.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

from japanese_bert.common.encodings import check_format
from japanese_bert.common.text_files import read_line_blocks


def decode_text(data: bytes) -> tuple[str, int]:
    """Return the text of bytes, and how many of them are dropped because they are not UTF-8."""
    try:
        return data.decode("utf-8"), 0
    except UnicodeDecodeError:
        text = data.decode("utf-8", errors="ignore")
        return text, len(data) - len(text.encode("utf-8"))


def drop_nuls(text: str) -> tuple[str, int]:
    """Return the text without NULs, and how many it had. MeCab takes C strings: it loses what follows a NUL."""
    return text.replace("\0", ""), text.count("\0")


def drop_byte_order_mark(first_block: bytes) -> tuple[bytes, int]:
    """Return the first block of a file without a byte order mark, and 1 if it had one."""
    return first_block.removeprefix(codecs.BOM_UTF8), int(first_block.startswith(codecs.BOM_UTF8))


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers, of a file that is no corpus.

    Raises:
        ValueError: a line is not UTF-8.
    """
    number = 0
    for block in read_line_blocks(path, check=check_format):
        if number == 0:
            block, _ = drop_byte_order_mark(block)
        for line in block.split(b"\n")[:-1]:
            number += 1
            try:
                text = line.decode("utf-8").removesuffix("\r")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}:{number}: not UTF-8 text ({error.reason}). Convert the file first, e.g. by iconv -f EUC-JP"
                ) from None
            if text.strip():
                yield number, text

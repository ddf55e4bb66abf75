"""What every stage drops of a corpus line: bytes that are not UTF-8, NULs, and a byte order mark before the first line.

Each function also returns how much it drops, because every stage counts it. `documents.py` has the same rule in
compiled code. It folds white space as well. train_tokenizer.py does not drop a byte order mark. Reason: it would
change the vocabularies of files that have one.
"""

import codecs


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

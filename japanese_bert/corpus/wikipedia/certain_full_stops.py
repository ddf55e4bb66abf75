"""A compiled dictionary -> a pattern of the texts whose full stops only MeCab can find.

`雨の日。雪の日。` is no such text. No word of the dictionary holds a `。` and the character before or after it, and no
unknown word can hold both `。`. So each way to split the text has the same full stops, the two `。`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from japanese_bert.tokenization.dictionary_file import find_entries, read_categories


def find_uncertain(dictionaries: list[Path], contexts: set[int]) -> re.Pattern:
    """Return a pattern that matches in each text that needs MeCab. In all other texts each `。` is a full stop.

    The last of `dictionaries` holds the unknown words. `contexts` are the left contexts of full stops.
    """
    *known, unknown = dictionaries
    entries: dict[str, set[int]] = {}
    for path in known:
        for surface, lefts in find_entries(path, "。", contexts).items():
            entries[surface] = entries.get(surface, set()) | lefts
    categories = read_categories(unknown.with_name("char.bin"))
    # Common categories link all characters of an unknown word, and all characters that MeCab skips as a space.
    linked, smaller = categories[ord("。")], 0
    while linked != smaller:
        linked, smaller = np.bitwise_or.reduce(categories[categories & linked > 0]), linked
    is_space = categories[ord(" ")] & linked
    if is_space or find_entries(unknown, "。", contexts) or entries.pop("。", contexts) - contexts:
        return re.compile("")
    other_marks = (surface for surface in entries if "。" not in surface)
    words = "\n".join(entries)  # such as モーニング娘。 and 。゜
    before, after = re.findall(".(?=。)", words), re.findall("^。(.)", words, re.MULTILINE)
    # MeCab's unknown word `。-` is a full stop, but two `。` in one unknown word are only one.
    second = f"[^。{_ranges(categories & linked == 0)}]*+。"
    return re.compile(f"{_one_of(other_marks)}|。(?<={_one_of(before)}。)|。(?={_one_of(after)}|{second})")


def _one_of(surfaces: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, sorted(set(surfaces)))) or '(?!)'})"


def _ranges(is_member: np.ndarray) -> str:
    """Return the inside of [...] in a regular expression for a flag per code point."""
    edges = np.flatnonzero(np.diff(is_member, prepend=False, append=False)).reshape(-1, 2).tolist()
    return "".join(rf"\u{start:04x}-\u{end - 1:04x}" for start, end in edges)

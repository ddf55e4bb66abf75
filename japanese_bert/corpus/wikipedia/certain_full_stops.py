"""A compiled dictionary -> patterns that find the full stops of most texts without MeCab.

In `雨の日。雪の日。` no word of the dictionary holds a `。` and a neighbour, and no unknown word holds both `。`. So
each way to split the text has full stops there. A text with other marks, or with such a neighbour, needs MeCab.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from japanese_bert.tokenization.dictionary_file import find_entries, read_categories


class CertainFullStops(NamedTuple):
    """`full_stop` matches each `。` that is one however MeCab splits the text. `other_mark` matches all other marks."""

    full_stop: re.Pattern
    other_mark: re.Pattern


def find_certain_full_stops(dictionaries: list[Path], contexts: set[int]) -> CertainFullStops | None:
    """Return what finds full stops without MeCab, or None if this dictionary has other tokens `。`.

    The last one of `dictionaries` is that of unknown words. `contexts` are those of full stops.
    """
    *known, unknown = dictionaries
    entries: dict[str, set[int]] = {}
    for path in known:
        for surface, lefts in find_entries(path, "。", contexts).items():
            entries[surface] = entries.get(surface, set()) | lefts
    categories = read_categories(unknown.with_name("char.bin"))
    # All characters of an unknown word, or of a space between words, are linked by common categories.
    linked, before = categories[ord("。")], 0
    while linked != before:
        linked, before = np.bitwise_or.reduce(categories[categories & linked > 0]), linked
    is_space = categories[ord(" ")] & linked
    if is_space or find_entries(unknown, "。", contexts) or entries.pop("。", contexts) - contexts:
        return None
    may_precede, may_follow = np.ones((2, len(categories)), np.bool_)
    for surface in entries:  # words such as モーニング娘。 and 。゜
        for match in re.finditer("。", surface):
            place = match.start()
            allowed, neighbour = (may_precede, surface[place - 1]) if place else (may_follow, surface[1])
            allowed[ord(neighbour) : ord(neighbour) + 1] = False
    # A `。` in an unknown word counts, unless a second one follows in the same word.
    other_marks = set("".join(surface for surface, lefts in entries.items() if lefts & contexts)) - {"。"}
    precede, follow, unlinked = map(_ranges, (may_precede, may_follow, categories & linked == 0))
    return CertainFullStops(
        re.compile(rf"。(?<=[{precede}]。)(?=[{follow}]|\Z)(?![^。{unlinked}]*+。)"),
        re.compile("|".join(map(re.escape, sorted(other_marks))) or r"(?!)"),
    )


def _ranges(is_member: np.ndarray) -> str:
    """Return a set of characters, which is given by code point, as a regular expression has it in brackets."""
    edges = np.flatnonzero(np.diff(is_member, prepend=False, append=False)).reshape(-1, 2).tolist()
    return "".join(rf"\u{start:04x}-\u{end - 1:04x}" for start, end in edges)

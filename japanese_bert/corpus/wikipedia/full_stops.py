r"""Text -> the ends of its full-stop tokens, as MeCab sees them with any dictionary.

A full stop is a token whose part of speech is a symbol of kind 句点: 記号,句点 in IPADIC and NEologd, 補助記号,句点
in UniDic. For each token MeCab would have to split its feature, some twenty columns in UniDic, just to print that
kind, which takes a third of its time. It prints the number of the token's left context at no cost; so the numbers of
full stops are looked up in the dictionary's tokens once. Where another word shares such a number, MeCab prints kinds.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from japanese_bert.tokenization.mecab import FULL_STOP_SUBTYPE, Dictionary, make_tagger

MECAB_LENGTH = 20_000  # MeCab takes 1 kB of memory a character, and crashes near 3 million (fugashi 1.5.2)


class TextSpan(NamedTuple):
    """Characters of a text, half-open."""

    start: int
    end: int


class FullStopFinder:
    """Finds full-stop tokens by MeCab with one dictionary; `mecab_option` holds further options, such as `-u`."""

    def __init__(self, dictionary: Dictionary, mecab_option: str = "") -> None:
        contexts = find_full_stop_contexts(_dictionary_files(make_tagger(dictionary, mecab_option)))
        kind, full_stops = ("%phl", contexts) if contexts is not None else ("%f[1]", {FULL_STOP_SUBTYPE})
        # One line per token: its kind and the byte offset of its end (the surfaces alone do not add up to the text,
        # because MeCab skips white space), then the surface if the token is an unknown word.
        self.mecab_format = rf'-O "" -F "\n{kind}\t%pe" -U "\n{kind}\t%pe\t%m" -E "\n"'
        self.tagger = make_tagger(dictionary, f"{mecab_option} {self.mecab_format}")
        one_of = "|".join(sorted(re.escape(str(value)) for value in full_stops)) or r"(?!)"
        self._full_stop = re.compile(rf"\n(?:{one_of})\t([0-9]+)")
        self._full_stop_or_unknown = re.compile(rf"\n(?:(?:{one_of})\t([0-9]+)|[^\t\n]*\t([0-9]+)\t(.*。.*))")

    def find(self, text: str) -> list[int]:
        """Ends of the full stops of a text without line breaks.

        A `。` inside an unknown word counts as well: IPADIC takes `)。` for one, UniDic `。-`.
        """
        stops: list[int] = []
        for span in text_pieces(text):
            stops.extend(span.start + stop for stop in self._find(text[span.start : span.end]))
        return stops

    def _find(self, piece: str) -> Iterator[int]:
        tokens = self.tagger.parse(piece)
        encoded, last_byte, last = piece.encode("utf-8"), 0, 0
        for end, after in self._ends(tokens):
            last += len(encoded[last_byte:end].decode("utf-8"))
            last_byte = end
            yield last - after

    def _ends(self, tokens: str) -> Iterator[tuple[int, int]]:
        """Byte offsets of the ends of tokens, and the number of characters in them that follow the full stop."""
        if "。" not in tokens:
            for end in self._full_stop.findall(tokens):
                yield int(end), 0
            return
        for full_stop, unknown, surface in self._full_stop_or_unknown.findall(tokens):
            yield int(full_stop or unknown), len(surface) - (surface.rfind("。") + 1)


def text_pieces(text: str, length: int = MECAB_LENGTH) -> Iterator[TextSpan]:
    """Parts of at most `length` characters, cut after a full stop or else a space where there is one."""
    start = 0
    while len(text) - start > length:
        end = (
            text.rfind("。", start, start + length) + 1 or text.rfind(" ", start, start + length) + 1
        ) or start + length
        yield TextSpan(start, end)
        start = end
    yield TextSpan(start, len(text))


def find_full_stop_contexts(dictionaries: Iterable[Path]) -> set[int] | None:
    """Left contexts of the full stops of compiled dictionaries; None if some other token has one of them."""
    from japanese_bert.tokenization.dictionary_file import read_left_contexts

    full_stops: set[int] = set()
    others: set[int] = set()
    for path in dictionaries:
        for contexts, found in zip((full_stops, others), read_left_contexts(path, FULL_STOP_SUBTYPE), strict=True):
            contexts |= found
    return None if full_stops & others else full_stops


def _dictionary_files(tagger) -> list[Path]:
    """The dictionaries that a tagger has open: the system's, its unknown words, and the user's."""
    paths = [Path(information["filename"]) for information in tagger.dictionary_info]
    return [*paths, paths[0].with_name("unk.dic")]

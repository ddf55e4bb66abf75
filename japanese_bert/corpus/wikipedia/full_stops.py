r"""Text -> the ends of its full-stop tokens, as MeCab sees them with any dictionary.

A full stop is a token whose part of speech is a symbol of subtype 句点: 記号,句点 in IPADIC and NEologd, 補助記号,句点
in UniDic. To print the subtype, MeCab splits the feature of each token, some twenty columns in UniDic. This takes a
third of its time. It prints the number of the token's left context at no cost. So the left contexts of full stops are
looked up once in the dictionary. If another word shares one of them, MeCab prints subtypes.

Most texts do not need MeCab, because each way to split them has the same full stops (`certain_full_stops.py`).
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from japanese_bert.tokenization.mecab import FULL_STOP_SUBTYPE, Dictionary, make_tagger

MECAB_LENGTH = 20_000  # MeCab takes 1 kB of memory a character, and crashes near 3 million (fugashi 1.5.2)


class TextSpan(NamedTuple):
    """The characters [start, end) of a text."""

    start: int
    end: int


class FullStopFinder:
    """A MeCab tagger that prints where full stops end. `mecab_option` holds further options, such as `-u`."""

    def __init__(self, dictionary: Dictionary, mecab_option: str = "") -> None:
        from japanese_bert.corpus.wikipedia.certain_full_stops import find_uncertain

        dictionaries = _dictionary_files(make_tagger(dictionary, mecab_option))
        contexts = find_full_stop_contexts(dictionaries)
        self._uncertain = find_uncertain(dictionaries, contexts) if contexts is not None else re.compile("")
        field, full_stops = ("%phl", contexts) if contexts is not None else ("%f[1]", {FULL_STOP_SUBTYPE})
        # One line per token: its left context or subtype, and the byte offset of its end. Surfaces do not add up to the
        # text, because MeCab skips white space. An unknown word is followed by its surface. fugashi strips the output,
        # so it must not end in a surface.
        self.mecab_format = rf'-O "" -F "\n{field}\t%pe" -U "\n{field}\t%pe\t%m" -E "\n."'
        self.tagger = make_tagger(dictionary, f"{mecab_option} {self.mecab_format}")
        one_of = "|".join(sorted(re.escape(str(value)) for value in full_stops)) or r"(?!)"
        self._full_stop = re.compile(rf"\n(?:{one_of})\t([0-9]+)")
        self._full_stop_or_unknown = re.compile(rf"\n(?:(?:{one_of})\t([0-9]+)|[^\t\n]*\t([0-9]+)\t(.*。.*))")

    def find(self, text: str) -> list[int]:
        """Return the ends of the full stops of a text without line breaks.

        A `。` inside an unknown word counts too. Such words are `)。` with IPADIC and `。-` with UniDic.
        """
        if not self._uncertain.search(text):
            return [match.end() for match in re.finditer("。", text)]
        return self.find_with_mecab(text)

    def find_with_mecab(self, text: str) -> list[int]:
        """Return the same, always with MeCab. It takes text of more than MECAB_LENGTH characters in pieces."""
        stops: list[int] = []
        for span in text_pieces(text):
            stops.extend(span.start + stop for stop in self._find(text[span.start : span.end]))
        return stops

    def _find(self, piece: str) -> list[int]:
        tokens = self.tagger.parse(piece)
        encoded, last_byte, last = piece.encode("utf-8"), 0, 0
        stops = []
        for end, after in self._ends(tokens):
            last += len(encoded[last_byte:end].decode("utf-8"))
            last_byte = end
            stops.append(last - after)
        return stops

    def _ends(self, tokens: str) -> list[tuple[int, int]]:
        """Return the byte offset of the end of each full-stop token, and its characters after the full stop."""
        if "。" not in tokens:
            return [(int(end), 0) for end in self._full_stop.findall(tokens)]
        return [
            (int(full_stop or unknown), len(surface) - (surface.rfind("。") + 1))
            for full_stop, unknown, surface in self._full_stop_or_unknown.findall(tokens)
        ]


def text_pieces(text: str, length: int = MECAB_LENGTH) -> Iterator[TextSpan]:
    """Yield parts of at most `length` characters. Each is cut after a full stop, or else a space, if it has one."""
    start = 0
    while len(text) - start > length:
        end = (
            text.rfind("。", start, start + length) + 1 or text.rfind(" ", start, start + length) + 1
        ) or start + length
        yield TextSpan(start, end)
        start = end
    yield TextSpan(start, len(text))


def find_full_stop_contexts(dictionaries: Iterable[Path]) -> set[int] | None:
    """Return the left contexts of full stops in compiled dictionaries, or None if another token has one of them."""
    from japanese_bert.tokenization.dictionary_file import read_left_contexts

    full_stops: set[int] = set()
    others: set[int] = set()
    for path in dictionaries:
        for contexts, found in zip((full_stops, others), read_left_contexts(path, FULL_STOP_SUBTYPE), strict=True):
            contexts |= found
    return None if full_stops & others else full_stops


def _dictionary_files(tagger) -> list[Path]:
    """Return the dictionaries that a tagger has open: the system's, its unknown words, and the user's."""
    paths = [Path(information["filename"]) for information in tagger.dictionary_info]
    return [*paths, paths[0].with_name("unk.dic")]

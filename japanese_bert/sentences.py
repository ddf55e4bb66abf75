r"""Text of a Wikipedia page -> clean sentences.

The rules are those behind the corpus of the released Japanese BERT models, each with a name under which it accounts
for the characters it drops. They differ from the original where it dropped or cut text by mistake:

- a `[...?]` or `[要...]` note ends at its own bracket, where `\[.+?\?\]` could take whole paragraphs;
- ` ^ ` opens the footnotes only where it is no power, as in `x ^ 2`; `[注 1]` is a footnote mark as `[1]` is;
- a half-width period inside a number, abbreviation or address, and the mark of a name such as Yahoo!, end no
  sentence, though UniDic calls them full stops;
- a sentence is not cut inside quotes and brackets, unless it would be too long to keep.

Left out: headings, tables and lists, which the search index keeps apart from the text or has already flattened.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from japanese_bert.mecab import FULL_STOP_SUBTYPE

BREADCRUMB_LENGTH = 300  # characters; " > title" further on belongs to the text
FORMULA = r"\displaystyle"

_FOOTNOTE_MARK = re.compile(r"\[(?:(?:注|注釈|脚注|出典|訳注) ?)?[0-9]+\]")
_REQUEST = re.compile(r"\[要[^\[\]]*\]")
_NOTE = re.compile(r"\[(?:リンク切れ|[^\[\]]*\?)\]")
_TEMPLATE = re.compile(r"(?<!\{)\{{2,}[^{}]*\}{2,}")
_FOOTNOTES = re.compile(r"(?<![0-9A-Za-z)\]}]) \^ .*", re.DOTALL)
_OTHER_WHITE_SPACE = re.compile(r"[^\S ]")

# MeCab writes one line per token: the subtype of its part of speech, 1 if it is unknown, and the byte offsets of its
# start and end. Offsets, because the surfaces alone do not add up to the text: MeCab skips white space.
MECAB_FORMAT = r'-O "" -F "%f[1] %s %ps %pe\n" -E ""'
MECAB_LENGTH = 20_000  # MeCab takes 1 kB of memory a character, and crashes near 3 million (fugashi 1.5.2)
_FULL_STOP_TOKEN = re.compile(rf"^(?:({FULL_STOP_SUBTYPE}) \d|.* 1) (\d+) (\d+)$", re.MULTILINE)

_MARKS = frozenset("。.!?")
_BRACKETS = dict(zip("」』)]}】〉》〕”", "「『([{【〈《〔“", strict=True))
_BRACKET = re.compile("[" + re.escape("".join([*_BRACKETS, *_BRACKETS.values()])) + "]")
_CLOSING = re.compile("[" + re.escape("".join(_BRACKETS)) + "]*")


class Span(NamedTuple):
    """Characters of a text, half-open."""

    start: int
    end: int


def normalize(text: str) -> str:
    """NFKC, and one space for each line break, tab or other white space character."""
    return _OTHER_WHITE_SPACE.sub(" ", unicodedata.normalize("NFKC", text))


def drop_unprintable(text: str, title: str) -> str:
    """Drop control and format characters, lone surrogates, private use and unassigned code points."""
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def drop_footnote_marks(text: str, title: str) -> str:
    """Drop `[1]` and `[注 1]`."""
    return _FOOTNOTE_MARK.sub("", text)


def drop_requests(text: str, title: str) -> str:
    """Drop `[要出典]`, `[要検証 – ノート]` and the like."""
    return _REQUEST.sub("", text)


def drop_templates(text: str, title: str) -> str:
    """Drop `{{...}}` that the index failed to expand, inner ones first."""
    count = 1
    while count:
        text, count = _TEMPLATE.subn("", text)
    return text


def drop_breadcrumb(text: str, title: str) -> str:
    """Drop the way to the page at the head of its text.

    >>> drop_breadcrumb("銀行 > 支店 > 根雨支店 根雨支店は鳥取県にある。", "根雨支店")
    ' 根雨支店は鳥取県にある。'
    """
    last = f" > {title}"
    start = text.find(last, 1, BREADCRUMB_LENGTH) if title else -1
    return text if start < 0 else text[start + len(last) :]


def drop_footnotes(text: str, title: str) -> str:
    """Drop ` ^ 山田 2010、5頁。 ^ ...`, to the end of the text."""
    return _FOOTNOTES.sub("", text)


def drop_notes(text: str, title: str) -> str:
    """Drop `[リンク切れ]`, `[誰?]`, `[いつ?]`."""
    return _NOTE.sub("", text)


def fold_spaces(text: str, title: str) -> str:
    return " ".join(text.split())


RULES = {
    "unprintable": drop_unprintable,
    "footnote_marks": drop_footnote_marks,
    "requests": drop_requests,
    "templates": drop_templates,
    "breadcrumb": drop_breadcrumb,
    "footnotes": drop_footnotes,
    "notes": drop_notes,
    "white_space": fold_spaces,
}


def clean_text(text: str, title: str, dropped: Counter) -> str:
    """Apply all rules to normalized text; `dropped` counts characters by rule.

    >>> clean_text("梅雨[1]は雨季[要出典]の一種。 ^ 気象庁。", "梅雨", Counter())
    '梅雨は雨季の一種。'
    """
    title = drop_unprintable(normalize(title), "").strip()
    for name, rule in RULES.items():
        length = len(text)
        text = rule(text, title)
        dropped[name] += length - len(text)
    return text


def find_full_stops(text: str, tagger) -> list[int]:
    """Ends of the tokens that MeCab calls full stops; `tagger` must be made with `MECAB_FORMAT`.

    A `。` inside an unknown word counts as well: IPADIC takes `)。` for one, UniDic `。-`.
    """
    stops: list[int] = []
    for span in _pieces(text):
        piece = text[span.start : span.end]
        encoded, token_end, last = piece.encode("utf-8"), span.start, 0
        for is_full_stop, start, end in _FULL_STOP_TOKEN.findall(tagger.parse(piece)):
            token = encoded[int(start) : int(end)].decode("utf-8")
            after = 0 if is_full_stop else len(token) - (token.rfind("。") + 1)
            if after < len(token):
                token_end += len(encoded[last : int(end)].decode("utf-8"))
                last = int(end)
                stops.append(token_end - after)
    return stops


def _pieces(text: str, length: int = MECAB_LENGTH) -> Iterator[Span]:
    """Parts of at most `length` characters, cut after a full stop or else a space where there is one."""
    start = 0
    while len(text) - start > length:
        end = (
            text.rfind("。", start, start + length) + 1 or text.rfind(" ", start, start + length) + 1
        ) or start + length
        yield Span(start, end)
        start = end
    yield Span(start, len(text))


def split_sentences(text: str, full_stops: list[int], max_length: int) -> Iterator[str]:
    """Sentences of `text`, stripped, none of them empty.

    >>> text = "「行く。」と言った。円周率は3.14である。"
    >>> list(split_sentences(text, [4, 10, 16, 22], max_length=200))
    ['「行く。」と言った。', '円周率は3.14である。']
    """
    stops = [stop for stop in full_stops if _ends_sentence(text, stop)]
    ends = [_CLOSING.match(text, stop).end() for stop in stops]
    outer_ends = _outside_brackets(text, ends, _bracket_pairs(text, max_length))
    for span in _cut(Span(0, len(text)), outer_ends):
        for start, end in _cut(span, ends if span.end - span.start > max_length else []):
            if sentence := text[start:end].strip():
                yield sentence


def select_sentences(sentences: Iterable[str], min_length: int, max_length: int, dropped: Counter) -> Iterator[str]:
    """Sentences of `min_length` to `max_length` characters without formulas; `dropped` counts characters by reason."""
    for sentence in sentences:
        if FORMULA in sentence:
            dropped["formulas"] += len(sentence)
        elif len(sentence) < min_length:
            dropped["short_sentences"] += len(sentence)
        elif len(sentence) > max_length:
            dropped["long_sentences"] += len(sentence)
        else:
            yield sentence


def _ends_sentence(text: str, stop: int) -> bool:
    """Whether the mark before `stop` ends a sentence: not in 3.14, 打率.293, U.S., Yahoo! JAPAN, nor before a mark."""
    mark, before, after = text[stop - 1], text[max(0, stop - 2) : stop - 1], text[stop : stop + 1]
    if after and after in _MARKS:
        return False
    runs_on = after.isascii() and after.isalnum()
    if mark == ".":
        return not runs_on and (not before.isascii() or before in (")", "]"))
    if mark in "!?" and before.isascii() and before.isalnum():
        return not after or after in _BRACKETS or (after == " " and not text[stop + 1].isascii())
    return not (mark in "!?" and before.isascii() and runs_on)  # https://www.google.com/?hl=ja


def _bracket_pairs(text: str, max_length: int) -> list[Span]:
    """Outermost pairs of brackets with at most `max_length` characters; what is never closed forms no pair."""
    opened: list[tuple[int, str]] = []
    pairs: list[Span] = []
    for match in _BRACKET.finditer(text):
        if match[0] not in _BRACKETS:
            opened.append((match.start(), match[0]))
        elif (start := _close(opened, _BRACKETS[match[0]], match.end() - max_length)) is not None:
            while pairs and pairs[-1].start > start:
                pairs.pop()
            pairs.append(Span(start, match.end()))
    return pairs


def _close(opened: list[tuple[int, str]], bracket: str, earliest: int) -> int | None:
    """Start of the last opened `bracket`, which is taken off `opened` with all that was opened after it."""
    for index in reversed(range(len(opened))):
        start, other = opened[index]
        if start < earliest:
            return None
        if other == bracket:
            del opened[index:]
            return start
    return None


def _outside_brackets(text: str, ends: list[int], pairs: list[Span]) -> list[int]:
    """Ends outside of all pairs, and those that close a pair before a space: `「行く。」 次の段落`."""
    starts = [pair.start for pair in pairs]
    outside = []
    for end in ends:
        index = bisect_left(starts, end) - 1  # the last pair that starts before `end`
        inside = index >= 0 and end <= pairs[index].end
        if not inside or (end == pairs[index].end and text[end : end + 1] in ("", " ")):
            outside.append(end)
    return outside


def _cut(span: Span, ends: list[int]) -> list[Span]:
    inner = ends[bisect_right(ends, span.start) : bisect_left(ends, span.end)]
    return [Span(*bounds) for bounds in pairwise([span.start, *inner, span.end])]

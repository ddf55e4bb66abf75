r"""Text of a Wikipedia page -> clean sentences.

The rules follow the corpus of the released Japanese BERT models. Each rule has a name, and the characters that it drops
are counted under this name. They differ from the original where it dropped or cut text by mistake:

- A `[...?]` or `[要...]` note ends at its own bracket. The original `\[.+?\?\]` could take entire paragraphs.
- ` ^ ` opens the footnotes unless it is a power, as in `x ^ 2`. `[注 1]` is a footnote mark like `[1]`.
- All breadcrumbs at the head are dropped, not only the first. Notes such as `[脚注の使い方]`, which link to help pages,
  are dropped too.
- A formula is never cut, so no half of it is left. A sentence with half a template is dropped.
- A half-width period inside a number, abbreviation or address does not end a sentence, nor does the mark of a name such
  as Yahoo!. UniDic calls both full stops.
- A sentence is not cut inside quotes and brackets, unless it would be too long to keep.

Left out: headings, tables and lists. The search index keeps them apart from the text, or has already flattened them.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from japanese_bert.corpus.wikipedia.full_stops import TextSpan

BREADCRUMB_LENGTH = 300  # characters; " > title" further on belongs to the text
FORMULA = re.compile(r"\\(?:display|text)style")  # MediaWiki writes a formula as {\displaystyle ...}

# The group of a footnote is any word: [注 1], [新聞 2], [note 3], [* 4].
_FOOTNOTE_MARK = re.compile(
    r"\[(?:(?:注|注釈|脚注|出典|訳注) ?|(?:[ぁ-ゖァ-ヺー一-鿿]{1,8}|notes?|nb?|[*†‡]) )?[0-9]+\]"
)
_REQUEST = re.compile(r"\[要[^\[\]]*\]")
_NOTE = re.compile(r"\[(?:リンク切れ|脚注の使い方|出典無効|信頼性要検証|疑問点[^\[\]]*|[^\[\]]*\?)\]")
_TEMPLATE = re.compile(r"\{{3}[^{}]*\}{3}|\{\{(?:[^{}]|\{[^{}]*\})*+\}\}")
_FOOTNOTE = re.compile(r"(?:^| )\^ ")
_BASE = re.compile(r"(?:(?<![0-9A-Za-z])(?:[A-Za-z]|[0-9]+)|[)\]}])$")
_EXPONENT = re.compile(r"\(?[-+]?(?:[0-9]+|[A-Za-z])(?![0-9A-Za-z年月日頁])(?! [a-z] )")
_BASE_LENGTH = 10
_OTHER_WHITE_SPACE = re.compile(r"[^\S ]")

# NFKC leaves these characters as they are, unless a combining mark follows. It may change all others.
_CHANGING = re.compile("([^ -~、。「」『』ぁ-ゖァ-ヺ・ー一-鿿]+)")

_MARKS = frozenset("。.!?")
_BRACKETS = dict(zip("」』)]}】〉》〕”", "「『([{【〈《〔“", strict=True))
_BRACKET = re.compile("[" + re.escape("".join([*_BRACKETS, *_BRACKETS.values()])) + "]")
_BRACE = re.compile(r"\\.|[{}]")  # \{ and \} are no braces


def normalize(text: str) -> str:
    """Return the NFKC form, with one space for each line break, tab or other white space character.

    Only the characters that may change go through NFKC. This takes a third of the time.
    """
    parts = _CHANGING.split(text)  # as it is, changing, as it is, ...
    parts[1::2] = [unicodedata.normalize("NFKC", part) for part in parts[1::2]]
    marks = any(unicodedata.combining(part[0]) for part in parts[1::2])
    text = unicodedata.normalize("NFKC", text) if marks else "".join(parts)
    return text if text.isprintable() else _OTHER_WHITE_SPACE.sub(" ", text)


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
    count = 1 if "{{" in text else 0
    while count:
        text, count = _TEMPLATE.subn("", text)
    return text


def drop_breadcrumb(text: str, title: str) -> str:
    """Drop the breadcrumb (the path of categories to the page) at the head of the text.

    >>> drop_breadcrumb("銀行 > 支店 > 根雨支店 根雨支店は鳥取県にある。", "根雨支店")
    ' 根雨支店は鳥取県にある。'
    """
    last = f" > {title}"
    start = text.find(last, 1, BREADCRUMB_LENGTH) if title else -1
    while start >= 0:
        text = text[start + len(last) :]
        start = text.find(last, 1, BREADCRUMB_LENGTH)
        start = -1 if "。" in text[: max(0, start)] else start  # another breadcrumb, or a sentence
    return text


def drop_footnotes(text: str, title: str) -> str:
    """Drop ` ^ 山田 2010、5頁。 ^ ...` to the end of the text."""
    for match in _FOOTNOTE.finditer(text) if "^ " in text else ():
        if not _is_power(text, match):
            return text[: match.start()]
    return text


def _is_power(text: str, match: re.Match) -> bool:
    before = text[max(0, match.start() - _BASE_LENGTH) : match.start()]
    return bool(_BASE.search(before) and _EXPONENT.match(text, match.end()))


def drop_notes(text: str, title: str) -> str:
    """Drop `[リンク切れ]`, `[誰?]`, `[いつ?]`."""
    return _NOTE.sub("", text)


def fold_spaces(text: str, title: str) -> str:
    """Fold each run of spaces into one, and strip both ends."""
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
    """Return normalized text after all rules. `dropped` counts characters by rule.

    >>> clean_text("梅雨[1]は雨季[要出典]の一種。 ^ 気象庁。", "梅雨", Counter())
    '梅雨は雨季の一種。'
    """
    title = drop_unprintable(normalize(title), "").strip()
    for name, rule in RULES.items():
        cleaned = rule(text, title)
        if len(cleaned) != len(text):
            dropped[name] += len(text) - len(cleaned)
            text = cleaned
    return text


def split_sentences(text: str, full_stops: list[int], max_length: int, original: str = "") -> list[str]:
    """Return the sentences of `text`, stripped. None of them is empty. They are cut from `original` if it is given.

    >>> text = "「行く。」と言った。円周率は3.14である。"
    >>> split_sentences(text, [4, 10, 16, 22], max_length=200)
    ['「行く。」と言った。', '円周率は3.14である。']
    """
    stops = [stop for stop in full_stops if _ends_sentence(text, stop)]
    ends = [_skip_closing(text, stop) for stop in stops]
    formulas = _formulas(text)
    ends = [end for end in ends if not any(start < end < stop for start, stop in formulas)] if formulas else ends
    cuts = [0, *_outside_brackets(text, ends, _bracket_pairs(text, max_length)), len(text)]
    for start, end in pairwise(tuple(cuts)):
        if end - start > max_length:
            cuts += ends[bisect_right(ends, start) : bisect_left(ends, end)]
    original = original or text
    return [sentence for start, end in pairwise(sorted(cuts)) if (sentence := original[start:end].strip())]


def _skip_closing(text: str, position: int) -> int:
    """Return the end of the closing brackets from `position` on."""
    while text[position : position + 1] in _BRACKETS:
        position += 1
    return position


def select_sentences(sentences: Iterable[str], min_length: int, max_length: int, dropped: Counter) -> Iterator[str]:
    """Yield the sentences of `min_length` to `max_length` characters without formulas.

    `dropped` counts characters by reason.
    """
    for sentence in sentences:
        if "\\" in sentence and FORMULA.search(sentence):
            dropped["formulas"] += len(sentence)
        elif "{{" in sentence or "}}" in sentence:
            dropped["broken_templates"] += len(sentence)
        elif len(sentence) < min_length:
            dropped["short_sentences"] += len(sentence)
        elif len(sentence) > max_length:
            dropped["long_sentences"] += len(sentence)
        else:
            yield sentence


def _ends_sentence(text: str, stop: int) -> bool:
    """Return whether the mark before `stop` ends a sentence.

    It does not in 3.14, 打率.293, U.S. and Yahoo! JAPAN, or before another mark.
    """
    mark, after = text[stop - 1], text[stop : stop + 1]
    if after in _MARKS:
        return False
    if mark not in ".!?":
        return True
    before, runs_on = text[max(0, stop - 2) : stop - 1], after.isascii() and after.isalnum()
    if mark == ".":
        return not runs_on and (not before.isascii() or before in (")", "]"))
    if before.isascii() and before.isalnum():
        return not after or after in _BRACKETS or (after == " " and not text[stop + 1].isascii())
    return not (before.isascii() and runs_on)  # https://www.google.com/?hl=ja


def _formulas(text: str) -> list[TextSpan]:
    """Return the formulas with the braces around them, without those that are never closed."""
    opened: list[int] = []
    formulas: list[TextSpan] = []
    for match in _BRACE.finditer(text) if "\\" in text and FORMULA.search(text) else ():
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened:
            start = opened.pop()
            if FORMULA.match(text, start + 1):
                formulas.append(TextSpan(start, match.end()))
    return formulas


def _bracket_pairs(text: str, max_length: int) -> list[TextSpan]:
    """Return the outermost pairs of brackets of at most `max_length` characters. An unclosed bracket has no pair."""
    opened: list[tuple[int, str]] = []
    pairs: list[TextSpan] = []
    for match in _BRACKET.finditer(text):
        if match[0] not in _BRACKETS:
            opened.append((match.start(), match[0]))
        elif (start := _close(opened, _BRACKETS[match[0]], match.end() - max_length)) is not None:
            while pairs and pairs[-1].start > start:
                pairs.pop()
            pairs.append(TextSpan(start, match.end()))
    return pairs


def _close(opened: list[tuple[int, str]], bracket: str, earliest: int) -> int | None:
    """Return the start of the last opened `bracket`, and remove it from `opened` with all that follow it."""
    for index in reversed(range(len(opened))):
        start, other = opened[index]
        if start < earliest:
            return None
        if other == bracket:
            del opened[index:]
            return start
    return None


def _outside_brackets(text: str, ends: list[int], pairs: list[TextSpan]) -> list[int]:
    """Return the ends outside of all pairs, and the ends that close a pair before a space: `「行く。」 次の段落`."""
    starts = [pair.start for pair in pairs]
    outside = []
    for end in ends:
        index = bisect_left(starts, end) - 1  # the last pair that starts before `end`
        inside = index >= 0 and end <= pairs[index].end
        if not inside or (end == pairs[index].end and text[end : end + 1] in ("", " ")):
            outside.append(end)
    return outside

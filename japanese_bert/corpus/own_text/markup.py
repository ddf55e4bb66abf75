"""Optional rules that take markup out of a text, by name (`--rules`). They run in the order of the table.

A rule never joins two lines. `html` puts a line break where a block of a page ends.
"""

import html
import re
from collections import Counter
from collections.abc import Callable, Sequence

_BLOCKS = (
    "p|div|br|hr|li|ul|ol|dl|dt|dd|tr|td|th|table|caption|h[1-6]|section|article|header|footer|main|nav|aside|figure"
    "|figcaption|blockquote|pre|form|title|head|body"
)
# HTML lets the end tags of <rt> and <rp> be left out.
_HIDDEN = re.compile(
    rf"<(script|style)\b[^<>]*>.*?</\1\s*>|<!--.*?-->|<r[tp]\b[^<>]*>.*?(?=</?(?:r[btp]|rtc|ruby|{_BLOCKS})\b|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_BLOCK = re.compile(rf"</?(?:{_BLOCKS})\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!(?:DOCTYPE\b|\[)[^<>]*>|<\?xml\b[^<>]*>", re.IGNORECASE)
_URL = re.compile(r"(?:https?|ftp)://[!-;=?-~]+|\bwww\.[!-;=?-~]+")
_RUBY = re.compile(r"[｜|]?([^｜|《》\s]{1,20}?)《[^《》\n]*[ぁ-ゖァ-ヺ][^《》\n]*》")
_AOZORA_NOTE = re.compile(r"※?［＃[^［］\n]*］")
_READING = re.compile(r"(?<=[一-鿿々])[(（]([ぁ-ゖー・ 　]{2,30}|[ァ-ヺー・ 　]{2,30})[)）]")
_WIDE_SPACE = re.compile(r"(?<![0-9A-Za-z０-９Ａ-Ｚａ-ｚ])\u3000+|\u3000+(?![0-9A-Za-z０-９Ａ-Ｚａ-ｚ])")
_REPEATED = re.compile(r"([!！?？。．、，・…―─ー〜～=＝*＊_＿#＃-])\1{2,}")
_IN_PAIRS = "…―─"  # these come in twos in Japanese text


def drop_html(text: str) -> str:
    """Drop tags, scripts and readings, and put characters for entities.

    >>> drop_html('<p>梅雨&amp;台風</p>')
    '\\n梅雨&台風\\n'
    """
    if "<" in text:
        text = _TAG.sub("", _BLOCK.sub("\n", _HIDDEN.sub("", text)))
    return html.unescape(text) if "&" in text else text


def drop_ruby(text: str) -> str:
    """Drop the readings of Aozora Bunko.

    >>> drop_ruby('｜吾輩《わがはい》は猫である。《猫》')
    '吾輩は猫である。《猫》'
    """
    return _RUBY.sub(r"\1", text) if "《" in text else text


def drop_aozora_notes(text: str) -> str:
    """Drop `［＃３字下げ］` and `※［＃「口＋世」、第3水準1-15-2］`."""
    return _AOZORA_NOTE.sub("", text) if "［＃" in text else text


def drop_furigana(text: str) -> str:
    """Drop readings in parentheses: two or more kana after a kanji.

    >>> drop_furigana('梅雨（つゆ）は雨季である（らしい）。彼（ら）')
    '梅雨は雨季である（らしい）。彼（ら）'
    """
    return _READING.sub("", text)


def drop_urls(text: str) -> str:
    """Drop `https://...` and `www...`, up to the next character that is not ASCII."""
    return _URL.sub("", text) if "://" in text or "www." in text else text


def drop_wide_spaces(text: str) -> str:
    """Drop U+3000, unless it stands between letters or digits.

    >>> drop_wide_spaces('　東　京。ＡＢ　ＣＤ')
    '東京。ＡＢ　ＣＤ'
    """
    return _WIDE_SPACE.sub("", text) if "\u3000" in text else text


def shorten_punctuation(text: str) -> str:
    """Cut runs of three and more equal marks to one, or two of those that come in twos.

    >>> shorten_punctuation('えーーー！！！……。…………')
    'えー！……。……'
    """
    return _REPEATED.sub(lambda run: run[1] * (2 if run[1] in _IN_PAIRS else 1), text)


MARKUP_RULES: dict[str, Callable[[str], str]] = {
    "html": drop_html,
    "ruby": drop_ruby,
    "aozora_notes": drop_aozora_notes,
    "furigana": drop_furigana,
    "urls": drop_urls,
    "wide_spaces": drop_wide_spaces,
    "repeated_punctuation": shorten_punctuation,
}


def drop_markup(text: str, rules: Sequence[str], dropped: Counter) -> str:
    """Return the text after the named rules. `dropped` counts characters by rule."""
    for name, rule in MARKUP_RULES.items():
        if name in rules:
            cleaned = rule(text)
            if len(cleaned) != len(text):
                dropped[name] += len(text) - len(cleaned)
                text = cleaned
    return text

"""A sentence -> words, by MeCab or by white space and punctuation.

`MecabWords` and `BasicWords` give the words of transformers 5's `BertJapaneseTokenizer` with
`word_tokenizer_type="mecab"` and `"basic"`. Version 4.57 lower-cases before MeCab and so differs there. With
`tokenize_chinese_chars` `BasicWords` gives the words of `BertTokenizer`, which Google's English, multilingual and
Chinese models have. All leave out `never_split`: a literal `[MASK]` in the text is text.
"""

import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from japanese_bert.tokenization.mecab import Dictionary, dictionary_of_option, make_tagger, with_user_dictionaries

WORD_TOKENIZER_TYPES = ("mecab", "basic", "whitespace")
# MeCab 0.996 crashes if the costs of a sentence add up to 2^31 (seen with 260,000 characters). A word and its
# connection cost less than 2^16 together. So this many words are safe, and so are this many characters.
MAX_MECAB_CHARACTERS = 1 << 15
# The blocks of Chinese characters that BERT's basic tokenizer splits. No others were added since 2018.
CHINESE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
WORD_END, SENTENCE_END = "\0", "\n"  # occur in no word: callers drop NULs and cut lines at newlines


class WordSplitter(Protocol):
    """A way to split text into words. `dictionary` is None if it needs none."""

    dictionary: Dictionary | None

    def split(self, text: str) -> list[str]: ...

    def mark(self, texts: Iterable[str]) -> str:
        """Return the words of all texts, each followed by WORD_END, and each text by SENTENCE_END."""
        return "".join(_mark(self.split(text)) for text in texts)


class MecabWords(WordSplitter):
    """NFKC, then MeCab. The caller drops NULs, because MeCab takes C strings and loses the text after a NUL."""

    def __init__(self, dictionary: Dictionary, do_lower_case: bool = False, mecab_option: str = "") -> None:
        self.do_lower_case = do_lower_case
        self._tagger = make_tagger(dictionary, f"{mecab_option} -Owakati".lstrip())
        self.dictionary = with_user_dictionaries(dictionary, self._tagger)

    def split(self, text: str) -> list[str]:
        """Return the words: `"ｶﾞﾗｽの猫"` -> `["ガラス", "の", "猫"]` (unidic_lite).

        A text longer than `MAX_MECAB_CHARACTERS` is cut there first.
        """
        text = unicodedata.normalize("NFKC", text)
        words = self._segment(text[:MAX_MECAB_CHARACTERS])
        for start in range(MAX_MECAB_CHARACTERS, len(text), MAX_MECAB_CHARACTERS):
            words += self._segment(text[start : start + MAX_MECAB_CHARACTERS])
        return [word.lower() for word in words] if self.do_lower_case else words

    def mark(self, texts: Iterable[str]) -> str:
        marked: list[str] = []
        outputs: list[str] = []
        for text in texts:
            text = unicodedata.normalize("NFKC", text)
            if self.do_lower_case or len(text) > MAX_MECAB_CHARACTERS or not _is_plain(text):
                marked += (_mark_outputs(outputs), _mark(self.split(text)))
                outputs.clear()
            else:
                outputs.append(self._tagger.parse(text))
        return "".join([*marked, _mark_outputs(outputs)])

    def _segment(self, text: str) -> list[str]:
        if _is_plain(text):
            return self._tagger.parse(text).split(" ")
        return [node.surface for node in self._tagger(text)]


def _mark(words: list[str]) -> str:
    return "".join([*(word + WORD_END for word in words), SENTENCE_END])


def _mark_outputs(outputs: list[str]) -> str:
    """Return MeCab's outputs for several texts, marked. Their only spaces are those between words."""
    return f" {SENTENCE_END}".join([*outputs, ""]).replace(" ", WORD_END)


def _is_plain(text: str) -> bool:
    """Return True if the output of MeCab's `parse` can be cut at its spaces.

    `parse` is 1.35 times faster than the nodes. But it joins words by spaces, which a few surfaces (emoticons) have.
    And it strips the end, where U+2028 and other exotic white space are words.
    """
    return bool(text) and " " not in text and not text[-1].isspace()


class BasicWords(WordSplitter):
    """White space and punctuation, in two forms.

    With `tokenize_chinese_chars` it is BERT's basic tokenizer: each Chinese character (kanji too, kana not) is a word.
    Without it it is the one of `BertJapaneseTokenizer`, which also composes characters first (NFC).
    `strip_accents` drops combining marks: `が` becomes `か`. BERT does this where it lower-cases.
    """

    dictionary = None

    def __init__(self, do_lower_case: bool, strip_accents: bool, tokenize_chinese_chars: bool) -> None:
        self.do_lower_case = do_lower_case
        self.strip_accents = strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self._clean = _CharacterTable(_clean_for_bert if tokenize_chinese_chars else _clean_character)
        self._space_punctuation = _CharacterTable(_space_punctuation)

    def split(self, text: str) -> list[str]:
        """Return the words: `"猫（cat）だ。"` -> `["猫", "（", "cat", "）", "だ", "。"]`."""
        text = text.translate(self._clean)
        if self.tokenize_chinese_chars:
            text = drop_marks(text, "NFD") if self.strip_accents else text
            text = text.translate(LOWER) if self.do_lower_case else text
            return text.translate(self._space_punctuation).split()
        text = unicodedata.normalize("NFC", text)
        text = text.lower() if self.do_lower_case else text
        text = drop_marks(text, "NFD") if self.strip_accents else text
        return text.translate(self._space_punctuation).split()


class WhitespaceWords(WordSplitter):
    """NFKC, then white space: for text that is already segmented."""

    dictionary = None

    def __init__(self, do_lower_case: bool = False) -> None:
        self.do_lower_case = do_lower_case

    def split(self, text: str) -> list[str]:
        words = unicodedata.normalize("NFKC", text).split()
        return [word.lower() for word in words] if self.do_lower_case else words


def make_word_splitter(
    word_tokenizer_type: str,
    mecab_dic_type: str | None,
    do_lower_case: bool,
    mecab_option: str = "",
    strip_accents: bool | None = None,
    tokenize_chinese_chars: bool = False,
) -> WordSplitter:
    """Return a splitter by its name on the command line.

    `mecab_dic_type` is a package (`unidic_lite`) or a directory. A `-d` in `mecab_option` wins, as in MeCab. The last
    two are of `basic`. `strip_accents` is None for "where it lower-cases".

    Raises:
        ValueError: no such splitter, or no dictionary is named.
    """
    if word_tokenizer_type == "mecab":
        return MecabWords(dictionary_of_option(mecab_option, mecab_dic_type), do_lower_case, mecab_option)
    if word_tokenizer_type == "basic":
        return BasicWords(
            do_lower_case, do_lower_case if strip_accents is None else strip_accents, tokenize_chinese_chars
        )
    if word_tokenizer_type == "whitespace":
        return WhitespaceWords(do_lower_case)
    raise ValueError(f"word tokenizer {word_tokenizer_type!r}: expected one of {', '.join(WORD_TOKENIZER_TYPES)}")


def normalize_word(word: str, word_tokenizer_type: str, do_lower_case: bool, tokenize_chinese_chars: bool) -> str:
    """Return a word of a list in the form that it has in tokenized text, with spaces where it is always split."""
    if word_tokenizer_type == "basic":
        words = BasicWords(do_lower_case, do_lower_case, tokenize_chinese_chars)
        return " ".join(words.split(word))
    return " ".join(WhitespaceWords(do_lower_case).split(word))


class _CharacterTable(dict):
    """A table for `str.translate`. The rule fills it for each new character."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        self._rule = rule

    def __missing__(self, code: int) -> str:
        return self.setdefault(code, self._rule(chr(code)))


def drop_marks(text: str, form: Literal["NFD", "NFKD"]) -> str:
    """Return the text, decomposed by a Unicode form, without combining marks: `"がé"` -> `"かe"`."""
    return unicodedata.normalize(form, text).translate(_WITHOUT_MARKS)


def _clean_character(character: str) -> str:
    """Return a space for white space, and nothing for control, unassigned and replacement characters."""
    category = unicodedata.category(character)
    if character in "\t\n\r" or category == "Zs":
        return " "
    return "" if category.startswith("C") or character == "\ufffd" else character


def _clean_for_bert(character: str) -> str:
    """Return the same with spaces around a Chinese character. Characters of a newer Unicode than Python's stay."""
    if any(first <= ord(character) <= last for first, last in CHINESE):
        return f" {character} "
    return character if unicodedata.category(character) == "Cn" else _clean_character(character)


def _space_punctuation(character: str) -> str:
    # ASCII symbols such as `$` and `^` count as punctuation here, but not in Unicode.
    is_ascii_symbol = character.isascii() and character.isprintable() and not character.isalnum() and character != " "
    return f" {character} " if is_ascii_symbol or unicodedata.category(character).startswith("P") else character


def _drop_mark(character: str) -> str:
    return "" if unicodedata.category(character) == "Mn" else character


_WITHOUT_MARKS = _CharacterTable(_drop_mark)
LOWER = _CharacterTable(str.lower)  # character by character, as in tokenizers: a final `Σ` becomes `σ`, not `ς`

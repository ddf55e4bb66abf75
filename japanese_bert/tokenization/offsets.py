"""A text -> token ids with the characters that each comes from, for any tokenizer of Transformers.

Fast tokenizers return these offsets. Slow ones, such as `BertJapaneseTokenizer`, return only strings of normalized
text. These strings are looked up, in order, in the text as NFKC normalizes it. The origin of each of its characters is
known. Words of `BertJapaneseTokenizer` are looked up before their pieces, so that an unknown word is exactly one word.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Token(NamedTuple):
    """One token. It comes from `text[start:end]`."""

    id: int
    start: int
    end: int


Piece = tuple[str, int, int]


def tokenize_with_offsets(tokenizer, text: str) -> list[Token]:
    """Return the tokens of every part of `text` between white space, without special tokens around it.

    A special token that `text` spells, such as the `[SEP]` of JSQuAD's contexts, is one token.
    """
    tokenize = _fast_tokens if tokenizer.is_fast else _slow_tokens
    tokens = []
    for part in re.finditer(r"\S+", text):
        tokens += [
            Token(index, part.start() + start, part.start() + end)
            for index, start, end in tokenize(tokenizer, part.group())
        ]
    return tokens


def _fast_tokens(tokenizer, text: str) -> list[Token]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [
        Token(index, *offsets) for index, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]


def _slow_tokens(tokenizer, text: str) -> list[Token]:
    pieces: list[Piece] = []
    special = "|".join(re.escape(token) for token in tokenizer.all_special_tokens)
    position = 0
    for part in re.split(f"({special})", text) if special else [text]:
        found = [(part, 0, len(part))] if part in tokenizer.all_special_tokens else _pieces(tokenizer, part)
        pieces += [(piece, position + start, position + end) for piece, start, end in found]
        position += len(part)
    ids = tokenizer.convert_tokens_to_ids([piece for piece, _, _ in pieces])
    return [Token(index, start, end) for index, (_, start, end) in zip(ids, pieces, strict=True)]


def _pieces(tokenizer, text: str) -> Iterator[Piece]:
    """Yield the tokens of a text that spells no special token."""
    from japanese_bert.tokenization.tokenization_bert_japanese_fast import align

    if not text:
        return
    normalized, starts, ends = align(text)
    normalized = _fold(normalized)
    starts, ends = [*starts, len(text)], [0, *ends]
    for piece, start, end in _normalized_pieces(tokenizer, text, normalized):
        yield piece, starts[start], max(starts[start], ends[end])


def _normalized_pieces(tokenizer, text: str, normalized: str) -> Iterator[Piece]:
    word_tokenizer = getattr(tokenizer, "word_tokenizer", None)
    if word_tokenizer is None or not hasattr(tokenizer, "subword_tokenizer"):
        pieces = tokenizer.tokenize(text)
        spans = locate([_spelling(tokenizer, piece) for piece in pieces], normalized)
        yield from ((piece, *span) for piece, span in zip(pieces, spans, strict=True))
        return
    words = word_tokenizer.tokenize(text, never_split=tokenizer.all_special_tokens)
    spans = locate([_normalize_and_fold(word) for word in words], normalized)
    for word, (start, end) in zip(words, spans, strict=True):
        pieces = tokenizer.subword_tokenizer.tokenize(word)
        for piece, (first, last) in zip(pieces, _spans_in_word(tokenizer, pieces, normalized[start:end]), strict=True):
            yield piece, start + first, start + last


def _spans_in_word(tokenizer, pieces: list[str], word: str) -> list[tuple[int, int]]:
    if len(pieces) == len(word):  # characters, known or not
        return [(index, index + 1) for index in range(len(word))]
    return locate([_spelling(tokenizer, piece) for piece in pieces], word)


def _spelling(tokenizer, piece: str) -> str | None:
    """Return the normalized text that a piece stands for, or None for an unknown token."""
    if piece == tokenizer.unk_token:
        return None
    return _normalize_and_fold(re.sub(r"^##(?=.)|^▁|^@@(?=.)", "", piece))


def _normalize_and_fold(text: str) -> str:
    return _fold(unicodedata.normalize("NFKC", text))


def _fold(text: str) -> str:
    """Return the text in lower case with as many characters as before."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def locate(units: Sequence[str | None], text: str) -> list[tuple[int, int]]:
    """Return the spans of the units in `text`. Only white space may lie between two units.

    A unit that is None, or is not found in its place, gets the text between its neighbours.

    >>> locate(["吾輩", None, "猫"], "吾輩 は猫")
    [(0, 2), (3, 4), (4, 5)]
    """
    spans: list[tuple[int, int]] = []
    position, num_unknown = 0, 0
    for unit in units:
        position = _skip_space(text, position)
        start = _find_unit(unit, text, position, num_unknown)
        if unit is None or start is None:
            num_unknown += 1
            continue
        spans += [_stripped(text, position, start)] * num_unknown
        spans.append((start, start + len(unit)))
        position, num_unknown = start + len(unit), 0
    return spans + [_stripped(text, _skip_space(text, position), len(text))] * num_unknown


def _find_unit(unit: str | None, text: str, position: int, num_unknown: int) -> int | None:
    """Return where a unit stands: at `position`, or after it if an unknown unit comes first."""
    if unit is None:
        return None
    if not num_unknown:
        return position if text.startswith(unit, position) else None
    found = text.find(unit, position + 1)
    return found if unit and found >= 0 else None


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    return start, start + len(text[start:end].rstrip())

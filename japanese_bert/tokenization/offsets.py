"""A text -> token ids with the characters that each comes from, for any tokenizer of Transformers.

Fast tokenizers tell. Slow ones, `BertJapaneseTokenizer` above all, give only strings of normalized text: these are
looked up, in order, in the text as NFKC leaves it, of which every character is known to come from where in the text.
Words of `BertJapaneseTokenizer` are looked up before their pieces, so that an unknown word is exactly one word.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Token(NamedTuple):
    """`text[start:end]` is what the token comes from."""

    id: int
    start: int
    end: int


Piece = tuple[str, int, int]


def tokenize_with_offsets(tokenizer, text: str) -> list[Token]:
    """Tokens of every part of `text` between white space, without the special tokens that frame a sequence.

    A special token that `text` spells, as the `[SEP]` of JSQuAD's contexts, is one token.
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
    """Tokens of a text without special ones."""
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
    for word, (start, end) in zip(words, locate([_normalize(word) for word in words], normalized), strict=True):
        pieces = tokenizer.subword_tokenizer.tokenize(word)
        for piece, (first, last) in zip(pieces, _spans_in_word(tokenizer, pieces, normalized[start:end]), strict=True):
            yield piece, start + first, start + last


def _spans_in_word(tokenizer, pieces: list[str], word: str) -> list[tuple[int, int]]:
    if len(pieces) == len(word):  # characters, known or not
        return [(index, index + 1) for index in range(len(word))]
    return locate([_spelling(tokenizer, piece) for piece in pieces], word)


def _spelling(tokenizer, piece: str) -> str | None:
    """The normalized text that a piece stands for, None if it does not tell."""
    if piece == tokenizer.unk_token:
        return None
    return _normalize(re.sub(r"^##(?=.)|^▁|^@@(?=.)", "", piece))


def _normalize(text: str) -> str:
    return _fold(unicodedata.normalize("NFKC", text))


def _fold(text: str) -> str:
    """Lower case, and as many characters as before."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def locate(units: Sequence[str | None], text: str) -> list[tuple[int, int]]:
    """Where the units stand in `text`, one after another with at most white space between them.

    A unit that is None, or is not where it should be, gets what lies between its neighbours.

    >>> locate(["吾輩", None, "猫"], "吾輩 は猫")
    [(0, 2), (3, 4), (4, 5)]
    """
    spans: list[tuple[int, int]] = []
    position, num_unknown = 0, 0
    for unit in units:
        position = _skip_space(text, position)
        start = None if unit is None else _find(unit, text, position, num_unknown)
        if start is None:
            num_unknown += 1
            continue
        spans += [_stripped(text, position, start)] * num_unknown
        spans.append((start, start + len(unit)))
        position, num_unknown = start + len(unit), 0
    return spans + [_stripped(text, _skip_space(text, position), len(text))] * num_unknown


def _find(unit: str, text: str, position: int, num_unknown: int) -> int | None:
    """Right here; after something unknown, further on."""
    if not num_unknown:
        return position if text.startswith(unit, position) else None
    found = text.find(unit, position + 1)
    return found if unit and found >= 0 else None


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end

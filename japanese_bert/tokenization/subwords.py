"""Words -> vocabulary ids: greedy longest-match-first WordPiece, or characters.

WordPiece follows Devlin et al. 2019 and gives the same ids as transformers' `BertJapaneseTokenizer`. One difference is
intended: text that spells a special token, such as `[MASK]`, stays text.
"""

import unicodedata
from collections.abc import Callable

from japanese_bert.tokenization.vocab import UNK, Vocab

MAX_VOCAB_SIZE = 1 << 20  # ids are written as at most three bytes of seven bits
MAX_INPUT_CHARS_PER_WORD = 100  # a longer word is [UNK], as in every BERT


def make_subword_encoder(
    subword_tokenizer_type: str, vocab: Vocab, has_subword_prefix: bool
) -> Callable[[str], list[int]]:
    """Return a function from one word to its ids. With `has_subword_prefix` an entry inside a word is `##entry`.

    Raises:
        ValueError: the vocabulary does not fit the tokenization.
    """
    has_prefixed_entries = any(token.startswith("##") and len(token) > 2 for token in vocab.tokens)
    if has_subword_prefix and not has_prefixed_entries:
        raise ValueError(
            "the vocabulary has no ## entry, so no word can have a second piece. "
            "Use another --vocab_file, or add --vocab_has_no_subword_prefix for a character vocabulary"
        )
    prefix = "##" if has_subword_prefix else ""
    if not vocab.real_token_ids():
        raise ValueError("the vocabulary has only special and unused tokens. Make it with train_tokenizer.py")
    if len(vocab) > MAX_VOCAB_SIZE:
        raise ValueError(f"the vocabulary has {len(vocab):,} tokens, expected at most {MAX_VOCAB_SIZE:,}")
    # No text becomes a special token, even if "[MASK]" is one word in a dictionary.
    ids = vocab.text_ids() | {UNK: vocab.ids[UNK]}
    if subword_tokenizer_type == "wordpiece":
        if has_prefixed_entries and not has_subword_prefix:
            raise ValueError("--vocab_has_no_subword_prefix is given, but the vocabulary has ## entries. Leave it out")
        return lambda word: encode_wordpieces(word, ids, prefix)
    return lambda word: encode_characters(word, ids, prefix)


def encode_wordpieces(word: str, ids: dict[str, int], prefix: str = "##") -> list[int]:
    """Return the longest known piece first, then of the rest, and so on. A word with an unknown rest is one [UNK].

    >>> encode_wordpieces("東京都民", {"[UNK]": 1, "東京": 2, "##都": 3, "##民": 4})
    [2, 3, 4]
    """
    # A MeCab word can have exotic white space (U+2028). It separates pieces, as in BertJapaneseTokenizer, even if it is
    # in the vocabulary.
    return [piece for part in word.split() for piece in _encode_part(part, ids, prefix)]


def encode_characters(word: str, ids: dict[str, int], prefix: str = "") -> list[int]:
    """Return one id for each character of the word's NFKC form."""
    unknown = ids[UNK]
    characters = unicodedata.normalize("NFKC", word)
    return [ids.get(prefix + char if index else char, unknown) for index, char in enumerate(characters)]


def _encode_part(word: str, ids: dict[str, int], prefix: str) -> list[int]:
    if len(word) > MAX_INPUT_CHARS_PER_WORD:
        return [ids[UNK]]
    pieces: list[int] = []
    rest = word
    while True:
        piece = rest
        shortest = len(prefix) if pieces else 0
        while piece not in ids:
            piece = piece[:-1]
            if len(piece) == shortest:
                return [ids[UNK]]
        pieces.append(ids[piece])
        if len(piece) == len(rest):
            return pieces
        rest = prefix + rest[len(piece) :]

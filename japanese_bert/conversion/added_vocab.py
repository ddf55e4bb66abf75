"""New entries at the end of a vocabulary, and rows for them in the weights of a trained model.

A new row is the mean of the rows of the pieces that the old vocabulary cuts the entry into, so that the model starts
with a guess at its meaning; an entry that the old vocabulary cannot spell gets the mean of all real tokens' rows.
"""

from collections.abc import Iterable

import numpy as np

from japanese_bert.tokenization.subwords import encode_wordpieces
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, UNK, Vocab

PREFIX = "##"
ROWS = ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias")  # one row for each token


def new_tokens(vocab: Vocab, candidates: Iterable[str], limit: int | None) -> list[str]:
    """The first `limit` of the candidates that the vocabulary lacks, in their order; no special and no blank ones."""
    tokens = [
        token
        for token in dict.fromkeys(candidates)
        if token not in vocab.ids
        and token not in SPECIAL_TOKENS
        and not token.startswith("[unused")
        and token.removeprefix(PREFIX).strip()
    ]
    return tokens[:limit]


def pieces_of(token: str, vocab: Vocab) -> list[int]:
    """Ids of the pieces of an entry; none if the vocabulary cannot spell it.

    >>> pieces_of("##都民", Vocab(("[UNK]", "##都", "##民"), {"[UNK]": 0, "##都": 1, "##民": 2}))
    [1, 2]
    """
    pieces = encode_wordpieces(token, vocab.text_ids() | {UNK: vocab.ids[UNK]}, PREFIX)
    is_inside = token.startswith(PREFIX)
    is_spelt = vocab.ids[UNK] not in pieces and (not is_inside or len(vocab.tokens[pieces[0]]) > len(PREFIX))
    return pieces if is_spelt else []  # a piece "#" or "##" stands for the character itself


def add_rows(weights: dict[str, np.ndarray], vocab: Vocab, tokens: list[str]) -> dict[str, np.ndarray]:
    """The weights with a row more for each token, and all others as they were."""
    average = vocab.real_token_ids()
    pieces = [pieces_of(token, vocab) or average for token in tokens]
    added = {}
    for name in ROWS:
        table = weights[name]
        rows = [table[ids].mean(axis=0, dtype=np.float64) for ids in pieces]
        added[name] = np.concatenate([table, np.array(rows, table.dtype).reshape(-1, *table.shape[1:])])
    return weights | added

"""Word counts -> a WordPiece vocabulary, by the trainer of Hugging Face `tokenizers`.

The trainer merges the most frequent pair of pieces, as BPE does (Sennrich et al. 2016), and marks pieces inside a word
by a prefix. By itself it gives another vocabulary in every run. Reason: it numbers the single characters inside words
(`##山`) in the order of a randomly seeded hash table. Equally frequent pairs are merged in the order of these numbers.

Here these characters are numbered beforehand, those inside the most words first, as the trainer would on average. So
nothing depends on the hash. The vocabulary is nearer to those of the plain trainer than two of them are to each other.
By code point it would be further: 27 entries against 23, on 20 MB.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, UNK, unused_tokens

if TYPE_CHECKING:
    from tokenizers import trainers

WORDS_PER_TEXT = 2000


def choose_alphabet(words: Mapping[str, int], initial_alphabet: Sequence[str], limit_alphabet: int) -> list[str]:
    """Return `initial_alphabet`, filled up to `limit_alphabet` with the most frequent characters, by code point.

    Raises:
        ValueError: the initial alphabet is larger than the limit.

    >>> choose_alphabet({"山の": 2, "川の": 1, "a": 1}, ["c"], 3)
    ['c', 'の', '山']
    """
    if len(initial_alphabet) > limit_alphabet:
        raise ValueError(
            f"--limit_alphabet {limit_alphabet}: is less than the {len(initial_alphabet)} characters of the initial "
            f"alphabet. Use --limit_alphabet {len(initial_alphabet)}"
        )
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    initial = set(initial_alphabet)
    others = sorted((-count, character) for character, count in counts.items() if character not in initial)
    room = limit_alphabet - len(initial)
    return sorted(initial.union(character for _, character in others[:room]))


def train_wordpiece(
    words: Mapping[str, int],
    alphabet: Sequence[str],
    vocab_size: int,
    num_unused_tokens: int,
    wordpieces_prefix: str,
    min_frequency: int,
) -> list[str]:
    """Return exactly `vocab_size` tokens: special, unused, alphabet, then pieces and words in the order of merging.

    Raises:
        ValueError: the text supports fewer tokens, or the alphabet alone takes more.
    """
    fixed = [*SPECIAL_TOKENS, *unused_tokens(num_unused_tokens), *alphabet]
    fixed = list(dict.fromkeys(fixed + _inner_characters(words, alphabet, wordpieces_prefix)))
    if len(fixed) > vocab_size:
        raise ValueError(
            f"--vocab_size {vocab_size}: special tokens and single characters alone take {len(fixed)}. Use a larger "
            "--vocab_size or a smaller alphabet"
        )
    from tokenizers import trainers

    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        limit_alphabet=len(alphabet),
        initial_alphabet=list(alphabet),
        special_tokens=fixed,  # "special" to the trainer: numbered in this order, before the tokens that it finds
        continuing_subword_prefix=wordpieces_prefix,
        show_progress=False,
    )
    tokens = _train(words, trainer)
    if len(tokens) < vocab_size:
        raise ValueError(
            f"--vocab_size {vocab_size}: the text supports only {len(tokens)} entries at --min_frequency "
            f"{min_frequency}. Give more text or use --vocab_size {len(tokens)}"
        )
    return tokens


def _inner_characters(words: Iterable[str], alphabet: Sequence[str], prefix: str) -> list[str]:
    """Return the `##` characters: those of the alphabet inside words (not at the start), the most frequent first.

    >>> _inner_characters(["山川", "山桜川", "桜山"], ["山", "川", "桜"], "##")
    ['##川', '##山', '##桜']
    """
    counts = Counter("".join(word[1:] for word in words))
    inside = sorted(counts.keys() & set(alphabet), key=lambda character: (-counts[character], character))
    return [f"{prefix}{character}" for character in inside]


def _train(words: Mapping[str, int], trainer: "trainers.WordPieceTrainer") -> list[str]:
    """Return the tokens of the trainer in the order of their ids."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(_iter_texts(words), trainer)
    ids = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(ids, key=ids.__getitem__)


def _iter_texts(words: Mapping[str, int]) -> Iterator[str]:
    """Yield every word as often as it was counted, because the trainer takes text and not counts.

    Words of one character are left out. They have no pair to merge, and they are half of Japanese text.
    """
    parts: list[str] = []
    room = WORDS_PER_TEXT
    for word, count in words.items():
        while count > 0 and len(word) > 1:
            taken = min(count, room)
            parts.append(f"{word} " * taken)
            count -= taken
            room -= taken
            if room == 0:
                yield "".join(parts)
                parts, room = [], WORDS_PER_TEXT
    yield "".join(parts)

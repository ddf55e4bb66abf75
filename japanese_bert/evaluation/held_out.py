"""Held-out documents -> questions to a masked language model, and its scores by kind of word.

Words are hidden, not tokens, and all tokens of a word together. So models of different vocabularies, trained on any
kind of masks, get the same questions. A hidden token is always [MASK]. A model without a next sentence head knows one
segment only, and gets both as one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from japanese_bert.evaluation.masked_lm import MaskedLM, MaskedSequence
from japanese_bert.tokenization.tokenizer_directory import (
    TOKENIZER_CONFIG_FILE,
    load_checked_vocab,
    load_settings,
    make_word_encoder,
)
from japanese_bert.tokenization.vocab import CLS, SEP, Vocab

Words = list[str]

SHARE_HIDDEN = 0.15
CAPITAL = re.compile(".*[A-Z].*")
CONTENT = re.compile("[一-鿿々ァ-ヺー]{2,}")  # kanji and katakana: nouns and stems of verbs, nearly always


class Passage(NamedTuple):
    """Two segments. The second one follows the first one, or is of another document."""

    first: Words
    second: Words
    is_random_next: bool


class Question(NamedTuple):
    """A passage whose words number `hidden` are asked for. The count goes on in the second segment."""

    passage: Passage
    hidden: Sequence[int]


def make_passages(documents: Sequence[Sequence[Words]], size: int, rng: np.random.Generator) -> Iterator[Passage]:
    """Yield passages of all documents, of at most `size` characters. Half of them have a random second segment.

    A segment that is too long loses words at its beginning or at its end, as in BERT's data.
    """
    for number, sentences in enumerate(documents):
        end = 0
        while end + 1 < len(sentences):
            first, middle = _take(sentences, end, size // 2)
            second, end = _take(sentences, middle, size // 2)
            is_random = bool(rng.random() < 0.5)
            if is_random:
                other = documents[(number + int(rng.integers(1, len(documents)))) % len(documents)]
                second, _ = _take(other, int(rng.integers(len(other))), size // 2)
            passage = Passage(_cut(first, size // 2, rng), _cut(second, size // 2, rng), is_random)
            if passage.first and passage.second:
                yield passage


def _take(sentences: Sequence[Words], start: int, size: int) -> tuple[Words, int]:
    """Return the words of the sentences from `start` on that have `size` characters together, and where they end."""
    words: Words = []
    for number in range(start, len(sentences)):
        words = words + sentences[number]
        if sum(map(len, words)) >= size:
            return words, number + 1
    return words, len(sentences)


def _cut(words: Words, size: int, rng: np.random.Generator) -> Words:
    while sum(map(len, words)) > size:
        words = words[1:] if rng.random() < 0.5 else words[:-1]
    return words


def make_questions(passages: Sequence[Passage], count: int, rng: np.random.Generator) -> dict[str, list[Question]]:
    """Return at most `count` questions of each kind, drawn from all passages."""
    questions: dict[str, list[Question]] = {"all": [], "capital": [], "first": [], "last": [], "content": []}
    for passage in (passages[index] for index in rng.permutation(len(passages))):
        middle, words = len(passage.first), [*passage.first, *passage.second]
        order = [int(index) for index in rng.permutation(len(words))]
        most = max(1, int(len(words) * SHARE_HIDDEN))
        chosen = {
            "all": order[:most],
            "capital": [index for index in order if CAPITAL.fullmatch(words[index])][:most],
            "first": [0, middle],
            "last": [middle - 1, len(words) - 1],
            "content": [index for index in order if CONTENT.fullmatch(words[index])][:1],
        }
        for kind, hidden in chosen.items():
            if hidden and len(questions[kind]) < count:
                questions[kind].append(Question(passage, sorted(hidden)))
    return questions


class HiddenTokens(NamedTuple):
    """All hidden tokens of one kind of question: loss, correctness, id, and a number for each word."""

    losses: np.ndarray
    is_correct: np.ndarray
    token_ids: np.ndarray
    words: np.ndarray

    def of_tokens(self, name: str) -> dict[str, float]:
        return {f"{name}_loss": float(self.losses.mean()), f"{name}_accuracy": float(self.is_correct.mean())}

    def of_words(self, name: str) -> dict[str, float]:
        """Return the mean loss of a word, and the share of words of which every token is found."""
        _, words, counts = np.unique(self.words, return_inverse=True, return_counts=True)
        is_found = np.bincount(words, self.is_correct) == counts
        return {
            f"{name}_loss": float(np.bincount(words, self.losses).mean()),
            f"{name}_accuracy": float(is_found.mean()),
        }


def score_held_out(model: MaskedLM, model_dir: Path, questions: Mapping[str, Sequence[Question]]) -> dict[str, float]:
    """Return the scores of a model directory by name. Losses are in nats. A kind without questions has none."""
    vocab = load_checked_vocab(model_dir)
    encode_word = make_word_encoder(load_settings(model_dir / TOKENIZER_CONFIG_FILE), vocab)
    scores: dict[str, float] = {}
    for kind, asked in questions.items():
        if not asked:
            continue
        found, next_sentence_accuracy = _ask(model, vocab, encode_word, asked)
        if kind == "content":
            scores["fill_mask_accuracy"] = found.of_words("word")["word_accuracy"]
            continue
        if kind == "capital":
            is_wanted = np.array([bool(CAPITAL.fullmatch(vocab.tokens[index])) for index in found.token_ids])
            found = HiddenTokens(*(values[is_wanted] for values in found))
        scores |= found.of_tokens(kind) if len(found.losses) else {}
        if kind == "all":
            scores |= found.of_words("word")
            scores |= {} if next_sentence_accuracy is None else {"next_sentence_accuracy": next_sentence_accuracy}
    return scores


def _ask(
    model: MaskedLM, vocab: Vocab, encode_word: Callable[[str], list[int]], questions: Sequence[Question]
) -> tuple[HiddenTokens, float | None]:
    """Return all hidden tokens, and the next sentence accuracy of a model that has this head."""
    encoded = [encode_question(question, vocab, encode_word, model.has_next_sentence) for question in questions]
    answers = list(model.answer(sequence for sequence, _ in encoded))
    found = []
    for number, (answer, (sequence, words)) in enumerate(zip(answers, encoded, strict=True)):
        token_ids = np.array(sequence.token_ids)[np.array(sequence.hidden, dtype=int)]
        found.append((answer.losses, answer.is_correct, token_ids, (number << 16) + np.array(words, dtype=int)))
    right = [
        answer.next_sentence == question.passage.is_random_next
        for answer, question in zip(answers, questions, strict=True)
        if answer.next_sentence is not None
    ]
    return HiddenTokens(*map(np.concatenate, zip(*found, strict=True))), float(np.mean(right)) if right else None


def encode_question(
    question: Question, vocab: Vocab, encode_word: Callable[[str], list[int]], has_pairs: bool
) -> tuple[MaskedSequence, list[int]]:
    """Return the sequence, and the number of the word of each hidden token."""
    middle, words = len(question.passage.first), [*question.passage.first, *question.passage.second]
    token_ids, types, places, owners = [vocab.ids[CLS]], [0], list[int](), list[int]()
    for number, word in enumerate(words):
        if has_pairs and number == middle:
            token_ids.append(vocab.ids[SEP])
            types.append(0)
        pieces = encode_word(word)
        if number in question.hidden:
            places += range(len(token_ids), len(token_ids) + len(pieces))
            owners += [number] * len(pieces)
        token_ids += pieces
        types += [int(has_pairs and number >= middle)] * len(pieces)
    return MaskedSequence([*token_ids, vocab.ids[SEP]], [*types, types[-1]], places), owners

"""Question answering: questions and paragraphs -> windows of tokens. Scores of tokens -> answers as text.

The windows are the benchmark's (SQuAD's script): the question's first 64 tokens, then as much of the paragraph as fits.
A window starts every 128 tokens. Where windows overlap, a token counts in the one that gives it most context. An answer
is the span of at most 30 tokens with the highest sum of scores. SQuAD's script differs here: it looks only among the 20
best beginnings and ends.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from japanese_bert.finetuning_data.questions import Example
from japanese_bert.tokenization.offsets import Token

MAX_QUERY_LENGTH = 64
DOC_STRIDE = 128
MAX_ANSWER_LENGTH = 30

TokensOf = Callable[[str], list[Token]]  # the tokens of a paragraph


class TokenSpan(NamedTuple):
    """Some tokens, from `start` up to, but not including, `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """The ids and segments of one pair of texts, and the places of the texts in it."""

    ids: list[int]
    segments: list[int]
    first: TokenSpan
    second: TokenSpan

    def join(self, first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
        """Return ids and segments of another pair."""
        one, other = self.segments[self.first.start], self.segments[self.second.start]
        segments = self._replace(self.segments, [one] * len(first), [other] * len(second))
        return self._replace(self.ids, first, second), segments

    def _replace(self, values: list[int], first: list[int], second: list[int]) -> list[int]:
        between = values[self.first.end : self.second.start]
        return [*values[: self.first.start], *first, *between, *second, *values[self.second.end :]]


def pair_template(tokenizer) -> PairTemplate:
    """Return the template, read off an example: slow and fast tokenizers have no common call that returns it."""
    pair = tokenizer("山", "海")
    ids, segments = pair["input_ids"], pair.get("token_type_ids") or [0] * len(pair["input_ids"])
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("山", "海"))
    place = _find_part(first, ids, 0)
    return PairTemplate(ids, segments, place, _find_part(second, ids, place.end))


def _find_part(part: list[int], ids: list[int], position: int) -> TokenSpan:
    for start in range(position, len(ids) - len(part) + 1):
        if part and ids[start : start + len(part)] == part:
            return TokenSpan(start, start + len(part))
    raise ValueError(f"{ids}: the tokenizer gives a text other tokens than {part} when it is one of a pair")


@dataclass(frozen=True, slots=True)
class Window:
    """One input: the tokens `tokens` of an example's paragraph stand at `offset` in it."""

    example: int
    tokens: TokenSpan
    offset: int
    input_ids: list[int]
    token_type_ids: list[int]


def make_windows(
    examples: Iterable[Example],
    template: PairTemplate,
    encode_query: Callable[[str], list[int]],
    tokens_of: TokensOf,
    max_seq_length: int,
) -> Iterator[Window]:
    """Yield all windows of all examples, in order.

    Raises:
        ValueError: a paragraph has no token.
    """
    for index, example in enumerate(examples):
        question, context = example.texts
        query = encode_query(question)[:MAX_QUERY_LENGTH]
        ids = [token.id for token in tokens_of(context)]
        without_context, _ = template.join(query, [])
        room = max_seq_length - len(without_context)
        if not ids or room < 1:
            raise ValueError(f"question {example.id}: no token of its paragraph fits into {max_seq_length} tokens")
        offset = len(without_context) - len(template.ids) + template.second.end
        for tokens in window_spans(len(ids), room):
            inputs = template.join(query, ids[tokens.start : tokens.end])
            yield Window(index, tokens, offset, *inputs)


def window_spans(num_tokens: int, room: int) -> list[TokenSpan]:
    """Return windows of at most `room` tokens that cover a paragraph.

    >>> window_spans(500, 300)
    [TokenSpan(start=0, end=300), TokenSpan(start=128, end=428), TokenSpan(start=256, end=500)]
    """
    spans = [TokenSpan(0, min(room, num_tokens))]
    while spans[-1].end < num_tokens:
        start = spans[-1].start + min(DOC_STRIDE, room)
        spans.append(TokenSpan(start, min(start + room, num_tokens)))
    return spans


def answer_span(tokens: Sequence[Token], start: int, end: int) -> TokenSpan | None:
    """Return the fewest tokens that hold the characters from `start` to `end`, or None if no token does."""
    touching = [index for index, token in enumerate(tokens) if token.end > start and token.start < end]
    return TokenSpan(touching[0], touching[-1] + 1) if touching else None


def text_of_span(context: str, tokens: Sequence[Token], span: TokenSpan) -> str:
    return context[tokens[span.start].start : tokens[span.end - 1].end]


def first_answer(example: Example) -> tuple[str, int]:
    """Return the first right answer and the place of its first character."""
    assert isinstance(example.gold, tuple) and example.answer_start is not None, "not a question of JSQuAD"
    return example.gold[0], example.answer_start


def answer_tokens(example: Example, tokens: Sequence[Token]) -> TokenSpan | None:
    """Return the tokens of the first right answer."""
    text, start = first_answer(example)
    return answer_span(tokens, start, start + len(text))


def positions_to_learn(window: Window, answer: TokenSpan | None) -> tuple[int, int]:
    """Return the positions of the answer's first and last token in the input, or 0 and 0 if it is not in the window."""
    if answer is None or answer.start < window.tokens.start or answer.end > window.tokens.end:
        return 0, 0
    shift = window.offset - window.tokens.start
    return answer.start + shift, answer.end - 1 + shift


def max_context_windows(windows: Sequence[TokenSpan]) -> np.ndarray:
    """Return for each token the index of the window that gives it most context on its poorer side.

    >>> max_context_windows([TokenSpan(0, 5), TokenSpan(2, 6)]).tolist()
    [0, 0, 0, 0, 1, 1]
    """
    positions = np.arange(windows[-1].end)
    context = [np.minimum(positions - start, end - 1 - positions) for start, end in windows]  # negative outside
    return np.argmax(context, axis=0)  # first of equals: SQuAD's script prefers the longer one, and the last is short


def best_span(start_scores: np.ndarray, end_scores: np.ndarray, may_start: np.ndarray) -> tuple[float, TokenSpan]:
    """Return the highest sum of a start and an end score, and its span of at most MAX_ANSWER_LENGTH tokens."""
    best, found = -np.inf, TokenSpan(0, 1)
    starts = np.where(may_start, start_scores, -np.inf)
    for length in range(min(MAX_ANSWER_LENGTH, len(starts))):
        sums = starts[: len(starts) - length] + end_scores[length:]
        at = int(np.argmax(sums))
        if sums[at] > best:
            best, found = float(sums[at]), TokenSpan(at, at + length + 1)
    return best, found


def decode_answers(
    examples: Sequence[Example],
    windows: Sequence[Window],
    tokens_of: TokensOf,
    start_scores: np.ndarray,
    end_scores: np.ndarray,
) -> dict[str, str]:
    """Return answers by id. The scores have the shape [windows, positions of the input]."""
    answers = {}
    for example, rows in _rows_of_examples(examples, windows):
        chosen = max_context_windows([windows[row].tokens for row in rows])
        candidates = []
        for number, row in enumerate(rows):
            first, last = windows[row].tokens
            inputs = slice(windows[row].offset, windows[row].offset + last - first)
            score, span = best_span(start_scores[row, inputs], end_scores[row, inputs], chosen[first:last] == number)
            candidates.append((score, TokenSpan(first + span.start, first + span.end)))
        context = example.texts[1]
        answers[example.id] = text_of_span(context, tokens_of(context), max(candidates)[1])
    return answers


def _rows_of_examples(examples: Sequence[Example], windows: Sequence[Window]) -> Iterator[tuple[Example, list[int]]]:
    for number, rows in groupby(range(len(windows)), key=lambda row: windows[row].example):
        yield examples[number], list(rows)


def count_answers(examples: Sequence[Example], windows: Sequence[Window], tokens_of: TokensOf) -> dict[str, int]:
    """Count the first right answers that a token span gives back exactly, and the others by reason."""
    counts = dict.fromkeys(("recovered", "cut_inside_a_token", "in_no_window", "longer_than_an_answer_may_be"), 0)
    for example, rows in _rows_of_examples(examples, windows):
        tokens = tokens_of(example.texts[1])
        span = answer_tokens(example, tokens)
        spans = [windows[row].tokens for row in rows]
        if span is None or not any(start <= span.start and span.end <= end for start, end in spans):
            counts["in_no_window"] += 1
        elif text_of_span(example.texts[1], tokens, span) != first_answer(example)[0]:
            counts["cut_inside_a_token"] += 1
        else:
            counts["recovered"] += 1
            counts["longer_than_an_answer_may_be"] += span.end - span.start > MAX_ANSWER_LENGTH
    return counts

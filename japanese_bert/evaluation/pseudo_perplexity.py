"""Sentences -> pseudo-perplexity of a masked language model (Salazar et al. 2020).

Each token of a sentence is hidden alone and predicted from all others. Models of different vocabularies are compared by
the character: their tokens are not the same. An unknown token is easy to predict, so their number is reported.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from japanese_bert.evaluation.masked_lm import MaskedLM, MaskedSequence

SENTENCES_AT_ONCE = 32


@dataclass(slots=True)
class PseudoPerplexity:
    """Sums over sentences. Losses are in nats. White space is no character."""

    losses: list[float] = field(default_factory=list)
    correct: int = 0
    characters: int = 0
    unknown_tokens: int = 0

    def results(self) -> dict[str, float]:
        """Return the scores by name."""
        total, tokens = math.fsum(self.losses), len(self.losses)
        return {
            "pseudo_perplexity": math.exp(total / tokens),
            "pseudo_perplexity_of_characters": math.exp(total / self.characters),
            "accuracy": self.correct / tokens,
            "tokens": tokens,
            "characters": self.characters,
            "unknown_tokens": self.unknown_tokens,
        }


def find_sequences(model: MaskedLM, sentences: Sequence[str]) -> list[list[MaskedSequence]]:
    """Return for each sentence a sequence for each of its tokens.

    There is none for a sentence that is too long for the model, or that spells a special token such as `[MASK]`.
    """
    special = model.tokenizer.all_special_tokens
    found: list[list[MaskedSequence]] = []
    for sentence in sentences:
        encoded = model.tokenizer(sentence, return_token_type_ids=True, return_special_tokens_mask=True)
        token_ids, types = encoded["input_ids"], encoded["token_type_ids"]
        is_usable = len(token_ids) <= model.max_seq_length and not any(token in sentence for token in special)
        places = [place for place, is_special in enumerate(encoded["special_tokens_mask"]) if not is_special]
        found.append([MaskedSequence(token_ids, types, [place]) for place in places if is_usable])
    return found


def score_sentences(
    model: MaskedLM,
    sentences: Sequence[str],
    sequences: Sequence[Sequence[MaskedSequence]],
    tokens_at_once: int,
    progress: Callable[[int], object],
) -> PseudoPerplexity:
    """Return the score of some sentences. `sequences` are those of `find_sequences`. Long sentences come first."""
    score = PseudoPerplexity()
    order = sorted(range(len(sentences)), key=lambda index: -len(sequences[index]))
    for start in range(0, len(order), SENTENCES_AT_ONCE):
        part = order[start : start + SENTENCES_AT_ONCE]
        questions = [question for index in part for question in sequences[index]]
        for answer in model.answer(questions, tokens_at_once):
            score.losses.append(float(answer.losses[0]))
            score.correct += bool(answer.is_correct[0])
        score.characters += sum(len("".join(sentences[index].split())) for index in part)
        unknown = model.tokenizer.unk_token_id
        score.unknown_tokens += sum(question.token_ids[question.hidden[0]] == unknown for question in questions)
        progress(start + len(part))
    return score

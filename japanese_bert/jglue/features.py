"""Examples of a JGLUE task -> inputs of a model. Scores of the model -> predictions by id.

Each head of Transformers has a class here: sequence classification (regression for JSTS), multiple choice and question
answering. Functions import PyTorch when they need it, because the import takes seconds.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from japanese_bert.finetuning_data import squad
from japanese_bert.finetuning_data.questions import Example, Gold
from japanese_bert.jglue.tasks import Task
from japanese_bert.tokenization.offsets import tokenize_with_offsets

LABELS = ("labels", "start_positions", "end_positions")
Row = dict[str, Any]  # inputs of one example by name: lists of ids, a label, or `choices` with inputs of their own


class Features(ABC):
    """The examples of one task as inputs of one model.

    `rows` go into `collate`. The model is of the class `model_class` and is loaded with `model_settings`.
    """

    model_class: str
    rows: list[Row]

    def model_settings(self) -> dict[str, object]:
        return {}

    @abstractmethod
    def decode(self, scores: Any) -> Mapping[str, Gold]:
        """Return the predictions by id."""

    def counts(self) -> Mapping[str, int]:
        return {}


def make_features(task: Task, examples: Sequence[Example], tokenizer, max_seq_length: int, learn: bool) -> Features:
    """Return the inputs of all examples. With `learn` they have labels."""
    kinds: dict[str, Callable[..., Features]] = {"jsquad": QuestionAnswering, "jcommonsenseqa": MultipleChoice}
    return kinds.get(task.name, SequenceClassification)(task, examples, tokenizer, max_seq_length, learn)


class SequenceClassification(Features):
    """Examples with one or two texts and a label. A task without labels has a number instead."""

    model_class = "AutoModelForSequenceClassification"

    def __init__(self, task: Task, examples: Sequence[Example], tokenizer, max_seq_length: int, learn: bool) -> None:
        self._task = task
        self._ids = [example.id for example in examples]
        self.rows = [_encode(tokenizer, example.texts, max_seq_length) for example in examples]
        if learn:
            for row, example in zip(self.rows, examples, strict=True):
                row["labels"] = task.labels.index(example.gold) if task.labels else example.gold

    def model_settings(self) -> dict[str, object]:
        if not self._task.labels:
            return {"num_labels": 1, "problem_type": "regression"}
        return {"num_labels": len(self._task.labels), "problem_type": "single_label_classification"}

    def decode(self, scores: np.ndarray) -> dict[str, Gold]:
        values: list[Gold]
        if self._task.labels:
            values = [self._task.labels[index] for index in scores.argmax(axis=1)]
        else:
            values = [float(value) for value in scores[:, 0]]
        return dict(zip(self._ids, values, strict=True))


class MultipleChoice(Features):
    """Questions, each paired with all of its choices."""

    model_class = "AutoModelForMultipleChoice"

    def __init__(self, task: Task, examples: Sequence[Example], tokenizer, max_seq_length: int, learn: bool) -> None:
        self._ids = [example.id for example in examples]
        self.rows = []
        for example in examples:
            question, *choices = example.texts
            self.rows.append({"choices": [_encode(tokenizer, (question, text), max_seq_length) for text in choices]})
            if learn:
                self.rows[-1]["labels"] = example.gold

    def decode(self, scores: np.ndarray) -> dict[str, Gold]:
        return dict(zip(self._ids, map(int, scores.argmax(axis=1)), strict=True))


class QuestionAnswering(Features):
    """Questions with windows of their paragraphs."""

    model_class = "AutoModelForQuestionAnswering"

    def __init__(self, task: Task, examples: Sequence[Example], tokenizer, max_seq_length: int, learn: bool) -> None:
        self._examples = examples
        self._tokens_of = cache(partial(tokenize_with_offsets, tokenizer))  # a paragraph has several questions
        template = squad.pair_template(tokenizer)
        encode_query = partial(_ids_of, tokenizer)
        self._windows = [*squad.make_windows(examples, template, encode_query, self._tokens_of, max_seq_length)]
        has_segments = "token_type_ids" in tokenizer.model_input_names
        self.rows = []
        for window in self._windows:
            row: Row = {"input_ids": window.input_ids, "attention_mask": [1] * len(window.input_ids)}
            if has_segments:
                row["token_type_ids"] = window.token_type_ids
            if learn:
                example = examples[window.example]
                answer = squad.answer_tokens(example, self._tokens_of(example.texts[1]))
                row["start_positions"], row["end_positions"] = squad.positions_to_learn(window, answer)
            self.rows.append(row)

    def counts(self) -> dict[str, int]:
        """Return how many answers a token span can give back, and why it cannot give back the others."""
        return squad.count_answers(self._examples, self._windows, self._tokens_of)

    def decode(self, scores: tuple[np.ndarray, np.ndarray]) -> dict[str, str]:
        return squad.decode_answers(self._examples, self._windows, self._tokens_of, *scores)


def _ids_of(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _encode(tokenizer, texts: Sequence[str], max_seq_length: int) -> Row:
    return dict(tokenizer(*texts, truncation=True, max_length=max_seq_length))


def takes_segments(model) -> bool:
    """Return True if the model tells two segments apart.

    DistilBERT does not, and RoBERTa has only one type of segment. Their tokenizers may give segments all the same.
    """
    parameters = inspect.signature(model.forward).parameters
    return "token_type_ids" in parameters and getattr(model.config, "type_vocab_size", 2) > 1


def collate(tokenizer, with_segments: bool, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a batch of tensors, padded to its longest row. Choices become a dimension of their own."""
    import torch

    inputs = [choice for row in rows for choice in row.get("choices", [_without_labels(row)])]
    batch = dict(tokenizer.pad(inputs, padding=True, return_tensors="pt"))
    if not with_segments:
        batch.pop("token_type_ids", None)
    if "choices" in rows[0]:
        batch = {name: tensor.view(len(rows), -1, tensor.shape[-1]) for name, tensor in batch.items()}
    labels = {name: torch.tensor([row[name] for row in rows]) for name in LABELS if name in rows[0]}
    return batch | labels


def _without_labels(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in LABELS}

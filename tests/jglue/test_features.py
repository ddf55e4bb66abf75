"""Inputs of each head, and predictions from its scores, with a tokenizer of one id for each character."""

import itertools

import numpy as np
import pytest

from japanese_bert.finetuning_data.questions import Example
from japanese_bert.jglue.features import collate, make_features, takes_segments
from japanese_bert.jglue.tasks import TASKS


class CharacterTokenizer:
    """A tokenizer that gives `[1, a, 2, b, 2]`. The ids of characters are their code points."""

    def __call__(self, *texts: str, truncation: bool, max_length: int) -> dict[str, list[int]]:
        parts = [[*map(ord, text), 2] for text in texts]
        segments = [index for index, part in enumerate(parts) for _ in part]
        ids, segments = [1, *itertools.chain(*parts)][:max_length], [0, *segments][:max_length]
        return {"input_ids": ids, "token_type_ids": segments, "attention_mask": [1] * len(ids)}

    def pad(self, rows: list[dict], padding: bool, return_tensors: str) -> dict:
        import torch

        size = max(len(row["input_ids"]) for row in rows)
        return {name: torch.tensor([row[name] + [0] * (size - len(row[name])) for row in rows]) for name in rows[0]}


TOKENIZER = CharacterTokenizer()
PAIRS = [Example("a", ("猫", "犬"), "neutral"), Example("b", ("猫", "犬だ"), "entailment")]


def test_labels_are_numbers_in_the_order_of_the_task():
    features = make_features(TASKS["jnli"], PAIRS, TOKENIZER, 128, learn=True)
    assert features.rows[0]["input_ids"] == [1, ord("猫"), 2, ord("犬"), 2]
    assert [row["labels"] for row in features.rows] == [2, 0]
    assert features.model_settings() == {"num_labels": 3, "problem_type": "single_label_classification"}
    scores = np.array([[0.0, 9.0, 1.0], [5.0, 0.0, 0.0]])
    assert features.decode(scores) == {"a": "contradiction", "b": "entailment"}
    assert features.counts() == {}


def test_rows_to_predict_have_no_labels():
    features = make_features(TASKS["jnli"], PAIRS, TOKENIZER, 3, learn=False)
    assert [sorted(row) for row in features.rows] == [["attention_mask", "input_ids", "token_type_ids"]] * 2
    assert [row["input_ids"] for row in features.rows] == [[1, ord("猫"), 2]] * 2


def test_a_task_without_labels_is_regression():
    examples = [Example("a", ("猫", "犬"), 2.5), Example("b", ("猫", "猫"), 5.0)]
    features = make_features(TASKS["jsts"], examples, TOKENIZER, 128, learn=True)
    assert [row["labels"] for row in features.rows] == [2.5, 5.0]
    assert features.model_settings() == {"num_labels": 1, "problem_type": "regression"}
    assert features.decode(np.array([[0.5], [4.0]])) == {"a": 0.5, "b": 4.0}


def test_choices_are_a_dimension_of_the_batch():
    examples = [Example("a", ("何", "米", "肉"), 1), Example("b", ("何だ", "米", "魚"), 0)]
    features = make_features(TASKS["jcommonsenseqa"], examples, TOKENIZER, 128, learn=True)
    batch = collate(TOKENIZER, True, features.rows)
    assert batch["input_ids"].shape == (2, 2, 6)
    assert batch["input_ids"][0, 1].tolist() == [1, ord("何"), 2, ord("肉"), 2, 0]
    assert batch["labels"].tolist() == [1, 0]
    assert features.decode(np.array([[0.0, 1.0], [2.0, 1.0]])) == {"a": 1, "b": 0}


@pytest.mark.parametrize("with_segments", [True, False])
def test_segments_are_left_out_of_models_without_them(with_segments):
    features = make_features(TASKS["jnli"], PAIRS, TOKENIZER, 128, learn=True)
    batch = collate(TOKENIZER, with_segments, features.rows)
    assert batch["input_ids"].shape == (2, 6)
    assert ("token_type_ids" in batch) == with_segments
    assert batch["labels"].tolist() == [2, 0]


def test_models_that_tell_segments_apart():
    class Config:
        type_vocab_size = 2

    class WithSegments:
        config = Config()

        def forward(self, input_ids, token_type_ids): ...

    class WithoutSegments:
        config = Config()

        def forward(self, input_ids): ...

    assert takes_segments(WithSegments())
    assert not takes_segments(WithoutSegments())
    model = WithSegments()
    model.config.type_vocab_size = 1
    assert not takes_segments(model)

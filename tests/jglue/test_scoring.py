"""Metrics against scipy, cases by hand and a second implementation. Right answers score 1.0."""

import json
import random
import re

import pytest
import scipy.stats

from japanese_bert.finetuning_data.questions import Example
from japanese_bert.jglue.scoring import (
    METRIC_FUNCTIONS,
    answer_exact_match,
    answer_f1,
    normalize_answer,
    pearson,
    predictions_bytes,
    read_predictions,
    score,
    spearman,
)
from japanese_bert.jglue.tasks import TASKS, find_file, load_examples
from tests.helpers.places import SHARED_DATA

JGLUE = SHARED_DATA / "jglue" / "datasets"


@pytest.fixture
def jglue():
    if not JGLUE.is_dir():
        pytest.skip("the shared JGLUE files are not here")
    return JGLUE


@pytest.mark.parametrize("seed", range(20))
def test_correlations_are_scipys(seed):
    numbers = random.Random(seed)
    size = numbers.choice((2, 3, 10, 1000))
    gold = [round(numbers.uniform(0, 5), 1) for _ in range(size - 1)] + [7.0]  # with ties, as the labels of JSTS
    predicted = [value + numbers.gauss(0, 1 + seed) for value in gold]
    if seed % 2:
        predicted = [*map(round, predicted[:-1]), 99]
    assert pearson(gold, predicted) == pytest.approx(scipy.stats.pearsonr(gold, predicted)[0], abs=1e-12)
    assert spearman(gold, predicted) == pytest.approx(scipy.stats.spearmanr(gold, predicted)[0], abs=1e-12)


def test_correlations_by_hand():
    # Deviations (-1, 0, 1) and (-2, 1, 1): 3 / sqrt(2 * 6).
    assert pearson([1, 2, 3], [1, 4, 4]) == pytest.approx(3 / 12**0.5)
    # Ranks (1, 2, 3) and (1, 2.5, 2.5): 1.5 / sqrt(2 * 1.5).
    assert spearman([1, 2, 3], [1, 4, 4]) == pytest.approx(1.5 / 3**0.5)
    assert spearman([1, 2, 3, 4], [10, 100, 1000, 10_000]) == pytest.approx(1)
    assert pearson([1, 2, 3], [5, 5, 5]) == spearman([1, 2, 3], [5, 5, 5]) == 0


def test_correlation_of_unequal_lengths():
    with pytest.raises(ValueError, match="3 labels, but 2 predictions"):
        pearson([1, 2, 3], [1, 2])


def test_accuracy():
    assert METRIC_FUNCTIONS["accuracy"](["a", "b", "c", "a"], ["a", "b", "b", "b"]) == 0.5


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        ("小笠原諸島", "小笠原諸島", 1, 1),
        ("小笠原諸島", "小笠原", 0, 2 * 3 / (5 + 3)),
        ("２０２０年", "2020年", 0, 2 * 1 / 10),  # width is not normalized: only 年 is common
        ("東京。", "東京", 1, 1),
        ("東京。。", "東京", 1, 1),
        ("東京、", "東京", 0, 2 * 2 / 5),  # other punctuation stays
        ("。東京", "東京", 0, 2 * 2 / 5),
        ("東京。 ", "東京", 0, 2 * 2 / 5),  # white space goes last, so this 。 is not at the end
        ("東京 。", "東京", 1, 1),
        ("New  York", " new\tyork ", 1, 1),
        ("新　宿", "新 宿", 1, 1),  # U+3000 is white space
        ("新　宿", "新宿", 0, 2 * 2 / 5),  # and a character of its own
        ("ああい", "あいい", 0, 2 * 2 / 6),  # characters count as often as they occur
        ("東京", "", 0, 0),
        ("", "東京", 0, 0),
        ("。", "", 1, 1),
        ("東京", "大阪", 0, 0),
    ],
)
def test_answers_by_hand(gold, predicted, exact, f1):
    assert answer_exact_match(gold, predicted) == exact
    assert answer_f1(gold, predicted) == pytest.approx(f1)


def test_best_over_gold_answers_then_mean():
    gold = [("小笠原諸島を除く日本", "小笠原諸島"), ("雨季",)]
    predicted = ["小笠原諸島", "雨"]
    assert METRIC_FUNCTIONS["exact_match"](gold, predicted) == 0.5
    assert METRIC_FUNCTIONS["f1"](gold, predicted) == pytest.approx((1 + 2 / 3) / 2)


def reference_normalize(text: str) -> str:
    """Normalize by regular expressions, independently of the module."""
    text = re.sub("。+\\Z", "", text.lower())
    return re.sub(r"\A\s+|\s+\Z", "", re.sub(r"\s+", " ", text))


def reference_f1(gold: str, predicted: str) -> float:
    expected, given = reference_normalize(gold), reference_normalize(predicted)
    if expected == given:
        return 1.0
    remaining, common = list(expected), 0
    for character in given:
        if character in remaining:
            remaining.remove(character)
            common += 1
    if not common:
        return 0.0
    precision, recall = common / len(given), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def test_answers_agree_with_another_implementation():
    numbers = random.Random(0)
    alphabet = "ああいう東京２2Ａaİ。、 　\t\u2028𠮷"
    for _ in range(5_000):
        gold, predicted = ("".join(numbers.choices(alphabet, k=numbers.randrange(7))) for _ in range(2))
        assert normalize_answer(gold) == reference_normalize(gold)
        assert answer_exact_match(gold, predicted) == (reference_normalize(gold) == reference_normalize(predicted))
        assert answer_f1(gold, predicted) == pytest.approx(reference_f1(gold, predicted))


@pytest.mark.parametrize("split", ["valid", "test"])
def test_gold_answers_score_one(jglue, split, tmp_path):
    """They do so through a file of predictions, and in SQuAD's own layout."""
    task = TASKS["jsquad"]
    examples = load_examples(find_file(jglue, task, split), task)
    assert len(examples) == {"valid": 4442, "test": 4420}[split]
    for which in (0, -1):
        predictions = {example.id: example.gold[which] for example in examples}
        for data in (predictions_bytes(predictions), json.dumps(predictions).encode()):
            (tmp_path / "predictions").write_bytes(data)
            assert score(task, examples, read_predictions(tmp_path / "predictions")) == {"exact_match": 1, "f1": 1}
    others = dict(zip(predictions, reversed(predictions.values()), strict=True))
    assert score(task, examples, others)["exact_match"] < 0.1


@pytest.mark.parametrize("name", ["jsts", "jnli", "jcommonsenseqa"])
def test_gold_labels_score_one(jglue, name):
    task = TASKS[name]
    examples = load_examples(find_file(jglue, task, "valid"), task)
    scores = score(task, examples, {example.id: example.gold for example in examples})
    assert scores == pytest.approx(dict.fromkeys(task.metrics, 1.0))


@pytest.mark.parametrize(
    ("name", "predictions", "message"),
    [
        ("jsquad", {"1": "a"}, "1 of 2: the first, id 2, has no prediction"),
        ("jsquad", {"1": "a", "2": "b", "3": "c", "4": "d"}, "2 of 4: the first, id 3, is unknown"),
        ("jsquad", {"1": "a", "2": 5}, "id 2: prediction is 5, expected text"),
        ("jsts", {"1": 1.0, "2": "2.0"}, "id 2: prediction is '2.0', expected a number"),
        ("jsts", {"1": 1.0, "2": float("nan")}, "id 2: prediction is nan, expected a number. Did the training diverge"),
        ("jcommonsenseqa", {"1": 1, "2": True}, "id 2: prediction is True, expected a number"),
        ("jnli", {"1": "neutral", "2": "maybe"}, "id 2: prediction is 'maybe', expected one of entailment"),
    ],
)
def test_unfit_predictions(name, predictions, message):
    examples = [Example(name, ("a", "b"), "neutral") for name in "12"]
    with pytest.raises(ValueError, match=message):
        score(TASKS[name], examples, predictions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 1, "prediction": 2}\n{"id": 1, "prediction": 3}\n', ":2: id 1 occurs twice"),
        ('{"id": 1, "prediction": 2}\n\n[]\n', ':3: expected {"id": ..., "prediction": ...}'),
        ('{"id": 1, "prediction": 2}\n{"id": 2}\n', ":2: expected"),
        ("0.5\n", ":1: expected"),
    ],
)
def test_unreadable_predictions(tmp_path, text, message):
    path = tmp_path / "predictions.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_predictions(path)


def test_a_single_line_is_one_prediction(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(predictions_bytes({"8939": 2}))
    assert read_predictions(path) == {"8939": 2}

"""The metrics of JGLUE: predictions and right answers -> scores from 0 to 1. Files of predictions.

Answers to JSQuAD's questions are compared as in the benchmark's patch of the SQuAD script. They are lower-cased, 「。」
at the end is removed and white space is squeezed. Punctuation stays, and width is not normalized: `２` is not `2`. F1
counts characters. A question with several right answers gets the best score of them.

A file of predictions is JSON Lines, `{"id": ..., "prediction": ...}` for each example. The id is the one in the task's
file: `sentence_pair_id`, `q_id`, `review_id`, or a question's `id`. A prediction is a number (JSTS), a label (JNLI,
MARC-ja), the index of a choice (JCommonsenseQA) or the text of an answer (JSQuAD). A single JSON object
`{id: prediction}`, which SQuAD's script takes, can be read too.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.common.json_files import parse_json
from japanese_bert.finetuning_data.questions import Example, Gold
from japanese_bert.jglue.tasks import Task

Metric = Callable[[Sequence[Any], Sequence[Any]], float]  # right answers, predictions -> score


def score(task: Task, examples: Sequence[Example], predictions: Mapping[str, Gold]) -> dict[str, float]:
    """Return the score of every metric of the task.

    Raises:
        ValueError: an example has no prediction, a prediction has no example, or its type does not fit the task.
    """
    _check_ids(examples, predictions)
    predicted = [_checked(task, example.id, predictions[example.id]) for example in examples]
    gold = [example.gold for example in examples]
    return {name: METRIC_FUNCTIONS[name](gold, predicted) for name in task.metrics}


def _check_ids(examples: Sequence[Example], predictions: Mapping[str, Gold]) -> None:
    expected = {example.id for example in examples}
    for some, others, message in ((expected, predictions, "has no prediction"), (predictions, expected, "is unknown")):
        lacking = [name for name in some if name not in others]
        if lacking:
            raise ValueError(f"{len(lacking):,} of {len(some):,}: the first, id {min(lacking)}, {message}")


def _checked(task: Task, name: str, prediction: Gold) -> Gold:
    kind = str if task.labels or task.name == "jsquad" else int | float
    if not isinstance(prediction, kind) or isinstance(prediction, bool):
        raise ValueError(f"id {name}: prediction is {prediction!r}, expected {'text' if kind is str else 'a number'}")
    if isinstance(prediction, float) and not math.isfinite(prediction):
        raise ValueError(f"id {name}: prediction is {prediction}, expected a number. Did the training diverge?")
    if task.labels and prediction not in task.labels:
        raise ValueError(f"id {name}: prediction is {prediction!r}, expected one of {', '.join(task.labels)}")
    return prediction


def accuracy(gold: Sequence[Gold], predicted: Sequence[Gold]) -> float:
    return sum(one == other for one, other in zip(gold, predicted, strict=True)) / len(gold)


def pearson(gold: Sequence[float] | np.ndarray, predicted: Sequence[float] | np.ndarray) -> float:
    """Return the linear correlation. It is not defined if all predictions are equal: return 0 then.

    >>> pearson([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    1.0
    """
    one, other = (np.asarray(values, float) - np.mean(values) for values in (gold, predicted))
    if len(one) != len(other):
        raise ValueError(f"{len(one)} labels, but {len(other)} predictions. Expected as many")
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 0 else 0.0


def spearman(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Return Pearson's correlation of the ranks. Equal values share the mean of their ranks."""
    return pearson(_ranks(gold), _ranks(predicted))


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, group, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[group]


def normalize_answer(answer: str) -> str:
    """Return an answer in the form that is compared.

    >>> normalize_answer("東京  Tower。")
    '東京 tower'
    """
    return " ".join(answer.lower().rstrip("。").split())


def answer_exact_match(gold: str, predicted: str) -> float:
    return float(normalize_answer(gold) == normalize_answer(predicted))


def answer_f1(gold: str, predicted: str) -> float:
    """Return the harmonic mean of precision and recall over characters. Each counts as often as it occurs.

    >>> round(answer_f1("東京都", "東京"), 3)
    0.8
    """
    expected, given = normalize_answer(gold), normalize_answer(predicted)
    if not expected or not given:
        return float(expected == given)
    common = (Counter(expected) & Counter(given)).total()
    return 2 * common / (len(expected) + len(given))


def _best_over_answers(compare: Callable[[str, str], float]) -> Metric:
    def metric(gold: Sequence[tuple[str, ...]], predicted: Sequence[str]) -> float:
        best = [max(compare(answer, given) for answer in right) for right, given in zip(gold, predicted, strict=True)]
        return sum(best) / len(best)

    return metric


METRIC_FUNCTIONS: dict[str, Metric] = {
    "accuracy": accuracy,
    "pearson": pearson,
    "spearman": spearman,
    "exact_match": _best_over_answers(answer_exact_match),
    "f1": _best_over_answers(answer_f1),
}


def predictions_bytes(predictions: Mapping[str, Gold]) -> bytes:
    """Return the content of a file of predictions."""
    lines = (
        json.dumps({"id": name, "prediction": value}, ensure_ascii=False) + "\n" for name, value in predictions.items()
    )
    return "".join(lines).encode("utf-8")


def read_predictions(path: Path) -> dict[str, Gold]:
    """Return predictions by id.

    Raises:
        ValueError: a line is no prediction, or an id occurs twice.
    """
    text = path.read_text(encoding="utf-8-sig")
    with suppress(ValueError):
        single = parse_json(text, str(path))
        if isinstance(single, dict) and set(single) != {"id", "prediction"}:
            return single
    predictions: dict[str, Gold] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, str(path))
            name, value = str(row["id"]), row["prediction"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f'{path}:{number}: expected {{"id": ..., "prediction": ...}}') from None
        if name in predictions:
            raise ValueError(f"{path}:{number}: id {name} occurs twice")
        predictions[name] = value
    return predictions

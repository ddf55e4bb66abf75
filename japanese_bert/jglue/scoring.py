"""The metrics of JGLUE: predictions and right answers -> scores from 0 to 1.

Answers to JSQuAD's questions are compared as the benchmark's own patch of the SQuAD script does it: lower-cased, 「。」
at the end removed, white space squeezed; punctuation stays and width is not normalized (`２` is not `2`). F1 counts
characters. Both are the best over the right answers of a question.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from japanese_bert.jglue.tasks import Example, Gold, Task

Metric = Callable[[Sequence[Gold], Sequence[Gold]], float]


def score(task: Task, examples: Sequence[Example], predictions: Mapping[str, Gold]) -> dict[str, float]:
    """Every metric of the task.

    Raises:
        ValueError: an example has no prediction, a prediction no example, or it is not of the task's kind.
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
    if task.labels and prediction not in task.labels:
        raise ValueError(f"id {name}: prediction is {prediction!r}, expected one of {', '.join(task.labels)}")
    return prediction


def accuracy(gold: Sequence[Gold], predicted: Sequence[Gold]) -> float:
    return sum(one == other for one, other in zip(gold, predicted, strict=True)) / len(gold)


def pearson(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Linear correlation; 0 where all predictions are equal, for which it is not defined.

    >>> pearson([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    1.0
    """
    one, other = (np.asarray(values, float) - np.mean(values) for values in (gold, predicted))
    if len(one) != len(other):
        raise ValueError(f"{len(one)} numbers and {len(other)}: expected as many")
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 0 else 0.0


def spearman(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Pearson's correlation of ranks, where equal values share the mean of theirs."""
    return pearson(_ranks(gold), _ranks(predicted))


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, group, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[group]


def normalize_answer(answer: str) -> str:
    """
    >>> normalize_answer("東京  Tower。")
    '東京 tower'
    """
    return " ".join(answer.lower().rstrip("。").split())


def answer_exact_match(gold: str, predicted: str) -> float:
    return float(normalize_answer(gold) == normalize_answer(predicted))


def answer_f1(gold: str, predicted: str) -> float:
    """Harmonic mean of precision and recall over characters, each counted as often as it occurs.

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
    lines = (
        json.dumps({"id": name, "prediction": value}, ensure_ascii=False) + "\n" for name, value in predictions.items()
    )
    return "".join(lines).encode("utf-8")


def read_predictions(path: Path) -> dict[str, Gold]:
    """Predictions by id.

    Raises:
        ValueError: a line is no prediction, or an id is there twice.
    """
    text = path.read_text(encoding="utf-8")
    whole = _as_one_object(text)
    if whole is not None:
        return whole
    predictions: dict[str, Gold] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, value = str(row["id"]), row["prediction"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f'{path}:{number}: expected {{"id": ..., "prediction": ...}}') from None
        if name in predictions:
            raise ValueError(f"{path}:{number}: id {name} is there twice")
        predictions[name] = value
    return predictions


def _as_one_object(text: str) -> dict[str, Gold] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and set(value) != {"id", "prediction"} else None

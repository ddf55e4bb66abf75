"""A file of predictions: JSON Lines `{"id": ..., "prediction": ...}`, one for each example.

The id is the one in the task's file (`sentence_pair_id`, `q_id`, `review_id` or a question's `id`). A prediction is a
number (JSTS), a label (JNLI, MARC-ja), the index of a choice (JCommonsenseQA) or the text of an answer (JSQuAD). A
single JSON object `{id: prediction}`, as SQuAD's script takes it, can be read as well.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from japanese_bert.jglue.tasks import Gold


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

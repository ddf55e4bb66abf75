"""Data that a fine-tuned model cannot predict. That it predicts is in tests/stages/test_run_finetuning.py."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from japanese_bert.tfrecord.reading import FirstExample
from japanese_bert.training.data_files import CLASSIFICATION, DataFile
from japanese_bert.training.predictions import check_data_fits, check_weights
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
EXAMPLE = FirstExample({"input_ids": [2, 5, 3, 0], "label_ids": [0]}, 9, False)
LABELS = ["no", "yes"]


def task(num_classes: int = 2, seq_length: int = 4, training: Path | str = "/nowhere"):
    data = SimpleNamespace(seq_length=seq_length, input_path=str(training))
    return SimpleNamespace(train_data=data, model=SimpleNamespace(num_classes=num_classes))


def data_file(labels: list[str] | None) -> DataFile:
    return DataFile("data", EXAMPLE, None if labels is None else {"method": {"labels": labels}})


def test_labels_by_their_numbers():
    assert check_data_fits(task(), data_file(LABELS), CLASSIFICATION) == LABELS


def test_a_regression_has_no_labels():
    assert check_data_fits(task(num_classes=1), data_file(None), CLASSIFICATION) is None


@pytest.mark.parametrize(
    ("task_config", "labels", "message"),
    [
        (task(seq_length=8), LABELS, "was made with --max_seq_length 4, but the model was trained with 8"),
        (task(num_classes=3), LABELS, "has 2 labels, but the model has 3 classes"),
        (task(), None, "has no .json beside it, which lists the labels"),
    ],
)
def test_data_of_another_model_is_refused(task_config, labels, message):
    with pytest.raises(ValueError) as error:
        check_data_fits(task_config, data_file(labels), CLASSIFICATION)
    assert message in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_that_diverged(value):
    check_weights(Path("ckpt-5"), [np.ones(2), np.array([7])])
    with pytest.raises(ValueError, match=r"ckpt-5: has NaN or infinite weights. The training diverged"):
        check_weights(Path("ckpt-5"), [np.ones(2), np.array([0.5, value])])

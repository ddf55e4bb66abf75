"""Validation of question answering on TFRecords. Whole trainings: tests/stages/test_answers_and_tags.py."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from japanese_bert.training.question_answering import make_question_answering_class
from tests.helpers import small_answers as small
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return small.write_all(tmp_path_factory.mktemp("answers"))


def test_validation_reads_records_and_counts_right_answers(place):
    import tensorflow as tf
    from official.nlp.data.question_answering_dataloader import QADataConfig
    from official.nlp.tasks.question_answering import QuestionAnsweringConfig

    data = QADataConfig(
        input_path=f"{place}/valid.squad.gz",
        is_training=False,
        global_batch_size=8,
        seq_length=small.SEQ_LENGTH,
        file_type="tfrecord_compressed",
    )
    task = make_question_answering_class()(QuestionAnsweringConfig(validation_data=data))
    features, labels = next(iter(task.build_inputs(data)))
    assert features["input_word_ids"].shape == (8, small.SEQ_LENGTH)
    starts, ends = (labels[name].numpy() for name in ("start_positions", "end_positions"))
    assert np.count_nonzero(starts) > 0
    logits = [
        tf.one_hot(starts, small.SEQ_LENGTH) * 9,
        tf.one_hot(np.where(np.arange(8) < 6, ends, 1), small.SEQ_LENGTH) * 9,
    ]
    task.inference_step = lambda inputs, model: logits
    metrics = task.build_metrics(training=False)
    logs = task.validation_step(
        (features, labels), model=SimpleNamespace(losses=[], compiled_metrics=None), metrics=metrics
    )
    assert {metric.name: float(metric.result()) for metric in metrics} == {
        "start_position_accuracy": 1.0,
        "end_position_accuracy": 0.75,
        "answer_accuracy": 0.75,
    }
    assert float(logs[task.loss]) > 0
    assert task.aggregate_logs(None, logs) is None
    nothing = [{name: label[:0] for name, label in labels.items()}, [output[:0] for output in logits]]
    assert float(task.build_losses(*nothing)) == 0  # of a GPU that has no row


@pytest.mark.parametrize(
    ("experiment", "fact"),
    [("squad", "task: question answering"), ("tagging", f"task: tagging, 5 labels ({', '.join(small.LABELS)})")],
)
def test_data_that_fits_is_accepted(place, experiment, fact):
    found = small.check(place, experiment)
    assert (found.problems, found.remarks) == ([], [])
    assert fact in found.facts


@pytest.mark.parametrize(
    ("experiment", "more", "problem"),
    [
        ("tagging", "task.class_names=['O']", "task.class_names is ['O'], expected the --labels"),
        ("tagging", "task.class_names=['O','I-PLACE','B-PLACE','B-FOOD','I-FOOD']", "was made with --labels O B-PLACE"),
        ("squad", "task.train_data.seq_length=40", "was made with --max_seq_length 48, but"),
        ("squad", "task.train_data.input_path={place}/train.tagging.gz", "no question answering data"),
        ("tagging", "task.train_data.input_path={place}/train.squad.gz", "(found question answering data)"),
    ],
)
def test_what_does_not_fit_is_one_line(place, experiment, more, problem):
    found = small.check(place, experiment, more.format(place=place))
    assert len(found.problems) == 1
    assert problem in found.problems[0]

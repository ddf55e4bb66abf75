"""A fine-tuned model of `bert/sentence_prediction` and a file of classification data -> predictions.

Imports are inside the functions, because they take seconds.
"""

import math
from pathlib import Path

from japanese_bert.tokenization.identity import check_same
from japanese_bert.training.data_files import CLASSIFICATION, DataFile, match_files, read_data_file


def predict(checkpoint: Path, params_file: Path, data_file: Path, batch_size: int) -> list[str | float]:
    """Return labels, or the scores of a regression, in the order of the examples.

    Raises:
        ValueError: the data was made for another model, or with labels in another order than the training data.
    """
    import tensorflow as tf
    from official.nlp.tasks import sentence_prediction as model_garden

    task_config = _read_task_config(params_file)
    data = read_data_file(str(data_file), CLASSIFICATION)
    labels = check_data_fits(task_config, data)
    task = model_garden.SentencePredictionTask(task_config)
    model = task.build_model()
    status = tf.train.Checkpoint(model=model).read(str(checkpoint))
    status.expect_partial().assert_existing_objects_matched()
    source = task_config.validation_data.replace(
        input_path=str(data_file),
        global_batch_size=batch_size,
        is_training=False,
        drop_remainder=False,
        include_example_id=True,
        label_type="int" if data.has_class else "float",
        file_type="tfrecord_compressed" if data.example.is_compressed else "tfrecord",
    )
    found = model_garden.predict(task, source, model)
    if labels is None:
        return check_scores(checkpoint, [round(float(tf.squeeze(score)), 4) for score in found])
    return [labels[int(number)] for number in found]


def check_scores(checkpoint: Path, scores: list[float]) -> list[str | float]:
    """Return the scores. Raise ValueError if one is no number, which JSON has no form for."""
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"{checkpoint}: predicts NaN or infinity. The training diverged: lower its --learning_rate")
    return [*scores]


def _read_task_config(params_file: Path):
    """Return `task` of the configuration that the training wrote."""
    from official.core import exp_factory
    from official.modeling import hyperparams
    from official.nlp.configs import finetuning_experiments  # noqa: F401

    experiment = exp_factory.get_exp_config("bert/sentence_prediction")
    try:
        return hyperparams.override_params_dict(experiment, str(params_file), is_strict=True).task
    except (KeyError, AttributeError, TypeError):
        raise ValueError(f"{params_file}: not of a fine-tuning. Give the --model_dir of run_finetuning.py") from None


def check_data_fits(task_config, data: DataFile) -> list[str] | None:
    """Return the labels by their numbers, None for a regression."""
    length, expected = data.length("input_ids"), task_config.train_data.seq_length
    if length != expected:
        raise ValueError(
            f"{data.path}: was made with --max_seq_length {length}, but the model was trained with {expected}"
        )
    num_classes = task_config.model.num_classes
    if num_classes == 1:
        return None
    if data.provenance is None:
        raise ValueError(f"{data.path}: has no .json beside it, which lists the labels. Copy {data.path}.json too")
    labels = data.provenance["method"]["labels"]
    if len(labels) != num_classes:
        raise ValueError(f"{data.path}: has {len(labels)} labels, but the model has {num_classes} classes")
    _check_same_as_training(task_config.train_data.input_path, data, labels)
    return labels


def _check_same_as_training(pattern: str, data: DataFile, labels: list[str]) -> None:
    """Compare with the first training file, if it is still there."""
    try:
        training = read_data_file(match_files(pattern)[0], CLASSIFICATION)
    except (ValueError, OSError):
        return
    if training.provenance is None:
        return
    if labels != training.provenance["method"]["labels"]:
        raise ValueError(f"{data.path}: made with another --labels than the training file {training.path}")
    check_same([training.tokenization, data.tokenization], advice="Make it as the training data was made")

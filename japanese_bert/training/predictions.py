"""A fine-tuned model and a file of data for fine-tuning -> predictions: classes, scores, answers as text, or tags.

Imports are inside the functions, because they take seconds.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.finetuning_data.question_encoding import NUMBERS, TOKEN_FEATURES, read_windows
from japanese_bert.finetuning_data.questions import read_squad
from japanese_bert.finetuning_data.squad import decode_answers
from japanese_bert.finetuning_data.tag_encoding import TAG_FEATURES
from japanese_bert.models.checkpoint_reading import reading_checkpoint
from japanese_bert.models.model_garden import ENCODER_INPUTS
from japanese_bert.tfrecord.reading import read_first_example
from japanese_bert.tfrecord.streaming import RecordStream
from japanese_bert.tokenization.identity import check_same, hash_of_file
from japanese_bert.training.data_files import (
    CLASSIFICATION,
    QUESTION_ANSWERING,
    TAGGING,
    DataFile,
    DataKind,
    class_names_problem,
    match_files,
    read_data_file,
)
from japanese_bert.training.question_answering import make_question_answering_class

EXPERIMENTS = {CLASSIFICATION: "bert/sentence_prediction", QUESTION_ANSWERING: "bert/squad", TAGGING: "bert/tagging"}


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions by id, in the order of the data, and scores of those that the data has right answers for."""

    by_id: Mapping[str, Any]
    scores: Mapping[str, float] = field(default_factory=dict)


def predict(
    checkpoint: Path, params_file: Path, data_file: Path, batch_size: int, text_file: Path | None = None
) -> Predictions:
    """Predict for each example of a file. `text_file` is what question answering data was made of.

    Raises:
        ValueError: the data was made for another model, or with labels in another order than the training data. A file
            is damaged.
    """
    import tensorflow as tf

    kind = _kind_of_file(data_file)
    task_config = _read_task_config(params_file, kind)
    data = read_data_file(str(data_file), kind)
    labels = check_data_fits(task_config, data, kind)
    with RecordStream(data.path) as records:
        records.skip(sys.maxsize)  # names a damaged record, which TensorFlow does not
    examples = _read_questions(data, text_file) if kind is QUESTION_ANSWERING else []
    task = _task_class(kind)(task_config)
    model = task.build_model()
    with reading_checkpoint(str(checkpoint)):
        tf.train.Checkpoint(model=model).read(str(checkpoint)).expect_partial().assert_existing_objects_matched()
    check_weights(checkpoint, model.get_weights())
    if kind is QUESTION_ANSWERING:
        return predict_answers(model, data, batch_size, examples)
    if kind is TAGGING:
        return predict_tags(model, data, batch_size, labels or [])
    found = predict_classes(task, model, data, batch_size)
    values = found if labels is None else [labels[int(number)] for number in found]
    return Predictions({str(number): value for number, value in enumerate(values)})


def _task_class(kind: DataKind) -> type:
    from official.nlp.tasks import sentence_prediction, tagging

    if kind is QUESTION_ANSWERING:
        return make_question_answering_class()
    return tagging.TaggingTask if kind is TAGGING else sentence_prediction.SentencePredictionTask


def predict_classes(task, model, data: DataFile, batch_size: int) -> list[float]:
    """Return the numbers of classes, or scores."""
    import tensorflow as tf
    from official.nlp.tasks import sentence_prediction as model_garden

    source = task.task_config.validation_data.replace(
        input_path=data.path,
        global_batch_size=batch_size,
        seq_length=data.length("input_ids"),
        is_training=False,
        drop_remainder=False,
        include_example_id=True,
        label_type="int" if data.has_class else "float",
        file_type="tfrecord_compressed" if data.example.is_compressed else "tfrecord",
    )
    found = model_garden.predict(task, source, model)
    return [round(float(tf.squeeze(score)), 4) for score in found]


def predict_answers(model, data: DataFile, batch_size: int, examples: Sequence) -> Predictions:
    """Return the text of the paragraph that answers each question."""
    names = (*TOKEN_FEATURES, *NUMBERS[3:])
    rows = [(features, *outputs) for features, outputs in _batches_of(model, data, names, batch_size)]
    starts, ends = (np.concatenate([row[place] for row in rows]) for place in (1, 2))
    windows, tokens = read_windows({name: np.concatenate([row[0][name] for row in rows]) for name in names})
    of_paragraph = {examples[index].texts[1]: found for index, found in tokens.items()}
    return Predictions(decode_answers(examples, windows, of_paragraph.__getitem__, starts, ends))


def predict_tags(model, data: DataFile, batch_size: int, labels: Sequence[str]) -> Predictions:
    """Return the tags of the words of each sentence, and seqeval's scores."""
    from seqeval import metrics

    found: dict[str, list[str]] = {}
    gold: dict[str, list[str]] = {}
    for features, outputs in _batches_of(model, data, TAG_FEATURES, batch_size):
        for sentence, tags, chosen in zip(
            features["sentence_id"], features["label_ids"], outputs["logits"].argmax(axis=-1), strict=True
        ):
            places = np.flatnonzero(tags >= 0)
            gold.setdefault(str(sentence), []).extend(labels[number] for number in tags[places])
            found.setdefault(str(sentence), []).extend(labels[number] for number in chosen[places])
    functions = {"f1": metrics.f1_score, "precision": metrics.precision_score, "recall": metrics.recall_score}
    pair = [*gold.values()], [*found.values()]
    return Predictions(found, {name: float(score(*pair, zero_division=0)) for name, score in functions.items()})


def _batches_of(
    model, data: DataFile, names: Sequence[str], batch_size: int
) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
    """Yield features and the model's outputs, as arrays, of each batch of a file."""
    import tensorflow as tf

    length = data.length("input_ids")
    shapes = {name: [length] if data.length(name) == length else [] for name in names}
    spec = {name: tf.io.FixedLenFeature(shape, tf.int64) for name, shape in shapes.items()}
    records = tf.data.TFRecordDataset(data.path, "GZIP" if data.example.is_compressed else "")
    call = tf.function(lambda inputs: model(inputs, training=False))
    for batch in records.batch(batch_size):
        features = tf.io.parse_example(batch, spec)
        ids = (features[name] for name in ("input_ids", "input_mask", "segment_ids"))
        inputs = {name: tf.cast(value, tf.int32) for name, value in zip(ENCODER_INPUTS, ids, strict=True)}
        outputs = tf.nest.map_structure(lambda value: value.numpy(), call(inputs))
        yield {name: value.numpy() for name, value in features.items()}, outputs


def check_weights(checkpoint: Path, weights: Sequence[np.ndarray]) -> None:
    """Raise ValueError if a weight is no number. Such a model would give the first label to every example."""
    if not all(np.isfinite(weight).all() for weight in weights):
        raise ValueError(f"{checkpoint}: has NaN or infinite weights. The training diverged: lower its --learning_rate")


def _kind_of_file(data_file: Path) -> DataKind:
    """Return the kind of the data. Everything else counts as classification data, whose reader says what is wrong."""
    try:
        features = read_first_example(str(data_file)).features
    except ValueError:
        return CLASSIFICATION
    kinds = [kind for kind in (QUESTION_ANSWERING, TAGGING) if kind.feature in features]
    return kinds[0] if kinds else CLASSIFICATION


def _read_task_config(params_file: Path, kind: DataKind):
    """Return `task` of the configuration that the training wrote."""
    from official.core import exp_factory
    from official.modeling import hyperparams
    from official.nlp.configs import finetuning_experiments  # noqa: F401

    experiment = exp_factory.get_exp_config(EXPERIMENTS[kind])
    try:
        return hyperparams.override_params_dict(experiment, str(params_file), is_strict=True).task
    except (KeyError, AttributeError, TypeError):
        raise ValueError(
            f"{params_file}: not of a fine-tuning on {kind.name}. Give the --model_dir of run_finetuning.py"
        ) from None


def _read_questions(data: DataFile, text_file: Path | None) -> list:
    """Return the questions that the data was made of."""
    if text_file is None:
        raise ValueError("--text_file: question answering needs the JSON file that --input_file was made of")
    if data.text_hashes and hash_of_file(text_file) not in data.text_hashes:
        raise ValueError(f"--text_file {text_file}: is not the file that {data.path} was made of")
    return [*read_squad(text_file)]


def check_data_fits(task_config, data: DataFile, kind: DataKind) -> list[str] | None:
    """Return the labels by their numbers, None for a regression and for answers."""
    length, expected = data.length("input_ids"), task_config.train_data.seq_length
    if length != expected:
        raise ValueError(
            f"{data.path}: was made with --max_seq_length {length}, but the model was trained with {expected}"
        )
    if kind is TAGGING:
        if problem := class_names_problem(data, task_config.class_names):
            raise ValueError(f"{data.path}: {problem}")
        labels = list(task_config.class_names)
    elif kind is QUESTION_ANSWERING or task_config.model.num_classes == 1:
        labels = None
    else:
        labels = _labels_of_classes(task_config.model.num_classes, data)
    _check_same_as_training(task_config.train_data.input_path, data, kind)
    return labels


def _labels_of_classes(num_classes: int, data: DataFile) -> list[str]:
    if data.labels is None:
        raise ValueError(f"{data.path}: has no .json beside it, which lists the labels. Copy {data.path}.json too")
    if len(data.labels) != num_classes:
        raise ValueError(f"{data.path}: has {len(data.labels)} labels, but the model has {num_classes} classes")
    return data.labels


def _check_same_as_training(pattern: str, data: DataFile, kind: DataKind) -> None:
    """Compare with the first training file, if it is still there."""
    try:
        training = read_data_file(match_files(pattern)[0], kind)
    except (ValueError, OSError):
        return
    if training.provenance is None or data.provenance is None:
        return
    if data.labels != training.labels:
        raise ValueError(f"{data.path}: made with another --labels than the training file {training.path}")
    check_same([training.tokenization, data.tokenization], advice="Make it as the training data was made")

"""What a fine-tuned model of Model Garden's `bert/sentence_prediction` says of a file of classification data.

Imports are inside the functions: they take seconds.
"""

from pathlib import Path

from japanese_bert.training.checks.finetuning_files import DataFile, read_file


def predict(checkpoint: Path, params_file: Path, data_file: Path, batch_size: int) -> list[str | float]:
    """Labels, or scores of a regression, in the order of the examples.

    Raises:
        ValueError: the data was made for another model, or its labels are in another order than those of training.
    """
    import tensorflow as tf
    from official.nlp.tasks import sentence_prediction as model_garden

    task_config = _read_task_config(params_file)
    data = read_file(str(data_file))
    labels = _check_data(task_config, data)
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
        file_type="tfrecord_compressed" if data.is_compressed else "tfrecord",
    )
    found = model_garden.predict(task, source, model)
    if labels is None:
        return [round(float(tf.squeeze(score)), 4) for score in found]
    return [labels[int(number)] for number in found]


def _read_task_config(params_file: Path):
    """`task` of the configuration that the training wrote."""
    from official.core import exp_factory
    from official.modeling import hyperparams
    from official.nlp.configs import finetuning_experiments  # noqa: F401

    experiment = exp_factory.get_exp_config("bert/sentence_prediction")
    try:
        return hyperparams.override_params_dict(experiment, str(params_file), is_strict=True).task
    except (KeyError, AttributeError, TypeError):
        raise ValueError(f"{params_file}: is not of a fine-tuning; give the --model_dir of run_finetuning.py") from None


def _check_data(task_config, data: DataFile) -> list[str] | None:
    """The labels by their numbers, None of a regression."""
    length, expected = data.lengths["input_ids"], task_config.train_data.seq_length
    if length != expected:
        raise ValueError(
            f"{data.path}: was made with --max_seq_length {length}, but the model was trained with {expected}"
        )
    if task_config.model.num_classes == 1:
        return None
    if data.record is None:
        raise ValueError(
            f"{data.path}: there is no record beside it, which tells the labels; copy {data.path}.json too"
        )
    labels = data.record["method"]["labels"]
    if len(labels) != task_config.model.num_classes:
        raise ValueError(
            f"{data.path}: has {len(labels)} labels, but the model {task_config.model.num_classes} classes"
        )
    _check_same_as_training(task_config.train_data.input_path, data)
    return labels


def _check_same_as_training(pattern: str, data: DataFile) -> None:
    """As far as the files of the training are still there."""
    from official.core.input_reader import match_files

    try:
        training = read_file(sorted(match_files(pattern))[0])
    except (ValueError, IndexError):
        return
    if training.record is None:
        return
    for name, here, there in (
        ("--labels", data.record["method"]["labels"], training.record["method"]["labels"]),
        ("--vocab_file", data.vocab_hash, training.vocab_hash),
    ):
        if here != there:
            raise ValueError(f"{data.path}: made with another {name} than the training file {training.path}")

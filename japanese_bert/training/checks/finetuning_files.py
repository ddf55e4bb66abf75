"""Does a file of data for fine-tuning fit the configuration of a fine-tuning?

The trainer itself would stop in the middle, or learn nonsense from labels in another order or from other token ids.
"""

from collections.abc import Callable, Mapping

from japanese_bert.finetuning_data.encoding import FEATURES
from japanese_bert.training.checks.file_problems import compression_problem, provenance_problem, vocab_problem
from japanese_bert.training.data_files import (
    CLASSIFICATION,
    FINE_TUNING_KINDS,
    QUESTION_ANSWERING,
    TAGGING,
    DataFile,
    DataKind,
    class_names_problem,
)

IDS, LABEL = FEATURES[0], FEATURES[3]


def finetuning_file_problem(
    file: DataFile, task, section: str, vocab_sizes: Mapping[str, int], check_provenance: bool
) -> str | None:
    """Return what does not fit `task`, the trainer's configuration, and its section `train_data` or another.

    `vocab_sizes` are those of the encoder, by the names of the parameters. They are empty if unknown.
    """
    data, kind = getattr(task, section.removeprefix("task.")), FINE_TUNING_KINDS[type(task).__name__]
    labels: Mapping[DataKind, Callable[[], str | None]] = {
        CLASSIFICATION: lambda: _class_problem(file, data, section, task.model.num_classes),
        TAGGING: lambda: class_names_problem(file, task.class_names),
        QUESTION_ANSWERING: lambda: None,
    }
    problem = (
        (provenance_problem(file, kind) if check_provenance else None)
        or compression_problem(file, data, section)
        or _example_problem(file, data, section, kind.stage)
        or labels[kind]()
        or vocab_problem(file, vocab_sizes, f"Give the --vocab_file of the model to {kind.stage}.py")
    )
    return f"{file.path}: {problem}" if problem else None


def _example_problem(file: DataFile, data, section: str, stage: str) -> str | None:
    label = [data.label_field] if hasattr(data, "label_field") else []
    missing = [name for name in (*FEATURES[:3], *label) if name not in file.example.features]
    if missing:
        return f"has no {', '.join(missing)}. Make it with {stage}.py"
    if file.length(IDS) != data.seq_length:
        return (
            f"was made with --max_seq_length {file.length(IDS)}, but {section}.seq_length is {data.seq_length}. "
            "Set them equal"
        )
    return None


def _class_problem(file: DataFile, data, section: str, num_classes: int) -> str | None:
    if file.has_class == (data.label_type == "int"):
        return _label_problem(file, num_classes)
    kind, value = ("numbers of classes", "int") if file.has_class else ("scores of a regression", "float")
    return f"its labels are {kind}, but {section}.label_type is {data.label_type}. Set {section}.label_type={value}"


def _label_problem(file: DataFile, num_classes: int) -> str | None:
    """Return how the labels differ from the classes.

    A label without class is an error on a CPU and a loss of NaN on a GPU. The trainer accepts a class without label.
    """
    if not file.has_class:
        return None if num_classes == 1 else f"was made with --regression, but num_classes is {num_classes}, not 1"
    if file.provenance is None:
        largest = _largest_label(file)
        return (
            f"has the label {largest}, but task.model.num_classes is {num_classes}" if largest >= num_classes else None
        )
    labels = file.labels or []
    if len(labels) == num_classes:
        return None
    return (
        f"has {len(labels)} labels ({', '.join(labels)}), but task.model.num_classes is {num_classes}. Set "
        f"task.model.num_classes={len(labels)}"
    )


def _largest_label(file: DataFile) -> int:
    """Return the largest label of the whole file."""
    import tensorflow as tf

    spec = {LABEL: tf.io.FixedLenFeature([], tf.int64)}
    records = tf.data.TFRecordDataset(file.path, compression_type="GZIP" if file.example.is_compressed else "")
    return max(int(tf.reduce_max(tf.io.parse_example(batch, spec)[LABEL])) for batch in records.batch(1024))

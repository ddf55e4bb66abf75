"""Do files of classification data fit the configuration of a fine-tuning? Found by their records and first examples.

The trainer itself would stop in the middle, or learn nonsense: labels of another order, ids of another vocabulary.
Paths may be anything that TensorFlow reads, `gs://...` too.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.finetuning_data.encoding import FEATURES
from japanese_bert.training.checks.pretraining_files import compression_problem, first_problem, size_problem

MADE_BY = "create_classification_data.py"


@dataclass(frozen=True, slots=True)
class DataFile:
    """`record` is what stands beside the file (see `provenance.py`), None without one.

    Of the first example: `lengths` of its features, `largest_id` of its tokens, and whether its label is a number of a
    class (or a score).
    """

    path: str
    size: int
    record: Mapping | None
    is_compressed: bool
    lengths: Mapping[str, int]
    largest_id: int
    has_class: bool

    @property
    def num_instances(self) -> int | None:
        return self.record["counts"]["instances"] if self.record else None

    @property
    def text_hash(self) -> str | None:
        return recorded_inputs(self.record, "text")[0]["sha256"] if self.record else None

    @property
    def vocab_hash(self) -> str | None:
        return recorded_inputs(self.record, "vocab")[0]["sha256"] if self.record else None


def read_file(path: str) -> DataFile:
    """Raises ValueError if this is no file of classification data."""
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            head, size = file.read(2), file.size()
        is_compressed = head == b"\x1f\x8b"
        record = next(iter(_records(path, is_compressed)))
        features = dict(tf.train.Example.FromString(record.numpy()).features.feature)
        kinds = {name: value.WhichOneof("kind") for name, value in features.items()}
        lengths = {name: len(getattr(value, kinds[name]).value) for name, value in features.items()}
        largest_id = max(features["input_ids"].int64_list.value)
        has_class = kinds["label_ids"] == "int64_list"
    except tf.errors.NotFoundError:
        raise ValueError(f"{path}: no such file; make it with {MADE_BY}") from None
    except (tf.errors.OpError, StopIteration, KeyError, ValueError, TypeError) as error:
        reason = " (pretraining data?)" if error.args == ("input_ids",) else ""
        raise ValueError(f"{path}: no classification data{reason}, expected TFRecords of {MADE_BY}") from None
    return DataFile(path, size, _read_record(path), is_compressed, lengths, largest_id, has_class)


def _records(path: str, is_compressed: bool):
    import tensorflow as tf

    return tf.data.TFRecordDataset(path, compression_type="GZIP" if is_compressed else "")


def _read_record(path: str) -> Mapping | None:
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(f"{path}.json") as file:
            record = json.loads(file.read())
    except (tf.errors.OpError, ValueError):
        return None
    is_ours = isinstance(record, dict) and record.get("stage") == "create_classification_data"
    return record if is_ours else None


def file_problem(file: DataFile, data, section: str, task, vocab_size: int | None, check_records: bool) -> str | None:
    """What does not fit `data`, the trainer's configuration of the section `task.train_data` or another."""
    checks: list[Callable[[], str | None]] = [
        lambda: _record_problem(file) if check_records else None,
        lambda: compression_problem(file, data, section),
        lambda: _feature_problem(file, data, section),
        lambda: _label_problem(file, task.model.num_classes),
        lambda: _vocab_problem(file, vocab_size) if vocab_size else None,
    ]
    return first_problem(file.path, checks)


def _record_problem(file: DataFile) -> str | None:
    name = file.path.rpartition("/")[2]
    if file.record is None:
        return (
            f"there is no {name}.json of {MADE_BY} beside it, so that nobody can tell whether it is whole and what its "
            "labels mean; copy the record too, or use files of other tools with --no-check_records"
        )
    return size_problem(file)


def _feature_problem(file: DataFile, data, section: str) -> str | None:
    missing = [name for name in (*FEATURES[:3], data.label_field) if name not in file.lengths]
    if missing:
        return f"has no {', '.join(missing)}; make it with {MADE_BY}"
    if file.lengths["input_ids"] != data.seq_length:
        return (
            f"was made with --max_seq_length {file.lengths['input_ids']}, but {section}.seq_length is "
            f"{data.seq_length}; set them equal"
        )
    if file.has_class != (data.label_type == "int"):
        kind, value = ("numbers of classes", "int") if file.has_class else ("scores of a regression", "float")
        return f"its labels are {kind}, but {section}.label_type is {data.label_type}; set {section}.label_type={value}"
    return None


def _label_problem(file: DataFile, num_classes: int) -> str | None:
    """A label that has no class is an error on a CPU and a loss of NaN on a GPU; a class without label is neither."""
    if not file.has_class:
        return None if num_classes == 1 else f"was made with --regression, but num_classes is {num_classes}, not 1"
    if file.record is None:
        largest = _largest_label(file)
        return (
            f"has the label {largest}, but task.model.num_classes is {num_classes}" if largest >= num_classes else None
        )
    labels = file.record["method"]["labels"]
    if len(labels) == num_classes:
        return None
    return (
        f"has {len(labels)} labels ({', '.join(labels)}), but task.model.num_classes is {num_classes}; set "
        f"task.model.num_classes={len(labels)}"
    )


def _largest_label(file: DataFile) -> int:
    """Of the whole file."""
    import tensorflow as tf

    spec = {FEATURES[3]: tf.io.FixedLenFeature([], tf.int64)}
    batches = _records(file.path, file.is_compressed).batch(1024)
    return max(int(tf.reduce_max(tf.io.parse_example(batch, spec)[FEATURES[3]])) for batch in batches)


def _vocab_problem(file: DataFile, vocab_size: int) -> str | None:
    if file.largest_id >= vocab_size:
        return f"has the token id {file.largest_id:,}, but the model's vocab_size is {vocab_size:,}"
    made_with = file.record["method"]["vocab_size"] if file.record else vocab_size
    if made_with != vocab_size:
        return (
            f"was made with a vocabulary of {made_with:,} tokens, but the model's vocab_size is {vocab_size:,}; give "
            "the --vocab_file of the model to create_classification_data.py"
        )
    return None

"""Do files of pretraining data fit the trainer's configuration? Found by their records and first instances alone.

The trainer itself reads a file only when its turn comes, which may be days after the start, and then stops or learns
nonsense. Paths may be anything that TensorFlow reads, `gs://...` too.
"""

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.tfrecord.writing import feature_names

HEAD_BYTES = 1 << 16  # holds the first instance, compressed or not: 512 tokens take 5 KB
MAX_RECORD_BYTES = 1 << 20
FILES_AT_ONCE = 16
COMPRESSED = {"tfrecord": False, "tfrecord_compressed": True}  # task.*_data.file_type


@dataclass(frozen=True, slots=True)
class DataFile:
    """`record` is what stands beside the file (see `provenance.py`), None without one.

    `lengths` are the numbers of values of the first instance's features, `largest_id` its largest token id.
    """

    path: str
    size: int
    record: Mapping | None
    is_compressed: bool
    lengths: Mapping[str, int]
    largest_id: int

    @property
    def num_instances(self) -> int | None:
        """Of this file; outputs of one run share their instances evenly."""
        if self.record is None:
            return None
        return self.record["counts"]["instances"] // len(self.record["method"]["outputs"])

    @property
    def vocab_hash(self) -> str | None:
        return recorded_inputs(self.record, "vocab")[0]["sha256"] if self.record else None

    @property
    def corpus_hashes(self) -> set[str]:
        return {item["sha256"] for item in recorded_inputs(self.record, "text")} if self.record else set()


def read_files(paths: Iterable[str]) -> tuple[list[DataFile], list[str]]:
    """What can be said of the files, and a line for each of which nothing can."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        results = list(threads.map(_read_file_or_problem, paths))
    files = [result for result in results if isinstance(result, DataFile)]
    return files, [result for result in results if isinstance(result, str)]


def _read_file_or_problem(path: str) -> DataFile | str:
    from tensorflow.errors import NotFoundError, OpError

    try:
        return read_file(path)
    except NotFoundError:
        return f"{path}: no such file"
    except (ValueError, OpError) as error:
        return str(error).split("\n")[0]


def read_file(path: str) -> DataFile:
    """Raises ValueError if this is no file of pretraining data."""
    from tensorflow.io import gfile

    with gfile.GFile(path, "rb") as file:
        head, size = file.read(HEAD_BYTES), file.size()
    is_compressed = head[:2] == b"\x1f\x8b"
    features = _first_features(path, head, is_compressed)
    lengths = {name: len(getattr(value, value.WhichOneof("kind")).value) for name, value in features.items()}
    ids = features["input_word_ids" if "input_word_ids" in features else "input_ids"].int64_list.value
    return DataFile(path, size, _read_record(path), is_compressed, lengths, max(ids))


def _first_features(path: str, head: bytes, is_compressed: bool) -> Mapping:
    """The first instance of a TFRecord file: length (uint64), checksum, data, checksum."""
    from google.protobuf.message import DecodeError
    from tensorflow.train import Example

    problem = f"{path}: no pretraining data, expected TFRecords of create_pretraining_data.py"
    if path.endswith((".json", ".tmp")):
        problem += "; let the pattern end in .tfrecord.gz or .tfrecord, without records and unfinished files"
    try:
        start = zlib.decompressobj(wbits=31).decompress(head, MAX_RECORD_BYTES) if is_compressed else head
        (length,) = struct.unpack_from("<Q", start)
        if not 0 < length <= len(start) - 12:
            raise ValueError(problem)
        features = dict(Example.FromString(start[12 : 12 + length]).features.feature)
    except (zlib.error, struct.error, DecodeError):
        raise ValueError(problem) from None
    if not {"input_word_ids", "input_ids"} & features.keys() or "masked_lm_positions" not in features:
        raise ValueError(problem)
    return features


def _read_record(path: str) -> Mapping | None:
    from tensorflow.errors import OpError
    from tensorflow.io import gfile

    try:
        with gfile.GFile(f"{path}.json") as file:
            record = json.loads(file.read())
        keys = ("output", "method", "inputs", "counts")
        return record if all(key in record for key in keys) else None
    except (OpError, ValueError, TypeError):
        return None


def file_problem(file: DataFile, data, section: str, vocab_sizes: Mapping[str, int], check_records: bool) -> str | None:
    """What does not fit `data`, the trainer's configuration of the section `task.train_data` or another.

    `vocab_sizes` are those of the model's encoders, by their names.
    """
    checks: list[Callable[[], str | None]] = [
        lambda: _record_problem(file) if check_records else None,
        lambda: compression_problem(file, data, section),
        lambda: _feature_problem(file, data, section),
        lambda: _length_problem(file, data, section),
        lambda: _vocab_problem(file, vocab_sizes),
    ]
    return first_problem(file.path, checks)


def first_problem(path: str, checks: Iterable[Callable[[], str | None]]) -> str | None:
    found = (check() for check in checks)
    return next((f"{path}: {problem}" for problem in found if problem), None)


def _record_problem(file: DataFile) -> str | None:
    name = file.path.rpartition("/")[2]
    if file.record is None:
        return (
            f"there is no {name}.json beside it, so that nobody can tell whether it is whole; copy the record too, "
            "make the file with create_pretraining_data.py, or train on files of other tools with --no-check_records"
        )
    return size_problem(file)


def size_problem(file) -> str | None:
    """`file` has `size` and `record`, whatever its kind of data."""
    size = file.record["output"]["size"]
    if size != file.size:
        return f"has {file.size:,} bytes, but its record says {size:,}; copy or make it again"
    return None


def compression_problem(file, data, section: str) -> str | None:
    """`file` has `is_compressed`, whatever its kind of data."""
    if file.is_compressed == COMPRESSED.get(data.file_type):
        return None
    state, value = ("is", "tfrecord_compressed") if file.is_compressed else ("is not", "tfrecord")
    return f"{state} compressed, but {section}.file_type is {data.file_type}; set {section}.file_type={value}"


def _feature_problem(file: DataFile, data, section: str) -> str | None:
    is_v2 = "input_word_ids" in file.lengths
    if is_v2 != data.use_v2_feature_names:
        other = str(is_v2).lower()
        return (
            f"has the feature names {', '.join(feature_names(is_v2)[:3])}; set {section}.use_v2_feature_names={other}, "
            f"or make it {'without' if is_v2 else 'with'} --use_v2_feature_names"
        )
    needed = set(feature_names(is_v2)) - (set() if data.use_next_sentence_label else {"next_sentence_labels"})
    needed |= {"position_ids"} if data.use_position_id else set()
    missing = sorted(needed - file.lengths.keys())
    if missing == ["next_sentence_labels"]:
        return (
            f"has no next_sentence_labels; set {section}.use_next_sentence_label=false, or make it with sentence pairs"
        )
    return f"has no {', '.join(missing)}; make it with create_pretraining_data.py" if missing else None


def _length_problem(file: DataFile, data, section: str) -> str | None:
    for name, feature in (("seq_length", "input_mask"), ("max_predictions_per_seq", "masked_lm_positions")):
        expected, found = getattr(data, name), file.lengths[feature]
        if found != expected:
            flag = "max_seq_length" if name == "seq_length" else name
            return (
                f"was made with --{flag} {found}, but {section}.{name} is {expected}; give the data and the "
                "configuration of one stage, and look whether the pattern matches files of another one"
            )
    return None


def _vocab_problem(file: DataFile, vocab_sizes: Mapping[str, int]) -> str | None:
    made_with = file.record["method"].get("vocab_size") if file.record else None
    for name, size in vocab_sizes.items():
        if file.largest_id >= size:
            return f"has the token id {file.largest_id:,}, but {name} is {size:,}"
        if made_with not in (None, size):
            return (
                f"was made with a vocabulary of {made_with:,} tokens, but {name} is {size:,}; give the "
                "configs/model/*.yaml of this tokenizer, data made with the other one, or the size in --params_override"
            )
    return None

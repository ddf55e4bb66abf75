"""What the checks of pretraining and of fine-tuning have in common where they look at data files.

A file is known by its first example and by the `.json` beside it. The trainer itself reads a file only when its turn
comes, which may be days after the start. Paths may be anything that TensorFlow reads, such as `gs://...`.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.tfrecord.reading import FirstExample, open_file, read_first_example

FILES_AT_ONCE = 16
MAX_SHOWN = 3
COMPRESSED = {"tfrecord": False, "tfrecord_compressed": True}  # task.*_data.file_type
PROVENANCE_KEYS = ("output", "method", "inputs", "counts")
TOKEN_IDS = ("input_word_ids", "input_ids")


@dataclass(frozen=True, slots=True)
class DataKind:
    """One kind of data files, the stage that makes them, and a feature that no other kind has."""

    name: str
    stage: str
    feature: str


PRETRAINING = DataKind("pretraining data", "create_pretraining_data", "masked_lm_positions")
CLASSIFICATION = DataKind("classification data", "create_classification_data", "label_ids")


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file: its first example, and the content of the `.json` beside it, None if there is none of ours."""

    path: str
    example: FirstExample
    provenance: Mapping | None

    def length(self, feature: str) -> int:
        """Return the number of values that a feature of the first example has."""
        return len(self.example.features[feature])

    @property
    def largest_id(self) -> int:
        """Return the largest token id of the first example."""
        return max(self.example.features[next(name for name in TOKEN_IDS if name in self.example.features)])

    @property
    def num_instances(self) -> int | None:
        """Return the instances of this file. The outputs of one run share its instances evenly."""
        if self.provenance is None:
            return None
        return self.provenance["counts"]["instances"] // len(self.provenance["method"]["outputs"])

    @property
    def vocab_hash(self) -> str | None:
        """Return the hash of the vocabulary, None if it is unknown."""
        return recorded_inputs(self.provenance, "vocab")[0]["sha256"] if self.provenance else None

    @property
    def text_hashes(self) -> set[str]:
        """Return the hashes of the text files. A text that came through a pipe has none."""
        found = recorded_inputs(self.provenance, "text") if self.provenance else []
        return {item["sha256"] for item in found} - {None}


def count_instances(files: list[DataFile]) -> int | None:
    """Return the instances of all files, None if one file has no provenance."""
    counts = [file.num_instances for file in files]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def match_input(data, section: str, kind: DataKind) -> list[str]:
    """Return the files that `data.input_path` names.

    Raises:
        ValueError: it is not set, or matches no file.
    """
    from official.core.input_reader import match_files

    if not data.input_path or "<" in str(data.input_path):
        raise ValueError(f"{section}.input_path is not set. Give it in --params_override")
    try:
        return sorted(match_files(data.input_path))
    except ValueError as error:
        raise ValueError(f"{section}.input_path: {error} Make the data with {kind.stage}.py") from None


def read_data_files(paths: list[str], kind: DataKind) -> tuple[list[DataFile], list[str]]:
    """Return the files that can be read, and a line for each other one."""

    def read(path: str) -> DataFile | str:
        try:
            return read_data_file(path, kind)
        except (ValueError, OSError) as error:
            return str(error)

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        results = list(threads.map(read, paths))
    files = [result for result in results if isinstance(result, DataFile)]
    return files, [result for result in results if isinstance(result, str)]


def read_data_file(path: str, kind: DataKind) -> DataFile:
    """Read the first example and the provenance of a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds other data.
    """
    problem = f"{path}: no {kind.name}, expected TFRecords of {kind.stage}.py"
    if path.endswith((".json", ".tmp")):
        problem += ". The pattern must end in .tfrecord.gz or .tfrecord, so that it matches no .json or .tmp"
    try:
        example = read_first_example(path)
    except ValueError:
        raise ValueError(problem) from None
    if kind.feature not in example.features or not any(name in example.features for name in TOKEN_IDS):
        others = [other.name for other in (PRETRAINING, CLASSIFICATION) if other.feature in example.features]
        raise ValueError(problem + "".join(f" (found {name})" for name in others))
    return DataFile(path, example, read_data_provenance(path, kind.stage))


def read_data_provenance(path: str, stage: str) -> Mapping | None:
    """Return the content of `<path>.json`, None if there is none of this stage."""
    try:
        with open_file(f"{path}.json") as file:
            found = json.loads(file.read())
    except (OSError, ValueError):
        return None
    is_ours = isinstance(found, dict) and found.get("stage") == stage and all(key in found for key in PROVENANCE_KEYS)
    return found if is_ours else None


def raise_problems(problems: list[str], section: str) -> None:
    """Raise ValueError for the problems of a section's files, a line for each of the first three."""
    if problems:
        more = [f"and {len(problems) - MAX_SHOWN} more files"] if len(problems) > MAX_SHOWN else []
        raise ValueError("\n".join(f"{section}: {problem}" for problem in problems[:MAX_SHOWN] + more))


def provenance_problem(file: DataFile, kind: DataKind) -> str | None:
    """Return what is wrong with a file's provenance, or with its size."""
    if file.provenance is None:
        return (
            f"has no {file.path.rpartition('/')[2]}.json of {kind.stage}.py beside it, which shows whether the file is "
            "complete. Copy the .json too, make the file again, or use files of other tools with --no-check_records"
        )
    expected, size = file.provenance["output"]["size"], file.example.size
    if size != expected:
        return f"has {size:,} bytes, but its .json says {expected:,}. Copy or make it again"
    return None


def compression_problem(file: DataFile, data, section: str) -> str | None:
    """Return how the file differs from `file_type` of a section of the trainer's configuration."""
    if file.example.is_compressed == COMPRESSED.get(data.file_type):
        return None
    state, value = ("is", "tfrecord_compressed") if file.example.is_compressed else ("is not", "tfrecord")
    return f"{state} compressed, but {section}.file_type is {data.file_type}. Set {section}.file_type={value}"


def vocab_problem(file: DataFile, vocab_sizes: Mapping[str, int], advice: str) -> str | None:
    """Return how the file's token ids differ from the vocabularies of the model, by the names of the parameters."""
    made_with = file.provenance["method"].get("vocab_size") if file.provenance else None
    for name, size in vocab_sizes.items():
        if file.largest_id >= size:
            return f"has the token id {file.largest_id:,}, but {name} is {size:,}"
        if made_with not in (None, size):
            return f"was made with a vocabulary of {made_with:,} tokens, but {name} is {size:,}. {advice}"
    return None

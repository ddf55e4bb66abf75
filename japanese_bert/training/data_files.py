"""Data files of pretraining and fine-tuning: what their first example and the `.json` beside them show.

The trainer itself reads a file only when its turn comes, which may be days after the start. Paths may be anything that
TensorFlow or fsspec reads, such as `gs://...`.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.models.remote_paths import matching_files
from japanese_bert.pretraining_data.rendering import bucket_predictions
from japanese_bert.tfrecord.reading import FirstExample, open_file, read_first_example
from japanese_bert.tokenization.identity import Tokenization, of_data

FILES_AT_ONCE = 16
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
QUESTION_ANSWERING = DataKind("question answering data", "create_question_answering_data", "start_positions")
TAGGING = DataKind("tagging data", "create_tagging_data", "sentence_id")
# By the names of the trainer's configurations of a task.
FINE_TUNING_KINDS = {
    "SentencePredictionConfig": CLASSIFICATION,
    "QuestionAnsweringConfig": QUESTION_ANSWERING,
    "TaggingConfig": TAGGING,
}


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
    def record_shapes(self) -> dict[int, int]:
        """Return the predictions of a record by its length, padding included. Without provenance: of the first one."""
        method = self.provenance["method"] if self.provenance else {}
        if not method.get("seq_bucket_lengths"):
            return {self.length("input_mask"): self.length(PRETRAINING.feature)}
        quota = method["masked_lm_prob"], method["max_predictions_per_seq"]
        return {length: bucket_predictions(length, *quota) for length in method["seq_bucket_lengths"]}

    @property
    def largest_id(self) -> int:
        """Return the largest token id of the first example."""
        return max(self.example.features[next(name for name in TOKEN_IDS if name in self.example.features)])

    @property
    def has_class(self) -> bool:
        """Return True if the label of a classification is the number of a class, False if it is a score."""
        return isinstance(self.example.features[CLASSIFICATION.feature][0], int)

    @property
    def labels(self) -> list[str] | None:
        """Return the labels by their numbers, None if the file or its provenance has none."""
        return self.provenance["method"].get("labels") if self.provenance else None

    @property
    def num_instances(self) -> int | None:
        """Return the instances of this file. The outputs of one run share its instances evenly."""
        if self.provenance is None:
            return None
        return self.provenance["counts"]["instances"] // len(self.provenance["method"]["outputs"])

    @property
    def tokenization(self) -> Tokenization:
        """Return what is recorded of the file's tokenization."""
        return of_data(self.provenance or {}, self.path)

    @property
    def text_hashes(self) -> set[str]:
        """Return the hashes of the text files. A text that came through a pipe has none."""
        found = recorded_inputs(self.provenance, "text") if self.provenance else []
        return {item["sha256"] for item in found} - {None}


def match_files(patterns: str | Sequence[str]) -> list[str]:
    """Return the files that comma-separated names and patterns match, sorted. Raise ValueError if one matches none."""
    texts = [patterns] if isinstance(patterns, str) else patterns
    found: list[str] = []
    for pattern in (part.strip() for text in texts for part in text.split(",")):
        matches = _find_files(pattern)
        if not matches:
            raise ValueError(f"{pattern} does not match any files.")
        found += matches
    return sorted(found)


def _find_files(pattern: str) -> list[str]:
    """Return a name without wild cards as it is: the reader says that there is no such file."""
    return matching_files(pattern) if set("*?") & set(pattern) else [pattern]


def count_instances(files: list[DataFile]) -> int | None:
    """Return the instances of all files, None if one file has no provenance."""
    counts = [file.num_instances for file in files]
    return None if None in counts else sum(count or 0 for count in counts)


def class_names_problem(file: DataFile, class_names: list[str]) -> str | None:
    """Return how the labels of tagging data differ from `task.class_names`, which are in the order of their numbers."""
    if file.labels in (None, list(class_names)):
        return None
    return (
        f"was made with --labels {' '.join(file.labels or [])}, but task.class_names is {' '.join(class_names)}. Set "
        "them equal, in the same order"
    )


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
    is_other = kind is CLASSIFICATION and TAGGING.feature in example.features
    if is_other or kind.feature not in example.features or not any(name in example.features for name in TOKEN_IDS):
        kinds = (PRETRAINING, QUESTION_ANSWERING, TAGGING, CLASSIFICATION)
        others = [other.name for other in kinds if other.feature in example.features][:1]
        raise ValueError(problem + "".join(f" (found {name})" for name in others))
    return DataFile(path, example, read_data_provenance(path, kind.stage))


def read_data_provenance(path: str, stage: str) -> Mapping | None:
    """Return the content of `<path>.json`, None if there is none of this stage."""
    try:
        with open_file(f"{path}.json") as file:
            found = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    is_ours = isinstance(found, dict) and found.get("stage") == stage and all(key in found for key in PROVENANCE_KEYS)
    return found if is_ours else None

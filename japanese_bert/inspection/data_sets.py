"""TFRecord files -> what a report says of them: counts, samples, repeats, and the problems of files.

A file is read up to its first damaged record. That record is a problem, and what is before it counts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.common.provenance import read_provenance
from japanese_bert.finetuning_data.reading import LABEL_NAMES, LabelledReader
from japanese_bert.inspection.counting import DataCounts
from japanese_bert.inspection.repeats import Repeats
from japanese_bert.inspection.samples import Sample, Sampler
from japanese_bert.pretraining_data.reading import InstanceBlock, InstanceReader, concatenate
from japanese_bert.tfrecord.reading import read_first_example

BLOCK_TOKENS, BLOCK_INSTANCES = 1 << 18, 1 << 10  # padding included: some megabytes of arrays
SAME_FILE_SHARE = 0.5  # of a file's instances that are in another file


@dataclass(slots=True)
class DataSet:
    """One data set. `repeated_files` are pairs of a file and an earlier one that has most of its instances."""

    name: str
    paths: Sequence[Path]
    counts: DataCounts
    vocab_file: Path
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cut: list[Path] = field(default_factory=list)  # files that were not read to their end
    labels: np.ndarray = field(default_factory=lambda: np.empty((0, len(LABEL_NAMES))))
    texts: Repeats = field(default_factory=Repeats)
    wholes: Repeats = field(default_factory=Repeats)
    repeated_files: list[tuple[Path, Path]] = field(default_factory=list)
    made_by: dict[Path, Mapping[str, Any]] = field(default_factory=dict)
    training: "DataSet | None" = None  # of a validation data set
    shared: int = 0  # instances whose text is in `training`, too
    shared_with: set[Path] = field(default_factory=set)  # files of `training`
    dictionary: str = ""
    agreement: float | None = None  # of its word boundaries with those of a dictionary

    def add_shared(self, texts: np.ndarray) -> None:
        """Count the instances whose text the training data has, too."""
        if self.training is not None:
            files = self.training.texts.find(texts)
            self.shared += int((files >= 0).sum()) << self.training.texts.bits
            self.shared_with |= {self.training.paths[file] for file in np.unique(files[files >= 0])}


class UnlabelledReader(InstanceReader):
    """Pretraining data, which has no labels of fine-tuning."""

    labels = LabelledReader.labels


@dataclass(frozen=True, slots=True)
class Limits:
    """How many instances are read of all files together, 0 for all of them, and how many are shown."""

    max_instances: int
    num_samples: int


def read_data_set(data: DataSet, limits: Limits, progress: Callable[[int], object]) -> None:
    """Read the files of a data set. `progress` gets numbers of instances."""
    sampler = Sampler(limits.num_samples)
    left = limits.max_instances or 1 << 62
    labels = [data.labels]
    for number, path in enumerate(data.paths):
        quota = -(-left // (len(data.paths) - number))
        found_before = np.zeros(number + 1, np.int64)
        position = 0
        for block, found in _read_instances(data, path, quota):
            texts, wholes = data.counts.add(block)
            data.texts.add(texts, number)
            data.add_shared(texts)
            files = data.wholes.add(wholes, number)
            found_before += np.bincount(files[files >= 0], minlength=number + 1)
            sampler.add(block, found, str(path), position)
            labels.append(found)
            position += len(block)
            progress(len(block))
        left -= position
        if position and found_before[:-1].max(initial=0) << data.wholes.bits > SAME_FILE_SHARE * position:
            data.repeated_files.append((path, data.paths[int(found_before[:-1].argmax())]))
        _read_provenance(data, path)
    data.samples = sampler.samples()
    data.labels = np.concatenate(labels)


def _read_instances(data: DataSet, path: Path, quota: int) -> Iterator[tuple[InstanceBlock, np.ndarray]]:
    """Yield the first `quota` instances of a file in blocks, with labels, up to a damaged record."""
    kind, length = _reader_of(path)
    size = max(1, min(BLOCK_INSTANCES, BLOCK_TOKENS // length))
    position = 0
    try:
        with kind(str(path)) as reader:
            while position < quota and len(block := reader.read_instances(min(size, quota - position))):
                yield block, reader.labels
                position += len(block)
            if position >= quota and len(reader.read(1).starts):
                data.cut.append(path)
    except (ValueError, OSError) as error:
        data.problems.append(str(error))
        yield _read_to_damage(kind, path, position, quota)


def _reader_of(path: Path) -> tuple[type[LabelledReader | UnlabelledReader], int]:
    """Return the reader of a file, and how many tokens an instance has there, padding included."""
    try:
        features = read_first_example(str(path)).features
    except ValueError:  # the reader says the same, and the number of the record
        features = {}
    kind = LabelledReader if set(LABEL_NAMES) & features.keys() else UnlabelledReader
    return kind, max(1, len(features.get("input_mask", [])))


def _read_to_damage(kind: type[LabelledReader | UnlabelledReader], path: Path, position: int, quota: int) -> tuple:
    """Return the instances from `position` to a damaged record, with labels. They are read one by one."""
    blocks: list[InstanceBlock] = []
    labels = [LabelledReader.labels]
    with suppress(ValueError, OSError), kind(str(path)) as reader:
        reader.skip(position)
        while position + len(blocks) < quota and len(block := reader.read_instances(1)):
            blocks.append(block)
            labels.append(reader.labels)
    return concatenate(blocks), np.concatenate(labels)


def _read_provenance(data: DataSet, path: Path) -> None:
    """Keep what made a file, and compare its size with the recorded one."""
    made_by = read_provenance(path)
    if not made_by or "stage" not in made_by:
        return
    data.made_by[path] = made_by
    recorded, size = made_by.get("output", {}).get("size"), path.stat().st_size
    if (
        isinstance(recorded, int)
        and recorded != size
        and not any(problem.startswith(f"{path}:") for problem in data.problems)
    ):
        data.problems.append(f"{path}: has {size:,} bytes, but its .json says {recorded:,}. Copy or make it again")

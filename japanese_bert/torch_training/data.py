"""The data of pretraining: TFRecords -> micro-batches of tensors, step by step.

A step has the same instances for any number of ranks and of loader processes, and for a training that was resumed.
Every process reads the files by itself, from start to end. It decodes only the instances of its steps.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from japanese_bert.pretraining_data.reading import (
    MAX_ID,
    NO_LABEL,
    InstanceBlock,
    InstanceReader,
    concatenate,
    select_instances,
)
from japanese_bert.torch_training.micro_batches import make_micro_batches
from japanese_bert.torch_training.reading_order import FILES_SIDE_BY_SIDE, Part, ShuffledWindow, windows
from japanese_bert.training.data_files import PRETRAINING, read_data_provenance

MicroBatches = list[dict[str, torch.Tensor]]
MAX_TOKENS = 16_384  # of a micro-batch: measured in docs/pytorch_training.md


def count_instances_of(path: str) -> int:
    """Return the instances of a file, by its provenance or by passing over them (1 s for 300 MB of gzip)."""
    found = read_data_provenance(path, PRETRAINING.stage) or {"method": {"outputs": []}}
    outputs, name = found["method"]["outputs"], path.rpartition("/")[2]
    if name in outputs:
        return -(-(found["counts"]["instances"] - outputs.index(name)) // len(outputs))  # they were dealt in turn
    with InstanceReader(path) as reader:
        return reader.skip(1 << 62)


class DataError(ValueError):
    """A file that cannot be trained on. The message stays one line when a DataLoader adds its process's traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(message.rstrip().rpartition(f"{type(self).__name__}: ")[2])


class PretrainingBatches(IterableDataset):
    """The micro-batches of one rank from step `start_step` on, a list of them for each step.

    Training goes on without end: an epoch may end inside a step. Validation reads the files once, in their order.
    Resuming passes over what was read of FILES_SIDE_BY_SIDE files: at most 4 s of one core for each GB of gzip in them.
    """

    def __init__(
        self,
        files: Sequence[str],
        global_batch_size: int,
        max_seq_length: int,
        max_predictions_per_seq: int,
        use_next_sentence: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        start_step: int = 0,
        *,
        is_training: bool = True,
        drop_remainder: bool = True,
        max_tokens: int = MAX_TOKENS,
        vocab_size: int | None = None,
    ) -> None:
        self.files = list(files)
        self.counts = [count_instances_of(path) for path in self.files]
        if is_training and sum(self.counts) == 0:
            raise ValueError(f"{', '.join(self.files)}: no instance. Make the data with create_pretraining_data.py")
        if global_batch_size < world_size:
            raise ValueError(f"global_batch_size {global_batch_size}: expected {world_size} or more, one for a process")
        self.global_batch_size, self.start_step = global_batch_size, start_step
        self.max_seq_length, self.max_predictions_per_seq = max_seq_length, max_predictions_per_seq
        self.use_next_sentence, self.vocab_size = use_next_sentence, vocab_size
        self.seed, self.is_training, self.drop_remainder = seed, is_training, drop_remainder
        self.rank, self.world_size, self.max_tokens = rank, world_size, max_tokens

    def __iter__(self) -> Iterator[MicroBatches]:
        worker = get_worker_info()
        try:
            for block in self.steps(worker.id, worker.num_workers) if worker else self.steps():
                yield make_micro_batches(block, self.max_tokens, self.rank, self.world_size, self.use_next_sentence)
        except (ValueError, OSError) as error:
            raise DataError(str(error)) from error

    def steps(self, process: int = 0, num_processes: int = 1) -> Iterator[InstanceBlock]:
        """Yield the instances of every `num_processes`-th step, for all ranks."""
        size = self.global_batch_size
        pending = concatenate([])
        with _OpenFiles(self.files, self.counts) as files:
            for window in windows(self.counts, self.seed, self.start_step * size, self.is_training):
                steps = window.places // size - self.start_step
                is_wanted = (steps >= 0) & (steps % num_processes == process)
                found = concatenate([pending, self._read(files, window, is_wanted)])
                complete = len(found) // size * size
                for start in range(0, complete, size):
                    yield select_instances(found, np.arange(start, start + size))
                pending = select_instances(found, np.arange(complete, len(found)))
        rest = len(pending) // self.world_size * self.world_size  # each rank has as many
        if rest and not self.drop_remainder:
            yield select_instances(pending, np.arange(rest))

    def _read(self, files: "_OpenFiles", window: ShuffledWindow, is_wanted: np.ndarray) -> InstanceBlock:
        """Return the wanted instances of a window in the order of their places."""
        files.go_to(window.parts)
        ends = np.cumsum([part.size for part in window.parts])
        blocks = []
        for part, wanted in zip(window.parts, np.split(is_wanted, ends[:-1]), strict=True):
            blocks.append(files.read(part, wanted))
            self._check(blocks[-1], self.files[part.file])
        return select_instances(concatenate(blocks), np.argsort(window.places[is_wanted]))

    def _check(self, block: InstanceBlock, path: str) -> None:
        """Raise ValueError if the model cannot take an instance."""
        largest = {
            "seq_length": (block.lengths, self.max_seq_length),
            "max_predictions_per_seq": (np.diff(block.prediction_offsets), self.max_predictions_per_seq),
            "vocab_size - 1": (np.concatenate([block.token_ids, block.labels]), (self.vocab_size or MAX_ID + 1) - 1),
        }
        for name, (found, limit) in largest.items():
            if found.max(initial=0) > limit:
                raise ValueError(f"{path}: an instance has {found.max()}, and {name} is {limit}")
        if self.use_next_sentence and (block.next_sentence_labels == NO_LABEL).any():
            raise ValueError(f"{path}: an instance has no next_sentence_labels. Set use_next_sentence_label: false")


class _OpenFiles:
    """The files that are read side by side."""

    def __init__(self, paths: Sequence[str], counts: Sequence[int]) -> None:
        self._paths, self._counts = paths, counts
        self._readers: dict[int, InstanceReader] = {}

    def __enter__(self) -> "_OpenFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._close(self._readers.keys())

    def _close(self, files: Iterable[int]) -> None:
        for file in list(files):
            self._readers.pop(file).close()

    def go_to(self, parts: Sequence[Part]) -> None:
        """Open the files of all parts, close all others, and pass over what comes before the parts."""
        places = {part.file: part.first for part in parts}
        self._close({file for file in self._readers if self._readers[file].position != places.get(file)})
        new = places.keys() - self._readers.keys()
        self._readers |= {file: InstanceReader(self._paths[file]) for file in new}
        with ThreadPoolExecutor(FILES_SIDE_BY_SIDE) as threads:  # decompressing leaves the interpreter free
            list(threads.map(lambda file: self._readers[file].skip(places[file]), new))

    def read(self, part: Part, is_wanted: np.ndarray) -> InstanceBlock:
        """Return the wanted instances of a part."""
        reader = self._readers[part.file]
        block = reader.read_instances(part.size, is_wanted)
        end = part.first + part.size
        is_last = end == self._counts[part.file]
        if reader.position != end or (is_last and reader.skip(1)):
            raise ValueError(
                f"{reader.path}: has {'more' if reader.position > end else 'fewer'} instances than its .json says. "
                "Copy both again, or remove the .json"
            )
        return block

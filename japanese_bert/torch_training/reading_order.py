"""The order in which training reads instances: shuffled by seed and epoch, in bounded memory.

A compressed file has no random access. So each epoch shuffles the files, and reads FILES_SIDE_BY_SIDE at a time. A
window takes the same share of each of these files, and its instances are shuffled. The files of
create_pretraining_data.py are random orders of their instances already, so windows only need to mix files.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from japanese_bert.compiled.random_streams import Stream
from japanese_bert.pretraining_data.instances import shuffle

WINDOW_INSTANCES = 1 << 14  # 40 MB at 512 tokens
FILES_SIDE_BY_SIDE = 16  # bounds what a resumed training passes over: the read part of so many files


class Part(NamedTuple):
    """Consecutive instances of one file, which is a number in the list of files."""

    file: int
    first: int
    size: int


class ShuffledWindow(NamedTuple):
    """Instances that are shuffled together. Instance i of the parts, one after the other, has place places[i].

    Places count from 0 on over all epochs.
    """

    parts: list[Part]
    places: np.ndarray


def windows(counts: Sequence[int], seed: int, start: int, is_training: bool) -> Iterator[ShuffledWindow]:
    """Yield the windows from the one with place `start` on. Validation has one epoch, in the order of the files.

    `counts` are the instances of each file.
    """
    first = start // sum(counts) * sum(counts)
    for epoch in itertools.count(start // sum(counts)):
        for group in _groups(len(counts), seed, epoch) if is_training else [[file] for file in range(len(counts))]:
            number = -(-sum(counts[file] for file in group) // WINDOW_INSTANCES)
            for index in range(number):
                parts = [_part(file, counts[file], index, number) for file in group]
                places = np.arange(first, first + sum(part.size for part in parts))
                first += len(places)
                if first > start:
                    if is_training:
                        shuffle(places, seed, Stream.WINDOW, first)
                    yield ShuffledWindow(parts, places)
        if not is_training:
            return


def _groups(num_files: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the files of an epoch in the order of reading, in groups that are read side by side."""
    files = np.arange(num_files)
    shuffle(files, seed, Stream.FILES, epoch)
    return [files[start : start + FILES_SIDE_BY_SIDE].tolist() for start in range(0, num_files, FILES_SIDE_BY_SIDE)]


def _part(file: int, count: int, index: int, number: int) -> Part:
    """Return what window `index` of `number` windows takes of a file."""
    first, end = count * index // number, count * (index + 1) // number
    return Part(file, first, end - first)

"""Equal keys among billions -> each with the first item that has it, with bounded memory: an external sort.

Items come in order, each with some 64-bit keys. They are sorted in runs of a fixed size. A run tells at once which of
its items have the key of an earlier one, and keeps one entry for each key. At the end, the runs are merged range by
range of the keys. So memory holds one run, whatever the number of items and however often one key occurs.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from japanese_bert.compiled.mapped_arrays import append_array, map_array

RUN_KEYS = 1 << 21  # 40 MB, and 200 MB while they are sorted
ENTRY = np.dtype([("key", np.uint64), ("item", np.uint64), ("count", np.uint32)])


class Pairs(NamedTuple):
    """Items that have a key of an earlier item: arrays of the earlier and the later one."""

    first: np.ndarray
    later: np.ndarray


class Grouper:
    """The keys of all items. `tell` gets all pairs of an item and the first one with the same key that is known."""

    def __init__(self, file: BinaryIO, tell: Callable[[Pairs], object], run_keys: int = RUN_KEYS) -> None:
        self._file, self._tell, self._run_keys = file, tell, run_keys
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._num_held = 0
        self._run_sizes: list[int] = []

    def add(self, keys: np.ndarray, items: np.ndarray) -> None:
        """Add keys and their items, which are not before those of the last call."""
        self._held.append((keys, items))
        self._num_held += len(keys)
        if self._num_held >= self._run_keys:
            self._end_run()

    def finish(self) -> Iterator[np.ndarray]:
        """Yield ENTRY of all different keys in their order: the first item, and how many items there are."""
        self._end_run()
        entries = map_array(self._file, ENTRY)
        runs = np.split(entries, np.cumsum(self._run_sizes)[:-1])
        num_ranges = len(entries) // self._run_keys + 1
        limits = [round(2**64 * number / num_ranges) for number in range(1, num_ranges)]
        cuts = [[0, *np.searchsorted(run["key"], np.array(limits, np.uint64)).tolist(), len(run)] for run in runs]
        for number in range(num_ranges):
            parts = [run[cut[number] : cut[number + 1]] for run, cut in zip(runs, cuts, strict=True)]
            if sum(map(len, parts)):
                yield self._group(np.concatenate(parts)) if len(runs) > 1 else parts[0]  # a run is grouped already

    def _end_run(self) -> None:
        if not self._num_held:
            return
        keys, items = (np.concatenate(parts) for parts in zip(*self._held, strict=True))
        self._held, self._num_held = [], 0
        entries = np.empty(len(keys), ENTRY)
        entries["key"], entries["item"], entries["count"] = keys, items, 1
        del keys, items
        entries = self._group(entries)
        append_array(self._file, entries)
        self._run_sizes.append(len(entries))

    def _group(self, entries: np.ndarray) -> np.ndarray:
        """Tell the pairs of entries, which are in the order of their items, and return one entry for each key."""
        entries = entries.take(np.argsort(entries["key"], kind="stable"))  # 8 times as fast as brackets, for records
        keys = entries["key"]
        is_first = np.empty(len(keys), np.bool_)
        is_first[0] = True
        np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
        starts, later = np.flatnonzero(is_first), np.flatnonzero(~is_first)
        if len(later):
            first = starts[np.searchsorted(starts, later) - 1]
            self._tell(Pairs(entries["item"][first], entries["item"][later]))
        grouped = entries.take(starts)
        grouped["count"] = np.add.reduceat(entries["count"], starts)
        return grouped

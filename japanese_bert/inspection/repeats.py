"""How often something was there before, and in which file first, by 64-bit hashes in bounded memory.

Up to MAX_HASHES different hashes the numbers are exact. Beyond that only every second, fourth ... hash is looked at
(distinct sampling, Gibbons 2001), and the numbers are estimates.
"""

import numpy as np

from japanese_bert.compiled.kernels import kernel

MAX_HASHES = 1 << 19
NEW, LEFT_OUT = -1, -2  # instead of a file


class Repeats:
    """The hashes so far. `count` is how many were there before, or an estimate from one hash of 2**bits."""

    def __init__(self, max_hashes: int = MAX_HASHES) -> None:
        self.count = 0
        self._max_hashes = max_hashes
        self._hashes = np.zeros(2 * max_hashes, np.uint64)
        self._files = np.zeros(2 * max_hashes, np.int32)
        self._num_hashes = 0
        self.bits = 0  # a hash is looked at if so many of its last bits are 0

    def add(self, hashes: np.ndarray, file: int) -> np.ndarray:
        """Return for each hash the number of the file that had it before, NEW or LEFT_OUT."""
        found = np.empty(len(hashes), np.int32)
        for start in range(0, len(hashes), self._max_hashes // 2):
            part = slice(start, start + self._max_hashes // 2)
            while self._num_hashes + len(hashes[part]) > self._max_hashes:
                self._halve()
            self._find(hashes[part], file, found[part])
            self._num_hashes += int((found[part] == NEW).sum())
            self.count += int((found[part] >= 0).sum()) << self.bits
        return found

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Return the same as `add` without adding."""
        found = np.empty(len(hashes), np.int32)
        self._find(hashes, LEFT_OUT, found)
        return found

    def _find(self, hashes: np.ndarray, file: int, found: np.ndarray) -> None:
        find_hashes(self._hashes, self._files, hashes, (np.uint64((1 << self.bits) - 1), file), found)

    def _halve(self) -> None:
        self.bits += 1
        used = np.flatnonzero(self._hashes)
        hashes, files = self._hashes[used], self._files[used]
        self._hashes[:] = 0
        self._num_hashes = 0
        for file in np.unique(files):
            found = np.empty(int((files == file).sum()), np.int32)
            self._find(hashes[files == file], int(file), found)
            self._num_hashes += int((found == NEW).sum())


@kernel
def find_hashes(table, files, hashes, settings, found):
    """Fill `found` with a file, NEW or LEFT_OUT. New hashes are added with `file`, unless that is LEFT_OUT."""
    left_out_bits, file = settings
    last = np.uint64(len(table) - 1)
    for row in range(len(hashes)):
        value = hashes[row] if hashes[row] else np.uint64(1) << np.uint64(63)  # 0 is a free slot
        if value & left_out_bits:
            found[row] = LEFT_OUT
            continue
        slot = (value * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & last
        while table[slot] != value and table[slot] != 0:
            slot = (slot + np.uint64(1)) & last
        found[row] = files[slot] if table[slot] else NEW
        if not table[slot] and file != LEFT_OUT:
            table[slot], files[slot] = value, file

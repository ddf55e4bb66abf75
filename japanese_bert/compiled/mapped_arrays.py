"""Arrays in files, mapped into memory. They may be larger than memory, and little of them stays resident."""

import ctypes
import mmap
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

WINDOW_BYTES = 1 << 22
M_MMAP_THRESHOLD = -3  # <malloc.h>


def map_array(file: BinaryIO, dtype: np.dtype) -> np.ndarray:
    """Return the content of a file as an array, and close the file. The system reads a page when it is touched."""
    with file:
        file.flush()
        size = os.fstat(file.fileno()).st_size
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype) if size else np.empty(0, dtype)


def append_array(file: BinaryIO, array: np.ndarray) -> None:
    """Write an array to the end of a file. On a full disk this raises, while touching a mapped page would crash."""
    file.write(np.ascontiguousarray(array).data)


def release_pages(array: np.ndarray) -> None:
    """Take a mapped array out of this process's resident memory. Its content stays in the file."""
    if isinstance(array.base, memoryview):
        array.base.obj.madvise(mmap.MADV_DONTNEED)


def keep_arrays_out_of_heap() -> None:
    """Make the C library (glibc) map every block of 64 KiB and more, so that it returns the block when it is freed.

    Otherwise small objects fragment the heap and it grows: by 30 MB over 200 MB of text, measured.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 16)


def release_files_below(directory: Path) -> None:
    """Take the files of a directory that are mapped as shared out of this process's resident memory (Linux).

    fugashi keeps MeCab's dictionary (100 MB) mapped after its tagger is gone. The system reads a page of a file again
    when it is touched. It cannot do that for private pages, such as those of a library, which are changed.
    """
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8").split("\n")
    except OSError:
        return
    libc = ctypes.CDLL(None)
    for line in maps:
        path = line[line.find("/") :] if "/" in line else ""
        addresses, permissions, *_ = [*line.split(" ", 2), ""]
        if path and permissions.endswith("s") and Path(path).is_relative_to(directory.resolve()):
            start, end = (int(address, 16) for address in addresses.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), int(mmap.MADV_DONTNEED))


def window_slices(array: np.ndarray, sorted_indices: np.ndarray) -> list[slice]:
    """Return slices of ascending indices. The indices of one slice lie in one window of WINDOW_BYTES of `array`."""
    window = WINDOW_BYTES // array.itemsize
    cuts = np.searchsorted(sorted_indices, np.arange(window, len(array), window)).tolist()
    return [
        slice(start, end) for start, end in zip([0, *cuts], [*cuts, len(sorted_indices)], strict=True) if start < end
    ]


def take(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return `array[indices]`. It reads in the order of the file, and holds one window in memory at a time."""
    by_place = np.argsort(indices, kind="stable")
    taken = np.empty(len(indices), array.dtype)
    for run in window_slices(array, indices[by_place]):
        taken[by_place[run]] = array[indices[by_place[run]]]
        release_pages(array)
    return taken

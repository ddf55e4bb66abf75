"""Documents -> MinHash signatures: two documents agree in about as many of 160 bytes as their 5-grams are the same.

Broder, On the resemblance and containment of documents, 1997. Lee et al., Deduplicating Training Data Makes Language
Models Better, 2022. 20 bands of 8 bytes are the keys of locality-sensitive hashing: documents that agree in one band
are compared. With similarity 0.8 they meet with a probability of 0.975, with 0.5 of 0.075. A byte of each minimum is
enough. It makes 1 in 256 of the others equal, and `similarity` takes this out.
"""

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.random_streams import mix

BANDS, ROWS = 20, 8
NUM_HASHES = BANDS * ROWS
SHINGLE = 5  # characters
BASE = np.uint64(0xD6E8FEB86659FD93)
MARGIN = 0.05  # below the threshold: an estimate has a standard deviation of 0.03 at 0.8


def hash_constants() -> tuple[np.ndarray, np.ndarray]:
    """Return what each hash function adds and multiplies by, odd numbers of 32 bits."""
    numbers = np.arange(1, 2 * NUM_HASHES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    numbers ^= numbers >> np.uint64(29)
    words = (numbers * np.uint64(0xBF58476D1CE4E5B9) >> np.uint64(32)).astype(np.uint32)
    return words[:NUM_HASHES], words[NUM_HASHES:] | np.uint32(1)


def sign_documents(codes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the signature of each document, `codes[ends[n - 1]:ends[n]]`, as bytes. Line ends do not count."""
    signatures = np.empty((len(ends), NUM_HASHES), np.uint8)
    _sign(codes, ends, *hash_constants(), signatures)
    return signatures


@kernel
def _sign(codes, ends, flips, factors, signatures):
    power = BASE * BASE * BASE * BASE * BASE
    minima = np.empty(NUM_HASHES, np.uint32)
    window = np.zeros(SHINGLE, np.uint64)
    start = 0
    for number in range(len(ends)):
        minima[:] = 0xFFFFFFFF
        window[:] = 0
        rolling, size = np.uint64(0), 0
        for position in range(start, ends[number]):
            if codes[position] == 10:
                continue
            code = np.uint64(codes[position])
            rolling = rolling * BASE + code - power * window[size % SHINGLE]
            window[size % SHINGLE] = code
            size += 1
            if size >= SHINGLE:
                _lower(minima, np.uint32(mix(rolling) >> np.uint64(32)), flips, factors)
        if size < SHINGLE:
            _lower(minima, np.uint32(mix(rolling) >> np.uint64(32)), flips, factors)
        for index in range(NUM_HASHES):
            signatures[number, index] = mix(np.uint64(minima[index])) & np.uint64(0xFF)
        start = ends[number]


@kernel
def _lower(minima, shingle, flips, factors):
    """Lower each minimum to its hash of a shingle. This loop runs on vectors of 8 or 16 numbers."""
    for index in range(NUM_HASHES):
        value = np.uint32((shingle ^ flips[index]) * factors[index])  # numba multiplies in 64 bits
        minima[index] = min(minima[index], value)


@kernel
def hash_spans(codes, ends, hashes):
    """Fill `hashes` with a 64-bit hash of each span `codes[ends[n - 1]:ends[n]]`."""
    start = 0
    for number in range(len(ends)):
        value = np.uint64(0)
        for position in range(start, ends[number]):
            value = mix(value + np.uint64(codes[position]))
        hashes[number] = value
        start = ends[number]


def band_keys(signatures: np.ndarray) -> np.ndarray:
    """Return 20 keys of 64 bits for each signature. Keys of different bands differ."""
    keys = np.ascontiguousarray(signatures).view(np.uint64)
    return (keys ^ (np.arange(BANDS, dtype=np.uint64) << np.uint64(56))) * np.uint64(0x9E3779B97F4A7C15)


def similarity(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the estimated Jaccard similarity of pairs of signatures."""
    equal = (one == other).mean(axis=1)
    return (equal - 1 / 256) / (1 - 1 / 256)

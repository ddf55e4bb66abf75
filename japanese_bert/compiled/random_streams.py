"""A random generator for compiled code: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), one stream per item.

Every document and every instance has its own stream. So the output does not depend on the order of the work, on the
number of workers or on the size of a batch. A stream is a `uint64` array of one element, its state.
"""

from enum import IntEnum

import numpy as np

from japanese_bert.compiled.kernels import kernel

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
TO_UNIT = 1.0 / (1 << 53)


class Stream(IntEnum):
    """One use of random numbers. Each use has its own streams."""

    PLAN = 1
    SHUFFLE = 2
    MASK = 3
    FILES = 4  # their order in an epoch of training
    WINDOW = 5  # the order of the instances of a window of training


@kernel
def mix(z):
    """Return the finalizer of SplitMix64: a bijection of 64-bit words in which every input bit matters."""
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


@kernel
def start_stream(state, seed, use, index):
    """Set `state` to the beginning of stream number `index` of one use."""
    state[0] = mix(mix(np.uint64(seed) + np.uint64(use) * GOLDEN_GAMMA) + np.uint64(index))


@kernel
def random_unit(state):
    """Return a float in [0, 1) with 53 random bits."""
    state[0] = state[0] + GOLDEN_GAMMA
    return np.float64(np.int64(mix(state[0]) >> np.uint64(11))) * TO_UNIT


@kernel
def random_below(state, bound):
    """Return an integer in [0, bound). The bias is below bound / 2**53."""
    return np.int64(random_unit(state) * bound)

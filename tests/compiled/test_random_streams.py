import numpy as np
from scipy.stats import chisquare

from japanese_bert.compiled.random_streams import Stream, random_below, random_unit, start_stream


def draw(seed: int, use: int, index: int, count: int = 50) -> list[float]:
    state = np.zeros(1, np.uint64)
    start_stream(state, seed, use, index)
    return [random_unit(state) for _ in range(count)]


def test_streams_differ_by_seed_use_and_index():
    streams = [(seed, use, index) for seed in (0, 1, 2**62) for use in Stream for index in (0, 1, 10**9)]
    drawn = [tuple(draw(*stream)) for stream in streams]
    assert len(set(drawn)) == len(streams)
    assert drawn == [tuple(draw(*stream)) for stream in streams]


def test_floats_are_uniform_within_and_across_streams():
    within = draw(1, Stream.PLAN, 0, 50_000)
    across = [draw(1, Stream.MASK, index, 1)[0] for index in range(50_000)]
    for numbers in (within, across):
        assert min(numbers) >= 0
        assert max(numbers) < 1
        assert chisquare(np.histogram(numbers, 50, (0, 1))[0]).pvalue > 1e-4


def test_integers_are_below_their_bound_and_all_occur():
    state = np.zeros(1, np.uint64)
    start_stream(state, 3, Stream.PLAN, 0)
    counts = np.bincount([random_below(state, 7) for _ in range(7_000)], minlength=7)
    assert len(counts) == 7
    assert chisquare(counts).pvalue > 1e-4
    assert {random_below(state, 1) for _ in range(10)} == {0}

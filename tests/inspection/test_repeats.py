import numpy as np

from japanese_bert.inspection.repeats import LEFT_OUT, NEW, Repeats


def test_the_first_file_of_each_hash():
    repeats = Repeats(64)
    assert repeats.add(np.array([5, 6, 0, 5], np.uint64), 3).tolist() == [NEW, NEW, NEW, 3]
    assert repeats.add(np.array([7, 0, 6, 7], np.uint64), 4).tolist() == [NEW, 3, 3, 4]
    assert repeats.find(np.array([7, 8, 5], np.uint64)).tolist() == [4, NEW, 3]
    assert repeats.find(np.array([8], np.uint64)).tolist() == [NEW]
    assert (repeats.count, repeats.bits) == (4, 0)


def test_estimates_in_bounded_memory():
    numbers = np.random.default_rng(1)
    repeats = Repeats(1 << 10)
    hashes = numbers.integers(0, 1 << 63, 40_000).astype(np.uint64)
    for start in range(0, 40_000, 5000):
        found = repeats.add(np.concatenate([hashes[start : start + 5000], hashes[start : start + 1000]]), start)
        assert set(found.tolist()) <= {NEW, LEFT_OUT, start}
    assert repeats.bits == 7
    assert abs(repeats.count - 8000) < 3000
    assert len(repeats._hashes) == 1 << 11
    assert set(repeats.find(hashes[-5000:]).tolist()) == {35_000, LEFT_OUT}
    assert set(repeats.find(hashes[:5000]).tolist()) == {0, LEFT_OUT}

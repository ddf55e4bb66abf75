"""Groups of equal keys, for any size of runs."""

import tempfile
from collections import Counter

import numpy as np
import pytest

from japanese_bert.corpus.own_text.grouping import Grouper


@pytest.mark.parametrize("run_keys", [1, 10, 100, 100_000])
@pytest.mark.parametrize("num_keys", [1, 40, 5000])
def test_first_and_count_of_every_key(run_keys, num_keys):
    generator = np.random.default_rng(3)
    different = generator.integers(2**64, size=num_keys, dtype=np.uint64, endpoint=False)
    different[0] = 2**64 - 1
    keys = different[generator.integers(num_keys, size=3000)]
    keys[::7] = different[0]  # in every run
    later: dict[int, int] = {}
    with tempfile.TemporaryFile() as file:
        grouper = Grouper(
            file, lambda pairs: later.update(zip(pairs.later.tolist(), pairs.first.tolist(), strict=True)), run_keys
        )
        for start in range(0, len(keys), 77):
            grouper.add(keys[start : start + 77], np.arange(start, min(start + 77, len(keys)), dtype=np.uint64))
        entries = [entry for part in grouper.finish() for entry in part.tolist()]
    firsts: dict[int, int] = {}
    for item, key in enumerate(keys.tolist()):
        firsts.setdefault(key, item)
    counts = Counter(keys.tolist())
    assert entries == [(key, firsts[key], counts[key]) for key in sorted(firsts)]
    assert set(later) == set(range(3000)) - set(firsts.values())
    assert all(keys[one] == keys[other] and one < other for other, one in later.items())


def test_no_keys():
    with tempfile.TemporaryFile() as file:
        assert list(Grouper(file, print).finish()) == []

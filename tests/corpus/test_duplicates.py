import random

import numpy as np
import pytest

from japanese_bert.corpus import duplicates
from japanese_bert.corpus.duplicates import DuplicateFilter
from tests.helpers.document_batches import batches_of, texts_of


def test_first_of_equal_documents_is_kept_over_batches():
    selector = DuplicateFilter()
    batches = batches_of(["a\n\nb\nb\n\na\n", "b\nb\n\nc\n\nab\n"])
    assert [texts_of(selector.select(batch)) for batch in batches] == [["a", "b\nb"], ["c", "ab"]]
    assert selector.dropped == {"documents": 2, "lines": 3, "characters": 3}


@pytest.mark.parametrize("per_batch", [1, 7, 1000])
def test_duplicates_are_found_while_the_table_grows(monkeypatch, per_batch):
    monkeypatch.setattr(duplicates, "FIRST_SLOTS", 4)
    generator = random.Random(1)
    numbers = [str(generator.randrange(600)) for _ in range(1000)]
    parts = ["\n\n".join([*numbers[start : start + per_batch], ""]) for start in range(0, 1000, per_batch)]
    selector = DuplicateFilter()
    kept = [text for batch in batches_of(parts) for text in texts_of(selector.select(batch))]
    assert kept == list(dict.fromkeys(numbers))
    assert 2 * len(kept) <= len(selector._table) <= 4 * 2 * (len(kept) + per_batch)


def test_hashes_that_meet_in_one_slot_and_the_hash_of_a_free_one():
    table = np.zeros(8, np.uint64)
    hashes = np.array([7, 15, 23, 15, 0, 1, 7, 0], np.uint64)
    is_new = np.zeros(len(hashes), np.bool_)
    duplicates.insert(table, hashes, is_new)
    assert is_new.tolist() == [True, True, True, False, True, False, False, False]
    assert sorted(table[table > 0].tolist()) == [1, 7, 15, 23]

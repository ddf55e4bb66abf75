import itertools

import numpy as np
import pytest

from japanese_bert.torch_training import reading_order
from japanese_bert.torch_training.reading_order import ShuffledWindow, windows

COUNTS = [70, 1, 40, 0, 55]
TOTAL = sum(COUNTS)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(reading_order, "WINDOW_INSTANCES", 20)
    monkeypatch.setattr(reading_order, "FILES_SIDE_BY_SIDE", 2)


def epochs(number: int, seed: int = 7, start: int = 0) -> list[ShuffledWindow]:
    """Return the windows of some epochs from the one with place `start` on."""
    ends = number * TOTAL
    return list(itertools.takewhile(lambda window: window.places.min() < ends, windows(COUNTS, seed, start, True)))


def instances(found: list[ShuffledWindow]) -> dict[int, tuple[int, int]]:
    """Return the instance of each place: its file and its number in the file."""
    placed = {}
    for window in found:
        members = [(part.file, part.first + index) for part in window.parts for index in range(part.size)]
        placed.update(zip(window.places.tolist(), members, strict=True))
    return placed


def order(epoch: int, found: dict[int, tuple[int, int]]) -> list[tuple[int, int]]:
    return [found[place] for place in range(epoch * TOTAL, (epoch + 1) * TOTAL)]


def test_every_instance_has_one_place_in_every_epoch():
    found = instances(epochs(3))
    everything = {(file, number) for file, count in enumerate(COUNTS) for number in range(count)}
    assert sorted(found) == list(range(3 * TOTAL))
    orders = [order(epoch, found) for epoch in range(3)]
    assert all(set(order) == everything for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert instances(epochs(3)) == found
    assert instances(epochs(3, seed=8)) != found


def test_a_window_is_shuffled_and_has_its_share_of_each_file_that_is_read():
    for window in epochs(4):
        first, count = window.places.min(), len(window.places)
        assert count <= 22
        assert sorted(window.places) == list(range(first, first + count))
        assert count < 6 or (np.diff(window.places) != 1).any()
        sizes = {part.size / COUNTS[part.file] for part in window.parts if COUNTS[part.file] > 1}
        assert max(sizes, default=0) - min(sizes, default=0) < 1 / 20


def test_epochs_and_windows_are_shuffled_differently():
    files = {tuple(dict.fromkeys(file for file, _ in order(epoch, instances(epochs(9))))) for epoch in range(9)}
    assert len(files) > 5
    full = [window.places - window.places.min() for window in epochs(9) if len(window.places) == 18]
    assert len(full) > 9
    assert len(set(map(tuple, full))) == len(full)


def test_each_file_is_read_from_start_to_end():
    for epoch in range(2):
        found = [window for window in epochs(2) if epoch == window.places.min() // TOTAL]
        for file, count in enumerate(COUNTS):
            parts = [part for window in found for part in window.parts if part.file == file]
            assert [part.first for part in parts] + [count] == [0] + [part.first + part.size for part in parts]


@pytest.mark.parametrize("start", [0, 1, 19, 20, 100, TOTAL - 1, TOTAL, TOTAL + 77])
def test_a_later_start_leaves_only_windows_out(start):
    later, found = epochs(2, start=start), epochs(2)
    assert [window.places.tolist() for window in later] == [window.places.tolist() for window in found][-len(later) :]
    assert start in later[0].places


def test_validation_follows_the_files_once():
    found = instances(list(windows(COUNTS, 7, 0, False)))
    in_order = [(file, number) for file, count in enumerate(COUNTS) for number in range(count)]
    assert [found[place] for place in range(TOTAL)] == in_order
    assert len(found) == TOTAL

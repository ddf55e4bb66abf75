from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from japanese_bert.compiled.random_streams import Stream, start_stream
from japanese_bert.pretraining_data.masking import (
    UNCHOSEN,
    choose_groups,
    find_groups,
    mask_tokens,
    num_predictions,
)
from tests.helpers.reference_bert import choose_masked

MASK_ID = 4
REPLACEMENTS = np.arange(100, 200)


def groups_of(starts_word: list[int], a_length: int, b_length: int, whole_words: bool = True) -> list[tuple[int, int]]:
    starts, ends = np.zeros((2, 64), np.int64)
    count = find_groups(np.array(starts_word, bool), a_length, b_length, whole_words, starts, ends)
    return list(zip(starts[:count].tolist(), ends[:count].tolist(), strict=True))


def draw_masked(groups: list[tuple[int, int]], quota: int, state: np.ndarray) -> frozenset[int]:
    starts, ends = (np.array(side, np.int64) for side in zip(*groups, strict=True))
    fates = np.zeros(64, np.uint8)
    count = choose_groups(len(groups), starts, ends, quota, state, fates)
    positions = np.flatnonzero(fates != UNCHOSEN)
    assert count == len(positions)
    return frozenset(positions.tolist())


def stream(index: int) -> np.ndarray:
    state = np.zeros(1, np.uint64)
    start_stream(state, 1, Stream.MASK, index)
    return state


def test_groups_are_words_and_never_cross_a_segment():
    # [CLS] 東京 ##都 は [SEP] ##民 の ##もの [SEP]: truncation cut the first word of B.
    starts_word = [0, 1, 0, 1, 0, 0, 1, 0, 0]
    assert groups_of(starts_word, 3, 3) == [(1, 3), (3, 4), (5, 6), (6, 8)]


def test_without_whole_words_every_token_is_its_own_group():
    assert groups_of([0, 1, 0, 0, 0, 1, 0], 3, 1, whole_words=False) == [(1, 2), (2, 3), (3, 4), (5, 6)]


def test_a_single_segment_has_no_groups_behind_it():
    assert groups_of([0, 1, 0, 1, 0], 3, 0) == [(1, 3), (3, 4)]


@pytest.mark.parametrize(
    ("length", "probability", "most", "expected"),
    [
        (128, 0.15, 19, 19),
        (128, 0.5, 19, 19),
        (128, 0.15, 76, 19),
        (5, 0.15, 19, 1),
        (10, 0.25, 19, 2),
        (14, 0.25, 19, 4),
        (100, 0.0, 19, 1),
    ],
)
def test_quota_rounds_half_to_even_and_is_at_least_one(length, probability, most, expected):
    assert num_predictions(length, probability, most) == expected == min(most, max(1, round(length * probability)))


def test_no_more_positions_than_the_quota_and_only_whole_words():
    groups = [(1, 4), (4, 5), (5, 7), (8, 12), (12, 13)]
    for index in range(300):
        masked = draw_masked(groups, 3, stream(index))
        assert len(masked) <= 3
        assert masked == frozenset().union(*(range(*group) for group in groups if group[0] in masked))


def test_words_longer_than_the_quota_leave_nothing_to_predict():
    assert draw_masked([(1, 4), (4, 8)], 2, stream(0)) == frozenset()


@pytest.mark.parametrize(
    ("groups", "quota"),
    [
        ([(1, 2), (2, 4), (4, 7), (8, 9), (9, 10)], 3),
        ([(1, 4), (4, 5), (6, 8), (8, 9)], 4),
        ([(1, 3), (3, 5), (5, 7), (7, 8)], 3),
    ],
)
def test_joint_distribution_of_mask_sets_equals_the_reference(groups, quota):
    draws = 20_000
    rng = np.random.default_rng(7)
    words = [list(range(start, end)) for start, end in groups]
    ours = Counter(draw_masked(groups, quota, stream(index)) for index in range(draws))
    reference = Counter(choose_masked(words, quota, rng) for _ in range(draws))
    assert set(ours) == set(reference)
    outcomes = sorted(reference, key=sorted)
    table = [[counts[outcome] for outcome in outcomes] for counts in (ours, reference)]
    assert chi2_contingency(table).pvalue > 1e-4


def test_80_10_10_by_whole_words_within_5_sigma_and_labels_restore_the_input():
    rng, state = np.random.default_rng(5), stream(0)
    edges = np.cumsum([1, *rng.integers(1, 4, size=30_000)])
    is_drawn = rng.random(len(edges) - 1) < 0.8
    starts, ends = edges[:-1][is_drawn], edges[1:][is_drawn]
    words, length = list(zip(starts.tolist(), ends.tolist(), strict=True)), int(edges[-1]) + 1
    original = np.where(np.arange(length) % 2, 50, 60)
    ids, fates = original.copy(), np.zeros(length, np.uint8)
    assert choose_groups(len(words), starts.copy(), ends.copy(), length, state, fates) == (ends - starts).sum()
    positions, labels = np.zeros((2, length + 1), np.int64)
    count = mask_tokens(ids, length, fates, MASK_ID, REPLACEMENTS, state, positions, labels)
    assert positions[:count].tolist() == [position for word in words for position in range(*word)]
    assert not fates.any()
    of_words = [set(np.where(ids < 50, "mask", np.where(ids < 100, "keep", "replace"))[slice(*word)]) for word in words]
    shares = Counter(kind for [kind] in of_words)  # one kind in each word
    for share, kind in [(0.8, "mask"), (0.1, "keep"), (0.1, "replace")]:
        assert abs(shares[kind] - share * len(words)) < 5 * np.sqrt(len(words) * share * (1 - share))
    replaced = [ids[slice(*word)] for word, [kind] in zip(words, of_words, strict=True) if kind == "replace"]
    assert set(np.concatenate(replaced)) == set(REPLACEMENTS)
    assert len({tuple(tokens) for tokens in replaced if len(tokens) == 3}) > 700  # each token is drawn by itself
    ids[positions[:count]] = labels[:count]
    assert np.array_equal(ids, original)

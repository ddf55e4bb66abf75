import itertools

import numpy as np
import pytest
import torch

from japanese_bert.pretraining_data.reading import InstanceBlock
from japanese_bert.torch_training.micro_batches import (
    choose_cuts,
    count_cuts,
    cut_micro_batches,
    least_padding,
    make_micro_batches,
    pad,
)

IMPOSSIBLE = 1 << 60


def descending(*lengths: int) -> np.ndarray:
    return np.array(sorted(lengths, reverse=True), np.int64)


def random_lengths(seed: int, count: int) -> np.ndarray:
    return descending(*np.random.default_rng(seed).integers(5, 60, count))


def block_of(*lengths: int) -> InstanceBlock:
    """Return instances whose ids count on. The last token of each is masked, and its label is the instance's number."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    count = len(lengths)
    return InstanceBlock(
        token_ids=np.arange(1, offsets[-1] + 1, dtype=np.int32),
        segment_ids=np.ones(offsets[-1], np.uint8),
        offsets=offsets,
        positions=np.array(lengths, np.int32) - 1,
        labels=np.arange(count, dtype=np.int32),
        prediction_offsets=np.arange(count + 1),
        next_sentence_labels=np.arange(count, dtype=np.int8) % 2,
        seq_lengths=np.full(count, 64, np.int32),
        prediction_slots=np.full(count, 4, np.int32),
    )


def padded(lengths: np.ndarray, cuts: list[slice]) -> list[int]:
    return [int((cut.stop - cut.start) * lengths[cut.start]) for cut in cuts]


@pytest.mark.parametrize("max_tokens", [60, 100, 250, 10_000])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_every_sequence_is_in_one_micro_batch_within_the_limit(seed, world_size, max_tokens):
    lengths = random_lengths(seed, 60)
    cuts = cut_micro_batches(lengths, max_tokens, world_size)
    assert [index for cut in cuts for index in range(cut.start, cut.stop)] == list(range(60))
    assert max(padded(lengths, cuts)) <= max_tokens
    assert len(cuts) % world_size == 0


@pytest.mark.parametrize("seed", range(20))
def test_padding_is_the_least_of_all_ways_to_cut(seed):
    lengths, max_tokens = random_lengths(seed, 9), 150
    tokens, starts = least_padding(lengths, max_tokens, 9)
    for number in range(1, 10):
        ways = ([0, *inner, 9] for inner in itertools.combinations(range(1, 9), number - 1))
        sizes = [padded(lengths, [slice(*pair) for pair in itertools.pairwise(way)]) for way in ways]
        least = min((sum(found) for found in sizes if max(found) <= max_tokens), default=IMPOSSIBLE)
        assert tokens[number, 9] == least
        if least < IMPOSSIBLE:
            ends = [0, *choose_cuts(tokens[: number + 1], starts, number, 0)]
            assert sum(padded(lengths, [slice(*pair) for pair in itertools.pairwise(ends)])) == least
            assert number >= count_cuts(lengths, max_tokens)


def test_one_more_micro_batch_must_save_what_it_costs():
    tokens, starts = least_padding(descending(10, 10, 10, 2, 2, 2), 1000, 3)
    assert choose_cuts(tokens, starts, 1, 23) == [3, 6]
    assert choose_cuts(tokens, starts, 1, 25) == [6]


def test_a_sequence_above_the_limit_stands_alone():
    assert cut_micro_batches(descending(90, 80, 10, 10), 50, 1)[:2] == [slice(0, 1), slice(1, 2)]


def test_ranks_get_about_the_same_tokens():
    lengths = random_lengths(3, 200)
    cuts = cut_micro_batches(lengths, 700, 4)
    sizes = [sum(padded(lengths, cuts[rank::4])) for rank in range(4)]
    assert max(sizes) < 1.1 * min(sizes)
    assert sum(sizes) < 1.1 * lengths.sum()


def test_fewer_sequences_than_processes():
    with pytest.raises(ValueError, match="3 sequences for 4 processes"):
        cut_micro_batches(descending(5, 6, 7), 100, 4)


def test_a_padded_batch_exactly():
    batch = pad(block_of(3, 1, 2), True)
    expected = {
        "input_ids": [[1, 2, 3], [4, 0, 0], [5, 6, 0]],
        "token_type_ids": [[1, 1, 1], [1, 0, 0], [1, 1, 0]],
        "attention_mask": [[1, 1, 1], [1, 0, 0], [1, 1, 0]],
        "masked_positions": [2, 3, 7],
        "masked_lm_labels": [0, 1, 2],
        "next_sentence_labels": [0, 1, 0],
    }
    assert {name: tensor.tolist() for name, tensor in batch.items()} == expected
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
    assert batch.keys() - pad(block_of(3, 1, 2), False).keys() == {"next_sentence_labels"}


def test_ranks_share_the_instances_of_a_step():
    block = block_of(*range(4, 44))
    found = [batch for rank in range(2) for batch in make_micro_batches(block, 200, rank, 2, True)]
    assert sorted(label for batch in found for label in batch["masked_lm_labels"].tolist()) == list(range(40))
    for batch in found:
        last = batch["input_ids"].flatten()[batch["masked_positions"]]
        assert last.tolist() == [int(block.offsets[label + 1]) for label in batch["masked_lm_labels"]]
        assert batch["attention_mask"].sum(1).max() == batch["input_ids"].shape[1]

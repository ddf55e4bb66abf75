"""The instances of one optimizer step -> micro-batches of similar lengths, with little padding.

Sequences are sorted by length and cut where padding is least. With several ranks the micro-batches also have about the
same number of tokens, and each rank gets equally many of them. So ranks get different numbers of sequences: sum losses,
do not average means.
"""

import itertools
from bisect import bisect_left

import numpy as np
import torch

from japanese_bert.compiled.kernels import kernel
from japanese_bert.pretraining_data.reading import InstanceBlock, select_instances

# What one more micro-batch costs, in tokens. A guess: no GPU has measured it yet.
MICRO_BATCH_TOKENS = 256
MORE_CUTS = 4


def cut_micro_batches(lengths: np.ndarray, max_tokens: int, world_size: int) -> list[slice]:
    """Cut sequences, the longest first, into micro-batches of `max_tokens` at most, padding included.

    Their number is a multiple of `world_size`. A sequence longer than `max_tokens` is a micro-batch of its own.
    """
    number = -(-count_cuts(lengths, max_tokens) // world_size) * world_size
    if number > len(lengths):
        raise ValueError(f"{len(lengths)} sequences for {world_size} processes. Expected one for each at least")
    size = max(max_tokens, int(lengths[0]))
    if world_size > 1:  # ranks wait for the slowest
        numbers = range(number, min(number + 2 * world_size, len(lengths)) + 1, world_size)
        sizes = {number: _least_size(lengths, size, number) for number in numbers}
        number = min(numbers, key=lambda number: number * (sizes[number] + MICRO_BATCH_TOKENS))
        size = sizes[number]
    tokens, starts = least_padding(lengths, size, number + (MORE_CUTS if world_size == 1 else 0))
    ends = choose_cuts(tokens, starts, number, MICRO_BATCH_TOKENS)
    return [slice(start, end) for start, end in itertools.pairwise([0, *ends])]


def _least_size(lengths: np.ndarray, max_tokens: int, number: int) -> int:
    """Return the least number of tokens with which `number` micro-batches are enough."""
    sizes = range(int(lengths[0]), max_tokens)
    return sizes.start + bisect_left(sizes, True, key=lambda size: bool(count_cuts(lengths, size) <= number))


@kernel
def count_cuts(lengths, max_tokens):
    """Return the least number of micro-batches of at most `max_tokens`, or of one sequence."""
    start = count = 0
    while start < len(lengths):
        start += max(1, max_tokens // lengths[start])
        count += 1
    return count


@kernel
def least_padding(lengths, max_tokens, number):
    """Return the least tokens, padding included, of the first n sequences in m micro-batches, and the last one's start.

    Both have the shape [number + 1, sequences + 1].
    """
    tokens = np.full((number + 1, len(lengths) + 1), np.int64(1) << 60)
    starts = np.zeros((number + 1, len(lengths) + 1), np.int64)
    tokens[0, 0] = 0
    for count in range(1, number + 1):
        for end in range(count, len(lengths) + 1):
            start = end - 1
            while start >= 0 and (start == end - 1 or (end - start) * lengths[start] <= max_tokens):
                found = tokens[count - 1, start] + (end - start) * lengths[start]
                if found < tokens[count, end]:
                    tokens[count, end], starts[count, end] = found, start
                start -= 1
    return tokens, starts


def choose_cuts(tokens: np.ndarray, starts: np.ndarray, number: int, overhead: int) -> list[int]:
    """Return the ends of the micro-batches: `number` of them, or more if that saves `overhead` tokens for each."""
    totals = tokens[number:, -1] + overhead * np.arange(len(tokens) - number)
    ends = [tokens.shape[1] - 1]
    for count in range(number + int(totals.argmin()), 1, -1):
        ends.append(int(starts[count, ends[-1]]))
    return ends[::-1]


def make_micro_batches(
    block: InstanceBlock, max_tokens: int, rank: int, world_size: int, use_next_sentence: bool
) -> list[dict[str, torch.Tensor]]:
    """Return the micro-batches of one rank. `block` holds the instances of the whole step."""
    order = np.argsort(-block.lengths, kind="stable")
    cuts = cut_micro_batches(block.lengths[order], max_tokens, world_size)
    return [pad(select_instances(block, order[cut]), use_next_sentence) for cut in cuts[rank::world_size]]


def pad(block: InstanceBlock, use_next_sentence: bool) -> dict[str, torch.Tensor]:
    """Return a micro-batch, [sequences, longest]. Masked positions count from its first token, row by row."""
    lengths = block.lengths
    is_token = np.arange(lengths.max()) < lengths[:, None]
    ids, segments = np.zeros((2, *is_token.shape), np.int64)
    ids[is_token], segments[is_token] = block.token_ids, block.segment_ids
    row_starts = np.repeat(np.arange(len(block)) * is_token.shape[1], np.diff(block.prediction_offsets))
    arrays = {
        "input_ids": ids,
        "token_type_ids": segments,
        "attention_mask": is_token.astype(np.int64),
        "masked_positions": row_starts + block.positions,
        "masked_lm_labels": block.labels.astype(np.int64),
    }
    if use_next_sentence:
        arrays["next_sentence_labels"] = block.next_sentence_labels.astype(np.int64)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}

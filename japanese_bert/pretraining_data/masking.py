"""Whole word masking of one instance (Devlin et al. 2019, section 3.1; whole words: its 2019 code release).

A word is what the word tokenizer says: its first piece carries the word start bit in the store. Words are taken
in random order until the quota of predictions is full; one that would exceed it is passed over. Each token of a
taken word becomes [MASK] (80 %), a random token (10 %) or stays as it is (10 %).
"""

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.random_streams import random_below, random_unit

MASK_PROB = 0.8
KEEP_PROB = 0.1


@kernel
def num_predictions(length, masked_lm_prob, max_predictions_per_seq):
    """Quota of an instance of `length` tokens, [CLS] and [SEP] included; halves round to even."""
    return min(max_predictions_per_seq, max(1, np.int64(np.rint(length * masked_lm_prob))))


@kernel
def find_groups(starts_word, a_length, b_length, do_whole_word_mask, group_starts, group_ends):
    """Token positions [start, end) of what is masked together; returns the number of groups.

    A group never crosses a segment: the rest of a word that truncation cut at the front is a group of its own.
    Layout of positions: [CLS] 0, A from 1, [SEP], B, [SEP]. Both arrays must have room for one more than there are
    tokens: without a branch, which would be guessed wrong at every third token, a start is written before it counts.
    """
    count = 0
    for segment in range(2):
        first = 1 if segment == 0 else a_length + 2
        end = first + (a_length if segment == 0 else b_length)
        for position in range(first, end):
            group_starts[count] = position
            count += (position == first) | starts_word[position] | (not do_whole_word_mask)
            group_ends[count - 1] = position + 1
    return count


@kernel
def choose_groups(num_groups, group_starts, group_ends, quota, state, is_masked):
    """Mark the positions of randomly chosen groups, at most `quota` positions; returns how many were marked."""
    marked = 0
    for index in range(num_groups):
        if marked >= quota:
            break
        chosen = index + random_below(state, num_groups - index)
        start, end = group_starts[chosen], group_ends[chosen]
        group_starts[chosen], group_ends[chosen] = group_starts[index], group_ends[index]
        if marked + end - start > quota:
            continue
        for position in range(start, end):
            is_masked[position] = True
        marked += end - start
    return marked


@kernel
def replace_token(token, mask_id, replacement_ids, state):
    """What stands in the input at a masked position."""
    draw = random_unit(state)
    other = replacement_ids[random_below(state, len(replacement_ids))]  # drawn always: 5 times faster than a branch
    return mask_id if draw < MASK_PROB else (token if draw < MASK_PROB + KEEP_PROB else other)


@kernel
def mask_tokens(ids, length, is_masked, mask_id, replacement_ids, state, positions, labels):
    """Replace the marked ids in place and unmark them; fills positions and labels in ascending order.

    `positions` must have room for one more than are marked.
    """
    count = 0
    for position in range(length):  # again without a branch
        positions[count] = position
        count += is_masked[position]
        is_masked[position] = False
    for index in range(count):
        position = positions[index]
        labels[index] = ids[position]
        ids[position] = replace_token(ids[position], mask_id, replacement_ids, state)
    return count

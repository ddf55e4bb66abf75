"""Whole word masking of one instance (Devlin et al. 2019, section 3.1, and Model Garden's code).

The word tokenizer decides the words: the first piece of each has the word start bit in the store. Words are chosen in
random order until the quota of predictions is full. A word that would exceed it is skipped. The tokens of a chosen word
all become [MASK] (80 %), random tokens (10 %), or stay as they are (10 %). BERT's first code drew this for each token.
Then other pieces of a masked word are often visible.
"""

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.random_streams import random_below, random_unit

MASK_PROB = 0.8
KEEP_PROB = 0.1
UNCHOSEN, MASK, KEEP, REPLACE = range(4)  # what becomes of a position


@kernel
def num_predictions(length, masked_lm_prob, max_predictions_per_seq):
    """Return the quota of an instance of `length` tokens, [CLS] and [SEP] included. Halves round to even."""
    return min(max_predictions_per_seq, max(1, np.int64(np.rint(length * masked_lm_prob))))


@kernel
def find_groups(starts_word, a_length, b_length, do_whole_word_mask, group_starts, group_ends):
    """Fill in the positions [start, end) of groups, which are masked together. Return the number of groups.

    A group never crosses a segment. The rest of a word that truncation cut at the front is its own group.
    Layout of positions: [CLS] 0, A from 1, [SEP], B, [SEP]. Both arrays have room for one more than there are tokens,
    because each position is written as a start before it counts. A branch would be mispredicted at every third token.
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
def drop_separators(ids, sep_id, num_groups, group_starts, group_ends):
    """Remove the groups that are a [SEP] between documents, and return the number of groups."""
    count = 0
    for group in range(num_groups):
        group_starts[count], group_ends[count] = group_starts[group], group_ends[group]
        count += ids[group_starts[group]] != sep_id
    return count


@kernel
def choose_groups(num_groups, group_starts, group_ends, quota, state, fates):
    """Choose random groups of at most `quota` positions together, and draw what becomes of each.

    Fill in `fates` at their positions: MASK, KEEP or REPLACE. Return the number of positions.
    """
    chosen_positions = 0
    for index in range(num_groups):
        if chosen_positions >= quota:
            break
        chosen = index + random_below(state, num_groups - index)
        start, end = group_starts[chosen], group_ends[chosen]
        group_starts[chosen], group_ends[chosen] = group_starts[index], group_ends[index]
        if chosen_positions + end - start > quota:
            continue
        draw = random_unit(state)
        fates[start:end] = MASK if draw < MASK_PROB else (KEEP if draw < MASK_PROB + KEEP_PROB else REPLACE)
        chosen_positions += end - start
    return chosen_positions


@kernel
def mask_tokens(ids, length, fates, mask_id, replacement_ids, state, positions, labels):
    """Replace the chosen ids in place and clear `fates`. Fill positions and labels in ascending order. Return how many.

    `positions` has room for one more than are chosen.
    """
    count = 0
    for position in range(length):  # without a branch, as in `find_groups`
        positions[count] = position
        count += fates[position] != UNCHOSEN
    for index in range(count):
        position = positions[index]
        label, fate = ids[position], fates[position]
        other = replacement_ids[random_below(state, len(replacement_ids))]  # always drawn: faster than a branch
        ids[position] = mask_id if fate == MASK else (label if fate == KEEP else other)
        labels[index], fates[position] = label, UNCHOSEN
    return count

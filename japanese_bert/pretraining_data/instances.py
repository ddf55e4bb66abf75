"""Plan instances: which tokens of the store become segment A and segment B of each training example.

It is BERT's algorithm (Devlin et al. 2019, section 3.1 and appendix A.2, and its released data code). It gathers the
sentences of a document up to a target length, and cuts them into A and B at a random sentence. Every other time it
replaces B by sentences from a random place in another document, and puts the sentences of B back. Sentences are
contiguous in the store. So a segment is a token range, and an instance takes 24 bytes.

For masked LM without next sentence prediction (RoBERTa, Liu et al. 2019, DOC-SENTENCES) it cuts a document into
consecutive ranges of complete sentences. A sentence longer than a range is cut between words, and nothing is lost.
FULL-SENTENCES of the same paper runs on over document borders, with a separator between documents. There each range is
filled up to the last word that fits. Reason: complete sentences would leave 3.6% of 512 tokens empty.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.mapped_arrays import append_array, map_array, release_pages
from japanese_bert.compiled.random_streams import Stream, random_below, random_unit, start_stream
from japanese_bert.pretraining_data.token_store import TokenStore

MIN_SEQ_LENGTH = 8
MAX_SEQ_LENGTH = 65535  # segment lengths are uint16
NUM_SPECIAL_PAIR = 3  # [CLS] A [SEP] B [SEP]
NUM_SPECIAL_SINGLE = 2  # [CLS] A [SEP]
MIN_TARGET_LENGTH = 2
NO_SEPARATOR = -1
DOCUMENTS_PER_BLOCK = 4096
MIN_BUFFER = 1 << 14
INSTANCES_AT_ONCE = 1 << 20

# Starts are token offsets in the store. b_length 0 means no segment B.
INSTANCE = np.dtype(
    [("a_start", "i8"), ("b_start", "i8"), ("a_length", "u2"), ("b_length", "u2"), ("is_random_next", "u1")],
    align=True,
)


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The settings of the plan. `max_seq_length` is in tokens, special ones included."""

    max_seq_length: int
    short_seq_prob: float
    dupe_factor: int
    random_seed: int
    next_sentence: bool = True
    separator: int = NO_SEPARATOR  # the token of the store before each document, if ranges run on over documents


def plan_instances(
    store: TokenStore,
    settings: PlanSettings,
    file: BinaryIO,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Return all instances of the corpus, documents in order, once for each of `dupe_factor` passes.

    They are in `file`, mapped: shape [num_instances], dtype INSTANCE. `progress` gets document counts.
    """
    for instances, num_documents in _plan_blocks(store, settings):
        append_array(file, instances)
        release_pages(store.sentence_offsets)
        if progress is not None:
            progress(num_documents)
    return map_array(file, INSTANCE)


def count_use(instances: np.ndarray) -> tuple[int, int]:
    """Return how many tokens the instances use, and how many random next sentences they have.

    A random next sentence is no use of its tokens: each pass uses a token at most once, in its own place.
    """
    used = random_next = 0
    for start in range(0, len(instances), INSTANCES_AT_ONCE):
        block = instances[start : start + INSTANCES_AT_ONCE]
        is_random = block["is_random_next"].astype(np.bool_)
        used += int(block["a_length"].sum(dtype=np.int64) + block["b_length"][~is_random].sum(dtype=np.int64))
        random_next += int(np.count_nonzero(is_random))
    return used, random_next


def shuffle_instances(num_instances: int, random_seed: int, file: BinaryIO) -> np.ndarray:
    """Return a random order of the instances (Fisher-Yates), shape [num_instances], int64, in a mapped file."""
    for start in range(0, num_instances, MIN_BUFFER):
        append_array(file, np.arange(start, min(start + MIN_BUFFER, num_instances)))
    order = map_array(file, np.dtype(np.int64))
    shuffle(order, random_seed, Stream.SHUFFLE, 0)
    release_pages(order)
    return order


def _plan_blocks(store: TokenStore, settings: PlanSettings) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the instances of some documents, and how many documents these are."""
    num_documents = len(store.document_offsets) - 1
    corpus = (store.tokens, store.sentence_offsets, store.document_offsets)
    lengths = (settings.max_seq_length, settings.short_seq_prob, settings.next_sentence, settings.separator)
    buffer = np.empty(MIN_BUFFER, INSTANCE)
    for dupe in range(settings.dupe_factor):
        for start in range(0, num_documents, DOCUMENTS_PER_BLOCK):
            end = min(start + DOCUMENTS_PER_BLOCK, num_documents)
            arguments = (corpus, (start, end, dupe), lengths, settings.random_seed)
            count = plan_documents(*arguments, buffer)
            if count > len(buffer):  # plan again, with the same result: every document has its own random stream
                buffer = np.empty(count, INSTANCE)
                plan_documents(*arguments, buffer)
            yield buffer[:count], end - start


@kernel
def plan_documents(corpus, document_range, lengths, random_seed, out):
    """Plan the documents of a range. Return the number of instances, of which the first len(out) are written."""
    tokens, sentence_offsets, document_offsets = corpus
    start, end, dupe = document_range
    max_seq_length, short_seq_prob, next_sentence, separator = lengths
    max_num_tokens = max_seq_length - (NUM_SPECIAL_PAIR if next_sentence else NUM_SPECIAL_SINGLE)
    num_documents = len(document_offsets) - 1
    state = np.zeros(1, np.uint64)
    if separator != NO_SEPARATOR:
        start_stream(state, random_seed, Stream.PLAN, dupe * num_documents + start)
        text = sentence_offsets[document_offsets[start]], sentence_offsets[document_offsets[end]]
        return plan_text(tokens, text, max_num_tokens, separator, state, out)
    count = 0
    for document in range(start, end):
        start_stream(state, random_seed, Stream.PLAN, dupe * num_documents + document)
        target = draw_target_length(max_num_tokens, short_seq_prob, state)
        if next_sentence:
            count = plan_pairs(
                sentence_offsets, document_offsets, document, (target, max_num_tokens), state, out, count
            )
        else:
            count = plan_segments(tokens, sentence_offsets, document_offsets, document, target, out, count)
    return count


@kernel
def plan_pairs(sentence_offsets, document_offsets, document, lengths, state, out, count):
    """Append the sentence pairs of one document at `count`, and return the new count."""
    target_seq_length, max_num_tokens = lengths
    document_end = document_offsets[document + 1]
    chunk_start = document_offsets[document]
    while chunk_start < document_end:
        chunk_end = end_of_chunk(sentence_offsets, chunk_start, document_end, target_seq_length)
        num_sentences = chunk_end - chunk_start
        a_end = chunk_start + 1
        if num_sentences >= 2:
            a_end = chunk_start + 1 + random_below(state, num_sentences - 1)
        a_start, a_stop = sentence_offsets[chunk_start], sentence_offsets[a_end]
        is_random_next = num_sentences == 1 or random_unit(state) < 0.5
        if is_random_next:
            target_b_length = target_seq_length - (a_stop - a_start)
            b_start, b_stop = draw_random_next(sentence_offsets, document_offsets, document, target_b_length, state)
            chunk_start = a_end  # the sentences meant for B are put back
        else:
            b_start, b_stop = sentence_offsets[a_end], sentence_offsets[chunk_end]
            chunk_start = chunk_end
        a_start, a_stop, b_start, b_stop = truncate_pair(a_start, a_stop, b_start, b_stop, max_num_tokens, state)
        if count < len(out):
            write_instance(out, count, a_start, a_stop, b_start, b_stop, is_random_next)
        count += 1
    return count


@kernel
def draw_target_length(max_num_tokens, short_seq_prob, state):
    """Return the target length of a document. It is sometimes shorter, because texts of fine-tuning are shorter."""
    if random_unit(state) < short_seq_prob:
        return MIN_TARGET_LENGTH + random_below(state, max_num_tokens - MIN_TARGET_LENGTH + 1)
    return np.int64(max_num_tokens)


@kernel
def end_of_chunk(sentence_offsets, chunk_start, document_end, target_seq_length):
    """Return the end of the sentences that have `target_seq_length` tokens, or the end of the document."""
    chunk_end = chunk_start + 1
    while chunk_end < document_end and sentence_offsets[chunk_end] - sentence_offsets[chunk_start] < target_seq_length:
        chunk_end += 1
    return chunk_end


@kernel
def draw_random_next(sentence_offsets, document_offsets, document, target_b_length, state):
    """Return a token range of complete sentences from a random place in a random other document."""
    num_documents = len(document_offsets) - 1
    other = random_below(state, num_documents - 1)
    if other >= document:
        other += 1
    first, end = document_offsets[other], document_offsets[other + 1]
    b_first = first + random_below(state, end - first)
    b_end = end_of_chunk(sentence_offsets, b_first, end, target_b_length)
    return sentence_offsets[b_first], sentence_offsets[b_end]


@kernel
def truncate_pair(a_start, a_stop, b_start, b_stop, max_num_tokens, state):
    """Drop tokens of the longer segment, from front or back at random, until the pair fits. Return the ranges."""
    while (a_stop - a_start) + (b_stop - b_start) > max_num_tokens:
        from_front = random_unit(state) < 0.5
        if a_stop - a_start > b_stop - b_start:
            if from_front:
                a_start += 1
            else:
                a_stop -= 1
        elif from_front:
            b_start += 1
        else:
            b_stop -= 1
    return a_start, a_stop, b_start, b_stop


@kernel
def plan_segments(tokens, sentence_offsets, document_offsets, document, target_seq_length, out, count):
    """Append consecutive ranges of one document at `count`, and return the new count: no next sentence prediction."""
    sentence, last = document_offsets[document], document_offsets[document + 1]
    position, document_stop = sentence_offsets[sentence], sentence_offsets[last]
    while position < document_stop:
        while sentence < last and sentence_offsets[sentence + 1] <= position + target_seq_length:
            sentence += 1
        stop = sentence_offsets[sentence]
        if stop <= position:  # one sentence fills this range and goes on in the next
            stop = end_of_whole_words(tokens, position, min(position + target_seq_length, document_stop))
        if count < len(out):
            write_instance(out, count, position, stop, stop, stop, False)
        count += 1
        position = stop
    return count


@kernel
def plan_text(tokens, text, max_num_tokens, separator, state, out):
    """Write consecutive ranges of a text of several documents, without separators at their ends. Return the count.

    The first range has a random length, so that every pass cuts elsewhere.
    """
    position, text_stop = text
    length = max_num_tokens - random_below(state, max_num_tokens // 2)
    count = 0
    while position < text_stop:
        position += tokens[position] == separator
        stop = end_of_whole_words(tokens, position, min(position + length, text_stop))
        last = stop - (tokens[stop - 1] == separator)
        if count < len(out):
            write_instance(out, count, position, last, last, last, False)
        count += 1
        position, length = stop, max_num_tokens
    return count


@kernel
def end_of_whole_words(tokens, start, stop):
    """Return the last word boundary in (start, stop], or `stop` if one word fills the range."""
    word_start = 1 << (8 * tokens.itemsize - 1)
    if stop == len(tokens):
        return stop
    boundary = stop
    while boundary > start and not tokens[boundary] & word_start:
        boundary -= 1
    return boundary if boundary > start else stop


@kernel
def write_instance(out, index, a_start, a_stop, b_start, b_stop, is_random_next):
    out[index]["a_start"] = a_start
    out[index]["b_start"] = b_start
    out[index]["a_length"] = a_stop - a_start
    out[index]["b_length"] = b_stop - b_start
    out[index]["is_random_next"] = is_random_next


@kernel
def shuffle(order, random_seed, use, index):
    """Shuffle `order` in place (Fisher-Yates), by stream number `index` of one use."""
    state = np.zeros(1, np.uint64)
    start_stream(state, random_seed, use, index)
    for last in range(len(order) - 1, 0, -1):
        other = random_below(state, last + 1)
        order[last], order[other] = order[other], order[last]

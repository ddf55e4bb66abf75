"""Planned instances -> records: gather tokens, mask, encode. The last step of creating pretraining data."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO, NamedTuple

import numpy as np

from japanese_bert.common.workers import map_in_order
from japanese_bert.compiled.kernels import kernel
from japanese_bert.compiled.mapped_arrays import release_pages, take, window_slices
from japanese_bert.compiled.random_streams import Stream, start_stream
from japanese_bert.pretraining_data.instances import NUM_SPECIAL_PAIR, NUM_SPECIAL_SINGLE
from japanese_bert.pretraining_data.masking import (
    choose_groups,
    drop_separators,
    find_groups,
    mask_tokens,
    num_predictions,
)
from japanese_bert.pretraining_data.token_store import TokenStore
from japanese_bert.tfrecord import crc32c, writing
from japanese_bert.tokenization.subwords import MAX_VOCAB_SIZE
from japanese_bert.tokenization.vocab import CLS, MASK, SEP, Vocab

# Gathered together, so that a large store is read in few sweeps. Another number alters no byte.
RECORDS_PER_JOB = 8 * writing.RECORDS_PER_MEMBER


class RenderCount(IntEnum):
    """One thing that rendering counts, by its place in an array of counters."""

    INSTANCES = 0
    TOKENS = 1
    MASKED_TOKENS = 2
    MASK_TOKENS = 3
    KEPT_TOKENS = 4
    RANDOM_NEXT = 5
    WITHOUT_PREDICTIONS = 6


class RenderSettings(NamedTuple):
    """The shape and masking of the records. Lengths are in tokens."""

    max_seq_length: int
    max_predictions_per_seq: int
    masked_lm_prob: float
    do_whole_word_mask: bool
    use_v2_feature_names: bool
    next_sentence: bool
    gzip_compress: bool
    random_seed: int


class Constants(NamedTuple):
    """What rendering needs besides its settings. `names` are of features (`encode_names`), `tables` for checksums.

    A record has the tokens and predictions of the first bucket that holds its instance, padding included.
    """

    cls_id: int
    sep_id: int
    mask_id: int
    replacement_ids: np.ndarray
    word_start_bit: int
    bucket_lengths: np.ndarray
    bucket_predictions: np.ndarray
    names: np.ndarray
    tables: np.ndarray


@dataclass(slots=True)
class Renderer:
    """The way from numbers of instances to bytes of records. One object serves one process and its forks.

    `bucket_lengths` are ascending. The last one is max_seq_length, the only one by default.
    """

    store: TokenStore
    instances: np.ndarray
    order: np.ndarray
    vocab: Vocab
    settings: RenderSettings
    num_outputs: int = 1
    bucket_lengths: Sequence[int] = ()
    _constants: Constants = field(init=False)
    _out: np.ndarray = field(init=False)
    _segments: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        settings, ids = self.settings, self.vocab.ids
        shape = settings.masked_lm_prob, settings.max_predictions_per_seq
        predictions = [bucket_predictions(length, *shape) for length in self.bucket_lengths]
        self.bucket_lengths = self.bucket_lengths or (settings.max_seq_length,)
        self._constants = Constants(
            ids[CLS],
            ids[SEP],
            ids[MASK],
            np.array(self.vocab.real_token_ids(), np.int64),
            self.store.word_start_bit,
            np.array(self.bucket_lengths),
            np.array(predictions or [settings.max_predictions_per_seq]),
            writing.encode_names(writing.feature_names(settings.use_v2_feature_names)),
            crc32c.make_tables(),
        )
        # Both arrays serve every member and job. The system would zero new memory page by page each time.
        lengths = settings.max_seq_length, settings.max_predictions_per_seq
        self._out = np.empty(writing.RECORDS_PER_MEMBER * writing.max_record_bytes(*lengths, len(self.vocab)), np.uint8)
        num_records = min(RECORDS_PER_JOB, len(self.order))
        self._segments = np.empty((num_records, settings.max_seq_length), self.store.tokens.dtype)

    def jobs(self) -> Iterable[tuple[int, int]]:
        """Yield (output, first number) of all jobs in the order of writing. See `__call__`."""
        stride = RECORDS_PER_JOB * self.num_outputs
        for start in range(0, len(self.order), stride):
            for output in range(min(self.num_outputs, len(self.order) - start)):
                yield output, start + output

    def __call__(self, job: tuple[int, int]) -> tuple[bytes, np.ndarray]:
        """Return the records of some gzip members, and their counts by bucket. The outputs get records in turn."""
        _, first = job
        numbers = self.order[first :: self.num_outputs][:RECORDS_PER_JOB].copy()
        release_pages(self.order)
        planned = take(self.instances, numbers)
        gather_segments(self.store.tokens, planned, self._segments[: len(planned)])
        counters = np.zeros((len(self.bucket_lengths), len(RenderCount)), np.int64)
        members = []
        for start in range(0, len(numbers), writing.RECORDS_PER_MEMBER):
            member = slice(start, min(start + writing.RECORDS_PER_MEMBER, len(numbers)))
            instances = self._segments[member], planned[member], numbers[member]
            end = render_records(instances, self.settings, self._constants, self._out, counters)
            records = self._out[:end].data
            members.append(writing.compress_member(records) if self.settings.gzip_compress else bytes(records))
        return b"".join(members), counters


def render_instances(
    renderer: Renderer,
    outputs: list[BinaryIO],
    num_workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Write every instance to its output, and return the counts by bucket, shape [buckets, len(RenderCount)].

    `progress` gets instance counts.
    """
    totals = np.zeros((len(renderer.bucket_lengths), len(RenderCount)), np.int64)
    results = map_in_order(renderer, renderer.jobs(), num_workers)
    for (output, _), (records, counters) in zip(renderer.jobs(), results, strict=True):
        outputs[output].write(records)
        totals += counters
        if progress is not None:
            progress(int(counters[:, RenderCount.INSTANCES].sum()))
    return totals


def bucket_predictions(length: int, masked_lm_prob: float, max_predictions_per_seq: int) -> int:
    """Return how many predictions the records of a bucket have: no instance in it has a larger quota."""
    quota = max(1, math.ceil(round(length * masked_lm_prob, 6)))  # 0.07 * 100 is 7.000000000000001
    return min(max_predictions_per_seq, quota)


def gather_segments(tokens: np.ndarray, planned: np.ndarray, segments: np.ndarray) -> None:
    """Fill `segments`, shape [len(planned), max_seq_length], with tokens: A from column 1, a free column, then B.

    It copies tokens in the order of the store, so that it reads a store larger than memory in sweeps.
    """
    a_length = planned["a_length"].astype(np.int64)
    starts = np.concatenate([planned["a_start"], planned["b_start"]])
    lengths = np.concatenate([a_length, planned["b_length"]])
    columns = np.concatenate([np.ones_like(a_length), a_length + 2])
    by_place = np.argsort(starts, kind="stable")
    runs = window_slices(tokens, starts[by_place])
    for run in runs:
        copy_segments(tokens, by_place[run], starts, lengths, columns, segments)
        if len(runs) > 1:
            release_pages(tokens)


@kernel
def copy_segments(tokens, chosen, starts, lengths, columns, segments):
    """Copy the chosen token ranges, which are first all segments A and then all segments B, to their rows."""
    for number in chosen:
        row, column, start = number % len(segments), columns[number], starts[number]
        for index in range(lengths[number]):
            segments[row, column + index] = tokens[start + index]


@kernel
def render_records(instances, settings, constants, out, counters):
    """Mask and encode instances into `out`, and return the number of bytes.

    `instances` are their tokens (see `gather_segments`), their token ranges, and their numbers, which seed the masks.
    """
    segments, planned, numbers = instances
    max_seq_length = segments.shape[1]
    state = np.zeros(1, np.uint64)
    ids = np.zeros(max_seq_length, np.int64)
    starts_word = np.zeros(max_seq_length, np.bool_)
    fates = np.zeros(max_seq_length, np.uint8)
    groups = np.zeros((2, max_seq_length + 1), np.int64)
    predictions = np.zeros((2, max_seq_length + 1), np.int64)
    end = 0
    for row in range(len(planned)):
        a_length, b_length = np.int64(planned[row]["a_length"]), np.int64(planned[row]["b_length"])
        is_random_next = np.int64(planned[row]["is_random_next"])
        length = lay_out(segments[row], a_length, b_length, settings, constants, ids, starts_word)
        start_stream(state, settings.random_seed, Stream.MASK, numbers[row])
        quota = num_predictions(length, settings.masked_lm_prob, settings.max_predictions_per_seq)
        num_groups = find_groups(starts_word, a_length, b_length, settings.do_whole_word_mask, groups[0], groups[1])
        if not settings.next_sentence:
            num_groups = drop_separators(ids, constants.sep_id, num_groups, groups[0], groups[1])
        choose_groups(num_groups, groups[0], groups[1], quota, state, fates)
        count = mask_tokens(
            ids, length, fates, constants.mask_id, constants.replacement_ids, state, predictions[0], predictions[1]
        )
        bucket = 0
        while constants.bucket_lengths[bucket] < length:  # compiled code with np.searchsorted imports SciPy: 0.15 s
            bucket += 1
        padded = constants.bucket_lengths[bucket]
        count_instance(counters[bucket], ids, length, predictions, count, constants.mask_id, is_random_next)
        body = write_example(
            out,
            end + writing.FRAME_HEAD,
            constants.names,
            (ids[:padded], length, a_length + 2, b_length + 1 if settings.next_sentence else 0),
            (predictions, count, constants.bucket_predictions[bucket]),
            (settings.next_sentence, is_random_next),
        )
        end = writing.frame_record(out, end, body, constants.tables)
    return end


@kernel
def lay_out(segments, a_length, b_length, settings, constants, ids, starts_word):
    """Fill `ids` with [CLS] A [SEP] B [SEP], or [CLS] A [SEP], and `starts_word`. Return the length."""
    length = a_length + b_length + (NUM_SPECIAL_PAIR if settings.next_sentence else NUM_SPECIAL_SINGLE)
    for position in range(length):
        token = np.int64(segments[position])
        ids[position] = token & (constants.word_start_bit - 1)
        starts_word[position] = token & constants.word_start_bit != 0
    ids[0] = constants.cls_id
    ids[a_length + 1] = constants.sep_id
    ids[length - 1] = constants.sep_id
    return length


@kernel
def write_example(out, start, names, segments, predictions, next_sentence):
    """Write one serialized tf.train.Example at `start`, and return its end."""
    ids, length, segment_a, segment_b = segments
    (positions, labels), count, max_predictions_per_seq = predictions
    has_label, is_random_next = next_sentence
    padded = len(ids)
    max_size = writing.max_record_bytes(padded, max_predictions_per_seq, MAX_VOCAB_SIZE)
    features = start + 1 + writing.varint_size(max_size)
    end = writing.write_int64s(out, features, names[0], ids, length, padded)
    end = writing.write_run(out, end, names[1], 0, length, padded)
    end = writing.write_run(out, end, names[2], segment_a, segment_b, padded)
    end = writing.write_int64s(out, end, names[3], positions, count, max_predictions_per_seq)
    end = writing.write_int64s(out, end, names[4], labels, count, max_predictions_per_seq)
    end = writing.write_weights(out, end, names[5], count, max_predictions_per_seq)
    if has_label:
        end = writing.write_run(out, end, names[6], 0, is_random_next, 1)
    return writing.write_example_head(out, start, features, end)


@kernel
def count_instance(counters, ids, length, predictions, count, mask_id, is_random_next):
    """Add one masked instance to the counters."""
    positions, labels = predictions
    counters[RenderCount.INSTANCES] += 1
    counters[RenderCount.TOKENS] += length
    counters[RenderCount.MASKED_TOKENS] += count
    counters[RenderCount.RANDOM_NEXT] += is_random_next
    counters[RenderCount.WITHOUT_PREDICTIONS] += count == 0
    for index in range(count):
        counters[RenderCount.MASK_TOKENS] += ids[positions[index]] == mask_id
        counters[RenderCount.KEPT_TOKENS] += ids[positions[index]] == labels[index]

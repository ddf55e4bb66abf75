"""TFRecords -> instances in arrays, without their padding. It reads the files of `create_pretraining_data.py`.

It also reads files of other tools: v1 or v2 feature names, any order of features, plain or gzip.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.tfrecord.examples import count_varints, find_features, read_varint
from japanese_bert.tfrecord.streaming import Records, RecordStream, has_checksum
from japanese_bert.tfrecord.writing import FEATURE_FLOAT_LIST, FEATURE_INT64_LIST, encode_names, feature_names

BLOCK_INSTANCES = 8192
NO_LABEL = -1
# The rows of `find_features`: the v2 names, then those that v1 calls otherwise.
IDS, INPUT_MASK, SEGMENTS, POSITIONS, LABELS, WEIGHTS, NEXT_SENTENCE, V1_IDS, V1_SEGMENTS = range(9)
NAMES = (*feature_names(True), *feature_names(False)[0:3:2])
MAX_ID = (1 << 31) - 1


class Fault(IntEnum):
    """Why a record holds no instance."""

    NONE = 0
    CHECKSUM = 1
    NO_EXAMPLE = 2
    MISSING = 3
    SEQUENCE_LENGTHS = 4
    PREDICTION_LENGTHS = 5
    INPUT_MASK = 6
    ID = 7
    SEGMENT = 8
    POSITION = 9


PROBLEMS = {
    Fault.CHECKSUM: "checksum of the data differs",
    Fault.NO_EXAMPLE: "no tf.train.Example. Expected TFRecords of create_pretraining_data.py",
    Fault.MISSING: "no pretraining data. Expected the features " + ", ".join(NAMES[:6]) + " or their v1 names",
    Fault.SEQUENCE_LENGTHS: "ids, segments and input_mask differ in length",
    Fault.PREDICTION_LENGTHS: "masked_lm_positions, masked_lm_ids and masked_lm_weights differ in length",
    Fault.INPUT_MASK: "input_mask is not ones for the tokens and then zeros for the padding",
    Fault.ID: f"a token id is negative or above {MAX_ID}",
    Fault.SEGMENT: "a segment or next sentence label is not 0 or 1",
    Fault.POSITION: "masked_lm_positions has a position that is no token",
}


@dataclass(frozen=True, slots=True)
class InstanceBlock:
    """Some instances, one after the other. Instance i has the tokens [offsets[i], offsets[i + 1]).

    Its predictions are [prediction_offsets[i], prediction_offsets[i + 1]). Positions count from its own [CLS].
    `seq_lengths` and `prediction_slots` are what it takes in the file, padding included.
    """

    token_ids: np.ndarray  # int32 [tokens]
    segment_ids: np.ndarray  # uint8 [tokens]
    offsets: np.ndarray  # int64 [instances + 1]
    positions: np.ndarray  # int32 [predictions]
    labels: np.ndarray  # int32 [predictions]
    prediction_offsets: np.ndarray  # int64 [instances + 1]
    next_sentence_labels: np.ndarray  # int8 [instances]: 1 for a random next sentence, NO_LABEL without a label
    seq_lengths: np.ndarray  # int32 [instances]
    prediction_slots: np.ndarray  # int32 [instances]

    def __len__(self) -> int:
        return len(self.seq_lengths)

    @property
    def lengths(self) -> np.ndarray:
        """Return the number of tokens of each instance."""
        return np.diff(self.offsets)


class _Buffers(NamedTuple):
    """The arrays of an InstanceBlock in its order, while they are filled."""

    token_ids: np.ndarray
    segment_ids: np.ndarray
    offsets: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    prediction_offsets: np.ndarray
    next_sentence_labels: np.ndarray
    seq_lengths: np.ndarray
    prediction_slots: np.ndarray


class InstanceReader(RecordStream):
    """The instances of one file, read from its start to its end."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._names = encode_names(NAMES)

    def read_instances(self, count: int, is_wanted: np.ndarray | None = None) -> InstanceBlock:
        """Return the wanted ones of the next `count` instances, or of fewer at the end of the file.

        Raises:
            ValueError: the file is truncated or damaged, or holds other data.
        """
        blocks = []
        end = self.position + count
        while self.position < end:
            records = self.read(end - self.position)
            if not len(records.starts):
                break
            numbers = np.arange(len(records.starts))
            if is_wanted is not None:
                numbers = np.flatnonzero(is_wanted[records.first - end + count :][: len(numbers)])
            blocks.append(self._decode(records, numbers))
        return concatenate(blocks)

    def _decode(self, records: Records, numbers: np.ndarray) -> InstanceBlock:
        starts, ends = records.starts[numbers], records.ends[numbers]
        num_bytes = int((ends - starts).sum())
        buffers = empty_buffers(num_bytes // 3, num_bytes // 6, len(numbers))  # the fewest bytes that each one takes
        done, fault = decode_instances(records.data, starts, ends, self._names, self.tables, buffers)
        if fault:
            raise self.error(records.first + int(numbers[done]), PROBLEMS[Fault(fault)])
        num_tokens, num_predictions = int(buffers.offsets[-1]), int(buffers.prediction_offsets[-1])
        return InstanceBlock(
            buffers.token_ids[:num_tokens],
            buffers.segment_ids[:num_tokens],
            buffers.offsets,
            buffers.positions[:num_predictions],
            buffers.labels[:num_predictions],
            *buffers[5:],
        )


def read_instance_blocks(path: str, block_instances: int = BLOCK_INSTANCES) -> Iterator[InstanceBlock]:
    """Yield the instances of a file in blocks. See `InstanceReader.read_instances`."""
    with InstanceReader(path) as reader:
        while len(block := reader.read_instances(block_instances)):
            yield block


def concatenate(blocks: Sequence[InstanceBlock]) -> InstanceBlock:
    """Return the instances of all blocks as one block."""
    if len(blocks) == 1:
        return blocks[0]
    blocks = blocks or [InstanceBlock(*empty_buffers(0, 0, 0))]
    joined = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in InstanceBlock.__slots__}
    for name in ("offsets", "prediction_offsets"):
        counts = [np.diff(getattr(block, name)) for block in blocks]
        joined[name] = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return InstanceBlock(**joined)


def select_instances(block: InstanceBlock, rows: np.ndarray) -> InstanceBlock:
    """Return some instances of a block in the order of `rows`."""
    offsets, prediction_offsets = (
        np.concatenate([[0], np.cumsum(np.diff(found)[rows])]) for found in (block.offsets, block.prediction_offsets)
    )
    return InstanceBlock(
        gather(block.token_ids, block.offsets, rows, offsets),
        gather(block.segment_ids, block.offsets, rows, offsets),
        offsets,
        gather(block.positions, block.prediction_offsets, rows, prediction_offsets),
        gather(block.labels, block.prediction_offsets, rows, prediction_offsets),
        prediction_offsets,
        block.next_sentence_labels[rows],
        block.seq_lengths[rows],
        block.prediction_slots[rows],
    )


@kernel
def gather(values, offsets, rows, new_offsets):
    """Return the values of some rows, which begin at their offsets."""
    out = np.empty(new_offsets[-1], values.dtype)
    for index in range(len(rows)):
        start, end = offsets[rows[index]], offsets[rows[index] + 1]
        out[new_offsets[index] : new_offsets[index + 1]] = values[start:end]
    return out


def empty_buffers(num_tokens: int, num_predictions: int, num_instances: int) -> _Buffers:
    """Return arrays to fill. The offsets are zeros."""
    return _Buffers(
        np.empty(num_tokens, np.int32),
        np.empty(num_tokens, np.uint8),
        np.zeros(num_instances + 1, np.int64),
        np.empty(num_predictions, np.int32),
        np.empty(num_predictions, np.int32),
        np.zeros(num_instances + 1, np.int64),
        np.empty(num_instances, np.int8),
        np.empty(num_instances, np.int32),
        np.empty(num_instances, np.int32),
    )


@kernel
def decode_instances(data, starts, ends, names, tables, out):
    """Fill `out` with the instances of serialized Examples. Return how many were decoded, and the fault after them."""
    spans = np.zeros((len(names), 3), np.int64)
    for row in range(len(starts)):
        fault = find_example(data, starts[row], ends[row], names, tables, spans)
        if fault == Fault.NONE:
            fault = choose_names(spans)
        if fault == Fault.NONE:
            fault = decode_tokens(data, spans, row, out)
        if fault == Fault.NONE:
            fault = decode_predictions(data, spans, row, out)
        if fault == Fault.NONE:
            fault = decode_next_sentence(data, spans[NEXT_SENTENCE], row, out)
        if fault != Fault.NONE:
            return row, fault
    return len(starts), np.int64(Fault.NONE)


@kernel
def find_example(data, start, end, names, tables, spans):
    """Check one record and fill `spans` as `find_features` does. Return a fault or NONE."""
    if not has_checksum(data, start, end, tables):
        return np.int64(Fault.CHECKSUM)
    is_example = find_features(data, start, end, names, spans)
    return np.int64(Fault.NONE if is_example else Fault.NO_EXAMPLE)


@kernel
def choose_names(spans):
    """Move the features with v1 names to the rows of v2 names, unless those are there. Return a fault or NONE."""
    if spans[IDS, 0] == 0:
        spans[IDS] = spans[V1_IDS]
    if spans[SEGMENTS, 0] == 0:
        spans[SEGMENTS] = spans[V1_SEGMENTS]
    for row in range(WEIGHTS + 1):
        if spans[row, 0] != (FEATURE_FLOAT_LIST if row == WEIGHTS else FEATURE_INT64_LIST):
            return np.int64(Fault.MISSING)
    return np.int64(Fault.NONE)


@kernel
def decode_tokens(data, spans, row, out):
    """Add ids and segments of one instance. Return a fault or NONE."""
    (_, ids, ids_end), (_, mask, mask_end), (_, segments, segments_end) = spans[IDS], spans[INPUT_MASK], spans[SEGMENTS]
    length = 0
    while mask + length < mask_end and data[mask + length] == 1:
        length += 1
    for position in range(mask + length, mask_end):
        if data[position] != 0:
            return np.int64(Fault.INPUT_MASK)
    if length == 0:
        return np.int64(Fault.INPUT_MASK)
    padded = mask_end - mask
    if count_varints(data, ids, ids_end) != padded or count_varints(data, segments, segments_end) != padded:
        return np.int64(Fault.SEQUENCE_LENGTHS)
    first = out.offsets[row]
    for index in range(first, first + length):
        value, ids = read_varint(data, ids, ids_end)
        if value < 0 or value > MAX_ID:
            return np.int64(Fault.ID)
        segment = data[segments]
        if segment > 1:
            return np.int64(Fault.SEGMENT)
        segments += 1
        out.token_ids[index] = value
        out.segment_ids[index] = segment
    out.offsets[row + 1] = first + length
    out.seq_lengths[row] = padded
    return np.int64(Fault.NONE)


@kernel
def decode_predictions(data, spans, row, out):
    """Add the predictions of one instance whose weight is not 0. Return a fault or NONE."""
    (_, positions, positions_end), (_, labels, labels_end) = spans[POSITIONS], spans[LABELS]
    _, weights, weights_end = spans[WEIGHTS]
    slots = (weights_end - weights) // 4
    if count_varints(data, positions, positions_end) != slots or count_varints(data, labels, labels_end) != slots:
        return np.int64(Fault.PREDICTION_LENGTHS)
    length = out.offsets[row + 1] - out.offsets[row]
    end = out.prediction_offsets[row]
    for slot in range(slots):
        position, positions = read_varint(data, positions, positions_end)
        label, labels = read_varint(data, labels, labels_end)
        weight = data[weights + 4 * slot : weights + 4 * slot + 4]
        if not weight.any():
            continue
        if position < 0 or position >= length:
            return np.int64(Fault.POSITION)
        if label < 0 or label > MAX_ID:
            return np.int64(Fault.ID)
        out.positions[end], out.labels[end] = position, label
        end += 1
    out.prediction_offsets[row + 1] = end
    out.prediction_slots[row] = slots
    return np.int64(Fault.NONE)


@kernel
def decode_next_sentence(data, span, row, out):
    """Add the next sentence label of one instance, or NO_LABEL. Return a fault or NONE."""
    out.next_sentence_labels[row] = NO_LABEL
    if span[0] == 0:
        return np.int64(Fault.NONE)
    if span[0] != FEATURE_INT64_LIST or span[2] - span[1] != 1 or data[span[1]] > 1:
        return np.int64(Fault.SEGMENT)
    out.next_sentence_labels[row] = data[span[1]]
    return np.int64(Fault.NONE)

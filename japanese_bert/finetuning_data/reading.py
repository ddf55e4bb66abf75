"""TFRecords for fine-tuning -> instances in arrays, without their padding, and their labels.

It reads classes and scores (`bert/sentence_prediction`: `label_ids` or `label_real_ids`) and answers of question
answering (`start_positions` and `end_positions`), of this project and of other tools.
"""

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.pretraining_data.reading import (
    IDS,
    NAMES,
    NO_LABEL,
    PROBLEMS,
    SEGMENTS,
    Fault,
    InstanceBlock,
    InstanceReader,
    decode_tokens,
    empty_buffers,
    find_example,
)
from japanese_bert.tfrecord.examples import read_varint
from japanese_bert.tfrecord.streaming import Records
from japanese_bert.tfrecord.writing import FEATURE_FLOAT_LIST, FEATURE_INT64_LIST, encode_names

LABEL_NAMES = ("label_ids", "label_real_ids", "start_positions", "end_positions")
V1_NAMES = ("input_ids", "segment_ids")  # as in NAMES
NUM_TOKEN_NAMES = 3
FIRST_V1, FIRST_LABEL = NUM_TOKEN_NAMES, NUM_TOKEN_NAMES + len(V1_NAMES)


class LabelledReader(InstanceReader):
    """The instances of one file, read from its start to its end. They have no predictions.

    `labels` are those of the last block, float64 [instances, 4]: a column for each name, NaN without a value.
    """

    labels = np.empty((0, len(LABEL_NAMES)))

    def read_instances(self, count: int, is_wanted: np.ndarray | None = None) -> InstanceBlock:
        """Return the next instances. See `InstanceReader.read_instances`."""
        self._parts = [np.empty((0, len(LABEL_NAMES)))]
        block = super().read_instances(count, is_wanted)
        self.labels = np.concatenate(self._parts)
        return block

    def _decode(self, records: Records, numbers: np.ndarray) -> InstanceBlock:
        starts, ends = records.starts[numbers], records.ends[numbers]
        buffers = empty_buffers(int((ends - starts).sum()) // 3, 0, len(numbers))
        buffers.next_sentence_labels[:] = NO_LABEL
        buffers.prediction_slots[:] = 0
        labels = np.full((len(numbers), len(LABEL_NAMES)), np.nan)
        names = encode_names((*NAMES[:NUM_TOKEN_NAMES], *V1_NAMES, *LABEL_NAMES))
        done, fault = decode_labelled(records.data, starts, ends, names, self.tables, buffers, labels)
        if fault:
            raise self.error(records.first + int(numbers[done]), PROBLEMS[Fault(fault)])
        self._parts.append(labels)
        num_tokens = int(buffers.offsets[-1])
        return InstanceBlock(buffers.token_ids[:num_tokens], buffers.segment_ids[:num_tokens], *buffers[2:])


@kernel
def decode_labelled(data, starts, ends, names, tables, out, labels):
    """Fill `out` and `labels`. Return how many instances were decoded, and the fault after them."""
    spans = np.zeros((len(names), 3), np.int64)
    for row in range(len(starts)):
        fault = find_example(data, starts[row], ends[row], names, tables, spans)
        if fault != Fault.NONE:
            return row, fault
        for new, old in ((IDS, FIRST_V1), (SEGMENTS, FIRST_V1 + 1)):
            if spans[new, 0] == 0:
                spans[new] = spans[old]
        for feature in range(NUM_TOKEN_NAMES):
            if spans[feature, 0] != FEATURE_INT64_LIST:
                return row, np.int64(Fault.MISSING)
        fault = decode_tokens(data, spans, row, out)
        if fault != Fault.NONE:
            return row, fault
        for column in range(labels.shape[1]):
            decode_label(data, spans[FIRST_LABEL + column], labels[row], column)
    return len(starts), np.int64(Fault.NONE)


@kernel
def decode_label(data, span, labels, column):
    """Put the one number of a feature into its column. The tags of a sentence are many, and are left out."""
    kind, start, end = span
    if kind == FEATURE_FLOAT_LIST and end - start == 4:
        labels[column] = data[start:end].copy().view(np.float32)[0]
    elif kind == FEATURE_INT64_LIST and start < end:
        value, stop = read_varint(data, start, end)
        if stop == end:
            labels[column] = value

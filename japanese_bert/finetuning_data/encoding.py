"""Texts with labels -> `tf.train.Example` records of Model Garden's `bert/sentence_prediction`.

The features are `input_ids`, `input_mask`, `segment_ids` (its loader knows no other names), `label_ids`, and
`example_id`, the number of the example. The ids are `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, cut to `max_seq_length`
like transformers' tokenizers with `truncation=True`: the longer text first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.corpus.lines import drop_nuls
from japanese_bert.finetuning_data.labelled_texts import LabelledText
from japanese_bert.tfrecord import crc32c, writing
from japanese_bert.tokenization.arguments import DataTokenizer
from japanese_bert.tokenization.vocab import CLS, SEP, UNK

Item = TypeVar("Item")
FEATURES = ("input_ids", "input_mask", "segment_ids", "label_ids", "example_id")


def truncate_longest_first(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Return both texts cut at the end to `room` tokens in all: first the longer one, then both in turn.

    >>> truncate_longest_first([1, 2, 3, 4], [5, 6], 3)
    ([1, 2], [5])
    """
    surplus = max(0, len(first) + len(second) - room)
    alone = min(abs(len(first) - len(second)), surplus)
    both = surplus - alone
    from_first, from_second = both // 2, both - both // 2
    if len(first) > len(second):
        from_first += alone
    else:
        from_second += alone
    return first[: len(first) - from_first], second[: len(second) - from_second]


@dataclass(slots=True)
class Encoder:
    """The way from an example to its ids and the length of its first segment.

    `counts` and `labels` are those of all examples so far.
    """

    tokenizer: DataTokenizer
    max_seq_length: int
    counts: Counter[str] = field(default_factory=Counter)
    labels: list[int | float] = field(default_factory=list)

    def __call__(self, example: LabelledText) -> tuple[list[int], int]:
        texts = [self.tokenize(text) for text in example.texts]
        room = self.max_seq_length - 1 - len(texts)
        first, second = truncate_longest_first(texts[0], texts[1] if len(texts) == 2 else [], room)
        cls, sep, unknown = (self.tokenizer.vocab.ids[token] for token in (CLS, SEP, UNK))
        ids = [cls, *first, sep, *([*second, sep] if len(texts) == 2 else [])]
        self.labels.append(example.label)
        self.counts["instances"] += 1
        self.counts["tokens"] += len(ids)
        self.counts["unknown_tokens"] += ids.count(unknown)
        self.counts["instances_cut"] += sum(map(len, texts)) > room
        return ids, len(first) + 2

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of one text."""
        text, num_nuls = drop_nuls(text)
        ids = self.tokenizer.encode(text)
        self.counts["nul_characters"] += num_nuls
        self.counts["texts_without_tokens"] += not ids
        return ids


def render_examples(examples: Iterable[LabelledText], encoder: Encoder, gzip_compress: bool) -> Iterator[bytes]:
    """Yield the framed records of all examples, in pieces to be written one after another."""
    names, tables = writing.encode_names(FEATURES), crc32c.make_tables()
    record_bytes = writing.max_record_bytes(encoder.max_seq_length, 0, len(encoder.tokenizer.vocab))

    def write(example: LabelledText, number: int, out: np.ndarray, start: int) -> int:
        ids, first_length = encoder(example)
        lengths = (first_length, encoder.max_seq_length)
        label = (float(example.label), isinstance(example.label, float))
        return write_labelled_record(out, start, names, np.array(ids, np.int64), lengths, label, number, tables)

    return gather_records(examples, write, record_bytes, gzip_compress)


def gather_records(
    items: Iterable[Item], write: Callable[[Item, int, np.ndarray, int], int], record_bytes: int, gzip_compress: bool
) -> Iterator[bytes]:
    """Yield the records of all items, in pieces to be written one after another.

    `write` puts the record of an item with its number at a place of the buffer, and returns its end.
    """
    out = np.empty(writing.RECORDS_PER_MEMBER * record_bytes, np.uint8)
    end = 0
    for number, item in enumerate(items):
        end = write(item, number, out, end)
        if (number + 1) % writing.RECORDS_PER_MEMBER == 0:
            yield _piece(out[:end], gzip_compress)
            end = 0
    if end:
        yield _piece(out[:end], gzip_compress)


def _piece(records: np.ndarray, gzip_compress: bool) -> bytes:
    """Return the records as bytes of the file: as they are, or as one gzip member."""
    return writing.compress_member(records.data) if gzip_compress else records.tobytes()


@kernel
def write_labelled_record(out, start, names, ids, lengths, label, number, tables):
    """Write the framed record of one example at `start`, and return its end."""
    first_length, max_seq_length = lengths
    value, is_score = label
    length = len(ids)
    example = start + writing.FRAME_HEAD
    features = example + writing.EXAMPLE_HEAD
    end = writing.write_int64s(out, features, names[0], ids, length, max_seq_length)
    end = writing.write_run(out, end, names[1], 0, length, max_seq_length)
    end = writing.write_run(out, end, names[2], first_length, length - first_length, max_seq_length)
    end = (
        writing.write_float(out, end, names[3], value)
        if is_score
        else writing.write_int64(out, end, names[3], np.int64(value))
    )
    end = writing.write_int64(out, end, names[4], number)
    return writing.frame_record(out, start, writing.write_example_head(out, example, features, end), tables)

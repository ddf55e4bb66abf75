"""Texts with labels -> `tf.train.Example` records of Model Garden's `bert/sentence_prediction`.

Features: `input_ids`, `input_mask`, `segment_ids` (its loader knows no other names), `label_ids`, and `example_id`,
the number of the example. `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, cut to `max_seq_length` as transformers'
tokenizers cut with `truncation=True`: the longer text first.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from japanese_bert.finetuning_data.labelled_texts import LabelledText
from japanese_bert.tfrecord import crc32c, writing
from japanese_bert.tokenization.vocab import CLS, SEP, UNK, Vocab
from japanese_bert.tokenization.words import WordSplitter

FEATURES = ("input_ids", "input_mask", "segment_ids", "label_ids")
RECORDS_PER_MEMBER = 1024  # of a gzip file; another number alters the bytes


def truncate_pair(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both cut at the end to `room` tokens together: the longer one down to the other, then both in turn.

    >>> truncate_pair([1, 2, 3, 4], [5, 6], 3)
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
    """An example -> its ids and the length of the first segment. `counts` adds up over all examples."""

    splitter: WordSplitter
    encode_word: Callable[[str], list[int]]
    vocab: Vocab
    max_seq_length: int
    counts: Counter = field(default_factory=Counter)

    def __call__(self, example: LabelledText) -> tuple[list[int], int]:
        texts = [self.tokenize(text) for text in example.texts]
        room = self.max_seq_length - 1 - len(texts)
        first, second = truncate_pair(texts[0], texts[1] if len(texts) == 2 else [], room)
        cls, sep, unknown = (self.vocab.ids[token] for token in (CLS, SEP, UNK))
        ids = [cls, *first, sep, *([*second, sep] if len(texts) == 2 else [])]
        self.counts["instances"] += 1
        self.counts["tokens"] += len(ids)
        self.counts["unknown_tokens"] += ids.count(unknown)
        self.counts["instances_cut"] += sum(map(len, texts)) > room
        return ids, len(first) + 2

    def tokenize(self, text: str) -> list[int]:
        self.counts["nul_characters"] += text.count("\0")
        ids = [piece for word in self.splitter.split(text.replace("\0", "")) for piece in self.encode_word(word)]
        self.counts["texts_without_tokens"] += not ids
        return ids


def render_examples(examples: Iterable[LabelledText], encoder: Encoder, gzip_compress: bool) -> Iterator[bytes]:
    """Framed records of all examples, in pieces to be written one after another."""
    tables = crc32c.make_tables()
    records: list[bytes] = []
    for number, example in enumerate(examples):
        ids, first_length = encoder(example)
        record = encode_example(ids, first_length, encoder.max_seq_length, example.label, number)
        records.append(frame(record, tables))
        if len(records) == RECORDS_PER_MEMBER:
            yield _piece(records, gzip_compress)
            records.clear()
    if records:
        yield _piece(records, gzip_compress)


def _piece(records: list[bytes], gzip_compress: bool) -> bytes:
    joined = b"".join(records)
    return writing.compress_member(joined) if gzip_compress else joined


def encode_example(ids: list[int], first_length: int, max_seq_length: int, label: int | float, number: int) -> bytes:
    """A serialized tf.train.Example, padded to `max_seq_length`."""
    padding = max_seq_length - len(ids)
    values = (
        b"".join(map(varint, ids)) + bytes(padding),
        bytes([1]) * len(ids) + bytes(padding),
        bytes(first_length) + bytes([1]) * (len(ids) - first_length) + bytes(padding),
    )
    entries = [_int64_entry(name, packed) for name, packed in zip(FEATURES, values, strict=False)]
    if isinstance(label, float):
        entries.append(_entry(FEATURES[3], writing.FEATURE_FLOAT_LIST, struct.pack("<f", label)))
    else:
        entries.append(_int64_entry(FEATURES[3], varint(label)))
    entries.append(_int64_entry("example_id", varint(number)))
    return _with_length(writing.EXAMPLE_FEATURES, b"".join(entries))


def frame(record: bytes, tables: np.ndarray) -> bytes:
    """The record as a TFRecord file holds it: length, data, and a checksum behind each."""
    out = np.empty(len(record) + writing.FRAME_BYTES, np.uint8)
    out[12 : 12 + len(record)] = np.frombuffer(record, np.uint8)
    writing.frame_record(out, 0, 12 + len(record), tables)
    return out.tobytes()


@cache
def varint(value: int) -> bytes:
    head = []
    while value >= 128:
        head.append((value & 127) | 128)
        value >>= 7
    return bytes([*head, value])


def _int64_entry(name: str, packed: bytes) -> bytes:
    return _entry(name, writing.FEATURE_INT64_LIST, packed)


def _entry(name: str, list_tag: int, packed: bytes) -> bytes:
    """One map entry of Features."""
    feature = _with_length(list_tag, _with_length(writing.LIST_VALUES, packed))
    key = _with_length(writing.ENTRY_KEY, name.encode("ascii"))
    return _with_length(writing.FEATURES_ENTRY, key + _with_length(writing.ENTRY_VALUE, feature))


def _with_length(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + varint(len(content)) + content

"""Tagged sentences -> `tf.train.Example` records of Model Garden's `bert/tagging`.

Each word is tokenized by itself. Its first token has its tag. All other tokens have -1, which no loss counts. A word
without tokens is one unknown token, so that each word has a prediction. A sentence that is too long is cut between
words. Its parts are records with one `sentence_id`, and `sub_sentence_id` numbers them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.corpus.lines import drop_nuls
from japanese_bert.finetuning_data.encoding import FEATURES, gather_records
from japanese_bert.finetuning_data.tagged_sentences import TaggedSentence
from japanese_bert.tfrecord import crc32c, writing
from japanese_bert.tokenization.arguments import DataTokenizer
from japanese_bert.tokenization.vocab import CLS, SEP, UNK

NO_TAG = -1
TAG_FEATURES = (*FEATURES[:4], "sentence_id", "sub_sentence_id")


class TaggedPart(NamedTuple):
    """The tokens of a sentence, or of a part of it, with their tags."""

    ids: list[int]
    tags: list[int]
    sentence: int
    number: int


def encode_sentences(
    sentences: Iterable[TaggedSentence], tokenizer: DataTokenizer, max_seq_length: int, counts: Counter[str]
) -> Iterator[TaggedPart]:
    """Yield all parts of all sentences in order. Add to `counts`."""
    cls, sep, unknown = (tokenizer.vocab.ids[token] for token in (CLS, SEP, UNK))
    for index, sentence in enumerate(sentences):
        part = TaggedPart([cls], [NO_TAG], index, 0)
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            ids = tokenizer.encode(drop_nuls(word)[0]) or [unknown]
            counts["tokens_cut"] += max(0, len(ids) - max_seq_length + 2)
            ids = ids[: max_seq_length - 2]
            if len(part.ids) + len(ids) >= max_seq_length:
                yield _ended(part, sep)
                part = TaggedPart([cls], [NO_TAG], index, part.number + 1)
            part.ids.extend(ids)
            part.tags.extend([tag, *[NO_TAG] * (len(ids) - 1)])
            counts["words"] += 1
        counts["sentences"] += 1
        counts["sentences_cut"] += part.number > 0
        yield _ended(part, sep)


def _ended(part: TaggedPart, sep: int) -> TaggedPart:
    part.ids.append(sep)
    part.tags.append(NO_TAG)
    return part


def render_sentences(
    sentences: Iterable[TaggedSentence],
    tokenizer: DataTokenizer,
    max_seq_length: int,
    gzip_compress: bool,
    counts: Counter[str],
) -> Iterator[bytes]:
    """Yield the framed records of all sentences, in pieces to be written one after another. Add to `counts`."""
    names, tables = writing.encode_names(TAG_FEATURES), crc32c.make_tables()
    unknown = tokenizer.vocab.ids[UNK]
    size = writing.max_record_bytes(max_seq_length, 0, len(tokenizer.vocab)) + 10 * max_seq_length

    def write(part: TaggedPart, _: int, out: np.ndarray, start: int) -> int:
        counts.update(instances=1, tokens=len(part.ids), unknown_tokens=part.ids.count(unknown))
        tags = np.full(max_seq_length, NO_TAG)
        tags[: len(part.tags)] = part.tags
        numbers = np.array([part.sentence, part.number])
        return write_tagged_record(out, start, names, np.array(part.ids), tags, numbers, tables)

    return gather_records(encode_sentences(sentences, tokenizer, max_seq_length, counts), write, size, gzip_compress)


@kernel
def write_tagged_record(out, start, names, ids, tags, numbers, tables):
    """Write the framed record of one part at `start`, and return its end."""
    length, max_seq_length = len(ids), len(tags)
    example = start + writing.FRAME_HEAD
    features = example + writing.EXAMPLE_HEAD
    end = writing.write_int64s(out, features, names[0], ids, length, max_seq_length)
    end = writing.write_run(out, end, names[1], 0, length, max_seq_length)
    end = writing.write_run(out, end, names[2], 0, 0, max_seq_length)
    end = write_tags(out, end, names[3], tags)
    for index in range(len(numbers)):
        end = writing.write_int64(out, end, names[4 + index], numbers[index])
    return writing.frame_record(out, start, writing.write_example_head(out, example, features, end), tables)


@kernel
def write_tags(out, position, name, tags):
    """Write an int64 feature whose values may be -1, which takes ten bytes."""
    size = 0
    for tag in tags:
        size += 10 if tag < 0 else writing.varint_size(tag)
    position = writing.write_entry_start(out, position, name, writing.FEATURE_INT64_LIST, size)
    for tag in tags:
        if tag < 0:
            out[position : position + 9] = 255
            out[position + 9] = 1
            position += 10
        else:
            position = writing.write_varint(out, position, tag)
    return position

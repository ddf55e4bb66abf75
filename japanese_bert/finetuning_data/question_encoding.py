"""Questions with paragraphs -> `tf.train.Example` records of Model Garden's `bert/squad`, one for each window.

Its loader reads `input_ids`, `input_mask`, `segment_ids`, `start_positions`, `end_positions` and `unique_ids`. A window
without the answer has the positions 0 and 0. The other features lead back to text: `example_id` is the number of the
question, `window_start` the number of the window's first token in the paragraph, `token_starts` and `token_ends` are
characters of the paragraph.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace

import numpy as np

from japanese_bert.compiled.kernels import kernel
from japanese_bert.finetuning_data import squad
from japanese_bert.finetuning_data.encoding import gather_records
from japanese_bert.finetuning_data.questions import Example
from japanese_bert.tfrecord import crc32c, writing
from japanese_bert.tokenization.arguments import DataTokenizer
from japanese_bert.tokenization.offsets import Token, tokenize_with_offsets
from japanese_bert.tokenization.vocab import CLS, SEP, UNK, Vocab

TOKEN_FEATURES = ("input_ids", "input_mask", "segment_ids", "token_starts", "token_ends")
NUMBERS = ("start_positions", "end_positions", "unique_ids", "example_id", "window_start")
CACHED_PARAGRAPHS = 64  # the questions of a paragraph follow one another


def template_of(vocab: Vocab) -> squad.PairTemplate:
    """Return the template of `[CLS] question [SEP] paragraph [SEP]`."""
    cls, sep = vocab.ids[CLS], vocab.ids[SEP]
    return squad.PairTemplate([cls, 0, sep, 0, sep], [0, 0, 0, 1, 1], squad.TokenSpan(1, 2), squad.TokenSpan(3, 4))


class ParagraphTokenizer:
    """The tokens of a paragraph with their characters. A `[SEP]` in it, as in JSQuAD's, is a special token.

    `encode_query` returns the ids of a question.
    """

    def __init__(self, tokenizer: DataTokenizer) -> None:
        self.encode_query = tokenizer.encode
        self._adapted = adapt(tokenizer)
        self._drops_marks = getattr(tokenizer.splitter, "strip_accents", False)
        self.tokens_of = lru_cache(CACHED_PARAGRAPHS)(self._tokens_of)

    def _tokens_of(self, paragraph: str) -> list[Token]:
        text = "".join(map(without_mark, paragraph)) if self._drops_marks else paragraph
        return tokenize_with_offsets(self._adapted, text)


def without_mark(character: str) -> str:
    """Return the letter of a letter with marks: `が` -> `か`. Others stay, and keep their places in the text so."""
    parts = unicodedata.normalize("NFD", character)
    has_marks = len(parts) > 1 and all(unicodedata.category(mark) == "Mn" for mark in parts[1:])
    return parts[0] if has_marks else character


def adapt(tokenizer: DataTokenizer) -> SimpleNamespace:
    """Return the part of a tokenizer of Transformers that `tokenize_with_offsets` calls."""
    tokens, ids = tokenizer.vocab.tokens, tokenizer.vocab.text_ids()
    unknown, sep = tokenizer.vocab.ids[UNK], tokenizer.vocab.ids[SEP]
    split = tokenizer.splitter.split
    parts = {
        "word_tokenizer": SimpleNamespace(tokenize=lambda text, never_split: split(text)),
        "subword_tokenizer": SimpleNamespace(tokenize=lambda word: [tokens[i] for i in tokenizer.encode_word(word)]),
    }
    if pieces := getattr(tokenizer.splitter, "pieces", None):  # SentencePiece cuts text, not words
        parts = {"tokenize": pieces}
    return SimpleNamespace(
        is_fast=False,
        all_special_tokens=[SEP],
        unk_token=UNK,
        convert_tokens_to_ids=lambda found: [sep if token == SEP else ids.get(token, unknown) for token in found],
        **parts,
    )


def render_questions(
    examples: Sequence[Example],
    tokenizer: DataTokenizer,
    max_seq_length: int,
    gzip_compress: bool,
    counts: Counter[str],
) -> Iterator[bytes]:
    """Yield the framed records of all windows, in pieces to be written one after another. Add to `counts`."""
    paragraphs, template = ParagraphTokenizer(tokenizer), template_of(tokenizer.vocab)
    windows = squad.make_windows(examples, template, paragraphs.encode_query, paragraphs.tokens_of, max_seq_length)
    names = writing.encode_names((*TOKEN_FEATURES, *NUMBERS))
    tables = crc32c.make_tables()
    # Characters and positions take three bytes at most, as ids do.
    size = writing.max_record_bytes(max_seq_length, 0, len(tokenizer.vocab)) + 6 * max_seq_length + 1024

    def write(window: squad.Window, number: int, out: np.ndarray, start: int) -> int:
        example = examples[window.example]
        tokens = paragraphs.tokens_of(example.texts[1])
        answer = squad.positions_to_learn(window, squad.answer_tokens(example, tokens))
        numbers = np.array([*answer, number, window.example, window.tokens.start])
        counts.update(count_window(window, answer, tokenizer.vocab))
        rows = np.zeros((3, len(window.input_ids)), np.int64)
        rows[0] = window.input_ids
        inside = slice(window.offset, window.offset + window.tokens.end - window.tokens.start)
        rows[1:, inside] = np.array([token[1:] for token in tokens[slice(*window.tokens)]]).T
        return write_window(out, start, names, rows, window.token_type_ids.index(1), max_seq_length, numbers, tables)

    return gather_records(windows, write, size, gzip_compress)


def count_window(window: squad.Window, answer: tuple[int, int], vocab: Vocab) -> dict[str, int]:
    """Return what one window adds to the counts."""
    return {
        "instances": 1,
        "tokens": len(window.input_ids),
        "unknown_tokens": window.input_ids.count(vocab.ids[UNK]),
        "instances_without_answer": int(answer == (0, 0)),
    }


@kernel
def write_window(out, start, names, rows, first_length, max_seq_length, numbers, tables):
    """Write the framed record of one window at `start`, and return its end."""
    length = rows.shape[1]
    example = start + writing.FRAME_HEAD
    features = example + writing.EXAMPLE_HEAD
    end = writing.write_int64s(out, features, names[0], rows[0], length, max_seq_length)
    end = writing.write_run(out, end, names[1], 0, length, max_seq_length)
    end = writing.write_run(out, end, names[2], first_length, length - first_length, max_seq_length)
    end = writing.write_int64s(out, end, names[3], rows[1], length, max_seq_length)
    end = writing.write_int64s(out, end, names[4], rows[2], length, max_seq_length)
    for index in range(len(numbers)):
        end = writing.write_int64(out, end, names[5 + index], numbers[index])
    return writing.frame_record(out, start, writing.write_example_head(out, example, features, end), tables)


def read_windows(features: Mapping[str, np.ndarray]) -> tuple[list[squad.Window], dict[int, list[Token]]]:
    """Return the windows of records, without their ids, and the tokens of each question's paragraph.

    `features` have the shapes [records, tokens] and [records].
    """
    windows: list[squad.Window] = []
    tokens: defaultdict[int, dict[int, Token]] = defaultdict(dict)
    lengths, offsets = features["input_mask"].sum(axis=1), features["segment_ids"].argmax(axis=1)
    for row, (example, first) in enumerate(zip(features["example_id"], features["window_start"], strict=True)):
        offset, count = int(offsets[row]), int(lengths[row] - offsets[row]) - 1  # without [SEP]
        windows.append(squad.Window(int(example), squad.TokenSpan(int(first), int(first) + count), offset, [], []))
        places = zip(features["token_starts"][row, offset:], features["token_ends"][row, offset:], strict=True)
        for index, (start, end) in zip(range(first, first + count), places, strict=False):
            tokens[int(example)][int(index)] = Token(0, int(start), int(end))
    return windows, {example: [found[index] for index in sorted(found)] for example, found in tokens.items()}

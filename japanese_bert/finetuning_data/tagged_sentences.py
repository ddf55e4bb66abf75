"""Sentences with a tag for each word, in columns as in CoNLL's files -> `TaggedSentence`.

A line is one word. Columns are separated by tabs, or by spaces if the line has no tab. A blank line ends a sentence.
Lines that begin with `-DOCSTART-` are no words, nor those with `#` and a space (CoNLL-U) that end in no label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.corpus.lines import numbered_lines


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """One sentence. `tags` are the numbers of the labels."""

    words: list[str]
    tags: list[int]


def read_tagged_sentences(
    path: Path, labels: Sequence[str], word_column: int, tag_column: int
) -> Iterator[TaggedSentence]:
    """Yield all sentences of a file in its order. A negative number of a column counts from the end.

    Raises:
        ValueError: a line has no such columns, or its tag is no label. The message has file and line.
    """
    sentence, last = TaggedSentence([], []), 0
    for number, line in numbered_lines(path):
        if number > last + 1 and sentence.words:
            yield sentence
            sentence = TaggedSentence([], [])
        last = number
        if line.startswith("-DOCSTART-"):
            continue
        try:
            word, tag = _columns(line, word_column, tag_column)
            sentence.tags.append(_number_of(tag, labels))
        except ValueError as error:
            if line.startswith("# "):
                continue
            raise ValueError(f"{path}:{number}: {error}") from None
        sentence.words.append(word)
    if sentence.words:
        yield sentence


def _columns(line: str, word_column: int, tag_column: int) -> tuple[str, str]:
    values = line.split("\t" if "\t" in line else None)
    places = range(-len(values), len(values))
    if len(values) < 2 or word_column not in places or tag_column not in places:
        raise ValueError(f"has {len(values)} column(s), expected a word and a tag. See --word_column and --tag_column")
    return values[word_column], values[tag_column].strip()


def _number_of(tag: str, labels: Sequence[str]) -> int:
    if tag not in labels:
        raise ValueError(f"tag is {tag!r}, expected one of --labels {' '.join(labels)}")
    return labels.index(tag)

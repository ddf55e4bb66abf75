import gzip

import pytest

from japanese_bert.finetuning_data.tagged_sentences import TaggedSentence, read_tagged_sentences

LABELS = ["O", "B-LOC", "I-LOC"]


def read(path, text: str, *columns: int) -> list[TaggedSentence]:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return [*read_tagged_sentences(path, LABELS, *(columns or (0, -1)))]


@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_tabs_spaces_and_lines_that_are_no_words(tmp_path, name):
    text = (
        "-DOCSTART- O\n\n# text = 東京\n東京\t名詞\tB-LOC\n都\t名詞\tI-LOC\r\n　\t記号\tO\n \n\nU.N. NNP O\n# O\n#\tO"
    )
    assert read(tmp_path / name, text) == [
        TaggedSentence(["東京", "都", "　"], [1, 2, 0]),
        TaggedSentence(["U.N.", "#", "#"], [0, 0, 0]),
    ]


def test_columns(tmp_path):
    assert read(tmp_path / "a", "1\tO\t東京\n", 2, 1) == [TaggedSentence(["東京"], [0])]
    assert read(tmp_path / "a", "1\tO\t東京\n", -1, -2) == [TaggedSentence(["東京"], [0])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("東京 O\n都\n", r"a:2: has 1 column\(s\), expected a word and a tag. See --word_column"),
        ("東京\tB-PER\n", "a:1: tag is 'B-PER', expected one of --labels O B-LOC I-LOC"),
    ],
)
def test_wrong_lines(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a", text)
    with pytest.raises(ValueError, match=r"a:1: has 2 column"):
        read(tmp_path / "a", "東京 O\n", 0, 2)

"""Sentences of texts, and the account of their characters. unidic-lite 1.0.8."""

import lzma
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from japanese_bert.corpus.own_text.conversion import ConversionOptions, TextConverter
from japanese_bert.corpus.own_text.markup import MARKUP_RULES
from japanese_bert.corpus.own_text.sources import SourceBlock, SourceOptions
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.tokenization import mecab
from tests.corpus.own_text.test_quality import GOOD
from tests.helpers.places import ROOT

SAMPLE = lzma.decompress((ROOT / "sample_data" / "cc100_sample.txt.xz").read_bytes()).decode()


@cache
def finder() -> FullStopFinder:
    return FullStopFinder(mecab.find_dictionary("unidic_lite"))


def converter(shortest=1, longest=200, keep_lines=False, documents="file", **options) -> TextConverter:
    sources = SourceOptions(documents=documents)
    return TextConverter(
        sources, ConversionOptions(shortest, longest, **options), None if keep_lines else finder(), True
    )


def block_of(text: str, kind: str = "file") -> SourceBlock:
    return SourceBlock(Path("a.txt"), 1, kind, text.encode("utf-8", errors="surrogatepass"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "「行く。」と言った。円周率は３．１４です！？\u3000次だ",
            [["「行く。」と言った。", "円周率は３．１４です！？", "次だ"]],
        ),
        ("一行目\r\n二行目\u2028三 行\t目\n\n \n", [["一行目"], ["二行目"], ["三 行 目"]]),
        ("「はい。」「いいえ！」\n（笑）。。。", [["「はい。」「いいえ！」"], ["（笑）。。。"]]),
        ("𠮷野\0家😀\u200bで\ufeff食う。ｶﾞ々パ", [["𠮷野家😀で食う。", "ｶﾞ々パ"]]),
        (" \u3000\n", []),
    ],
)
def test_sentences(text, expected):
    dropped: Counter = Counter()
    assert converter().convert([text], dropped) == [expected]
    kept = sum(len(sentence) for paragraph in expected for sentence in paragraph)
    assert len(text) == kept + sum(dropped.values())


def test_lengths_and_kept_lines():
    text = "短い。これは長さが足りる文である。\n" + "長" * 30
    dropped: Counter = Counter()
    assert converter(5, 20).convert([text], dropped) == [[["これは長さが足りる文である。"]]]
    assert (dropped["short_sentences"], dropped["long_sentences"]) == (3, 30)
    assert converter(keep_lines=True).convert([text], Counter()) == [[[line] for line in text.split("\n")]]


def test_width_of_marks_does_not_matter():
    texts = ("Yahoo！は会社だ。３．５点！「何？」", "Yahoo!は会社だ。3.5点!「何?」")
    wide, narrow = (paragraphs[0] for paragraphs in converter().convert(texts, Counter()))
    assert [len(sentence) for sentence in wide] == [len(sentence) for sentence in narrow]
    assert "".join(wide) == texts[0]


AWKWARD = st.text(
    st.sampled_from("あ。Ａ．１！ \n\r\t\u3000\u2028\x85\xa0\x0b\x1c\ufeff𠮷ﾞ「」《》<b>&amp;\0漢（か）"), max_size=80
)


@settings(deadline=None)  # the first text loads the dictionary
@given(AWKWARD, st.booleans(), st.integers(1, 8))
def test_account_of_any_text(text, with_rules, shortest):
    rules = list(MARKUP_RULES) if with_rules else []
    block = converter(shortest, 12, markup_rules=rules)(block_of(text))
    kept = int(block.paragraphs["characters"].sum())
    assert block.counts["characters_in"] == kept + sum(block.dropped_characters.values())
    lines = block.text.decode("utf-8").split("\n")
    assert all(line == " ".join(line.split()) and shortest <= len(line) <= 12 for line in lines[:-1])
    assert len(block.text) == block.paragraphs["size"].sum()
    assert block.documents["paragraphs"].sum() == len(block.paragraphs)


@pytest.mark.parametrize("preset", ["none", "web", "strict"])
def test_account_of_each_document(preset):
    documents = [text for text in SAMPLE.split("\n\n") if text.strip()]
    words = ["株式会社"]
    for text in documents:
        block = converter(10, preset=preset, listed_words=words)(block_of(text))
        kept = int(block.paragraphs["characters"].sum())
        assert len(text) == kept + sum(block.dropped_characters.values()), text
        assert len(block.documents) + sum(block.dropped_documents.values()) == 1


def test_a_block_is_the_sum_of_its_documents():
    convert = converter(10, preset="web", documents="blank_line")
    together = convert(block_of(SAMPLE, "blank_line"))
    alone = [convert(block_of(text)) for text in SAMPLE.split("\n\n") if text.strip()]
    assert together.text == b"".join(block.text for block in alone)
    for name in ("documents", "paragraphs", "signatures"):
        found = getattr(together, name).tolist()
        assert found == [row for block in alone for row in getattr(block, name).tolist()]
        assert len(found) > 50
    assert together.dropped_documents.total() == sum(block.dropped_documents.total() for block in alone)


def test_listed_words():
    lines = ["出会い系の広告である。\n", "出会い系は嫌いである。\n", "安全な出会い系である。\n", "会の話。\n" * 3]

    def dropped(number: int, preset: str) -> int:
        text = "".join(lines[:number] + lines[3:])
        block = converter(preset=preset, listed_words=["出会い系", "出会"])(block_of(text))
        return block.dropped_documents["listed_words"]

    assert [dropped(number, "web") for number in range(4)] == [0, 0, 0, 1]
    good = "".join(line + "\n" for line in GOOD)
    block = converter(preset="strict", listed_words=["蒸気"])(block_of(good))
    assert block.dropped_documents == {"without_sentences": 0, "listed_words": 1}
    assert len(converter(preset="strict", listed_words=["電気"])(block_of(good)).documents) == 1

"""Each rule of the table at its threshold, and the measures against plain Python."""

import lzma
from collections import Counter

import numpy as np
import pytest

from japanese_bert.corpus.own_text.quality import (
    NGRAM,
    PRESETS,
    QUALITY_RULES,
    Kind,
    broken_rules,
    kind_table,
    measure_documents,
    word_pattern,
)
from tests.helpers.places import ROOT

SAMPLE = lzma.decompress((ROOT / "sample_data" / "cc100_sample.txt.xz").read_bytes()).decode()
GOOD = [
    "梅雨の時期になると、庭の紫陽花が少しずつ色づいてくる。",
    "祖母は毎朝、港の市場へ魚を買いに出かけていた。",
    "この町の図書館には、古い地図がたくさん残っている。",
    "冬の夜、ストーブの上でやかんが蒸気を吹いていた。",
    "彼は何も言わずに窓を開け、遠くの山を眺めた。",
    "電車が遅れたので、会議は午後からになったそうだ。",
]
TEXT = "".join(f"{line}\n" for line in GOOD)


def measure(*documents: str) -> np.ndarray:
    codes = np.frombuffer("".join(documents).encode("utf-32-le"), np.uint32)
    return measure_documents(codes, np.cumsum([len(document) for document in documents]))


def verdict(document: str, preset: str = "web") -> str:
    number = int(broken_rules(measure("猫。\n", document), preset)[1])
    return QUALITY_RULES[number].name if number >= 0 else ""


def test_good_text_breaks_no_rule():
    assert [verdict(TEXT, preset) for preset in PRESETS[1:]] == ["", ""]


@pytest.mark.parametrize(
    ("rule", "document"),
    [
        ("few_japanese", "This is an English sentence.\n" * 2 + "これは日本語。\n" + "Another one of them here.\n"),
        ("few_hiragana", "東京都千代田区丸内一丁目。\n大阪府大阪市北区梅田三丁目。\n"),
        ("many_katakana", "スマートフォンケースのカバー。\nタブレットのフィルムとケース。\n"),
        ("many_symbols", "時刻は１２：３４、価格は９８０円です。\n番号は５６７８、型番は９８７です。\n"),
        ("few_sentences", f"{GOOD[0]}\n"),
        ("no_ends", "新着の情報はこちらから\nお問い合わせはこちらへどうぞ\n"),
        ("cut_sentences", f"{GOOD[0]}\n続きはこちらのページから…\n"),
        ("repeated_lines", f"{GOOD[0]}\n" * 2 + f"{GOOD[1]}\n"),
        ("repeated_ngrams", "".join(f"{n}{GOOD[0]}{n}。\n" for n in "甲乙丙")),
    ],
)
def test_rule_drops_its_case(rule, document):
    assert verdict(document) == rule
    number = [one.name for one in QUALITY_RULES].index(rule)
    value = QUALITY_RULES[number].value(measure(document, TEXT))
    limit = QUALITY_RULES[number].web
    bad, good = value if QUALITY_RULES[number].is_most else -value
    assert bad > (limit if QUALITY_RULES[number].is_most else -limit) >= good


def test_every_rule_has_a_case_and_strict_is_stricter():
    cases = {mark.args[1][n][0] for mark in test_rule_drops_its_case.pytestmark for n in range(len(mark.args[1]))}
    assert cases == {rule.name for rule in QUALITY_RULES}
    assert all(rule.strict < rule.web if rule.is_most else rule.strict > rule.web for rule in QUALITY_RULES)


def repeated_ngrams(text: str) -> int:
    """The same in plain Python: characters in an n-gram that ended before."""
    seen, covered = set(), set()
    for end in range(NGRAM, len(text) + 1):
        if text[end - NGRAM : end] in seen:
            covered.update(range(end - NGRAM, end))
        seen.add(text[end - NGRAM : end])
    return len(covered)


def test_measures_are_those_of_plain_python():
    documents = [text.strip("\n") + "\n" for text in SAMPLE.split("\n\n") if text.strip()]
    documents += ["あ" * 50 + "\n", "あいう\n" * 30, "短い\n", TEXT * 2]
    kinds = kind_table()
    for found, document in zip(measure(*documents), documents, strict=True):
        lines = document.split("\n")[:-1]
        assert found["characters"] == sum(map(len, lines))
        expected = Counter(int(kinds[min(ord(character), 0x10000)]) for line in lines for character in line)
        assert found["kinds"].tolist() == [expected[kind] for kind in Kind]
        assert found["sentences"] == len(lines)
        assert found["in_repeated_lines"] == sum(len(line) for n, line in enumerate(lines) if line in lines[:n])
        assert found["in_repeated_ngrams"] == repeated_ngrams("".join(lines))


def test_kinds_of_characters():
    expected = {Kind.HIRAGANA: "あんゞ", Kind.KATAKANA: "アーｶﾞヽ", Kind.KANJI: "漢々", Kind.LATIN: "aZＡé",
                Kind.PUNCTUATION: "。、「」！(", Kind.SYMBOL: "1５%★@☆～", Kind.OTHER: "жα한"}  # fmt: skip
    found = {
        kind: "".join(c for c in characters if kind_table()[ord(c)] == kind) for kind, characters in expected.items()
    }
    assert found == expected


def test_longest_word_first():
    assert word_pattern(["a.b", "猫", "猫舌"]).findall("猫舌とaxbとa.bと猫") == ["猫舌", "a.b", "猫"]

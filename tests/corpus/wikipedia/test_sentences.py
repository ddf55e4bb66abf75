"""Cleaning rules one by one, and sentence splitting with two dictionaries: unidic-lite 1.0.8 and ipadic 1.0.0."""

import doctest
import sys
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from japanese_bert.corpus.wikipedia import sentences
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.corpus.wikipedia.sentences import (
    RULES,
    clean_text,
    normalize,
    select_sentences,
    split_sentences,
)

AWKWARD = st.text(
    st.sampled_from("雨。.!?「」『』()[]{}要出典誰1 ^>\n\u3000\u2028\0\r㍿ｶﾞカか゛ﾞ\u3099\u0301\ud800A")
    | st.characters(),
    max_size=80,
)


def split(finder: FullStopFinder, text: str, max_length: int = 200) -> list[str]:
    return split_sentences(text, finder.find(text), max_length)


def test_examples_in_docstrings():
    assert doctest.testmod(sentences).failed == 0


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("unprintable", "あ\u200bい\u00adう\x07え\ud800お\ue000", "あいうえお"),
        ("unprintable", "パ 々 𠮷 😀", "パ 々 𠮷 😀"),
        ("footnote_marks", "雨[1]の[12]日[注 3][注釈4]。[m]と[1a]", "雨の日。[m]と[1a]"),
        ("footnote_marks", "雨[新聞 1]の[note 2]日[* 3][† 12]。[Disc 1]", "雨の日。[Disc 1]"),
        ("requests", "雨[要出典]の[要検証 – ノート]日[必要]", "雨の日[必要]"),
        ("requests", "[要 閉じない。次の[注]文。", "[要 閉じない。次の[注]文。"),
        ("templates", "雨{{仮リンク|a|b}}の{{a{{b}}c}}日{x}", "雨の日{x}"),
        ("templates", "{{{a}}}と{{閉じない", "と{{閉じない"),
        ("templates", "雨{{Math|{a}_{1}}}の日", "雨の日"),
        ("templates", r"{\displaystyle {\frac {a}{b}}}", r"{\displaystyle {\frac {a}{b}}}"),
        ("templates", "{{" * 30 + "{" * 5000, "{{" * 30 + "{" * 5000),
        ("breadcrumb", "銀行 > 支店 > 梅雨 梅雨は雨。", " 梅雨は雨。"),
        ("breadcrumb", "梅雨は雨。 > 梅雨前線", "前線"),
        ("breadcrumb", "季節 > 雨季 梅雨は雨。", "季節 > 雨季 梅雨は雨。"),
        ("breadcrumb", "季節 > 梅雨 気象 > 雨 > 梅雨 梅雨は雨。", " 梅雨は雨。"),
        ("breadcrumb", "季節 > 梅雨 雨である。春 > 梅雨 > 夏の順。", " 雨である。春 > 梅雨 > 夏の順。"),
        ("breadcrumb", "長" * 300 + " > 梅雨", "長" * 300 + " > 梅雨"),
        ("footnotes", "雨の日。 ^ 気象庁、5頁。 ^ a b 同上。", "雨の日。"),
        ("footnotes", "面積は x ^ 2 である。^ では", "面積は x ^ 2 である。^ では"),
        ("footnotes", "和は (a+b) ^ 2 と 10 ^ -3 である。", "和は (a+b) ^ 2 と 10 ^ -3 である。"),
        ("footnotes", "開始(1990年) ^ 山田 2010、5頁。 ^ 同上。", "開始(1990年)"),
        ("footnotes", "番組はNHK ^ a b 朝日新聞。", "番組はNHK"),
        ("footnotes", "番号は 5 ^ 2010年の新聞。", "番号は 5"),
        ("footnotes", "^ 山田 2010。", ""),
        ("notes", "雨[リンク切れ]の[誰?]日[いつから?]。", "雨の日。"),
        ("notes", "雨である。[脚注の使い方] [疑問点 – ノート]", "雨である。 "),
        ("notes", "[注記]長い文が続く。本当か[誰?]。", "[注記]長い文が続く。本当か。"),
        ("white_space", " 雨  の 日 ", "雨 の 日"),
    ],
)
def test_rule(rule, text, expected):
    assert RULES[rule](text, "梅雨") == expected


def test_normalize_of_marks_after_a_character_that_nfkc_leaves_alone():
    assert normalize("雨カﾞは\u3099e\u0301゛か") == "雨ガばé \u3099か"


def test_normalize_keeps_words_apart():
    assert normalize("ｶﾞｽ１パ\u3000か\n\t\u2028\x85ら") == "ガス1パ か    ら"


@given(AWKWARD)
def test_normalize_is_nfkc_and_spaces(text):
    """Only parts of the text go through NFKC. Its result may depend on the character before."""
    expected = "".join(" " if character.isspace() else character for character in unicodedata.normalize("NFKC", text))
    assert normalize(text) == expected


@pytest.mark.slow
def test_normalize_of_every_character():
    for character in map(chr, range(sys.maxunicode + 1)):
        for text in (character, f"か{character}", f"{character}か", f"は{character}\u3099", f"A{character}\u0301"):
            expected = unicodedata.normalize("NFKC", text)
            assert normalize(text) == "".join(" " if char.isspace() else char for char in expected)


def test_clean_text_uses_the_normalized_title():
    dropped = Counter()
    text = normalize("分類 > ＡＢＣ\u3000株式会社 ＡＢＣは会社[1]。")
    assert clean_text(text, "ＡＢＣ\u3000株式会社", dropped) == "ABCは会社。"
    assert +dropped == {"breadcrumb": len("分類 > ABC 株式会社"), "footnote_marks": 3, "white_space": 1}


@given(AWKWARD, AWKWARD)
def test_every_character_is_accounted_for(text, title):
    dropped = Counter()
    normal = normalize(text)
    cleaned = clean_text(normal, title, dropped)
    assert len(normal) == len(cleaned) + sum(dropped.values())
    assert cleaned.isprintable()
    assert cleaned == cleaned.strip()
    assert "  " not in cleaned


@given(st.text(st.sampled_from("雨の日。.!?「」『』()A1 "), max_size=60), st.data(), st.integers(1, 30))
def test_splitting_loses_only_white_space(text, data, max_length):
    stops = (
        sorted(data.draw(st.sets(st.sampled_from([i + 1 for i, c in enumerate(text) if c in "。.!?"] or [0])))) or []
    )
    found = split_sentences(text, [stop for stop in stops if stop], max_length)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert all(sentence == sentence.strip() and sentence for sentence in found)


@pytest.mark.parametrize("dictionary", ["unidic_lite", "ipadic"])
@pytest.mark.parametrize(
    "expected",
    [
        ["吾輩は猫である。", "名前はまだ無い。"],
        ["「行く。」と言った。", "帰った。"],
        ["(注。)である。", "次。"],
        ["彼は言った(そうだ)。", "次の文。"],
        ["円周率は3.14である。", "次。"],
        ["打率.293と活躍した。", "次。"],
        ["https://www.google.com/?hl=jaを見よ。"],
        ["U.S.A.のMr. Smith Jr.が来た。"],
        ["国家である。", "-みんしゅきょうわこく首都である。"],
        ["Yahoo!は会社。", "Yahoo! JAPANも会社。"],
        ["終わり。。。", "次。"],
        ["そして...次。"],
        ["『閉じない括弧。", "次の文。"],
        ["閉じるだけの括弧。」", "次の文。"],
        ["終わりの記号が無い"],
        ["A社 B社 二つの 空白。", "次の 文。"],
    ],
)
def test_sentences_with_both_dictionaries(finders, dictionary, expected):
    assert split(finders[dictionary], "".join(expected)) == expected
    assert split(finders[dictionary], "  ".join(expected) + " ") == expected


def test_question_and_exclamation_marks_of_unidic(finders):
    expected = ["本当か!?", "すごい!", "そう?", "とNO!"]
    assert split(finders["unidic_lite"], "".join(expected)) == expected
    assert split(finders["unidic_lite"], "これはOK! 次。") == ["これはOK!", "次。"]


def test_quotes_that_end_before_a_space_end_a_sentence(finders):
    assert split(finders["unidic_lite"], "「行く。」 次の段落。") == ["「行く。」", "次の段落。"]


def test_a_quote_too_long_to_keep_is_cut(finders):
    text = "「雨が降る。雪も降る。」と言った。"
    assert split(finders["unidic_lite"], text, 20) == [text]
    assert split(finders["unidic_lite"], text, 16) == ["「雨が降る。", "雪も降る。」", "と言った。"]


@pytest.mark.parametrize("dictionary", ["unidic_lite", "ipadic"])
def test_a_formula_is_never_cut(finders, dictionary):
    formula = r"{\displaystyle n!=\{a.\}{\frac {n!}{(n-1)!}}。" + "x+" * 120 + r"{n!}. }"
    text = f"文である。式は {formula} である。次の文。式 {{\\displaystyle 閉じない。次。"
    expected = ["文である。", f"式は {formula} である。", "次の文。", r"式 {\displaystyle 閉じない。", "次。"]
    assert split(finders[dictionary], text) == expected


def test_brackets_far_apart_form_no_pair(finders):
    text = "「雨。" + "晴れた日が続く。" * 5 + "」"
    assert len(split(finders["unidic_lite"], text, 20)) == 6


def test_selection_counts_characters_by_reason():
    dropped = Counter()
    given_sentences = [
        "閉じない{{仮リンクの文である",
        "閉じるだけの仮リンク}}の文",
        "短い。",
        "ちょうど十文字の文だ",
        "長い文である。" * 3,
        r"式 {\displaystyle x} である。",
    ]
    assert list(select_sentences(given_sentences, 10, 20, dropped)) == ["ちょうど十文字の文だ"]
    assert dropped == {
        "short_sentences": 3,
        "long_sentences": 21,
        "formulas": len(given_sentences[5]),
        "broken_templates": 15 + 14,
    }


@pytest.mark.parametrize("dictionary", ["unidic_lite", "ipadic"])
@given(text=AWKWARD)
def test_any_text_can_be_split(finders, dictionary, text):
    cleaned = clean_text(normalize(text), "", Counter())
    found = split(finders[dictionary], cleaned, 10)
    assert "".join(found).replace(" ", "") == cleaned.replace(" ", "")
    assert unicodedata.is_normalized("NFKC", normalize(text).replace("\ud800", ""))

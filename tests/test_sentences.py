"""Cleaning rules one by one, and sentence splitting with two dictionaries: unidic-lite 1.0.8 and ipadic 1.0.0."""

import doctest
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from japanese_bert import mecab, sentences
from japanese_bert.sentences import (
    MECAB_FORMAT,
    RULES,
    clean_text,
    find_full_stops,
    normalize,
    select_sentences,
    split_sentences,
)


@pytest.fixture(scope="module")
def taggers():
    return {name: mecab.make_tagger(mecab.find_dictionary(name), MECAB_FORMAT) for name in ("unidic_lite", "ipadic")}


def split(tagger, text: str, max_length: int = 200) -> list[str]:
    return list(split_sentences(text, find_full_stops(text, tagger), max_length))


def test_examples_in_docstrings():
    assert doctest.testmod(sentences).failed == 0


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("unprintable", "あ\u200bい\u00adう\x07え\ud800お\ue000", "あいうえお"),
        ("unprintable", "パ 々 𠮷 😀", "パ 々 𠮷 😀"),
        ("footnote_marks", "雨[1]の[12]日[注 3][注釈4]。[m]と[1a]", "雨の日。[m]と[1a]"),
        ("requests", "雨[要出典]の[要検証 – ノート]日[必要]", "雨の日[必要]"),
        ("requests", "[要 閉じない。次の[注]文。", "[要 閉じない。次の[注]文。"),
        ("templates", "雨{{仮リンク|a|b}}の{{a{{b}}c}}日{x}", "雨の日{x}"),
        ("templates", "{{{a}}}と{{閉じない", "と{{閉じない"),
        ("breadcrumb", "銀行 > 支店 > 梅雨 梅雨は雨。", " 梅雨は雨。"),
        ("breadcrumb", "梅雨は雨。 > 梅雨前線", "前線"),
        ("breadcrumb", "季節 > 雨季 梅雨は雨。", "季節 > 雨季 梅雨は雨。"),
        ("breadcrumb", "長" * 300 + " > 梅雨", "長" * 300 + " > 梅雨"),
        ("footnotes", "雨の日。 ^ 気象庁、5頁。 ^ a b 同上。", "雨の日。"),
        ("footnotes", "面積は x ^ 2 である。^ では", "面積は x ^ 2 である。^ では"),
        ("notes", "雨[リンク切れ]の[誰?]日[いつから?]。", "雨の日。"),
        ("notes", "[注記]長い文が続く。本当か[誰?]。", "[注記]長い文が続く。本当か。"),
        ("white_space", " 雨  の 日 ", "雨 の 日"),
    ],
)
def test_rule(rule, text, expected):
    assert RULES[rule](text, "梅雨") == expected


def test_normalize_keeps_words_apart():
    assert normalize("ｶﾞｽ１パ\u3000か\n\t\u2028\x85ら") == "ガス1パ か    ら"


def test_clean_text_uses_the_normalized_title():
    dropped = Counter()
    text = normalize("分類 > ＡＢＣ\u3000株式会社 ＡＢＣは会社[1]。")
    assert clean_text(text, "ＡＢＣ\u3000株式会社", dropped) == "ABCは会社。"
    assert +dropped == {"breadcrumb": len("分類 > ABC 株式会社"), "footnote_marks": 3, "white_space": 1}


AWKWARD = st.text(
    st.sampled_from("雨。.!?「」『』()[]{}要出典誰1 ^>\n\u3000\u2028\0\r㍿ｶﾞ\ud800A") | st.characters(), max_size=80
)


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
    found = list(split_sentences(text, [stop for stop in stops if stop], max_length))
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
def test_sentences_with_both_dictionaries(taggers, dictionary, expected):
    assert split(taggers[dictionary], "".join(expected)) == expected
    assert split(taggers[dictionary], "  ".join(expected) + " ") == expected


def test_question_and_exclamation_marks_of_unidic(taggers):
    expected = ["本当か!?", "すごい!", "そう?", "とNO!"]
    assert split(taggers["unidic_lite"], "".join(expected)) == expected
    assert split(taggers["unidic_lite"], "これはOK! 次。") == ["これはOK!", "次。"]


def test_quotes_that_end_before_a_space_end_a_sentence(taggers):
    assert split(taggers["unidic_lite"], "「行く。」 次の段落。") == ["「行く。」", "次の段落。"]


def test_a_quote_too_long_to_keep_is_cut(taggers):
    text = "「雨が降る。雪も降る。」と言った。"
    assert split(taggers["unidic_lite"], text, 20) == [text]
    assert split(taggers["unidic_lite"], text, 16) == ["「雨が降る。", "雪も降る。」", "と言った。"]


def test_brackets_far_apart_form_no_pair(taggers):
    text = "「雨。" + "晴れた日が続く。" * 5 + "」"
    assert len(split(taggers["unidic_lite"], text, 20)) == 6


def test_long_text_is_parsed_in_pieces(taggers, monkeypatch):
    text = "雨の日が続くのである。 " * 200 + "切れ目の無い文" * 100
    whole = find_full_stops(text, taggers["unidic_lite"])
    assert len(whole) == 200
    for length in (50, 333):
        pieces = list(sentences._pieces(text, length))
        assert all(0 < end - start <= length for start, end in pieces)
        assert "".join(text[start:end] for start, end in pieces) == text
        with monkeypatch.context() as patch:
            patch.setattr(sentences._pieces, "__defaults__", (length,))
            assert find_full_stops(text, taggers["unidic_lite"]) == whole


def test_selection_counts_characters_by_reason():
    dropped = Counter()
    given_sentences = ["短い。", "ちょうど十文字の文だ", "長い文である。" * 3, r"式 {\displaystyle x} である。"]
    assert list(select_sentences(given_sentences, 10, 20, dropped)) == ["ちょうど十文字の文だ"]
    assert dropped == {"short_sentences": 3, "long_sentences": 21, "formulas": len(given_sentences[3])}


@pytest.mark.parametrize("dictionary", ["unidic_lite", "ipadic"])
@given(text=AWKWARD)
def test_any_text_can_be_split(taggers, dictionary, text):
    cleaned = clean_text(normalize(text), "", Counter())
    found = split(taggers[dictionary], cleaned, 10)
    assert "".join(found).replace(" ", "") == cleaned.replace(" ", "")
    assert unicodedata.is_normalized("NFKC", normalize(text).replace("\ud800", ""))

"""Word splitting against transformers' own classes. Dictionary: unidic-lite 1.0.8 unless said otherwise."""

import subprocess
import sys
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.tokenization.words import make_word_splitter
from tests.helpers.places import ROOT

AOZORA = ROOT.parent / "shared" / "data" / "aozora" / "ja.txt.xz"
CHARACTERS = (
    "がパ１ｶﾞ々𠮷😀👨‍👩‍👧 　\u2028\u2029\u0085\x0c\r\x1c\u1680\u00a0\u200b\ufeff\ufffd\x01"
    "aZÀéßİΑΣς①㎏ﬁ㍻Å。、「」（）・ー〜～…$^`#~|[]{}が猫犬山の１2"
)
EDGE_SENTENCES = [
    "",
    " ",
    "　",
    "が",
    "パ",
    "１",
    "ｶﾞ",
    "々",
    "𠮷野家で😀",
    "　全角　空白　",
    "行\u2028区切り\u2028",
    "末尾\u2028 ",
    "垂直\x0bタブ\x0c改頁\r復帰",
    "平成㍻①㎏ﬁÅ",
    "[MASK]と[SEP]と##犬",
    "ＮＨＫとNHKとnhk、ΑΣ ΑΣ.Β",
    "（ ゜Д゜） ヾ（゜Д゜ ）",
    "New York Times を読む",
    "a" * 300,
]


@pytest.fixture(scope="module", params=["unidic_lite", "ipadic"])
def mecab_dic_type(request):
    return request.param


def reference_mecab(mecab_dic_type: str, do_lower_case: bool):
    from transformers.models.bert_japanese.tokenization_bert_japanese import MecabTokenizer

    return MecabTokenizer(do_lower_case=do_lower_case, mecab_dic=mecab_dic_type)


def reference_basic(do_lower_case: bool):
    from transformers.models.bert_japanese.tokenization_bert_japanese import BasicTokenizer

    return BasicTokenizer(do_lower_case=do_lower_case, tokenize_chinese_chars=False)


def basic(do_lower_case: bool, strip_accents: bool | None = None, tokenize_chinese_chars: bool = False):
    return make_word_splitter("basic", None, do_lower_case, "", strip_accents, tokenize_chinese_chars)


def test_mecab_words_exactly():
    words = make_word_splitter("mecab", "unidic_lite", do_lower_case=False)
    assert words.split("ｶﾞﾗｽの猫が𠮷野家で１杯。") == ["ガラス", "の", "猫", "が", "𠮷", "野家", "で", "1", "杯", "。"]
    assert words.dictionary.name == "unidic_lite"


def test_basic_words_exactly():
    assert basic(False).split("猫（cat）だ。\u3000US$5") == ["猫", "（", "cat", "）", "だ", "。", "US", "$", "5"]
    assert basic(True).split("がÉ") == ["かe"]  # lower-casing strips the marks, as in BERT
    assert basic(True, strip_accents=False).split("がÉ") == ["がé"]
    assert basic(False, strip_accents=True).split("がÉ") == ["かE"]
    words = basic(False, tokenize_chinese_chars=True).split("東京タワーのcat猫𠮷")
    assert words == ["東", "京", "タワーのcat", "猫", "𠮷"]


def test_whitespace_words_exactly():
    assert make_word_splitter("whitespace", None, do_lower_case=False).split(" ｶﾞ　Ab\u2028c ") == ["ガ", "Ab", "c"]


@pytest.mark.parametrize("do_lower_case", [False, True])
def test_mecab_equals_transformers_on_edge_sentences(mecab_dic_type, do_lower_case):
    reference = reference_mecab(mecab_dic_type, do_lower_case)
    words = make_word_splitter("mecab", mecab_dic_type, do_lower_case)
    for sentence in EDGE_SENTENCES:
        assert words.split(sentence) == reference.tokenize(sentence), sentence


@pytest.mark.parametrize("do_lower_case", [False, True])
def test_basic_equals_transformers_on_edge_sentences(do_lower_case):
    reference, words = reference_basic(do_lower_case), basic(do_lower_case)
    for sentence in [*EDGE_SENTENCES, *map(chr, range(0x3100)), "a\ue000b\u0378c"]:
        assert words.split(f"猫{sentence}犬 {sentence}") == reference.tokenize(f"猫{sentence}犬 {sentence}"), sentence


def test_mecab_equals_transformers_on_random_text():
    reference = reference_mecab("unidic_lite", do_lower_case=False)
    words = make_word_splitter("mecab", "unidic_lite", do_lower_case=False)

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.text(st.sampled_from(CHARACTERS), max_size=20) | st.text(st.characters(exclude_categories=["Cs"])))
    def check(sentence):
        assert words.split(sentence) == reference.tokenize(sentence)

    check()


@pytest.mark.parametrize("do_lower_case", [False, True])
def test_basic_equals_transformers_on_random_text(do_lower_case):
    reference, words = reference_basic(do_lower_case), basic(do_lower_case)

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.text(st.sampled_from(CHARACTERS), max_size=20) | st.text(st.characters(exclude_categories=["Cs"])))
    def check(sentence):
        assert words.split(sentence) == reference.tokenize(sentence)

    check()


@pytest.mark.skipif(not AOZORA.exists(), reason="no Aozora corpus here")
def test_words_equal_transformers_on_real_text():
    blocks = islice(read_line_blocks(AOZORA, block_bytes=1 << 20), 1)
    sentences = [line for block in blocks for line in block.decode("utf-8").split("\n") if line][:10000]
    assert len(sentences) > 1000
    mecab, reference = make_word_splitter("mecab", "unidic_lite", False), reference_mecab("unidic_lite", False)
    basic_words, basic_reference = basic(False), reference_basic(False)
    for sentence in sentences:
        assert mecab.split(sentence) == reference.tokenize(sentence)
        assert basic_words.split(sentence) == basic_reference.tokenize(sentence)


def test_a_word_that_contains_a_space_stays_one_word(tmp_path):
    files = {
        "lex.csv": "New York,0,0,1,名詞\nタイムズ,0,0,1,名詞\n",
        "matrix.def": "1 1\n0 0 0\n",
        "char.def": "DEFAULT 0 1 0\nSPACE 0 1 0\n0x0020 SPACE\n",
        "unk.def": "DEFAULT,0,0,9,*\nSPACE,0,0,9,*\n",
        "dicrc": "cost-factor = 800\nbos-feature = BOS\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="\n")
    build = f"import fugashi; fugashi.build_dictionary('x -d {tmp_path} -o {tmp_path} -f utf8 -t utf8')"
    subprocess.run([sys.executable, "-c", build], check=True, capture_output=True)
    words = make_word_splitter("mecab", str(tmp_path), do_lower_case=False)
    assert words.split("New York タイムズ") == ["New York", "タイムズ"]
    assert words.split("タイムズタイムズ") == ["タイムズ", "タイムズ"]
    by_option = make_word_splitter("mecab", None, do_lower_case=False, mecab_option=f"-d {tmp_path}")
    assert by_option.split("New York タイムズ") == ["New York", "タイムズ"]


def test_mecab_survives_a_very_long_sentence():
    sentence = "山の猫が" * 200_000  # MeCab itself ends the process with a segmentation fault
    words = make_word_splitter("mecab", "unidic_lite", do_lower_case=False).split(sentence)
    assert len(words) == 800_000
    assert "".join(words) == sentence


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("sudachi", None), ValueError, "expected one of mecab, basic, whitespace"),
        (("mecab", None), ValueError, "names no dictionary"),
        (("mecab", "no/such/dir"), FileNotFoundError, "no compiled MeCab dictionary"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        make_word_splitter(*arguments, do_lower_case=False)

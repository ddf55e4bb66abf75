"""Offsets of slow tokenizers, against the fast one and by hand."""

import pytest

from japanese_bert.tokenization.offsets import locate, tokenize_with_offsets
from japanese_bert.tokenization.tokenization_bert_japanese_fast import BertJapaneseTokenizerFast
from tools.check_tokenizer import SENTENCES

TEXTS = (
    *SENTENCES,
    "梅雨 [SEP] 梅雨（つゆ、ばいう）は、ＰＣ[MASK]と㈱ｶﾞﾗｽの5月。",
    "",
    " 　",
    "[SEP][SEP]",
    "𠮷野家の駅",
)


@pytest.mark.parametrize(
    ("units", "text", "spans"),
    [
        ([], "", []),
        (["吾輩", "は", "猫"], "吾輩は 猫", [(0, 2), (2, 3), (4, 5)]),
        (["吾輩", None, "猫"], "吾輩 は猫", [(0, 2), (3, 4), (4, 5)]),
        ([None, "は", None], "吾輩は猫 ", [(0, 2), (2, 3), (3, 4)]),
        (["吾輩", None, None, "猫"], "吾輩とは猫", [(0, 2), (2, 4), (2, 4), (4, 5)]),
        (["犬", "は", "猫"], "吾輩は猫", [(0, 2), (2, 3), (3, 4)]),  # written otherwise
        (["", "猫"], "猫", [(0, 0), (0, 1)]),
        (["の", None, "の", "の"], "ののの の", [(0, 1), (1, 2), (2, 3), (4, 5)]),
    ],
)
def test_locate(units, text, spans):
    assert locate(units, text) == spans


@pytest.fixture(params=["wordpiece", "character"])
def settings(request, wordpiece_vocab, character_vocab):
    vocab = wordpiece_vocab if request.param == "wordpiece" else character_vocab
    return {"vocab_file": str(vocab), "subword_tokenizer_type": request.param}


@pytest.fixture
def slow(settings):
    from transformers import BertJapaneseTokenizer

    return BertJapaneseTokenizer(
        **settings, do_lower_case=False, word_tokenizer_type="mecab", mecab_kwargs={"mecab_dic": "unidic_lite"}
    )


@pytest.fixture
def fast(settings):
    return BertJapaneseTokenizerFast(**settings, mecab_kwargs={"mecab_dic": "unidic_lite"})


@pytest.mark.parametrize("text", TEXTS)
def test_slow_offsets_are_those_of_the_fast_tokenizer(slow, fast, text):
    assert not slow.is_fast
    assert fast.is_fast
    assert tokenize_with_offsets(slow, text) == tokenize_with_offsets(fast, text)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_the_tokenizers(slow, text):
    parts = text.split()
    expected = [index for part in parts for index in slow.convert_tokens_to_ids(slow.tokenize(part))]
    assert [token.id for token in tokenize_with_offsets(slow, text)] == expected


def test_every_character_belongs_to_a_token(slow):
    text = "ＰＣ[SEP]と㈱ｶﾞﾗｽの5月は𠮷野家で か\u3099"
    covered = {place for _, start, end in tokenize_with_offsets(slow, text) for place in range(start, end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}


def test_offsets_by_hand(slow):
    text = "東京の [SEP] ｶﾞﾗｽ"
    found = [
        (slow.convert_ids_to_tokens(index), text[start:end]) for index, start, end in tokenize_with_offsets(slow, text)
    ]
    if slow.subword_tokenizer_type == "character":
        expected = [("東", "東"), ("京", "京"), ("の", "の"), ("[SEP]", "[SEP]")]
        expected += [("[UNK]", "ｶﾞ"), ("[UNK]", "ﾗ"), ("[UNK]", "ｽ")]
    else:
        expected = [("東京", "東京"), ("の", "の"), ("[SEP]", "[SEP]"), ("[UNK]", "ｶﾞﾗｽ")]
    vocab = slow.get_vocab()
    expected = [(token if token in vocab else "[UNK]", text) for token, text in expected]
    if slow.subword_tokenizer_type == "character":
        expected[-3:] = [("ガ" if "ガ" in vocab else "[UNK]", "ｶﾞ"), ("ラ", "ﾗ"), ("[UNK]", "ｽ")]
    assert found == expected


class WordsOfOneCharacter:
    """A tokenizer of words as written, in upper case and full width, with two pieces in a row inside a word."""

    is_fast = False
    unk_token = "[UNK]"
    all_special_tokens = ("[UNK]",)

    def __init__(self, by_words: bool) -> None:
        if by_words:
            self.word_tokenizer = self.subword_tokenizer = self

    def tokenize(self, text, never_split=None):
        return ["AB", "##C", "##DE"] if text == "ABCDE" else list(text)

    def convert_tokens_to_ids(self, tokens):
        return [0] * len(tokens)


def test_neighbouring_words_as_written():
    assert tokenize_with_offsets(WordsOfOneCharacter(True), "ＡＢｃ") == [(0, 0, 1), (0, 1, 2), (0, 2, 3)]


def test_pieces_that_go_on_a_word():
    assert tokenize_with_offsets(WordsOfOneCharacter(False), "ABCDE") == [(0, 0, 2), (0, 2, 3), (0, 3, 5)]


class OtherSlowTokenizer:
    """A tokenizer with pieces like SentencePiece's, and without words."""

    is_fast = False
    unk_token = "<unk>"
    all_special_tokens = ("<unk>", "<sep>")

    def tokenize(self, text):
        return ["▁", "ABC", "<unk>", "猫"] if text == "ＡＢＣ犬猫" else ["▁猫"]

    def convert_tokens_to_ids(self, tokens):
        return [len(token) for token in tokens]


def test_other_slow_tokenizers():
    found = tokenize_with_offsets(OtherSlowTokenizer(), "ＡＢＣ犬猫<sep>猫")
    assert found == [(1, 0, 0), (3, 0, 3), (5, 3, 4), (1, 4, 5), (5, 5, 10), (2, 10, 11)]


def test_lower_cased_words_are_found(wordpiece_vocab):
    from transformers import BertJapaneseTokenizer

    tokenizer = BertJapaneseTokenizer(
        str(wordpiece_vocab), do_lower_case=True, word_tokenizer_type="mecab", mecab_kwargs={"mecab_dic": "unidic_lite"}
    )
    text = "ＮＨＫのPython"
    assert [text[start:end] for _, start, end in tokenize_with_offsets(tokenizer, text)] == ["ＮＨＫ", "の", "Python"]

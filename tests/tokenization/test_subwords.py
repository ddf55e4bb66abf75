import pytest

from japanese_bert.tokenization.subwords import encode_characters, encode_wordpieces, make_subword_encoder
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab


def make_vocab(*tokens: str) -> Vocab:
    all_tokens = (*SPECIAL_TOKENS, *tokens)
    return Vocab(all_tokens, {token: index for index, token in enumerate(all_tokens)})


def test_wordpiece_takes_the_longest_piece_first():
    ids = {"[UNK]": 0, "東": 1, "東京": 2, "##京": 3, "##都": 4, "##都民": 5}
    assert encode_wordpieces("東京都民", ids) == [2, 5]
    assert encode_wordpieces("東都", ids) == [1, 4]


def test_a_word_with_an_unknown_rest_is_one_unknown():
    ids = {"[UNK]": 0, "東京": 2, "##都": 4}
    assert encode_wordpieces("東京府", ids) == [0]
    assert encode_wordpieces("", ids) == []
    assert encode_wordpieces("##", ids) == [0]
    assert encode_wordpieces("##都", ids) == [4]


@pytest.mark.parametrize(("length", "expected"), [(100, 100), (101, 1)])
def test_a_word_of_more_than_100_characters_is_unknown(length, expected):
    ids = {"[UNK]": 0, "あ": 1, "##あ": 2}
    assert len(encode_wordpieces("あ" * length, ids)) == expected


def test_exotic_white_space_inside_a_word_parts_pieces():
    ids = {"[UNK]": 0, "あ": 1, "い": 2, "\u2028": 3, "あ\u2028い": 4}
    assert encode_wordpieces("あ\u2028い", ids) == [1, 2]
    assert encode_wordpieces("\u2028", ids) == []


def test_characters_are_normalized_and_unknown_ones_counted_one_by_one():
    ids = {"[UNK]": 0, "ガ": 1, "株": 2, "(": 3, ")": 4}
    assert encode_characters("ｶﾞ", ids) == [1]
    assert encode_characters("㈱", ids) == [3, 2, 4]
    assert encode_characters("𠮷ガ", ids) == [0, 1]


def test_characters_with_prefix_mark_those_inside_a_word():
    assert encode_characters("東東", {"[UNK]": 0, "東": 1, "##東": 2}, "##") == [1, 2]


def test_a_vocabulary_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="--vocab_has_no_subword_prefix"):
        make_subword_encoder("character", make_vocab("東", "京"), has_subword_prefix=True)
    with pytest.raises(ValueError, match="has ## entries"):
        make_subword_encoder("wordpiece", make_vocab("東", "##京"), has_subword_prefix=False)


def test_text_that_spells_a_special_token_is_text():
    vocab = make_vocab("[", "]", "M", "##A", "##S", "##K", "MASK")
    encode = make_subword_encoder("wordpiece", vocab, has_subword_prefix=True)
    assert encode("MASK") == [vocab.ids["MASK"]]
    assert encode("[MASK]") != [vocab.ids["[MASK]"]]

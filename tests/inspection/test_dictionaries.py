import numpy as np

from japanese_bert.inspection.counting import TokenTable
from japanese_bert.inspection.dictionaries import ENOUGH_BOUNDARIES, boundary_agreement
from japanese_bert.tokenization.words import make_word_splitter
from tests.inspection.test_samples import TABLE, Vocab, sample


def agreement(text: str, predictions: dict[int, str] | None = None, copies: int = 400, table: TokenTable = TABLE):
    return boundary_agreement(
        [sample(text, predictions)] * copies, table, make_word_splitter("mecab", "unidic_lite", False)
    )


def test_words_of_the_dictionary():
    assert agreement("[CLS] 猫 で 猫 [SEP]") == 1
    assert agreement("[CLS] Py ##thon 3 で [SEP] 猫 で [SEP]") == 1
    assert agreement("[CLS] Py Py で [SEP] Py 猫 [SEP]") == 1  # a space is put between Py and Py


def test_masked_words_count_as_what_they_were():
    assert agreement("[CLS] 猫 [MASK] 猫 [SEP]", {2: "で"}) == 1


def test_other_words():
    assert agreement("[CLS] で ##都 猫 ##都 で [SEP]") < 0.9


def test_the_rest_of_a_word_and_segments_with_unknown_tokens_are_left_out():
    assert agreement("[CLS] ##都 ##thon 猫 で [SEP] で ##都 [UNK] [SEP]") == 1


def test_too_little_to_judge():
    assert agreement("[CLS] 猫 で 猫 [SEP]", copies=ENOUGH_BOUNDARIES // 3 - 1) is None
    characters = tuple(token for token in TABLE.vocab.tokens if not token.startswith("##"))
    table = TokenTable(Vocab(characters, {token: number for number, token in enumerate(characters)}))
    assert not table.is_piece.any()
    assert agreement("[CLS] 東京 [SEP]", table=table) is None
    assert np.count_nonzero(TABLE.is_piece) == 2

"""Lists of words for the vocabulary of a model: normalized as text is, or refused with file and line."""

import pytest

from japanese_bert.conversion.added_words import choose_tokens, normalized_tokens
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab

BASIC, MECAB = {"word_tokenizer_type": "basic"}, {"word_tokenizer_type": "mecab"}
CHARACTERS = {"subword_tokenizer_type": "character"}


@pytest.mark.parametrize(
    ("settings", "line", "expected"),
    [
        ({}, "ﾜｸﾁﾝ", "ワクチン"),
        (MECAB, "　ＩｇＧ\t", "IgG"),
        (MECAB | {"do_lower_case": True}, "ＩｇＧ", "igg"),
        (BASIC, "ＩｇＧ", "ＩｇＧ"),  # this tokenizer keeps the width
        (BASIC | {"do_lower_case": True}, "ガラス", "カラス"),  # as BERT's, it strips marks with the case
        (BASIC, "##ラス", "##ラス"),
        (CHARACTERS, "㌔", None),
        (CHARACTERS, "ｶ", "カ"),
    ],
)
def test_forms_of_text(tmp_path, settings, line, expected):
    path = tmp_path / "words.txt"
    path.write_text(f"[PAD]\n[unused0]\n \n{line}\n", encoding="utf-8")
    if expected is None:
        with pytest.raises(ValueError, match=r"words.txt:4: 'キロ' is never one token.*Expected one character"):
            normalized_tokens(path, settings)
    else:
        assert normalized_tokens(path, settings) == [expected]


@pytest.mark.parametrize(
    ("settings", "line", "message"),
    [
        ({}, "東京　都", "words.txt:2: '東京 都' is never one token of this model. Expected one word"),
        (BASIC, "A-B", "words.txt:2: 'A - B' is never one token"),
        (BASIC | {"tokenize_chinese_chars": True}, "東京都", "words.txt:2: '東 京 都' is never one token"),
        ({}, "\udcff", "words.txt: not UTF-8 text"),
    ],
)
def test_entries_that_no_text_can_hit(tmp_path, settings, line, message):
    path = tmp_path / "words.txt"
    path.write_text(f"犬\n{line}\n", encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ValueError, match=message):
        normalized_tokens(path, settings)


def test_the_defaults_of_a_class_count(tmp_path):
    (tmp_path / "words.txt").write_text("東京都\n", encoding="utf-8")
    vocab = Vocab(("犬",), {"犬": 0})
    with pytest.raises(ValueError, match="'東 京 都' is never one token"):
        choose_tokens(tmp_path / "words.txt", vocab, False, {"tokenizer_class": "BertTokenizer"})


def test_what_is_there_already_and_what_is_changed_is_told(tmp_path, capsys):
    path = tmp_path / "words.txt"
    path.write_text("ガラス\nｶﾞﾗｽ\n猫\n犬\n##犬\n", encoding="utf-8")
    tokens = (*SPECIAL_TOKENS, "猫")
    vocab = Vocab(tokens, {token: index for index, token in enumerate(tokens)})
    assert choose_tokens(path, vocab, False, MECAB) == ["ガラス", "犬"]
    assert capsys.readouterr().out == (
        "normalized as in text: 1 (ｶﾞﾗｽ -> ガラス)\n"
        "in vocab.txt already: 1 (猫)\n"
        "left out: new pieces that begin with ## (1). --add_pieces adds them\n"
    )

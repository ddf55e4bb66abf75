import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from japanese_bert.pretraining_data import word_table
from japanese_bert.pretraining_data.word_table import WordTable
from japanese_bert.tokenization.words import make_word_splitter

WORDS = st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), min_size=1, max_size=6)


def mark(sentences: list[list[str]]) -> str:
    return "".join("".join(f"{word}\0" for word in words) + "\n" for words in sentences)


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.lists(st.lists(WORDS | st.sampled_from("猫犬鳥"), max_size=8), max_size=5), max_size=5))
def test_rows_are_numbered_in_the_order_of_the_words(blocks):
    added: list[str] = []
    table = WordTable(added.append, added.clear)
    for sentences in blocks:
        words = [word for sentence in sentences for word in sentence]
        rows, sentence_ends = table.rows(mark(sentences))
        assert [added[row] for row in rows] == words
        assert np.diff(sentence_ends, prepend=0).tolist() == [len(sentence) for sentence in sentences]
        assert len(set(added)) == len(added)


def test_words_of_one_hash_are_told_apart():
    added: list[str] = []
    table = WordTable(added.append, added.clear, max_words=4)
    data = "".join(f"{word}\0" for word in ("ab", "a", "b", "ba"))
    arrays = (table._slots, table._hashes, table._ends, table._characters, table._num_words)
    words = [np.frombuffer(word.encode(), np.uint8) for word in data.split("\0")[:-1]]
    same_hash = np.uint64(7)
    assert [word_table.find_row(word, same_hash, *arrays) for word in words * 2] == [0, 1, 2, 3] * 2


def test_a_full_table_forgets_its_words():
    added: list[str] = []
    table = WordTable(added.append, added.clear, max_words=3)
    assert table.rows(mark([["a", "b"]]))[0].tolist() == [0, 1]
    assert table.rows(mark([["b"]]))[0].tolist() == [1]
    assert table.rows(mark([["c", "d"]]))[0].tolist() == [0, 1]
    assert added == ["c", "d"]
    many = [f"word{number}" for number in range(1000)]
    assert table.rows(mark([many]))[0].tolist() == list(range(1000))
    long = "猫" * 1000
    table.rows(mark([[long]]))
    assert added[-1] == long


def test_marked_text_holds_the_words_of_every_splitter():
    texts = ["猫が好き。", "ｶﾞﾗｽ (^ ^)の犬", "末尾に空白\u2028", "", "長" * 40_000]
    for kind in ("mecab", "basic", "whitespace"):
        splitter = make_word_splitter(kind, "unidic_lite", do_lower_case=False)
        assert splitter.mark(texts) == mark([splitter.split(text) for text in texts])

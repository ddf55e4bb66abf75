"""Dictionary: unidic-lite 1.0.8."""

from collections import Counter

from japanese_bert.tokenization.word_counts import Reservoir, clean_sentences, count_words, read_corpus, sample_corpus
from japanese_bert.tokenization.words import make_word_splitter

PARTS = [("山桜", "走り回る"), ("ｶﾞﾗｽ", "思い出す"), ("𠮷野家", "乗り換える")]


def test_count_words_exactly():
    blocks = ["ｶﾞﾗｽと𠮷野家\n\n".encode(), "ガラス\u2028と\n　\n".encode()]
    words, totals = count_words(blocks, make_word_splitter("mecab", "unidic_lite", do_lower_case=False), 1)
    assert words == {"ガラス": 2, "と": 2, "𠮷": 1, "野家": 1}
    assert +totals == {"sentences": 2, "words": 6, "blank_lines": 2}


def test_counts_are_the_same_for_any_number_of_workers_and_blocks():
    splitter = make_word_splitter("mecab", "unidic_lite", do_lower_case=False)
    sentences = [f"{subject}が{number}番目に{verb}。" for number in range(100) for subject, verb in PARTS]
    lines = [f"{sentence}\n".encode() for sentence in [*sentences, ""]]
    blocks = [b"".join(lines[start : start + 70]) for start in range(0, len(lines), 70)]
    whole, parts = count_words([b"".join(lines)], splitter, 1), count_words(blocks, splitter, 3)
    assert whole == parts
    assert list(whole[0]) == list(parts[0])


def test_clean_sentences_exactly():
    totals = Counter()
    block = "　山\u2028川 \n\n".encode() + b"\xe5\xb1\xb1\xe5\xb1\n\xff\n" + b"a\0b\n"
    assert clean_sentences(block, totals) == ["山\u2028川", "山", "ab"]
    expected = {"sentences": 3, "blank_lines": 2, "invalid_utf8_bytes": 3, "nul_characters": 1, "byte_order_marks": 0}
    assert totals == expected
    assert clean_sentences("\ufeff山\n川\ufeff川\n\ufeff\n".encode(), totals) == ["山", "川\ufeff川"]
    assert totals["byte_order_marks"] == 2


def test_reservoir_is_uniform_and_does_not_depend_on_blocks():
    hits = Counter()
    for seed in range(400):
        whole, parts = Reservoir(10, seed), Reservoir(10, seed)
        whole.add([str(index) for index in range(100)])
        for start in range(0, 100, 7):
            parts.add([str(index) for index in range(start, min(start + 7, 100))])
        assert len(whole.sentences) == len(set(whole.sentences)) == 10
        assert whole.sentences == parts.sentences
        hits.update(whole.sentences)
    assert len(hits) == 100
    # 400 draws at 1/10: mean 40, standard deviation 6.
    assert all(abs(count - 40) < 5 * 6 for count in hits.values())
    assert abs(sum(hits[str(index)] for index in range(50)) - 2000) < 5 * 32


def test_all_files_are_read_and_a_sample_counts_what_it_leaves_out(tmp_path):
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_bytes(f"{path.name}\n\n猫\0\n".encode() + b"\xff\n" + "犬".encode())
    totals: Counter[str] = Counter()
    [block] = sample_corpus(read_corpus(paths), 10, 1, totals)
    assert block.decode().split("\n") == ["a.txt", "猫", "犬", "b.txt", "猫", "犬", ""]
    assert totals == {
        "sentences": 6,
        "blank_lines": 4,
        "invalid_utf8_bytes": 2,
        "nul_characters": 2,
        "byte_order_marks": 0,
    }
    assert b"".join(sample_corpus(read_corpus(paths), 3, 1, totals)).count(b"\n") == 3

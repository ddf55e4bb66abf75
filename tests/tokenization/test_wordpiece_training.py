"""Dictionary: unidic-lite 1.0.8."""

from collections import Counter

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import PreTokenizer

from japanese_bert.tokenization.mecab import find_dictionary, make_tagger
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS
from japanese_bert.tokenization.word_counts import count_words
from japanese_bert.tokenization.wordpiece_training import choose_alphabet, train_wordpiece
from japanese_bert.tokenization.words import make_word_splitter


def test_choose_alphabet_exactly():
    words = {"山川": 3, "川草": 3, "木": 3, "z": 1}
    assert choose_alphabet(words, ["Z"], 3) == ["Z", "山", "川"]  # 山, 木 and 草 are equally frequent: the first wins
    assert choose_alphabet(words, ["山", "Z"], 100) == ["Z", "z", "山", "川", "木", "草"]
    with pytest.raises(ValueError, match="less than the 2 characters"):
        choose_alphabet(words, ["Z", "Y"], 1)


def test_ties_are_merged_in_the_order_of_the_characters():
    words = {first + second: 5 for first in "あいうえおかきくけこ" for second in "さしすせそ"}
    alphabet = sorted(set("".join(words)))
    runs = {tuple(train_wordpiece(words, alphabet, 40, 0, "##", 2)) for _ in range(5)}
    assert len(runs) == 1
    assert runs.pop()[25:] == tuple(f"{first}{second}" for first in "あいう" for second in "さしすせそ")


def test_characters_inside_the_most_words_are_numbered_first():
    words = {"山川": 1, "草川": 1, "木川": 1, "川山": 90, "草山": 1, "山草木": 50}
    tokens = train_wordpiece(words, sorted("山川草木"), 15, 0, "##", 50)
    assert tokens[9:13] == ["##川", "##山", "##木", "##草"]
    assert tokens[13:] == ["川山", "山草"]


def test_words_of_one_character_do_not_matter():
    words = Counter({"山桜": 9, "山川": 8, "桜川": 3, "山": 1000, "川": 7})
    without = {word: count for word, count in words.items() if len(word) > 1}
    assert train_wordpiece(words, list("山川桜"), 12, 0, "##", 2) == train_wordpiece(
        without, list("山川桜"), 12, 0, "##", 2
    )


def test_vocabulary_is_that_of_the_plain_trainer_where_nothing_ties():
    words = {"山川": 1000, "山川草": 300, "山川草木": 90, "草木": 27, "木山": 9, "川木": 3}
    plain = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(vocab_size=18, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    plain.train_from_iterator([f"{word} " * count for word, count in words.items()], trainer)
    assert set(train_wordpiece(words, sorted("山川草木"), 18, 0, "##", 0)) == set(plain.get_vocab())


def plain_pre_tokenizer(tagger) -> PreTokenizer:
    """MeCab called back by `tokenizers` for every sentence."""

    class MecabPreTokenizer:
        def pre_tokenize(self, text):
            text.split(self._split)

        def _split(self, index, sentence):
            text, position, parts = str(sentence), 0, []
            for node in tagger(text):
                start = text.index(node.surface, position)
                position = start + len(node.surface)
                parts.append(sentence[start:position])
            return parts

    return PreTokenizer.custom(MecabPreTokenizer())


def test_words_and_vocabulary_are_those_of_plain_training_on_real_text(aozora_bytes):
    block = aozora_bytes[: aozora_bytes.index(b"\n", 500_000) + 1]
    tagger = make_tagger(find_dictionary("unidic_lite"))
    plain = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    plain.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    plain.pre_tokenizer = plain_pre_tokenizer(tagger)
    lines = block.decode("utf-8").split("\n")
    plain_words = Counter(
        word
        for line in lines
        for word, _ in plain.pre_tokenizer.pre_tokenize_str(plain.normalizer.normalize_str(line))
        if word.strip()
    )
    words, _ = count_words([block], make_word_splitter("mecab", "unidic_lite", do_lower_case=False), 1)
    assert len(words) > 5000
    assert words == plain_words

    trainer = trainers.WordPieceTrainer(vocab_size=8000, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    plain.train_from_iterator(lines, trainer)
    ours = train_wordpiece(words, sorted(set("".join(words))), 8000, 0, "##", 0)
    # Two plain runs differ in 10 to 25 entries, those that are equally frequent at the end.
    assert len(set(ours) - set(plain.get_vocab())) < 80

"""Passages and questions hold what they promise, and models whose answers are known score as they must."""

import math
import re
from collections import Counter

import numpy as np
import pytest

from japanese_bert.evaluation.held_out import (
    Passage,
    Question,
    encode_question,
    make_passages,
    make_questions,
    score_held_out,
)
from japanese_bert.evaluation.masked_lm import MaskedLM
from japanese_bert.tokenization.subwords import make_subword_encoder
from japanese_bert.tokenization.vocab import load_vocab
from japanese_bert.tokenization.words import make_word_splitter
from tests.helpers.small_masked_lm import write_knowing_model, write_uniform_model

SIZE = 40
PASSAGE = Passage(["東京", "の", "天気", "PCの"], ["猫", "が", "好き", "だ", "。"], is_random_next=False)


@pytest.fixture(scope="module")
def documents(aozora_bytes):
    split = make_word_splitter("mecab", "unidic_lite", do_lower_case=False).split
    texts = aozora_bytes[:300_000].decode("utf-8", errors="ignore").split("\n\n")
    return [[split(line) for line in text.split("\n") if line.strip()] for text in texts if text.strip()]


@pytest.fixture(scope="module")
def passages(documents):
    return list(make_passages(documents, SIZE, np.random.default_rng(1)))


def test_passages_are_consecutive_text_or_text_of_another_document(documents, passages):
    texts = ["".join(word for sentence in document for word in sentence) for document in documents]
    assert len(passages) > 500
    for passage in passages:
        first, second = ("".join(words) for words in passage[:2])
        assert 0 < len(first) <= SIZE // 2 and 0 < len(second) <= SIZE // 2
        sources = [text for text in texts if first in text]
        assert sources
        if not passage.is_random_next:
            assert any(second in text[text.index(first) :] for text in sources)
    assert abs(np.mean([passage.is_random_next for passage in passages]) - 0.5) < 5 * 0.5 / len(passages) ** 0.5


def test_the_same_seed_gives_the_same_questions(documents, passages):
    assert passages == list(make_passages(documents, SIZE, np.random.default_rng(1)))
    questions = make_questions(passages, 50, np.random.default_rng(2))
    assert questions == make_questions(passages, 50, np.random.default_rng(2))
    assert questions != make_questions(passages, 50, np.random.default_rng(3))


def test_every_kind_hides_its_words(passages):
    some = [*passages, PASSAGE]
    questions = make_questions(some, 10_000, np.random.default_rng(2))
    hidden = {
        kind: Counter(
            [*question.passage.first, *question.passage.second][index]
            for question in asked
            for index in question.hidden
        )
        for kind, asked in questions.items()
    }
    assert all(max(word) >= "A" and word != word.lower() for word in hidden["capital"]) and hidden["capital"]["PCの"]
    assert hidden["first"] == Counter(words[0] for passage in some for words in passage[:2])
    assert hidden["last"] == Counter(words[-1] for passage in some for words in passage[:2])
    assert all(len(question.hidden) == 1 for question in questions["content"])
    assert all(len(word) > 1 and not re.search("[ぁ-ん、。]", word) for word in hidden["content"])
    words = sum(len(passage.first) + len(passage.second) for passage in some)
    assert 0.1 * words < hidden["all"].total() <= 0.15 * words + len(some)
    assert make_questions(some, 7, np.random.default_rng(2))["all"] == questions["all"][:7]


PAIR = "[CLS] 東京 の 天気 P ##C ##の [SEP] 猫 が 好 ##き だ 。 [SEP]", [0] * 8 + [1] * 7, [4, 5, 6, 10, 11]
ONE_SEGMENT = "[CLS] 東京 の 天気 P ##C ##の 猫 が 好 ##き だ 。 [SEP]", [0] * 14, [4, 5, 6, 9, 10]


@pytest.mark.parametrize(("has_pairs", "expected"), [(True, PAIR), (False, ONE_SEGMENT)])
def test_a_question_as_tokens(wordpiece_vocab, has_pairs, expected):
    vocab = load_vocab(wordpiece_vocab)
    encode_word = make_subword_encoder("wordpiece", vocab, has_subword_prefix=True)
    sequence, words = encode_question(Question(PASSAGE, [3, 6]), vocab, encode_word, has_pairs)
    tokens = " ".join(vocab.tokens[index] for index in sequence.token_ids)
    assert (tokens, sequence.token_type_ids, sequence.hidden) == expected
    assert words == [3, 3, 3, 6, 6]


def questions_about(passage):
    hidden = {"all": [0, 6], "capital": [3], "first": [0, 4], "last": [3, 8], "content": [2]}
    return {kind: [Question(passage, words)] for kind, words in hidden.items()}


def test_a_model_that_knows_every_token(tmp_path, wordpiece_vocab):
    vocab = load_vocab(wordpiece_vocab)
    encode_word = make_subword_encoder("wordpiece", vocab, has_subword_prefix=True)
    token_ids = encode_question(Question(PASSAGE, []), vocab, encode_word, has_pairs=True)[0].token_ids
    directory = write_knowing_model(tmp_path / "model", wordpiece_vocab, token_ids)
    scores = score_held_out(MaskedLM(directory), directory, questions_about(PASSAGE))
    kinds = ("all", "word", "capital", "first", "last")
    names = {f"{kind}_{score}" for kind in kinds for score in ("loss", "accuracy")}
    assert scores.keys() == names | {"fill_mask_accuracy", "next_sentence_accuracy"}
    assert all(scores[name] == pytest.approx(0 if name.endswith("loss") else 1, abs=1e-6) for name in scores)


@pytest.mark.parametrize("subwords", ["wordpiece", "character"])
def test_a_model_that_guesses(tmp_path, wordpiece_vocab, character_vocab, subwords):
    vocab = {"wordpiece": wordpiece_vocab, "character": character_vocab}[subwords]
    size = vocab.read_bytes().count(b"\n")
    directory = write_uniform_model(tmp_path / "model", vocab, subwords)
    scores = score_held_out(MaskedLM(directory), directory, questions_about(PASSAGE))
    for kind in ("all", "capital", "first", "last"):
        assert scores[f"{kind}_loss"] == pytest.approx(math.log(size), rel=1e-5)
    tokens_of_words = {"wordpiece": (1 + 2) / 2, "character": (2 + 2) / 2}[subwords]
    assert scores["word_loss"] == pytest.approx(tokens_of_words * math.log(size), rel=1e-5)


def test_half_a_word_is_no_word(tmp_path, wordpiece_vocab):
    vocab = load_vocab(wordpiece_vocab)
    encode_word = make_subword_encoder("wordpiece", vocab, has_subword_prefix=True)
    known = list(encode_question(Question(PASSAGE, []), vocab, encode_word, has_pairs=True)[0].token_ids)
    known[6], known[11] = vocab.ids["。"], vocab.ids["##の"]  # instead of PC##の and 好##き
    directory = write_knowing_model(tmp_path / "model", wordpiece_vocab, known)
    other = PASSAGE._replace(second=["猫", "が", "好の", "だ", "。"], is_random_next=True)
    questions = {**questions_about(PASSAGE), "first": [], "all": [Question(each, [0, 6]) for each in (PASSAGE, other)]}
    scores = score_held_out(MaskedLM(directory), directory, questions)
    assert scores["word_accuracy"] == 3 / 4 and scores["all_accuracy"] == pytest.approx(5 / 6)
    assert scores["next_sentence_accuracy"] == 1 / 2
    assert scores["capital_accuracy"] == 1 and scores["last_accuracy"] == 3 / 4
    assert "first_loss" not in scores

"""Records of question answering: those of JGLUE's evaluation, and they lead back to the text."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from japanese_bert.finetuning_data.question_encoding import (
    ParagraphTokenizer,
    read_windows,
    render_questions,
    template_of,
    without_mark,
)
from japanese_bert.finetuning_data.questions import Example, read_squad
from japanese_bert.finetuning_data.squad import decode_answers, make_windows
from japanese_bert.jglue.features import QuestionAnswering
from japanese_bert.jglue.tasks import TASKS, find_file
from tests.finetuning_data.test_squad import JGLUE, make_tokenizer
from tests.helpers.mixed_text import write_albert, write_bert
from tests.helpers.small_answers import write_questions
from tests.helpers.small_pretraining import write_vocab
from tests.helpers.tfrecord_reader import parse_example, split_records
from tests.tokenization.test_released_ids import MODELS, tokenizer_of_flags

CONTEXT = "題 [SEP] 東京の㈱ｶﾞﾗｽは２０２０年にＣａｆé ザを開いた。がぎぐ𠮷野へ移った。"
MECAB = ["--word_tokenizer_type", "mecab", "--subword_tokenizer_type"]


@pytest.fixture(scope="module")
def questions():
    if not JGLUE.is_dir():
        pytest.skip("the shared JGLUE files are not here")
    return [*read_squad(find_file(JGLUE, TASKS["jsquad"], "valid"))][::30]


def records(examples, tokenizer, max_seq_length: int) -> list[dict]:
    data = b"".join(render_questions(examples, tokenizer, max_seq_length, False, Counter()))
    return [parse_example(record) for record in split_records(data)]


@pytest.mark.parametrize("kind", ["wordpiece", "character"])
def test_records_are_the_inputs_of_jglue(tmp_path, questions, kind):
    reference = make_tokenizer(tmp_path, kind, questions)
    (tmp_path / "own").mkdir()
    (tmp_path / f"{kind}.txt").rename(tmp_path / "own" / "vocab.txt")
    flags = [*MECAB, kind, *["--vocab_has_no_subword_prefix"] * (kind == "character")]
    found = records(questions, tokenizer_of_flags(tmp_path / "own", flags), 256)
    features = QuestionAnswering(TASKS["jsquad"], questions, reference, 256, learn=True)
    assert len(found) == len(features.rows) > len(questions)
    for number, (record, row) in enumerate(zip(found, features.rows, strict=True)):
        length = len(row["input_ids"])
        assert record["input_ids"] == row["input_ids"] + [0] * (256 - length)
        assert record["input_mask"] == [1] * length + [0] * (256 - length)
        offset = features._windows[number].offset
        assert record["segment_ids"] == [0] * offset + [1] * (length - offset) + [0] * (256 - length)
        assert [record["start_positions"], record["end_positions"]] == [
            [row["start_positions"]],
            [row["end_positions"]],
        ]
        assert record["unique_ids"] == [number]


@pytest.mark.parametrize("kind", ["uncased (English)", "ALBERT", "lower-cased with accents", "ALBERT with accents"])
def test_answers_come_back_from_other_tokenizers(tmp_path, questions, kind):
    """Without the case and the marks of the paragraph, its characters are found all the same."""
    write, settings, flags = MODELS[kind]
    assert write in (write_bert, write_albert)
    texts = [text for example in questions for text in example.texts]
    tokenizer = tokenizer_of_flags(write(tmp_path / "model", texts, **settings), flags)
    examples = [*questions, *(Example(answer, ("何？", CONTEXT), (answer,), CONTEXT.index(answer)) for answer in
                              ("２０２０年", "Ｃａｆé ザ", "がぎぐ", "東京の㈱ｶﾞﾗｽ"))]  # fmt: skip
    exact = Counter()
    for record in records(examples, tokenizer, 384):
        example = examples[record["example_id"][0]]
        (start,), (end,) = record["start_positions"], record["end_positions"]
        text = example.texts[1][record["token_starts"][start] : record["token_ends"][end]]
        if start:
            assert example.gold[0] in text
            exact[example.gold[0] == text] += 1
    assert exact.total() >= len(examples)
    assert exact[True] > 0.6 * exact.total()  # the others are cut inside a token


@pytest.mark.parametrize("kind", ["uncased (English)", "ALBERT"])
def test_tokens_without_marks_have_places_of_their_own(tmp_path, kind):
    write, settings, flags = MODELS[kind]
    rng = random.Random(0)
    words = ["".join(rng.sample("がぎぐげごパピプペポàéî", 9)) for _ in range(300)]
    lines = [*("".join(map(without_mark, word)) for word in words[3:]), "".join(map(chr, range(0x4E00, 0x4E40)))]
    tokenizer = tokenizer_of_flags(write(tmp_path / "model", lines, **settings), flags)
    text = " ".join(words[:3])
    tokens = ParagraphTokenizer(tokenizer).tokens_of(text)
    assert len(tokens) > 6
    assert all(before.end <= after.start for before, after in pairwise(tokens))
    assert "".join(text[token.start : token.end] for token in tokens) == text.replace(" ", "")


def test_right_positions_lead_back_to_the_answers(tmp_path):
    """By the features of the records alone."""
    examples = [*read_squad(write_questions(tmp_path / "a.json", seed=0, count=30))]
    write_vocab(tmp_path / "vocab.txt")
    tokenizer = tokenizer_of_flags(tmp_path, ["--word_tokenizer_type", "mecab"])
    found, paragraphs = records(examples, tokenizer, 40), ParagraphTokenizer(tokenizer)
    assert len(found) > len(examples)
    windows, tokens = read_windows({name: np.squeeze([row[name] for row in found]) for name in found[0]})
    starts, ends = np.zeros((2, len(found), 40), np.float32)
    for row, record in enumerate(found):
        starts[row, record["start_positions"]], ends[row, record["end_positions"]] = 1, 1
    of_paragraph = {examples[index].texts[1]: row for index, row in tokens.items()}
    answers = decode_answers(examples, windows, of_paragraph.__getitem__, starts, ends)
    template, tokens_of = template_of(tokenizer.vocab), paragraphs.tokens_of
    direct = [*make_windows(examples, template, paragraphs.encode_query, tokens_of, 40)]
    assert answers == decode_answers(examples, direct, tokens_of, starts, ends)
    right = [answers[example.id] == example.gold[0] for example in examples]
    assert sum(right) > 0.8 * len(right)  # in some windows the answer has no place


def test_marks():
    assert "".join(map(without_mark, "がパé한Å々")) == "かハe한A々"

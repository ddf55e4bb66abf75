"""Windows and answers of JSQuAD: properties on made-up scores, and every answer of the real files."""

import collections
import itertools
from functools import partial

import numpy as np
import pytest

from japanese_bert.finetuning_data import squad
from japanese_bert.finetuning_data.questions import Example
from japanese_bert.finetuning_data.squad import TokenSpan, answer_span, best_span, max_context_windows, window_spans
from japanese_bert.jglue.scoring import score
from japanese_bert.jglue.tasks import TASKS, find_file, load_examples
from japanese_bert.tokenization.offsets import Token, tokenize_with_offsets
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, unused_tokens, vocab_bytes
from tests.helpers.places import SHARED_DATA

JGLUE = SHARED_DATA / "jglue" / "datasets"
MAX_SEQ_LENGTH = TASKS["jsquad"].max_seq_length


@pytest.mark.parametrize("num_tokens", [1, 2, 99, 100, 101, 128, 129, 500, 1000])
@pytest.mark.parametrize("room", [1, 60, 100, 128, 300])
def test_windows_hold_every_token(num_tokens, room):
    spans = window_spans(num_tokens, room)
    assert {place for span in spans for place in range(*span)} == set(range(num_tokens))
    assert all(0 < end - start <= room for start, end in spans)
    steps = [after.start - before.start for before, after in itertools.pairwise(spans)]
    assert set(steps) <= {min(128, room)}
    assert all(span.end < num_tokens for span in spans[:-1])


def test_a_token_counts_where_it_has_most_context():
    """As SQuAD's script computes it."""
    windows = [TokenSpan(0, 301), TokenSpan(128, 429), TokenSpan(256, 500)]
    chosen = max_context_windows(windows)
    expected = [
        max(
            (number for number, (start, end) in enumerate(windows) if start <= place < end),
            key=lambda number: (
                min(place - windows[number].start, windows[number].end - 1 - place)
                + 0.01 * (windows[number].end - windows[number].start)
            ),
        )
        for place in range(500)
    ]
    assert chosen.tolist() == expected
    assert expected[200] == 0
    assert expected[220] == 1
    assert expected[342] == 1  # as far from the ends of both, and the second is longer


@pytest.mark.parametrize("seed", range(30))
def test_best_span_is_the_best_of_all(seed):
    numbers = np.random.default_rng(seed)
    size = int(numbers.integers(1, 80))
    starts, ends = numbers.normal(size=(2, size))
    may_start = numbers.random(size) < 0.7
    may_start[0] = True
    sums = {
        TokenSpan(start, end + 1): starts[start] + ends[end]
        for start in range(size)
        for end in range(start, min(start + 30, size))
        if may_start[start]
    }
    value, found = best_span(starts, ends, may_start)
    assert found == max(sums, key=sums.get)
    assert value == pytest.approx(sums[found])


def test_answer_span():
    tokens = [Token(7, 0, 2), Token(8, 2, 3), Token(9, 5, 9)]
    assert answer_span(tokens, 0, 2) == TokenSpan(0, 1)
    assert answer_span(tokens, 1, 3) == TokenSpan(0, 2)  # begins inside a token
    assert answer_span(tokens, 2, 6) == TokenSpan(1, 3)
    assert answer_span(tokens, 3, 5) is None


@pytest.fixture(scope="module")
def jglue():
    if not JGLUE.is_dir():
        pytest.skip("the shared JGLUE files are not here")
    return JGLUE


def make_tokenizer(directory, kind: str, examples: list[Example]):
    """Return a slow Japanese tokenizer with frequent words and all but the rare characters of the paragraphs."""
    from transformers import BertJapaneseTokenizer

    from japanese_bert.tokenization.words import make_word_splitter

    splitter = make_word_splitter("mecab", "unidic_lite", False, "")
    contexts = sorted({example.texts[1] for example in examples})
    words = collections.Counter(word for context in contexts for word in splitter.split(context))
    characters = collections.Counter("".join(words))
    known = sorted(character for character, count in characters.items() if count > 1)
    tokens = [*SPECIAL_TOKENS, *unused_tokens(10), *known]
    if kind == "wordpiece":
        frequent = [word for word, count in words.most_common(4000) if len(word) > 1 and "[" not in word]
        tokens += [*(f"##{character}" for character in known), *frequent]
    path = directory / f"{kind}.txt"
    path.write_bytes(vocab_bytes(tokens))
    return BertJapaneseTokenizer(
        str(path),
        word_tokenizer_type="mecab",
        subword_tokenizer_type=kind,
        do_lower_case=False,
        mecab_kwargs={"mecab_dic": "unidic_lite"},
    )


def windows_of(examples: list[Example], tokenizer, max_seq_length: int) -> list[squad.Window]:
    template, encode_query = squad.pair_template(tokenizer), lambda text: tokenizer(text, add_special_tokens=False)
    tokens_of = partial(tokenize_with_offsets, tokenizer)
    return [*squad.make_windows(examples, template, lambda t: encode_query(t)["input_ids"], tokens_of, max_seq_length)]


@pytest.mark.parametrize("kind", ["character", "wordpiece"])
@pytest.mark.parametrize(
    ("split", "every"), [("valid", 5), *(pytest.param(name, 1, marks=pytest.mark.slow) for name in ("valid", "test"))]
)
def test_every_answer_of_the_real_files_is_recovered(jglue, tmp_path, split, every, kind):
    """Scores that point at the right answer give its text, through windows and back."""
    task = TASKS["jsquad"]
    examples = load_examples(find_file(jglue, task, split), task)[::every]
    tokenizer = make_tokenizer(tmp_path, kind, examples)
    tokens_of = partial(tokenize_with_offsets, tokenizer)
    windows = windows_of(examples, tokenizer, MAX_SEQ_LENGTH)
    assert max(len(window.input_ids) for window in windows) <= MAX_SEQ_LENGTH
    assert len(windows) > len(examples)
    counts = squad.count_answers(examples, windows, tokens_of)
    assert counts["recovered"] + counts["cut_inside_a_token"] + counts["in_no_window"] == len(examples)
    assert counts["in_no_window"] == 0
    if kind == "character":
        assert counts["cut_inside_a_token"] == 0
    assert counts["cut_inside_a_token"] < 0.01 * len(examples)

    starts, ends = np.zeros((2, len(windows), MAX_SEQ_LENGTH), np.float32)
    for row, window in enumerate(windows):
        example = examples[window.example]
        answer = squad.answer_tokens(example, tokens_of(example.texts[1]))
        first, last = squad.positions_to_learn(window, answer)
        starts[row, first], ends[row, last] = 1, 1
    answers = squad.decode_answers(examples, windows, tokens_of, starts, ends)
    exact = score(task, examples, answers)["exact_match"] * len(examples)
    too_long = counts["longer_than_an_answer_may_be"]
    # An answer that is cut inside a token may equal another right answer of the question.
    assert counts["recovered"] - too_long <= round(exact) <= len(examples) - too_long
    wrong = [example for example in examples if answers[example.id] not in example.gold]
    assert all(answers[example.id] in example.texts[1] for example in wrong)


def test_text_comes_from_the_paragraph_as_written(tmp_path):
    """Width, half-width kana and unknown characters of the paragraph come back unchanged."""
    context = "梅雨 [SEP] 東京の㈱ｶﾞﾗｽは２０２０年に𠮷野へ移った。"
    examples = [Example("1", ("いつ？", context), ("２０２０年",), context.index("２"))]
    tokenizer = make_tokenizer(tmp_path, "wordpiece", examples)
    tokens_of = partial(tokenize_with_offsets, tokenizer)
    tokens = tokens_of(context)
    for answer in ("㈱ｶﾞﾗｽ", "２０２０年", "𠮷野", "東京の㈱ｶﾞﾗｽは２０２０年", "[SEP] 東京"):
        start = context.index(answer)
        assert squad.text_of_span(context, tokens, answer_span(tokens, start, start + len(answer))) == answer


class NarrowTokenizer:
    """A tokenizer of characters. 1, 2 and 3 frame a pair, with segments 0, 0 and 1."""

    is_fast = True

    def __call__(self, first, second=None, add_special_tokens=True, return_offsets_mapping=False):
        ids = [ord(character) for character in first]
        if not add_special_tokens:
            return {"input_ids": ids, "offset_mapping": [(place, place + 1) for place in range(len(ids))]}
        others = [ord(character) for character in second]
        segments = [0] * (len(ids) + 2) + [1] * (len(others) + 1)
        return {"input_ids": [1, *ids, 2, *others, 3], "token_type_ids": segments}


def test_inputs_and_positions(monkeypatch):
    monkeypatch.setattr(squad, "DOC_STRIDE", 2)
    examples = [Example("1", ("か？", "あいうえおかき"), ("えお",), 3)]
    windows = windows_of(examples, NarrowTokenizer(), 10)
    question = [1, ord("か"), ord("？"), 2]
    assert [window.input_ids for window in windows] == [
        [*question, *map(ord, text), 3] for text in ("あいうえお", "うえおかき")
    ]
    assert windows[0].token_type_ids == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert [squad.positions_to_learn(window, TokenSpan(3, 5)) for window in windows] == [(7, 8), (5, 6)]
    assert [squad.positions_to_learn(window, TokenSpan(4, 6)) for window in windows] == [(0, 0), (6, 7)]
    assert squad.positions_to_learn(windows[0], None) == (0, 0)


def test_questions_are_cut_at_64_tokens():
    examples = [Example("1", ("か" * 99, "あ" * 9), ("あ",), 0)]
    (window,) = windows_of(examples, NarrowTokenizer(), 384)
    assert window.input_ids == [1, *[ord("か")] * 64, 2, *[ord("あ")] * 9, 3]


def test_a_paragraph_without_room():
    examples = [Example("1", ("か" * 99, "あ"), ("あ",), 0)]
    with pytest.raises(ValueError, match="question 1: no token of its paragraph fits into 60 tokens"):
        windows_of(examples, NarrowTokenizer(), 60)


def test_answers_do_not_start_where_another_window_has_more_context(monkeypatch):
    """A high score at the very end of the first window does not count."""
    monkeypatch.setattr(squad, "DOC_STRIDE", 2)
    examples = [Example("1", ("か？", "あいうえおかき"), ("え",), 3)]
    tokens_of = partial(tokenize_with_offsets, NarrowTokenizer())
    windows = windows_of(examples, NarrowTokenizer(), 10)
    starts, ends = np.zeros((2, 2, 10))
    starts[0, 8] = ends[0, 8] = 9  # お, of which the second window sees both sides
    starts[1, 5] = ends[1, 6] = 1  # えお
    assert squad.decode_answers(examples, windows, tokens_of, starts, ends) == {"1": "えお"}

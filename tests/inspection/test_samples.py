import numpy as np
import pytest

from japanese_bert.inspection.counting import TokenTable
from japanese_bert.inspection.samples import OUTSIDE, Sample, Sampler, TextPart, segments
from japanese_bert.pretraining_data.reading import NO_LABEL, InstanceBlock
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab

TOKENS = (*SPECIAL_TOKENS, "東京", "##都", "で", "Py", "##thon", "3", "猫", "##")
TABLE = TokenTable(Vocab(TOKENS, {token: number for number, token in enumerate(TOKENS)}))
NO_LABELS = np.empty(0)


def ids(text: str) -> list[int]:
    return [TOKENS.index(token) for token in text.split()]


def sample(text: str, predictions: dict[int, str] | None = None, labels: np.ndarray = NO_LABELS) -> Sample:
    """Return an instance whose segment B begins after the first [SEP]."""
    tokens = ids(text)
    first = tokens.index(TOKENS.index("[SEP]")) + 1
    found = {place: TOKENS.index(label) for place, label in (predictions or {}).items()}
    segment_ids = np.arange(len(tokens)) >= first
    return Sample("data", 1, np.array(tokens), segment_ids.astype(np.uint8), found, NO_LABEL, labels)


def test_masked_kept_and_replaced_tokens():
    parts = segments(
        sample("[CLS] [MASK] ##都 で 猫 [SEP] で で 猫 [SEP]", {1: "東京", 3: "で", 4: "##都", 6: "猫"}), TABLE
    )
    assert parts == [
        [
            TextPart("[MASK]", "masked", "東京"),
            TextPart("都", ""),
            TextPart("で", "kept", "で"),
            TextPart("猫", "replaced", "都"),
        ],
        [TextPart("で", "replaced", "猫"), TextPart("で猫", "")],
    ]


def test_spaces_between_latin_words_only():
    assert segments(sample("[CLS] Py ##thon 3 で Py 3 猫 [SEP]"), TABLE) == [[TextPart("Python 3でPy 3猫", "")]]
    parts = segments(sample("[CLS] Py [MASK] 3 [SEP]", {2: "##thon"}), TABLE)
    assert parts == [[TextPart("Py", ""), TextPart("[MASK]", "masked", "thon"), TextPart(" 3", "")]]


def test_unknown_tokens_and_ids_outside_of_the_vocabulary():
    assert segments(sample("[CLS] 猫 [UNK] 猫 [SEP]"), TABLE)[0][1] == TextPart("[UNK]", "unknown")
    wrong = Sample("data", 1, np.array([2, 99, 3]), np.zeros(3, np.uint8), {}, NO_LABEL, NO_LABELS)
    assert segments(wrong, TABLE) == [[TextPart(OUTSIDE, "")]]


def test_the_answer_is_marked():
    labels = np.array([np.nan, np.nan, 4, 5])
    parts = segments(sample("[CLS] 猫 [SEP] で 東京 ##都 で [SEP]", labels=labels), TABLE)
    assert parts == [[TextPart("猫", "")], [TextPart("で", ""), TextPart("東京都", "answer"), TextPart("で", "")]]


def block(count: int) -> InstanceBlock:
    """Return instances of two tokens without masks."""
    empty, offsets = np.zeros(0, np.int32), 2 * np.arange(count + 1)
    tokens = np.arange(2 * count, dtype=np.int32)
    labels = np.zeros(count, np.int8)
    return InstanceBlock(
        tokens, tokens.astype(np.uint8), offsets, empty, empty, 0 * offsets, labels, labels + 2, 0 * labels
    )


@pytest.mark.parametrize("size", [0, 7, 500])
def test_a_uniform_choice_of_all_blocks(size):
    sampler = Sampler(size)
    for file, first, count in (("a", 0, 40), ("a", 40, 40), ("b", 0, 120)):
        sampler.add(block(count), np.empty((0, 4)), file, first)
    chosen = [(sample.file, sample.number) for sample in sampler.samples()]
    assert len(chosen) == len(set(chosen)) == min(size, 200)
    assert chosen == sorted(chosen)
    assert all(1 <= number <= (80 if file == "a" else 120) for file, number in chosen)


def test_every_instance_has_the_same_chance():
    counts = np.zeros(200)
    for seed in range(300):
        sampler = Sampler(20, seed)
        for first in range(0, 200, 40):
            sampler.add(block(40), np.empty((0, 4)), "a", first)
        counts[[sample.number - 1 for sample in sampler.samples()]] += 1
    assert counts.sum() == 6000
    assert abs(counts.reshape(5, 40).sum(axis=1) - 1200).max() < 150

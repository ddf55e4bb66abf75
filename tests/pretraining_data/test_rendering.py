import io

import numpy as np
import pytest

from japanese_bert.compiled.mapped_arrays import append_array, map_array
from japanese_bert.pretraining_data import rendering
from japanese_bert.pretraining_data.instances import INSTANCE
from japanese_bert.pretraining_data.masking import num_predictions
from japanese_bert.pretraining_data.rendering import (
    RenderCount,
    Renderer,
    RenderSettings,
    bucket_predictions,
    gather_segments,
    render_instances,
)
from japanese_bert.pretraining_data.token_store import CorpusCounts, TokenStore
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab
from tests.helpers.tfrecord_reader import parse_example, split_records

TOKENS = (*SPECIAL_TOKENS, *"abcdefghij")
CLS, SEP = TOKENS.index("[CLS]"), TOKENS.index("[SEP]")
WORD_START = 1 << 15


def plan(*rows: tuple[int, int, int, int, int]) -> np.ndarray:
    """Instances as (start of A, start of B, length of A, length of B, is_random_next)."""
    return np.array(list(rows), INSTANCE)


def make_renderer(
    instances: np.ndarray, num_outputs: int = 1, bucket_lengths: tuple[int, ...] = (), **changes: object
) -> Renderer:
    """A renderer over the tokens 5 to 14, in words of two tokens."""
    tokens = np.arange(5, 15, dtype=np.uint16)
    tokens[::2] |= WORD_START
    store = TokenStore(tokens, np.array([0, 4, 10]), np.array([0, 1, 2]), CorpusCounts())
    settings = {
        "max_seq_length": 12, "max_predictions_per_seq": 2, "masked_lm_prob": 0.2, "do_whole_word_mask": True,
        "use_v2_feature_names": False, "next_sentence": True, "gzip_compress": False, "random_seed": 1,
    }  # fmt: skip
    vocab = Vocab(TOKENS, {token: number for number, token in enumerate(TOKENS)})
    order = np.arange(len(instances))
    return Renderer(store, instances, order, vocab, RenderSettings(**(settings | changes)), num_outputs, bucket_lengths)


def render(renderer: Renderer) -> tuple[list[list[dict[str, list]]], dict[str, int]]:
    outputs = [io.BytesIO() for _ in range(renderer.num_outputs)]
    totals = render_instances(renderer, outputs).sum(0)
    counts = {count.name.lower(): int(totals[count]) for count in RenderCount}
    return [[parse_example(record) for record in split_records(output.getvalue())] for output in outputs], counts


def unmask(example: dict[str, list]) -> list[int]:
    ids = list(example["input_ids"])
    count = int(sum(example["masked_lm_weights"]))
    for position, label in zip(example["masked_lm_positions"][:count], example["masked_lm_ids"][:count], strict=True):
        ids[position] = label
    return ids


def test_segments_are_gathered_in_place():
    instances = plan((4, 0, 3, 2, 0), (0, 7, 1, 3, 1))
    segments = np.zeros((2, 8), np.int64)
    gather_segments(np.arange(100, 110), instances, segments)
    assert segments.tolist() == [[0, 104, 105, 106, 0, 100, 101, 0], [0, 100, 0, 107, 108, 109, 0, 0]]


def test_segments_of_a_mapped_store_are_gathered_window_by_window(tmp_path, monkeypatch):
    monkeypatch.setattr("japanese_bert.compiled.mapped_arrays.WINDOW_BYTES", 64)
    with open(tmp_path / "tokens", "w+b") as file:
        append_array(file, np.arange(1000))
        tokens = map_array(file, np.dtype(np.int64))
    instances = plan((990, 3, 4, 2, 0), (60, 500, 5, 5, 1))
    segments = np.zeros((2, 13), np.int64)
    gather_segments(tokens, instances, segments)
    assert segments[0].tolist() == [0, 990, 991, 992, 993, 0, 3, 4, 0, 0, 0, 0, 0]
    assert segments[1].tolist() == [0, 60, 61, 62, 63, 64, 0, 500, 501, 502, 503, 504, 0]


def test_a_record_exactly():
    [[example]], counts = render(make_renderer(plan((0, 4, 4, 4, 1))))
    assert unmask(example) == [CLS, 5, 6, 7, 8, SEP, 9, 10, 11, 12, SEP, 0]
    assert example["input_mask"] == [1] * 11 + [0]
    assert example["segment_ids"] == [0] * 6 + [1] * 5 + [0]
    assert tuple(example["masked_lm_positions"]) in ((1, 2), (3, 4), (6, 7), (8, 9))
    assert example["masked_lm_weights"] == [1.0, 1.0]
    assert example["next_sentence_labels"] == [1]
    expected = {"instances": 1, "tokens": 11, "masked_tokens": 2, "random_next": 1, "without_predictions": 0}
    assert {name: counts[name] for name in expected} == expected
    masks = sum(example["input_ids"][position] == 4 for position in example["masked_lm_positions"])
    assert counts["mask_tokens"] == masks


def test_one_segment_and_other_names():
    renderer = make_renderer(plan((2, 8, 6, 0, 0)), next_sentence=False, use_v2_feature_names=True)
    [[example]], _ = render(renderer)
    assert example["input_mask"] == [1] * 8 + [0] * 4
    assert example["input_type_ids"] == [0] * 12
    assert "next_sentence_labels" not in example


def test_a_word_that_exceeds_the_quota_leaves_no_prediction():
    [[example]], counts = render(make_renderer(plan((0, 4, 2, 2, 0)), max_predictions_per_seq=1))
    assert example["masked_lm_weights"] == [0.0]
    assert (counts["masked_tokens"], counts["without_predictions"]) == (0, 1)


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_outputs_get_records_in_turn_and_jobs_come_in_the_order_of_writing(monkeypatch, num_outputs):
    monkeypatch.setattr("japanese_bert.tfrecord.writing.RECORDS_PER_MEMBER", 2)
    monkeypatch.setattr(rendering, "RECORDS_PER_JOB", 4)
    instances = plan(*((number % 6, 0, 1 + number % 3, 2, 0) for number in range(31)))
    renderer = make_renderer(instances, num_outputs)
    outputs, counts = render(renderer)
    assert [output for output, _ in renderer.jobs()][: num_outputs + 1] == [*range(num_outputs), 0]
    assert counts["instances"] == 31
    for output, examples in enumerate(outputs):
        starts = [unmask(example)[1] - 5 for example in examples]
        assert starts == [number % 6 for number in range(output, 31, num_outputs)]


def test_records_of_buckets_differ_in_padding_only():
    instances = plan((0, 4, 4, 4, 1), (0, 4, 2, 2, 0), (2, 4, 1, 2, 0), (0, 4, 3, 2, 0))
    settings = {"max_predictions_per_seq": 3, "masked_lm_prob": 0.25, "do_whole_word_mask": False}
    [static], _ = render(make_renderer(instances, **settings))
    renderer = make_renderer(instances, bucket_lengths=(6, 8, 12), **settings)
    [bucketed], _ = render(renderer)
    sizes = [(12, 3), (8, 2), (6, 2), (8, 2)]
    assert [(len(example["input_ids"]), len(example["masked_lm_ids"])) for example in bucketed] == sizes
    for example, full in zip(bucketed, static, strict=True):
        assert example.keys() == full.keys()
        for name, values in example.items():
            assert full[name][: len(values)] == values
            assert not any(full[name][len(values) :])
    counts = render_instances(renderer, [io.BytesIO()])
    assert counts[:, RenderCount.INSTANCES].tolist() == [1, 2, 1]
    assert counts[:, RenderCount.TOKENS].tolist() == [6, 7 + 8, 11]


@pytest.mark.parametrize(("length", "probability", "expected"), [(128, 0.15, 20), (20, 0.15, 3), (100, 0.07, 7)])
def test_predictions_of_a_bucket_hold_the_largest_quota(length, probability, expected):
    assert bucket_predictions(length, probability, 76) == expected
    assert max(num_predictions(size, probability, 76) for size in range(length + 1)) <= expected
    assert bucket_predictions(512, 0.15, 76) == 76

"""The instances of the proof, its tolerances and its messages."""

import dataclasses

import numpy as np
import pytest

from japanese_bert.conversion import frameworks, verification
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS
from tests.helpers.converting import BERT, CONFIGS, DISCRIMINATOR


def test_made_instances():
    """They fill a quarter to all of the positions. Segments, special tokens and masks are in their places."""
    instances = verification.make_instances(dataclasses.replace(BERT, max_position_embeddings=64), None)
    ids, mask, types = (instances[name] for name in ("input_word_ids", "input_mask", "input_type_ids"))
    assert ids.shape == (4, 64)
    assert mask.sum(axis=1).tolist() == [16, 32, 48, 64]
    cls, sep, masked = (SPECIAL_TOKENS.index(token) for token in ("[CLS]", "[SEP]", "[MASK]"))
    for row, length in enumerate((16, 32, 48, 64)):
        positions = instances["masked_lm_positions"][row][instances["masked_lm_weights"][row] > 0].tolist()
        assert positions == list(range(1, length - 1, 7))
        assert [ids[row, index] for index in positions] == [masked] * len(positions)
        first = int(np.argmax(types[row]))
        assert types[row].tolist() == [0] * first + [1] * (length - first) + [0] * (64 - length)
        assert (ids[row, 0], ids[row, length - 1]) == (cls, sep)
        assert ids[row, first - 1] in (sep, masked)


def test_shortened_instances_predict_nothing_that_was_cut_off():
    instances = verification.make_instances(dataclasses.replace(BERT, max_position_embeddings=64), None)
    part = verification.shortened(instances)
    assert part["input_mask"].shape == (3, 42)
    assert part["masked_lm_positions"].max() < 42
    for row, length in enumerate((32, 42, 42)):
        assert part["masked_lm_weights"][row].sum() == len(
            [i for i in range(1, 63, 7) if i < min(length, (31, 47, 63)[row])]
        )


def test_what_a_generator_may_differ_by():
    """More in classes whose head computes the exact GELU, and in no other."""
    generator = CONFIGS["generator"]
    for framework, expected in (("PyTorch", 1e-2), ("TensorFlow", 1e-2), ("Flax", 1e-4), ("ONNX", 1e-4)):
        assert verification.max_difference(f"{framework} (some 1.0)", generator) == expected
        assert verification.max_difference(f"{framework} (some 1.0)", DISCRIMINATOR) == 1e-4
    assert verification.max_difference("PyTorch with the trained GELU (some 1.0)", generator) == 1e-4


@pytest.fixture
def no_cases(monkeypatch) -> None:
    monkeypatch.setattr(verification, "call_in_child", lambda function, *arguments: [])


def verify(tmp_path, monkeypatch, found: dict) -> dict:
    monkeypatch.setattr(frameworks, "logit_differences", lambda directory, cases: found)
    return verification.verify(tmp_path / "ckpt", BERT, tmp_path, None, None, [])


def test_differences_are_printed_and_returned(no_cases, tmp_path, monkeypatch, capsys):
    found = {"PyTorch (x 1)": {"masked": 1e-6, "next_sentence": 2e-6}, "Flax (x 2)": None}
    assert verify(tmp_path, monkeypatch, found) == {"PyTorch (x 1)": found["PyTorch (x 1)"]}
    assert capsys.readouterr().out.split("\n") == [
        "PyTorch (x 1): largest difference of logits: masked tokens 1.0e-06, next sentence 2.0e-06",
        "Flax (x 2): cannot be loaded here, not compared",
        "",
    ]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"PyTorch (x 1)": {"masked": 2e-4}},
            r"logits of PyTorch \(x 1\) differ .* by 2.0e-04, expected .* 0.0001",
        ),
        ({"PyTorch (x 1)": {"masked": float("nan")}}, r"logits of PyTorch \(x 1\) differ .* by nan"),
        ({"Flax (x 2)": None}, "no framework could be loaded"),
    ],
)
def test_other_logits_are_refused(no_cases, tmp_path, monkeypatch, found, message):
    with pytest.raises(ValueError, match=message):
        verify(tmp_path, monkeypatch, found)

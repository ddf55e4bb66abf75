"""Dropout on CPUs: the share, the scale, the gradient and the random state of PyTorch's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from japanese_bert.torch_training.cpu import FastDropout
from japanese_bert.torch_training.model import make_model
from tests.helpers.small_pretraining import make_config
from tests.torch_training.test_model import HEADS


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_scale_and_gradient(p):
    torch.manual_seed(1)
    values = torch.full((1001, 999), 3.0, requires_grad=True)
    with FastDropout():
        dropped = nn.Dropout(p)(values)
    dropped.sum().backward()
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(p, abs=0.002)  # 4 standard deviations
    assert dropped[dropped != 0].unique().tolist() == pytest.approx([3 / (1 - p)], rel=1e-4)
    assert torch.equal(values.grad * 3, dropped)
    assert dropped.mean().item() == pytest.approx(3, rel=0.01)


def test_nothing_and_all_are_dropped():
    values = torch.ones(9)
    with FastDropout():
        assert functional.dropout(values, 0.0) is functional.dropout(values, 0.5, training=False) is values
        assert functional.dropout(values, 1.0).tolist() == [0.0] * 9


def test_elements_are_dropped_on_their_own():
    torch.manual_seed(1)
    with FastDropout():
        kept = (functional.dropout(torch.ones(100_000), 0.3) != 0).double()
    for distance in range(1, 9):
        both = (kept[distance:] * kept[:-distance]).mean().item()
        assert both == pytest.approx(0.7 * 0.7, abs=0.007)


def test_the_state_of_pytorch_decides():
    def draw() -> torch.Tensor:
        with FastDropout():
            return functional.dropout(torch.ones(1000), 0.5)

    state = torch.get_rng_state()
    first, second = draw(), draw()
    torch.set_rng_state(state)
    assert torch.equal(draw(), first)
    assert not torch.equal(first, second)


def test_every_dropout_of_the_model_is_replaced(monkeypatch):
    """In the embeddings, in attention, after each part of a layer, and before the next sentence head."""
    seen = []
    monkeypatch.setattr(
        "japanese_bert.torch_training.cpu.dropout", lambda values, **_: seen.append(values.shape) or values
    )
    model = make_model(make_config(40), HEADS).train()
    model.set_attn_implementation("eager")
    ids = torch.ones(2, 8, dtype=torch.int64)
    inputs = {"input_ids": ids, "token_type_ids": ids, "attention_mask": ids, "next_sentence_labels": ids[:, 0]}
    with FastDropout():
        model(**inputs, masked_positions=ids[0], masked_lm_labels=ids[0])
    assert len(seen) == 1 + 3 * model.config.num_hidden_layers + 1

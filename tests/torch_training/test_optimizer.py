"""The learning rate, the decay and AdamW are Model Garden's."""

import dataclasses

import numpy as np
import pytest
import torch

from japanese_bert.models.weight_names import weights_of
from japanese_bert.torch_training.model import make_model
from japanese_bert.torch_training.optimizer import decays, make_optimizer, make_schedule
from japanese_bert.torch_training.parameters import (
    AdamW,
    LinearWarmup,
    Model,
    OptimizerSection,
    PolynomialRate,
    PolynomialWarmup,
)
from tests.helpers.small_pretraining import make_config
from tests.test_configs import with_tensorflow

DEFAULT = ("LayerNorm", "layer_norm", "bias")


def section(rate: PolynomialRate, warmup) -> OptimizerSection:
    config = OptimizerSection()
    kind = warmup.name if warmup else None
    chosen = dataclasses.replace(config.warmup, type=kind, **({kind: warmup} if kind else {}))
    return dataclasses.replace(
        config, learning_rate=dataclasses.replace(config.learning_rate, polynomial=rate), warmup=chosen
    )


class TestModelGarden:
    pytestmark = with_tensorflow

    @pytest.mark.parametrize(
        ("rate", "warmup"),
        [
            (PolynomialRate(decay_steps=40), PolynomialWarmup(warmup_steps=10)),
            (PolynomialRate(decay_steps=40, end_learning_rate=1e-5, power=2.0), PolynomialWarmup(warmup_steps=7)),
            (PolynomialRate(decay_steps=15, cycle=True, end_learning_rate=1e-6), PolynomialWarmup(warmup_steps=3)),
            (PolynomialRate(decay_steps=30, offset=5), PolynomialWarmup(warmup_steps=10, power=0.5)),
            (PolynomialRate(decay_steps=40), LinearWarmup(warmup_steps=10, warmup_learning_rate=1e-5)),
            (PolynomialRate(decay_steps=40), None),
        ],
    )
    def test_learning_rate(self, rate, warmup):
        from official.modeling.optimization import OptimizationConfig, OptimizerFactory

        values = {
            "optimizer": {"type": "adamw"},
            "learning_rate": {"type": "polynomial", "polynomial": rate.as_dict()},
            "warmup": {"type": warmup.name, warmup.name: warmup.as_dict()} if warmup else {"type": None},
        }
        expected = OptimizerFactory(OptimizationConfig(values)).build_learning_rate()
        found = make_schedule(section(rate, warmup))
        for step in range(45):
            assert abs(found(step) - float(expected(step))) < 1e-9

    def test_the_same_weights_decay(self):
        from japanese_bert.models.checkpoint_writing import find_variable
        from japanese_bert.models.model_garden import build_model, model_params

        config = make_config(50, num_hidden_layers=1)
        model = build_model(model_params(config))
        from official.modeling.optimization.legacy_adamw import AdamWeightDecay

        for exclude in (DEFAULT, ("LayerNorm",), ("layer_norm", "bias"), ()):
            optimizer = AdamWeightDecay(weight_decay_rate=0.1, exclude_from_weight_decay=list(exclude))
            for row in weights_of(config):
                expected = optimizer._do_use_weight_decay(find_variable(model, row.tf_name).name)
                assert decays(row.hf_name, exclude) == expected, (row.hf_name, exclude)

    def test_updates(self):
        """Tiny gradients, whose size beside epsilon shows in the first steps."""
        import tensorflow as tf
        from official.modeling.optimization.legacy_adamw import AdamWeightDecay

        expected = tf.Variable([1.0, -2.0, 3.0], name="kernel")
        theirs = AdamWeightDecay(learning_rate=0.1, weight_decay_rate=0.01, gradient_clip_norm=0.0)
        model = torch.nn.Linear(3, 1, bias=False)
        model.weight.data = torch.tensor([[1.0, -2.0, 3.0]])
        ours = make_optimizer(model, AdamW())
        for group in ours.param_groups:
            group["lr"] = 0.1
        for gradient in ([1e-7, -3e-6, 1.0], [2e-7, 1e-7, -0.5], [-1e-8, 1e-5, 0.25]):
            theirs.apply_gradients([(tf.constant(gradient), expected)])
            model.weight.grad = torch.tensor([gradient])
            ours.step()
            np.testing.assert_allclose(model.weight.detach().numpy()[0], expected.numpy(), rtol=1e-6)


def test_a_pattern_that_cannot_be_followed_is_refused():
    with pytest.raises(ValueError, match=r"exclude_from_weight_decay has 'kernel'\. Expected some of LayerNorm,"):
        decays("bert.pooler.dense.weight", ("kernel",))


def test_updates_are_counted_in_the_state():
    model = make_model(make_config(50, num_hidden_layers=1), Model())
    optimizer = make_optimizer(model, AdamW())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    optimizer.step()
    again = make_optimizer(model, AdamW(weight_decay_rate=0.05, beta_2=0.9, epsilon=1e-5))
    again.load_state_dict(optimizer.state_dict())
    assert [group["updates"] for group in again.param_groups] == [2, 2]
    assert [group["weight_decay"] for group in again.param_groups] == [0.05, 0.0]  # of the command, not of the state
    assert {(group["betas"], group["epsilon"]) for group in again.param_groups} == {((0.9, 0.9), 1e-5)}
    others = make_optimizer(model, AdamW(exclude_from_weight_decay=("bias",)))
    with pytest.raises(ValueError, match="exclude_from_weight_decay has changed since the last run"):
        others.load_state_dict(optimizer.state_dict())

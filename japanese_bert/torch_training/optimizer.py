"""Model Garden's AdamW and its learning rate, in PyTorch.

Model Garden adds epsilon to the square root of the second moment before the bias correction, PyTorch after it. An
epsilon that changes with the steps makes both the same.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from math import ceil, sqrt

import torch

from japanese_bert.torch_training.parameters import AdamW, LinearWarmup, OptimizerSection, PolynomialRate

# Patterns of `exclude_from_weight_decay` -> the weights that they find in Model Garden, by their names in Transformers.
EXCLUDED = {
    "LayerNorm": r"cls\..*\.LayerNorm\.",
    "layer_norm": r"bert\..*\.LayerNorm\.",
    "bias": r".*(?<!LayerNorm)\.bias$",  # that of a layer norm is called beta there
}


class ModelGardenAdamW(torch.optim.AdamW):
    """AdamW whose epsilon is `epsilon` of Model Garden."""

    def __init__(self, groups: Iterable[dict], epsilon: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, lr=1.0, betas=betas, fused=True)
        for group in self.param_groups:
            group.update(epsilon=epsilon, updates=0)

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the state alone. Decay, betas and epsilon stay as the configuration has them now.

        Raises:
            ValueError: other weights decay than before.
        """
        now, before = (
            [len(each["params"]) for each in groups] for groups in (self.param_groups, state_dict["param_groups"])
        )
        if now != before:
            raise ValueError(
                "trainer.optimizer_config.optimizer.adamw.exclude_from_weight_decay has changed since the last run. "
                "Set it back, or start another training from these weights with --init_checkpoint"
            )
        own = [{name: group[name] for name in ("weight_decay", "betas", "epsilon")} for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, values in zip(self.param_groups, own, strict=True):
            group.update(values)

    def step(self, closure=None):
        for group in self.param_groups:
            group["updates"] += 1
            group["eps"] = group["epsilon"] / sqrt(1 - group["betas"][1] ** group["updates"])
        return super().step(closure)


def make_optimizer(model: torch.nn.Module, adamw: AdamW) -> ModelGardenAdamW:
    """Return the optimizer of all weights that are trained. Its learning rate is 1, times what a scheduler says."""
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    without = [name for name, _ in trained if not decays(name, adamw.exclude_from_weight_decay or ())]
    groups = [
        {"params": [weight for name, weight in trained if (name in without) == is_out], "weight_decay": rate}
        for is_out, rate in ((False, adamw.weight_decay_rate), (True, 0.0))
    ]
    return ModelGardenAdamW(groups, adamw.epsilon, (adamw.beta_1, adamw.beta_2))


def decays(name: str, exclude: Sequence[str]) -> bool:
    """Return True if a weight decays, by its name in Transformers and Model Garden's patterns.

    Raises:
        ValueError: a pattern is none of EXCLUDED.
    """
    for pattern in exclude:
        if pattern not in EXCLUDED:
            raise ValueError(
                f"trainer.optimizer_config.optimizer.adamw.exclude_from_weight_decay has {pattern!r}. Expected some of "
                f"{', '.join(EXCLUDED)}"
            )
    return not any(re.match(EXCLUDED[pattern], name) for pattern in exclude)


def make_schedule(config: OptimizerSection) -> Callable[[int], float]:
    """Return the learning rate of each update. The first one is number 0."""
    rate, warmup = config.learning_rate.get(), config.warmup.get()
    steps = warmup.warmup_steps if warmup else 0

    def learning_rate(step: int) -> float:
        if step >= steps:
            return decayed(rate, step)
        peak = decayed(rate, steps)
        if isinstance(warmup, LinearWarmup):
            return warmup.warmup_learning_rate + step / steps * (peak - warmup.warmup_learning_rate)
        return peak * (max(step, 1) / steps) ** warmup.power

    return learning_rate


def decayed(rate: PolynomialRate, step: int) -> float:
    """Return the learning rate without warm-up."""
    assert rate.initial_learning_rate is not None and rate.decay_steps is not None  # check_schedule
    step -= rate.offset
    decay_steps = rate.decay_steps * max(1, ceil(step / rate.decay_steps)) if rate.cycle else rate.decay_steps
    left = (1 - min(step, decay_steps) / decay_steps) ** rate.power
    return (rate.initial_learning_rate - rate.end_learning_rate) * left + rate.end_learning_rate

"""Do steps, learning rate, intervals and the best checkpoint of a training fit together?"""

from japanese_bert.training.checks.described_model import is_electra
from japanese_bert.training.checks.findings import Findings, check


@check
def check_schedule(findings: Findings, params) -> None:
    """Check that warm-up and decay of the learning rate fit the steps, and the intervals the trainer's loop."""
    trainer, optimizer = params.trainer, params.trainer.optimizer_config
    rate = optimizer.learning_rate.get()
    warmup_steps = getattr(optimizer.warmup.get(), "warmup_steps", 0) if optimizer.warmup.type else 0
    path = f"trainer.optimizer_config.learning_rate.{optimizer.learning_rate.type}"
    if rate is None:
        raise ValueError("trainer.optimizer_config.learning_rate.type is not set. See configs/data and configs/model")
    if any(getattr(rate, name, 0) is None for name in ("decay_steps", "initial_learning_rate")):
        raise ValueError(f"{path} lacks decay_steps or initial_learning_rate. See configs/data and configs/model")
    if warmup_steps is None:
        raise ValueError(
            f"trainer.optimizer_config.warmup.{optimizer.warmup.type} lacks warmup_steps. See configs/data"
        )
    if warmup_steps >= trainer.train_steps:
        findings.remarks.append(
            f"warmup_steps is {warmup_steps:,} and trainer.train_steps {trainer.train_steps:,}: the learning rate only "
            "grows"
        )
    if optimizer.learning_rate.type == "polynomial":
        _check_decay(findings, rate, path, trainer.train_steps)
    _check_intervals(trainer)
    _check_best(params)
    initial = getattr(rate, "initial_learning_rate", None)  # other schedules than ours may have none
    rate_name = optimizer.learning_rate.type if initial is None else f"{initial:g}"
    findings.facts.append(f"schedule: {trainer.train_steps:,} steps, warm-up {warmup_steps:,}, rate {rate_name}")


def _check_decay(findings: Findings, rate, path: str, steps: int) -> None:
    """Check that the learning rate reaches its end at the last step."""
    if rate.decay_steps > steps:
        findings.remarks.append(
            f"{path}.decay_steps is {rate.decay_steps:,}, but training ends at step {steps:,}. The learning rate does "
            f"not reach its end. Set decay_steps to {steps}, or give --train_steps {steps}"
        )
    if rate.decay_steps < steps and not rate.cycle:
        message = f"{path}.decay_steps is {rate.decay_steps:,}, but trainer.train_steps is {steps:,}: set them equal"
        if not rate.end_learning_rate:
            raise ValueError(f"{message}, or the last {steps - rate.decay_steps:,} steps train at learning rate 0")
        findings.remarks.append(message)


def _check_intervals(trainer) -> None:
    for name in ("train_steps", "steps_per_loop", "summary_interval", "checkpoint_interval", "validation_interval"):
        value = getattr(trainer, name)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"trainer.{name} is {value}, expected a whole number from 1, such as 1000")
        if name.endswith("interval") and value % trainer.steps_per_loop:
            raise ValueError(
                f"trainer.{name} is {value}, expected a multiple of steps_per_loop ({trainer.steps_per_loop}): the "
                "trainer does nothing in the middle of a loop"
            )


def _check_best(params) -> None:
    """Check the parameters of the best checkpoint. A task of pretraining always reports the same metrics.

    Raises:
        ValueError: no validation computes the metric, or it is not said which one is better.
    """
    trainer, data = params.trainer, params.task.train_data
    if not trainer.best_checkpoint_export_subdir:
        return
    metric, better = trainer.best_checkpoint_eval_metric, trainer.best_checkpoint_metric_comp
    if better not in ("higher", "lower"):
        raise ValueError(f"trainer.best_checkpoint_metric_comp is {better!r}, expected higher or lower")
    if not hasattr(data, "use_next_sentence_label"):
        return
    metrics = ["masked_lm_accuracy", "lm_example_loss", "validation_loss"]
    if is_electra(params):
        metrics += ["discriminator_accuracy", "discriminator_loss", "total_loss"]
    if data.use_next_sentence_label:
        metrics += ["next_sentence_accuracy", "next_sentence_loss"]
    if metric not in metrics:
        raise ValueError(f"trainer.best_checkpoint_eval_metric is {metric!r}, expected one of {', '.join(metrics)}")

"""Steps, learning rates and intervals that do not fit together."""

import pytest

from tests.helpers.small_pretraining import assert_problem, check
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
BEST = "trainer.best_checkpoint_export_subdir=best,trainer.best_checkpoint_eval_metric="


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("trainer.optimizer_config.learning_rate.polynomial.decay_steps=null", ["lacks decay_steps"]),
        ("trainer.optimizer_config.warmup.polynomial.warmup_steps=null", ["lacks warmup_steps"]),
        ("trainer.train_steps=30", ["the last 10 steps train at learning rate 0", "set them equal"]),
        ("trainer.checkpoint_interval=0", ["trainer.checkpoint_interval is 0, expected a whole number from 1"]),
        ("trainer.steps_per_loop=0", ["trainer.steps_per_loop is 0, expected a whole number from 1"]),
        (f"{BEST}loss", ["best_checkpoint_eval_metric is 'loss', expected one of masked_lm_accuracy, lm_example_loss"]),
        (f"{BEST}validation_loss,trainer.best_checkpoint_metric_comp=min", ["is 'min', expected higher or lower"]),
        ("trainer.checkpoint_interval=7", ["trainer.checkpoint_interval is 7", "multiple of steps_per_loop (5)"]),
    ],
)
def test_settings_that_do_not_work(place, more, messages):
    assert_problem(check(place, more), *messages)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("trainer.optimizer_config.warmup.polynomial.warmup_steps=20", "the learning rate only grows"),
        (
            "trainer.train_steps=10",
            "decay_steps is 20, but training ends at step 10. The learning rate does not reach its end. "
            "Set decay_steps to 10, or give --train_steps 10",
        ),
    ],
)
def test_settings_that_may_be_a_mistake(place, more, message):
    found = check(place, more)
    assert found.problems == []
    assert len(found.remarks) == 1
    assert message in found.remarks[0]

"""The trainer in PyTorch computes what Model Garden computes: losses, learning rates, weights."""

import numpy as np
import pytest

from japanese_bert.training.curves import read_run
from tests.helpers.model_garden_steps import LOSSES, take_steps
from tests.helpers.small_pretraining import make_config, make_data, num_tokens, parse, write_model_yaml
from tests.helpers.torch_training import largest_difference, parse_torch, saved_weights, take_torch_steps
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
DECAY = "trainer.optimizer_config.learning_rate.polynomial.decay_steps"
WARM_UP = "trainer.optimizer_config.warmup.polynomial.warmup_steps"
EVERY_STEP = "trainer.steps_per_loop=1,trainer.summary_interval=1,trainer.checkpoint_interval=1000"
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def compare(
    place, tmp_path, config, count: int, length: int, predictions: int, batch: int, tokens: int, warm_up: int
) -> None:
    """Train both on the same batches from the same weights, without dropout."""
    flags = {"--max_seq_length": length, "--max_predictions_per_seq": predictions, "--dupe_factor": 20}
    words = [str(part) for pair in flags.items() for part in pair]
    make_data(place / "corpus_0.txt", place / "vocab.txt", tmp_path / "data.gz", *words)
    write_model_yaml(tmp_path / "model.yaml", config)
    (tmp_path / "data.yaml").write_bytes((place / "data.yaml").read_bytes())
    sizes = {"seq_length": length, "max_predictions_per_seq": predictions, "global_batch_size": batch}
    more = ",".join(
        [
            EVERY_STEP,
            f"{WARM_UP}={warm_up}",
            f"{DECAY}={max(count, 10 * warm_up)}",
            *(f"task.train_data.{name}={value}" for name, value in sizes.items()),
        ]
    )
    expected = take_steps(parse(tmp_path, more), config, tmp_path / "data.gz", count)
    params = parse_torch(tmp_path, f"{more},trainer.train_steps={count}")
    take_torch_steps(params, tmp_path / "model", expected.first_weights, tmp_path / "data.gz", tokens)
    curves = read_run([tmp_path / "model"])
    for number, name in enumerate(LOSSES):
        found = np.array([value for _, value in curves["train", name]])
        assert len(found) == count == len(expected.losses)
        difference = np.abs(found - np.array(expected.losses)[:, number]).max()
        print(f"{name}: {found[0]:.4f} to {found[-1]:.4f}, largest difference {difference:.2e}")
        assert difference < 1e-4
    rates = np.array([value for _, value in curves["train", "learning_rate"]])[:-1]  # each is that of the next step
    difference = np.abs(rates - expected.learning_rates[1:]).max()
    print(f"learning rate: {difference:.2e}")
    assert difference < 1e-9
    difference = largest_difference(saved_weights(tmp_path / "model" / f"ckpt-{count}"), expected.last_weights)
    print(f"weights: {difference:.2e}, trained {largest_difference(expected.first_weights, expected.last_weights):.2e}")
    assert difference < 1e-4


@pytest.mark.slow
def test_the_same_steps_as_model_garden(place, tmp_path):
    config = make_config(num_tokens(place / "vocab.txt"), **NO_DROPOUT)
    compare(place, tmp_path, config, count=50, length=32, predictions=4, batch=8, tokens=100, warm_up=4)


@pytest.mark.slow
def test_the_same_steps_as_model_garden_at_base_size(place, tmp_path):
    sizes = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    config = make_config(32768, max_position_embeddings=512, **sizes, **NO_DROPOUT)
    # A quicker warm-up makes so deep a model unstable: it turns the rounding of the first steps into other losses.
    compare(place, tmp_path, config, count=50, length=64, predictions=10, batch=4, tokens=200, warm_up=2000)

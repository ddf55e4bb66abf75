"""Means over steps as Model Garden computes them, in event files that the curves read."""

import torch

from japanese_bert.torch_training.events import Events, Means
from japanese_bert.training.curves import read_run

STEPS = (torch.tensor([6.0, 1.0, 1.0, 1.0, 3.0, 2.0]), torch.tensor([5.0, 4.0, 2.0, 0.0, 5.0, 2.0]))


def test_losses_are_means_over_steps_and_accuracies_over_predictions():
    means = Means(torch.device("cpu"), has_next_sentence=True)
    for sums in STEPS:
        means.add(sums)
    assert means.read("training_loss") == {
        "masked_lm_accuracy": 5 / 8,
        "lm_example_loss": (2.0 + 1.0) / 2,
        "next_sentence_accuracy": 1 / 4,
        "next_sentence_loss": (0.5 + 1.0) / 2,
        "training_loss": 1.5 + 0.75,
    }
    means.reset()
    assert means.steps == 0 and means.read("training_loss")["training_loss"] == 0


def test_without_next_sentences():
    means = Means(torch.device("cpu"), has_next_sentence=False)
    means.add(torch.tensor([6.0, 1.0, 0.0, 0.0, 3.0, 2.0]))
    assert means.read("validation_loss") == {"masked_lm_accuracy": 1 / 3, "lm_example_loss": 2, "validation_loss": 2}


def test_curves_read_the_events(tmp_path):
    train, validation = (Events(tmp_path / name) for name in ("train", "validation"))
    train.write(5, {"training_loss": 3.0, "learning_rate": 0.5})
    validation.write(5, {"validation_loss": 2.5})
    train.write(10, {"training_loss": 2.0, "learning_rate": 0.25})
    assert read_run([tmp_path]) == {
        ("train", "training_loss"): [(5, 3.0), (10, 2.0)],
        ("train", "learning_rate"): [(5, 0.5), (10, 0.25)],
        ("validation", "validation_loss"): [(5, 2.5)],
    }

"""What a training prints between the steps of its loops."""

import io
from types import SimpleNamespace

import pytest

from japanese_bert.common.progress_line import ProgressLine
from japanese_bert.training.reporting import Parts, TrainingReport, describe, report_in_loops


def sizes(parts: Parts, steps: int, seconds: float) -> list[int]:
    """Return the parts of a loop whose steps take `seconds` each."""
    found = []
    for size in parts.split(steps):
        found.append(size)
        parts.took(size, size * seconds)
    return found


def test_parts_of_fast_steps_grow_to_a_second():
    parts = Parts(same=False)
    assert sizes(parts, 100, 0.1) == [1, 2, 4, 8, 16, 16, 16, 16, 16, 5]
    assert sizes(parts, 10, 0.1) == [10]
    assert sizes(parts, 40, 0.1) == [16, 16, 8]


def test_parts_of_slow_steps_are_single_steps():
    """The compilation of the first one does not count. A machine that gets slower gets smaller parts."""
    assert sizes(Parts(same=False), 3, 100) == [1, 1, 1]
    parts = Parts(same=False)
    sizes(parts, 100, 0.1)
    assert sizes(parts, 40, 1) == [16, 8, 4, 4, 4, 4]


@pytest.mark.parametrize("seconds", [0.001, 100])
def test_several_workers_cut_at_the_same_steps(seconds):
    parts = Parts(same=True)
    assert sizes(parts, 20, seconds) == [1, 2, 4, 8, 5]
    assert sizes(parts, 20, seconds) == [16, 4]
    assert sizes(parts, 20, seconds) == [20]


def test_lines_of_a_training():
    stream = io.StringIO()
    report = TrainingReport(ProgressLine(stream, 3), batch_size=16)
    report.part(1, 1, 12.3, {"training_loss": 9.0, "learning_rate": 1e-4}, True)
    values = {"training_loss": 8.5, "masked_lm_accuracy": 0.25, "learning_rate": 0.0, "next_sentence_accuracy": 0.7}
    report.part(3, 2, 4.0, values, False)
    report.validation(
        3, {"validation_loss": 8.25, "cls_accuracy": 0.5, "next_sentence_loss": 0.7, "next_sentence_accuracy": 0.75}
    )
    assert stream.getvalue() == (
        "step 1 of 3, first step 12 s, loss 9.000, learning rate 1.0e-04\n"
        "step 3 of 3, 8.0 sequences/s, loss 8.500, masked LM accuracy 0.250, learning rate 0.0e+00\n"
        "step 3, validation: loss 8.250, next sentence accuracy 0.750, cls accuracy 0.500\n"
    )


class Trainer:
    """A trainer whose steps only count."""

    def __init__(self) -> None:
        self.global_step = SimpleNamespace(numpy=lambda: 40)
        self.sizes: list[int] = []
        self.train_loss, self.train_metrics = SimpleNamespace(name="training_loss", result=lambda: 1.5), []
        self.optimizer = SimpleNamespace(learning_rate=lambda step: 0.1 / step, iterations=10)

    def create_train_loop_fn(self):
        def loop(iterator, num_steps) -> None:
            self.sizes.append(int(num_steps))

        return loop


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
def test_a_loop_has_all_its_steps_and_a_report_after_the_first():
    trainer, stream = Trainer(), io.StringIO()
    report_in_loops(trainer, TrainingReport(ProgressLine(stream, 50), 16), same_parts=True)
    trainer.create_train_loop_fn()(None, 10)
    assert trainer.sizes == [1, 2, 4, 3]
    lines = stream.getvalue().split("\n")
    assert lines[0].startswith("step 41 of 50, first step 0 s, loss 1.500, learning rate 1.0e-02")
    assert lines[-2].startswith("step 50 of 50, ")


def test_electra_has_both_losses():
    values = {"discriminator_loss": 0.5, "lm_example_loss": 7.0, "training_loss": 32.0, "total_loss": 32.0}
    assert describe(values) == "loss 32.000, masked LM loss 7.000, replaced token loss 0.500"

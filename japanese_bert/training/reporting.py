"""What a training prints: its first step, its state between the steps of a loop, and each validation.

Model Garden reports after `steps_per_loop` steps, which may be hours. `report_in_loops` cuts a loop into parts of about
a second. The weights, the events and the checkpoints stay the same.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from japanese_bert.common.progress_line import ProgressLine, describe_seconds
from japanese_bert.training.curves import PANELS

TITLES = {tag: title for title, tags in PANELS.items() for tag in tags.values()}
NOT_SHOWN = ("total_loss", "next_sentence_loss")
TINY = ("learning_rate",)
FAST, SLOW = 1.0, 4.0  # seconds of a part


class TrainingReport:
    """The lines of one training."""

    def __init__(self, line: ProgressLine, batch_size: int) -> None:
        self.line, self._batch_size = line, batch_size
        self._recent: deque[tuple[int, float]] = deque(maxlen=20)  # steps and seconds of parts

    def part(self, step: int, size: int, seconds: float, values: Mapping[str, float], is_first: bool) -> None:
        """Show the state after `size` steps that end at `step`. The speed is the mean over the last parts."""
        if is_first:
            self.line.begin(step)
            speed = f"first step {describe_seconds(seconds)}"
        else:
            self._recent.append((size, seconds))
            steps, total = map(sum, zip(*self._recent, strict=True))
            speed = f"{steps * self._batch_size / total:,.1f} sequences/s"
        shown = {name: value for name, value in values.items() if not name.startswith("next_sentence")}
        self.line.show(step, f"{speed}, {describe(shown)}")

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        self.line.note(f"step {step:,}, validation: {describe(values)}")


def describe(values: Mapping[str, float]) -> str:
    """Return values with the names of the curves, in their order.

    >>> describe({"masked_lm_accuracy": 0.25, "training_loss": 8.12345, "learning_rate": 1e-4})
    'loss 8.123, masked LM accuracy 0.250, learning rate 1.0e-04'
    """
    names = [name for name in (*TITLES, *values) if name in values and name not in NOT_SHOWN]
    texts = {
        TITLES.get(name, name.replace("_", " ")): format(float(values[name]), ".1e" if name in TINY else ".3f")
        for name in names
    }
    return ", ".join(f"{title} {text}" for title, text in texts.items())


def report_in_loops(trainer, report: TrainingReport, same_parts: bool) -> None:
    """Make a Model Garden trainer report between the steps of its loops."""
    create = trainer.create_train_loop_fn
    trainer.create_train_loop_fn = lambda: _in_parts(create(), trainer, report, same_parts)


def _in_parts(loop: Callable, trainer, report: TrainingReport, same_parts: bool) -> Callable:
    import tensorflow as tf

    parts = Parts(same_parts)

    def run(iterator, num_steps) -> None:
        step = int(trainer.global_step.numpy())
        for size in parts.split(int(num_steps)):
            is_first, begin = parts.are_new, time.monotonic()
            loop(iterator, tf.constant(size, tf.int32))
            step += size
            values = read_values(trainer)
            seconds = time.monotonic() - begin
            parts.took(size, seconds)
            report.part(step, size, seconds, values, is_first)

    return run


def read_values(trainer) -> dict[str, float]:
    """Return the metrics since the loop began and the learning rate. All workers must call it together."""
    rate = trainer.optimizer.learning_rate
    rate = rate(trainer.optimizer.iterations) if callable(rate) else rate
    metrics = {metric.name: float(metric.result()) for metric in (trainer.train_loss, *trainer.train_metrics)}
    return {**metrics, "learning_rate": float(rate)}


class Parts:
    """The sizes of the parts of loops: one step first, then parts that take one to four seconds.

    Several workers must cut their loops at the same steps. `same` doubles each part, however long it took.
    """

    def __init__(self, same: bool) -> None:
        self._same, self._size = same, 1
        self.are_new = True

    def split(self, num_steps: int) -> Iterator[int]:
        while num_steps:
            size = min(self._size, num_steps)
            yield size
            num_steps -= size

    def took(self, size: int, seconds: float) -> None:
        """Choose the next size by the seconds of the last part. Those of the first part include the compilation."""
        if size == self._size and (self._same or seconds < FAST):
            self._size *= 2
        elif not self._same and not self.are_new and seconds > SLOW:
            self._size = max(1, self._size // 2)
        self.are_new = False

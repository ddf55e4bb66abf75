"""What a training computes, as Model Garden records it: means over steps, in TensorBoard events with its tags."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import distributed

from japanese_bert.torch_training.model import Sums


class Means:
    """The metrics since the last reset. They stay on the device until they are read."""

    def __init__(self, device: torch.device, has_next_sentence: bool) -> None:
        self._sums = torch.zeros(len(Sums), dtype=torch.float64, device=device)
        self._losses = torch.zeros(2, dtype=torch.float64, device=device)
        self.has_next_sentence = has_next_sentence
        self.steps = 0

    def add(self, sums: torch.Tensor) -> None:
        """Add one step. `sums` are those of all processes."""
        self._sums += sums
        self._losses += torch.stack(
            [
                sums[Sums.LM_LOSS] / sums[Sums.PREDICTIONS].clamp(min=1),
                sums[Sums.NEXT_SENTENCE_LOSS] / sums[Sums.SEQUENCES],
            ]
        )
        self.steps += 1

    def read(self, loss: str) -> dict[str, float]:
        """Return the metrics by Model Garden's tags. The tag of the whole loss is `loss`."""
        found, losses = self._sums.tolist(), [value / max(1, self.steps) for value in self._losses.tolist()]
        values = {
            "masked_lm_accuracy": found[Sums.LM_CORRECT] / max(1, found[Sums.PREDICTIONS]),
            "lm_example_loss": losses[0],
        }
        if self.has_next_sentence:
            values["next_sentence_accuracy"] = found[Sums.NEXT_SENTENCE_CORRECT] / max(1, found[Sums.SEQUENCES])
            values["next_sentence_loss"] = losses[1]
        return {**values, loss: sum(losses)}

    def reset(self) -> None:
        self._sums.zero_()
        self._losses.zero_()
        self.steps = 0


def add_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all processes."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


class Events:
    """The event file of `train` or `validation` in a model directory. Each step is on the disk once it is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        events = [Event(wall_time=time.time(), step=step, summary=summary)]
        if self._path is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}.v2"
            self._path = self._directory / name
            events.insert(0, Event(wall_time=time.time(), file_version="brain.Event:2"))
        with open(self._path, "ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
            writer.flush()

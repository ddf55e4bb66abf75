"""TensorBoard event files of the trainer -> curves, one point for each step.

A stopped and continued run leaves several event files that overlap, and several workers write one each: what was
written later counts, and takes the place of all that stood at its step and after it. Stages are joined: a stage's
steps begin where the one before ended. Read without TensorFlow.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Panel -> tags of training and validation, as Model Garden's tasks write them: masked LM, ELECTRA.
PANELS = {
    "loss": ("training_loss", "validation_loss"),
    "masked LM loss": ("lm_example_loss", "lm_example_loss"),
    "masked LM accuracy": ("masked_lm_accuracy", "masked_lm_accuracy"),
    "next sentence accuracy": ("next_sentence_accuracy", "next_sentence_accuracy"),
    "replaced token loss": ("discriminator_loss", "discriminator_loss"),
    "replaced token accuracy": ("discriminator_accuracy", "discriminator_accuracy"),
    "learning rate": ("learning_rate", None),
}
SPLITS = ("train", "validation")
COLUMNS = 3

Curve = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Point:
    """A value as it was written. `when` is in seconds since 1970."""

    when: float
    step: int
    value: float


def read_run(stages: list[Path]) -> dict[tuple[str, str], Curve]:
    """Curves of a run by (train or validation, tag); `stages` are its directories in their order.

    Raises:
        FileNotFoundError: a directory has no event files.
    """
    curves: dict[tuple[str, str], Curve] = {}
    offset = 0
    for directory in stages:
        found = _read_directory(directory)
        for key, points in found.items():
            curves.setdefault(key, []).extend((offset + point.step, point.value) for point in points)
        offset += max(points[-1].step for points in found.values())
    return curves


def _read_directory(directory: Path) -> dict[tuple[str, str], list[Point]]:
    written: dict[tuple[str, str], list[Point]] = {}
    for split in SPLITS:
        for path in sorted(directory.glob(f"{split}/events.out.tfevents.*")):
            for tag, point in read_points(path):
                written.setdefault((split, tag), []).append(point)
    if not written:
        raise FileNotFoundError(f"{directory}: no train/events.out.tfevents.*; expected a --model_dir of the trainer")
    return {key: keep_last_written(points) for key, points in written.items()}


def keep_last_written(points: list[Point]) -> list[Point]:
    """Points in the order of their steps; one replaces those at its step and after it that were written before.

    >>> points = [Point(1, 10, 7.0), Point(2, 20, 6.0), Point(3, 30, 5.0), Point(9, 20, 6.5)]
    >>> [(point.step, point.value) for point in keep_last_written(points)]
    [(10, 7.0), (20, 6.5)]
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: point.when):
        while kept and kept[-1].step >= point.step:
            kept.pop()
        kept.append(point)
    return kept


def read_points(path: Path) -> Iterator[tuple[str, Point]]:
    """All scalars of an event file by their tags, up to a record that a kill cut short."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util.tensor_util import make_ndarray

    for record in _records(path):
        event = Event.FromString(record)
        for value in event.summary.value:
            array = make_ndarray(value.tensor) if value.HasField("tensor") else None
            if array is not None and array.ndim == 0 and array.dtype.kind == "f":
                yield value.tag, Point(event.wall_time, event.step, float(array))
            elif value.HasField("simple_value"):
                yield value.tag, Point(event.wall_time, event.step, value.simple_value)


def _records(path: Path) -> Iterator[bytes]:
    """TFRecord framing: length (uint64), checksum, data, checksum."""
    with open(path, "rb") as file:
        while len(head := file.read(12)) == 12:
            (length,) = struct.unpack_from("<Q", head)
            data = file.read(length)
            if len(data) < length or len(file.read(4)) < 4:
                return
            yield data


def draw(runs: dict[str, dict[tuple[str, str], Curve]], output) -> None:
    """A PNG with the panels for which there are curves: training as thin lines, validation as lines with points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = panels_of(runs)
    rows = max(1, -(-len(panels) // COLUMNS))
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(5 * COLUMNS, 4 * rows), layout="constrained", squeeze=False)
    colors = [f"C{index % 10}" for index in range(len(runs))]
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (title, tags) in zip(axes.flat, panels.items(), strict=False):
        for color, curves in zip(colors, runs.values(), strict=True):
            _draw_panel(axis, curves, tags, color)
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
    _draw_legend(figure, list(runs), colors)
    figure.savefig(output, format="png", dpi=100)
    pyplot.close(figure)


def panels_of(runs: dict[str, dict[tuple[str, str], Curve]]) -> dict[str, tuple[str | None, ...]]:
    """Those of `PANELS` for which a run has a curve."""
    found = {key for curves in runs.values() for key in curves}
    return {title: tags for title, tags in PANELS.items() if found & set(zip(SPLITS, tags, strict=True))}


def _draw_panel(axis, curves: dict[tuple[str, str], Curve], tags: tuple[str | None, ...], color: str) -> None:
    styles = ({"alpha": 0.6, "linewidth": 1}, {"marker": "o", "markersize": 3, "linewidth": 1.5})
    for split, tag, style in zip(SPLITS, tags, styles, strict=True):
        curve = curves.get((split, tag), [])
        if curve:
            axis.plot(*zip(*curve, strict=True), color=color, **style)


def _draw_legend(figure, names: list[str], colors: list[str]) -> None:
    from matplotlib.lines import Line2D

    lines = []
    for name, color in zip(names, colors, strict=True):
        lines += [Line2D([], [], color=color, alpha=0.6, linewidth=1, label=f"{name}, training")]
        lines += [Line2D([], [], color=color, marker="o", markersize=3, label=f"{name}, validation")]
    figure.legend(handles=lines, loc="outside lower center", ncols=4, frameon=False)


def last_values(curves: dict[tuple[str, str], Curve]) -> dict[str, float]:
    """The last point of each panel's curves, for people."""
    values = {}
    for title, tags in PANELS.items():
        for split, tag in zip(SPLITS, tags, strict=True):
            if (split, tag) in curves:
                values[f"{title} ({split})"] = curves[split, tag][-1][1]
    return values

"""TensorBoard event files of the trainer -> curves, one point for each step, and a picture of them.

A run that was stopped and continued leaves several event files that overlap. Several workers write one file each. A
point that was written later replaces all earlier ones at its step and after it. Stages are joined: the steps of a stage
begin where the stage before ended. TensorFlow is not needed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.tfrecord.reading import read_records

SPLITS = ("train", "validation")
# Panel -> split -> tag, as Model Garden's tasks of masked LM and ELECTRA write them.
PANELS: Mapping[str, Mapping[str, str]] = {
    "loss": {"train": "training_loss", "validation": "validation_loss"},
    "masked LM loss": dict.fromkeys(SPLITS, "lm_example_loss"),
    "masked LM accuracy": dict.fromkeys(SPLITS, "masked_lm_accuracy"),
    "next sentence accuracy": dict.fromkeys(SPLITS, "next_sentence_accuracy"),
    "replaced token loss": dict.fromkeys(SPLITS, "discriminator_loss"),
    "replaced token accuracy": dict.fromkeys(SPLITS, "discriminator_accuracy"),
    "learning rate": {"train": "learning_rate"},
}
COLUMNS = 3

Curve = list[tuple[int, float]]
Curves = dict[tuple[str, str], Curve]  # by split and tag


@dataclass(frozen=True, slots=True)
class Point:
    """One value as it was written. `when` is in seconds since 1970."""

    when: float
    step: int
    value: float


def read_run(stages: list[Path]) -> Curves:
    """Return the curves of a run by (train or validation, tag). `stages` are its directories in their order.

    Raises:
        FileNotFoundError: a directory has no event files.
    """
    curves: Curves = {}
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
        raise FileNotFoundError(f"{directory}: no train/events.out.tfevents.*. Expected a --model_dir of the trainer")
    return {key: keep_last_written(points) for key, points in written.items()}


def keep_last_written(points: list[Point]) -> list[Point]:
    """Return points in the order of their steps. A point replaces earlier ones at its step and after it.

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
    """Yield all scalars of an event file with their tags, up to a record that a kill cut short."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util.tensor_util import make_ndarray

    with open(path, "rb") as file:
        for event in map(Event.FromString, read_records(file)):
            for value in event.summary.value:
                array = make_ndarray(value.tensor) if value.HasField("tensor") else None
                if array is not None and array.ndim == 0 and array.dtype.kind == "f":
                    yield value.tag, Point(event.wall_time, event.step, float(array))
                elif value.HasField("simple_value"):
                    yield value.tag, Point(event.wall_time, event.step, value.simple_value)


def draw(runs: dict[str, Curves], output) -> None:
    """Draw a PNG with the panels that have curves: training as thin lines, validation as lines with points."""
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


def panels_of(runs: dict[str, Curves]) -> dict[str, Mapping[str, str]]:
    """Return the panels for which a run has a curve."""
    found = {key for curves in runs.values() for key in curves}
    return {title: tags for title, tags in PANELS.items() if found & set(tags.items())}


def _draw_panel(axis, curves: Curves, tags: Mapping[str, str], color: str) -> None:
    styles: dict[str, dict] = {
        "train": {"alpha": 0.6, "linewidth": 1},
        "validation": {"marker": "o", "markersize": 3, "linewidth": 1.5},
    }
    for split, tag in tags.items():
        if curve := curves.get((split, tag)):
            axis.plot(*zip(*curve, strict=True), color=color, **styles[split])


def _draw_legend(figure, names: list[str], colors: list[str]) -> None:
    from matplotlib.lines import Line2D

    lines = []
    for name, color in zip(names, colors, strict=True):
        lines += [Line2D([], [], color=color, alpha=0.6, linewidth=1, label=f"{name}, training")]
        lines += [Line2D([], [], color=color, marker="o", markersize=3, label=f"{name}, validation")]
    figure.legend(handles=lines, loc="outside lower center", ncols=4, frameon=False)


def last_values(curves: Curves) -> dict[str, float]:
    """Return the last value of each curve in a panel, by a name for people."""
    return {
        f"{title} ({split})": curves[split, tag][-1][1]
        for title, tags in PANELS.items()
        for split, tag in tags.items()
        if (split, tag) in curves
    }

"""TensorBoard event files of the trainer -> curves, one point for each step, and a picture of them.

A run that was stopped and continued leaves several event files that overlap. Several workers write one file each. A
point that was written later replaces all earlier ones at its step and after it. Stages are joined: the steps of a stage
begin where the stage before ended. TensorFlow is not needed.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

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
GRID = 6  # columns of the grid, so that one, two or three panels fill a row

Curve = list[tuple[int, float]]
Curves = dict[tuple[str, str], Curve]  # by split and tag


@dataclass(frozen=True, slots=True)
class Point:
    """One value as it was written. `when` is in seconds since 1970."""

    when: float
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class JoinedCurves:
    """The curves of one run. `boundaries` are the steps at which a further stage begins."""

    curves: Curves
    boundaries: list[int]


def read_run(stages: list[Path]) -> Curves:
    """Return the curves of a run by (train or validation, tag). `stages` are its directories in their order.

    Raises:
        FileNotFoundError: a directory has no event files.
    """
    return join_stages(stages).curves


def join_stages(stages: list[Path]) -> JoinedCurves:
    """Return the curves of a run, and where its stages begin."""
    curves: Curves = {}
    starts = [0]
    for directory in stages:
        found = _read_directory(directory)
        for key, points in found.items():
            curves.setdefault(key, []).extend((starts[-1] + point.step, point.value) for point in points)
        starts.append(starts[-1] + max(points[-1].step for points in found.values()))
    return JoinedCurves(curves, starts[1:-1])


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


def draw(runs: Mapping[str, JoinedCurves], output: BinaryIO) -> None:
    """Draw a PNG with the panels that have curves: training as thin lines, validation as lines with points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import EngFormatter

    panels = panels_of({name: run.curves for name, run in runs.items()})
    rows = max(1, -(-len(panels) // COLUMNS))
    figure = pyplot.figure(figsize=(5 * COLUMNS, 4 * rows), layout="constrained")
    places = _places(figure.add_gridspec(rows, GRID), len(panels))
    for place, (title, tags) in zip(places, panels.items(), strict=True):
        axis = figure.add_subplot(place)
        for index, run in enumerate(runs.values()):
            _draw_panel(axis, run, tags, index, len(runs))
        axis.set(title=title, xlabel="step", ylabel=title.rpartition(" ")[2])
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.locator_params(axis="x", nbins=6)
        axis.ticklabel_format(axis="y", scilimits=(-2, 5))
        axis.grid(alpha=0.3)
    _draw_legend(figure, runs)
    figure.savefig(output, format="png", dpi=100)
    pyplot.close(figure)


def _places(grid, count: int) -> Iterator:
    """Yield the places of the panels. Those of the last row share its width, so that no place is empty."""
    for number in range(count):
        row, column = divmod(number, COLUMNS)
        width = GRID // min(COLUMNS, count - row * COLUMNS)
        yield grid[row, column * width : (column + 1) * width]


def panels_of(runs: Mapping[str, Curves]) -> dict[str, Mapping[str, str]]:
    """Return the panels for which a run has a curve."""
    found = {key for curves in runs.values() for key in curves}
    return {title: tags for title, tags in PANELS.items() if found & set(tags.items())}


def _draw_panel(axis, run: JoinedCurves, tags: Mapping[str, str], index: int, count: int) -> None:
    """Draw the curves of a run. The lines are interrupted between stages. Rates, which may be equal, share a line."""
    color = _color(index)
    styles: dict[str, dict] = {
        "train": {"alpha": 0.6, "linewidth": 1},
        "validation": {"marker": "o", "markersize": 3, "linewidth": 1.5},
    }
    if "validation" not in tags:
        styles["train"] = {"linewidth": 1.5, "linestyle": _dashes(index, count, 6, 6)}
    for split, tag in tags.items():
        for curve in split_curve(run.curves.get((split, tag), []), run.boundaries):
            single = {"marker": "o", "markersize": 3} if len(curve) == 1 else {}
            axis.plot(*zip(*curve, strict=True), color=color, **{**styles[split], **single})
    for step in run.boundaries:
        axis.axvline(step, color=color, linewidth=1, linestyle=_dashes(index, count, 2, 5))


def split_curve(curve: Curve, boundaries: list[int]) -> list[Curve]:
    """Return the parts of a curve that have points. A boundary itself is the last step of a stage.

    >>> split_curve([(10, 7.0), (20, 6.0), (30, 5.0)], [20, 40])
    [[(10, 7.0), (20, 6.0)], [(30, 5.0)]]
    """
    stages: list[Curve] = [[] for _ in range(len(boundaries) + 1)]
    for step, value in curve:
        stages[bisect_left(boundaries, step)].append((step, value))
    return [stage for stage in stages if stage]


def _dashes(index: int, count: int, length: int, place: int) -> tuple[int, tuple[int, ...]]:
    """Return dashes that leave room for those of the other runs on the same line."""
    gap = count * place - length
    return -index * place % (count * place), (length, gap) if gap else ()


def _color(index: int) -> str:
    return f"C{index % 10}"


def _draw_legend(figure, runs: Mapping[str, JoinedCurves]) -> None:
    from matplotlib.lines import Line2D

    lines = []
    for index, (name, run) in enumerate(runs.items()):
        color = _color(index)
        lines += [Line2D([], [], color=color, alpha=0.6, linewidth=1, label=f"{name}, training")]
        if any(split == "validation" for split, _ in run.curves):
            lines += [Line2D([], [], color=color, marker="o", markersize=3, label=f"{name}, validation")]
        if run.boundaries:
            lines += [Line2D([], [], color=color, linestyle=":", label=f"{name}, next stage")]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False)


def last_values(curves: Curves) -> dict[str, float]:
    """Return the last value of each curve in a panel, by a name for people."""
    return {
        f"{title} ({split})": curves[split, tag][-1][1]
        for title, tags in PANELS.items()
        for split, tag in tags.items()
        if (split, tag) in curves
    }

"""Distributions -> SVG pictures inside an HTML page. Their colors are variables of its style sheet."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from japanese_bert.inspection.characters import SCRIPTS

# A color in the picture -> a variable of the style sheet, which has other values in dark mode.
INK, GRID = "#101010", "#c0c0c1"
SERIES = ("#2563eb", "#c2410c", "#15803d", "#7c3aed")
VARIABLES = {INK: "var(--ink)", GRID: "var(--line)"} | {color: f"var(--series-{i})" for i, color in enumerate(SERIES)}
SIZE = (4.2, 2.7)  # inches: a phone shows it in full width
MAX_BARS = 60
MAX_POINTS = 200

Series = Sequence[tuple[str, np.ndarray]]  # color of a data set, and its histogram


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and what it shows."""

    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """What a histogram shows: the share of `of` at each number of `unit`. A peak hides the rest unless it is `log`."""

    title: str
    unit: str
    of: str
    is_log: bool = False


def draw_histogram(shown: Histogram, series: Series, note: str = "") -> Picture:
    """Draw the shares. Wide histograms get bars of several values."""
    longest = max(int(np.flatnonzero(histogram)[-1]) for _, histogram in series) + 1
    width = -(-longest // MAX_BARS)
    edges = np.arange(0, longest + width, width)
    bars = [(color, _shares(histogram, edges)) for color, histogram in series]
    lowest = 10 ** np.floor(np.log10(min(shares[shares > 0].min() for _, shares in bars))) if shown.is_log else 0.0

    def plot(axis) -> None:
        for color, shares in bars:
            heights = np.maximum(shares, lowest)
            axis.stairs(heights, edges - 0.5, fill=True, baseline=lowest, color=color, alpha=0.25, linewidth=0)
            axis.stairs(heights, edges - 0.5, baseline=lowest, color=color, linewidth=1.3)
        axis.set(xlabel=shown.unit, ylabel=f"share of {shown.of}", yscale="log" if shown.is_log else "linear")
        axis.xaxis.get_major_locator().set_params(integer=True)
        _show_percent(axis.yaxis)

    return Picture(shown.title, draw_svg(shown.title, plot), note)


def _shares(histogram: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the share of the values between each two edges."""
    padded = np.zeros(edges[-1])
    end = min(len(histogram), len(padded))
    padded[:end] = histogram[:end]
    return padded.reshape(len(edges) - 1, -1).sum(axis=1) / padded.sum()


def _show_percent(axis) -> None:
    axis.set_major_formatter(lambda value, _: f"{100 * value:.5f}".rstrip("0").rstrip(".") + "%")
    axis.set_minor_formatter(lambda value, _: "")


def draw_ranks(title: str, series: Series) -> Picture:
    """Draw how often the tokens occur, the most frequent one first."""

    def plot(axis) -> None:
        for color, counts in series:
            ordered = np.sort(counts[counts > 0])[::-1]
            ranks = np.unique(np.geomspace(1, len(ordered), MAX_POINTS).astype(np.int64))
            axis.loglog(ranks, ordered[ranks - 1] / ordered.sum(), color=color, linewidth=1.6)
        axis.set(xlabel="rank", ylabel="share of tokens")
        _show_percent(axis.yaxis)

    return Picture(
        title, draw_svg(title, plot), "A straight line is usual (Zipf's law). A step is a sign of repeated text."
    )


def draw_scripts(title: str, series: Sequence[tuple[str, Mapping[str, int]]]) -> Picture:
    """Draw the share of each script."""
    height = 0.8 / len(series)

    def plot(axis) -> None:
        for row, (color, counts) in enumerate(series):
            shares = np.array([counts[name] for name in SCRIPTS]) / max(1, sum(counts.values()))
            axis.barh(np.arange(len(SCRIPTS)) + row * height, shares, height * 0.9, color=color, alpha=0.8)
        axis.set_yticks(np.arange(len(SCRIPTS)) + (len(series) - 1) * height / 2, SCRIPTS)
        axis.invert_yaxis()
        axis.set(xlabel="share of characters")
        _show_percent(axis.xaxis)

    return Picture(title, draw_svg(title, plot))


def draw_svg(title: str, plot: Callable) -> str:
    """Return the SVG element of a picture that `plot` draws on its axis."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    colors = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), INK)
    settings: Any = {
        **colors,
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.size": 9,
        "font.family": "sans-serif",
    }
    with rc_context(settings):
        figure = Figure(figsize=SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        axis = figure.add_subplot()
        plot(axis)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color=GRID, linewidth=0.5)
        axis.set_axisbelow(True)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _inline(out.getvalue(), title)


def _inline(svg: str, title: str) -> str:
    """Return an SVG file as an element of a page: no header, ids of its own, colors of the page, any width."""
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    name = re.sub(r"\W", "-", title)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(
        r'^<svg .*?viewBox="([^"]*)".*?>', rf'<svg viewBox="\1" role="img" aria-label="{title}">', svg, flags=re.DOTALL
    )
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, variable)
    return re.sub(r"\n\s*", "\n", svg).replace("xlink:href", "href")

import re

import numpy as np
import pytest

from japanese_bert.inspection.pictures import SERIES, VARIABLES, Histogram, draw_histogram, draw_ranks, draw_scripts

SHOWN = Histogram("Length of it", "tokens", "instances", is_log=True)
FIRST, SECOND = SERIES[:2]


def ids(svg: str) -> list[str]:
    return re.findall(r' id="([^"]*)"', svg)


def test_pictures_have_no_colors_ids_or_sizes_that_the_page_does_not_know():
    series = [(FIRST, np.array([0, 5, 0, 3])), (SECOND, np.array([1]))]
    pictures = [
        draw_histogram(SHOWN, series).svg,
        draw_histogram(Histogram("Other", "tokens", "instances"), series).svg,
        draw_ranks("Ranks", [(FIRST, np.array([9, 0, 3, 1]))]).svg,
        draw_scripts(
            "Scripts", [(FIRST, dict.fromkeys(("kanji", "hiragana", "katakana", "Latin", "digits", "other"), 2))]
        ).svg,
    ]
    names = [name for svg in pictures for name in ids(svg)]
    assert len(names) == len(set(names)) > 100
    for svg in pictures:
        assert svg.startswith("<svg viewBox=") and svg.rstrip().endswith("</svg>")
        assert not set(re.findall(r"(?:url\(|href=\")#([^\")]+)", svg)) - set(ids(svg))
        assert not re.search(r"http|<style|<metadata|<!--", svg.replace("http://www.w3.org", ""))
        assert not any(color in svg for color in VARIABLES)
        assert "var(--ink)" in svg and "var(--series-0)" in svg


def test_the_same_data_gives_the_same_picture():
    series = [(FIRST, np.arange(300))]
    assert draw_histogram(SHOWN, series) == draw_histogram(SHOWN, series)


@pytest.mark.parametrize("length", [1, 2, 59, 60, 61, 5000])
def test_bars_share_all_values(length, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    stairs = Axes.stairs
    monkeypatch.setattr(
        Axes, "stairs", lambda self, *args, **more: (drawn.append(args), stairs(self, *args, **more))[1]
    )
    draw_histogram(Histogram("Linear", "tokens", "instances"), [(FIRST, np.ones(length)), (SECOND, np.ones(1))])
    for shares, edges in drawn:
        assert shares.sum() == pytest.approx(1)
        assert len(edges) == len(shares) + 1 <= 61
        assert edges[0] == -0.5 and edges[-1] >= length - 0.5

import numpy as np
import pytest

from japanese_bert.inspection.summary import distribution, share, side_by_side, summarize_labels

NAN = np.nan


def test_distribution():
    assert distribution(np.array([0, 1, 0, 3])) == {
        "mean": 2.5, "shortest": 1, "5%": 1, "25%": 1, "median": 3, "75%": 3, "95%": 3, "longest": 3,
    }  # fmt: skip
    assert set(distribution(np.zeros(3, np.int64)).values()) == {0}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[0, NAN, NAN, NAN], [2, NAN, NAN, NAN], [2, NAN, NAN, NAN]], {"0": 1, "2": 2}),
        ([[NAN, 0.5, NAN, NAN], [NAN, 1, NAN, NAN]], {"mean": 0.75, "smallest": 0.5, "largest": 1}),
        ([[NAN, NAN, 3, 5], [NAN, NAN, 0, 0]], {"answered": 0.5, "mean_answer_tokens": 3}),
    ],
)
def test_labels(labels, expected):
    assert summarize_labels(np.array(labels)) == expected


def test_side_by_side():
    columns = {"a": {"counts": {"x": 1.0}}, "b": {"counts": {"x": 2.0, "y": 3.0}, "rates": {"z": 0.5}}}
    assert side_by_side(columns) == {"counts": {"x": [1, 2], "y": [None, 3]}, "rates": {"z": [None, 0.5]}}
    assert share(1, 0) == 0

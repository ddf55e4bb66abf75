"""benchmarks/sizing_table.py computes right, and the tables of docs/sizing.md are what it makes of the measurements."""

import importlib
import json
import re
import sys

import pytest

from tests.helpers.places import ROOT


@pytest.fixture(scope="module")
def sizing():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("sizing_table")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def measured(sizing) -> dict:
    return json.loads(sizing.MEASUREMENTS.read_text(encoding="utf-8"))


def test_page_has_what_the_script_prints(sizing, measured):
    page = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    for block in sizing.tables(measured).split("\n\n"):
        assert block in page, f"put this into docs/sizing.md:\n{block}"


def test_numbers_scale_with_the_corpus(sizing, measured):
    row = {"cpu_seconds": 10.0, "peak_rss_megabytes": 250.0, "input_megabytes": 7.43, "output_megabytes": 20.0}
    row["counts"] = {"instances": 100_000, "tokens": 4_000_000}
    data = next(sizing.data_sets({**measured, "data, CC-100, WordPiece": row}))
    assert data.cpu_seconds == pytest.approx(100_000)
    assert data.output_megabytes == pytest.approx(200_000)
    assert data.instances == pytest.approx(1e9)
    assert data.work_megabytes(8, 64) == pytest.approx((2 * 4e10 + 32e9) / 1e6 * 8 / 64)


@pytest.mark.parametrize(
    ("cores", "shards", "rounds", "busy"),
    [(8, 64, 8, 8), (32, 64, 2, 32), (256, 64, 1, 64), (30, 64, 3, 30), (8, 8, 1, 8)],
)
def test_only_as_many_cores_as_shards_have_work(sizing, cores, shards, rounds, busy):
    data = sizing.DataSet("name", 1, 64, 6400.0, 250.0, 1, 1, 1)
    assert data.wall_seconds(cores, shards) == rounds * 6400 / shards
    assert data.busy(cores, shards) == busy


def test_parameters_are_those_of_the_model(sizing):
    """The known number of BertForPreTraining, and the second dense layer that Model Garden's next sentence head has."""
    settings = {"vocab_size": 30522, "hidden_size": 768, "num_layers": 12, "intermediate_size": 3072}
    settings |= {"max_position_embeddings": 512, "type_vocab_size": 2}
    assert sizing.parameters(settings) == 110_106_428 + 768 * 769


def test_operations_of_one_small_layer(sizing):
    settings = {"hidden_size": 2, "intermediate_size": 8, "num_layers": 1, "vocab_size": 10}
    settings |= {"seq_length": 4, "predictions": 1}
    projections, feed_forward, attention, head = 4 * 4 * 2 * 2, 4 * 2 * 2 * 8, 2 * 4 * 4 * 2, 2 * 2 + 2 * 10
    assert sizing.training_operations(settings) == 3 * 2 * (projections + feed_forward + attention + head)


def test_measurements_tell_where_they_are_from(measured):
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", measured["date"])
    assert {"cpu", "cores", "python", "numba", "isal"} <= set(measured["machine"])
    counted = [row for name, row in measured.items() if name.startswith("data, ")]
    assert len(counted) == 4
    assert all(row["counts"]["instances"] > 10_000 and row["input_megabytes"] > 3 for row in counted)

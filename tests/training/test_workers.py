"""Which machine of a training this is."""

import json

import pytest

from japanese_bert.training.workers import num_workers, worker_index


@pytest.mark.parametrize(
    ("cluster", "task", "index", "count"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), 1, 2),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("chief", 0), 0, 2),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("worker", 0), 1, 2),
    ],
)
def test_the_first_machine_is_the_chief_if_there_is_one(monkeypatch, cluster, task, index, count):
    config = {"cluster": cluster, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert (worker_index(), num_workers()) == (index, count)


@pytest.mark.parametrize("text", ["", "{}", "[]", "not JSON", '{"cluster": {}, "task": {"index": 3}}'])
def test_a_value_that_names_no_machine_is_the_first(monkeypatch, text):
    """A check reports it, so it must not end the report."""
    monkeypatch.setenv("TF_CONFIG", text)
    assert worker_index() == 0

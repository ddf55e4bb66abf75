"""Devices and workers that a configuration names and that are not there."""

import pytest

from tests.helpers.small_pretraining import BUCKETS, assert_problem, check, train_path
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("runtime.distribution_strategy=off", ["runtime.distribution_strategy is False", "one_device"]),
        ("runtime.distribution_strategy=default", ["expected one of one_device, mirrored"]),
        ("runtime.distribution_strategy=tpu", ["--tpu is not set", "--tpu=local"]),
        ("runtime.distribution_strategy=multi_worker_mirrored", ["TF_CONFIG is not set", "would train alone"]),
        ("runtime.num_gpus=8", ["runtime.num_gpus is 8, but TensorFlow finds"]),
    ],
)
def test_settings_that_do_not_work(place, more, messages):
    assert_problem(check(place, more), *messages)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("runtime.mixed_precision_dtype=float16", "30 times slower on a CPU"),
    ],
)
def test_settings_that_may_be_a_mistake(place, more, message):
    found = check(place, more)
    assert found.problems == []
    assert len(found.remarks) == 1
    assert message in found.remarks[0]


def test_a_remote_tpu_cannot_read_local_files(place):
    found = check(place, tpu="my-tpu", runtime="tpu")
    assert_problem(found, "the workers of the TPU my-tpu cannot read this", "gs://")
    assert check(place, tpu="local", runtime="tpu").problems == []


def test_hosts_of_a_tpu_agree_on_a_bucket_by_a_tf_data_service(place):
    more = f"{train_path(place, 'buckets')},task.train_data.seq_bucket_lengths={BUCKETS}"
    names = {"runtime": "tpu", "experiment": "bert/pretraining_dynamic"}
    assert_problem(check(place, more, tpu="my-tpu", **names), "Start a tf.data service", "--tf_data_service=grpc://")
    assert check(place, more, tpu="local", **names).problems == []
    more += ",task.train_data.enable_round_robin_tf_data_service=true,task.train_data.tf_data_service_address=grpc://a"
    assert_problem(check(place, more, tpu="my-tpu", **names), "cannot read this")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not JSON", 'expected {"cluster"'),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', 'expected {"cluster"'),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}', 'expected {"cluster"'),
        ('{"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 2}}', "of the 3 devices"),
    ],
)
def test_clusters_that_do_not_work(place, monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    assert_problem(check(place, "runtime.distribution_strategy=multi_worker_mirrored"), message)


def test_a_cluster_that_works_and_one_that_nobody_uses(place, monkeypatch):
    cluster = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    found = check(place, "runtime.distribution_strategy=multi_worker_mirrored")
    assert (found.problems, found.remarks) == ([], [])
    assert found.facts[0] == "hardware: multi_worker_mirrored, 2 worker(s) x 1 CPU"
    assert "every machine would train a model of its own" in check(place).remarks[0]

"""Data of `bert/pretraining_dynamic`: the instances, masks and losses of static data, from gzip records."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tests.helpers.small_pretraining import BUCKETS, ROOT, parse, train_path
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
STEPS = 20
# Runs with two logical CPU devices, which a process can have only from its start.
TWO_DEVICES = """
import json, sys, warnings
warnings.simplefilter("ignore")
import orbit, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from pathlib import Path
from official.common import registry_imports
from official.core import base_trainer, task_factory
from tests.helpers.small_pretraining import parse
params = parse(Path(sys.argv[1]), sys.argv[2], experiment="bert/pretraining_dynamic")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    task = task_factory.get_task(params.task)
    model = task.build_model()
    trainer = base_trainer.Trainer(params, task, model, task.create_optimizer(params.trainer.optimizer_config))
iterator = iter(orbit.utils.make_distributed_dataset(strategy, task.build_inputs, params.task.train_data))
for _ in range(20):
    batch = next(iterator)
    print(json.dumps([list(map(int, part.shape)) for part in strategy.experimental_local_results(batch["input_mask"])]))
print(trainer.train(tf.constant(20))["training_loss"])
"""


def loader(place, batch: int, buckets: bool, **changes):
    from official.nlp.data import data_loader_factory

    more = "task.train_data.is_training=false,task.train_data.deterministic=true"
    more += f",task.train_data.global_batch_size={batch}"
    more += "," + train_path(place, "buckets" if buckets else "short")
    more += f",task.train_data.seq_bucket_lengths={BUCKETS}" if buckets else ""
    params = parse(place, more, experiment="bert/pretraining_dynamic" if buckets else "bert/pretraining")
    return params, data_loader_factory.get_data_loader(params.task.train_data).load()


def test_the_instances_are_those_of_static_data(place):
    _, static = loader(place, 1, buckets=False)
    _, bucketed = loader(place, 1, buckets=True)
    lengths = Counter()
    for full, padded in zip(static.as_numpy_iterator(), bucketed.as_numpy_iterator(), strict=True):
        lengths[padded["input_mask"].shape[1]] += 1
        assert padded.keys() == full.keys()
        for name, values in padded.items():
            assert np.array_equal(values, full[name][:, : values.shape[1]])
            assert not full[name][:, values.shape[1] :].any()
    assert sorted(lengths) == BUCKETS


def test_batches_are_of_one_bucket(place):
    _, bucketed = loader(place, 2, buckets=True)
    shapes = {(batch["input_mask"].shape, batch["masked_lm_ids"].shape) for batch in bucketed.as_numpy_iterator()}
    assert shapes == {((2, 16), (2, 3)), ((2, 24), (2, 4)), ((2, 32), (2, 4))}


def test_a_model_has_the_mean_losses_of_static_data(place):
    from official.core import task_factory

    losses, model = [], None
    for buckets in (False, True):
        params, batches = loader(place, 1, buckets)
        task = task_factory.get_task(params.task)
        model = model or task.build_model()
        metrics = task.build_metrics(training=False)
        for batch in batches:
            task.validation_step(batch, model, metrics)
        losses.append([float(metric.result()) for metric in metrics])
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert len(losses[0]) == 4


@pytest.mark.slow
def test_two_devices_get_batches_of_one_bucket(place):
    more = f"{train_path(place, 'buckets')},task.train_data.seq_bucket_lengths={BUCKETS}"
    process = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(place), more], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert process.returncode == 0, process.stderr[-3000:]
    lines = [line for line in process.stdout.splitlines() if line.startswith("[[")]
    assert len(lines) == STEPS
    assert set(lines) <= {f"[[4, {length}], [4, {length}]]" for length in BUCKETS}
    assert len(set(lines)) > 1

"""Model Garden's own training, `official.nlp.train`, with what it leaves out when it starts or continues.

Four things are done that it does not do (measured with tf-models-official 2.20.0). `task.init_checkpoint` restores
all of a model: the next sentence output layer, and ELECTRA's generator and heads. ELECTRA can compute in bfloat16.
Where several machines continue a run, all of them take the weights, optimizer and step of the last checkpoint: it lets
only the first one do so, and stops with an error (Shape mismatch in the collective instance). Where several machines
train, all of them deal the files in one order.

Imports are inside the functions: they take seconds.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence

TRAINER_CLASS = "official.core.train_utils.create_trainer.trainer_cls"


def train(arguments: Sequence[str]) -> None:
    """Run `python -m official.nlp.train` with these flags in this process."""
    import gin
    from official.core import train_lib

    gin.bind_parameter(TRAINER_CLASS, make_trainer_class())
    train_lib.OrbitExperimentRunner = make_runner_class()
    let_electra_compute_in_bfloat16()
    run_model_garden(arguments)


def run_model_garden(arguments: Sequence[str]) -> None:
    from absl import app, flags
    from official.common import flags as trainer_flags
    from official.nlp import train as model_garden

    trainer_flags.define_flags()
    flags.mark_flags_as_required(["experiment", "mode", "model_dir"])
    app.run(model_garden.main, argv=[sys.argv[0], *arguments])


def make_trainer_class() -> type:
    from official.core import base_trainer

    class Trainer(base_trainer.Trainer):
        def __init__(self, config, task, *args, **kwargs) -> None:
            super().__init__(with_shared_seed(config, task.logging_dir), task, *args, **kwargs)

        def initialize(self) -> None:
            """Called where --model_dir has no checkpoint."""
            initialize(self.model, self.config.task.init_checkpoint)

    return Trainer


def make_runner_class() -> type:
    from official.core import train_lib

    class Runner(train_lib.OrbitExperimentRunner):
        def _maybe_build_checkpoint_manager(self):
            """Workers but the first keep checkpoints of no use in a temporary directory, which they also look into."""
            import tensorflow as tf

            if self.strategy.extended.should_checkpoint:
                return super()._maybe_build_checkpoint_manager()
            directory = tempfile.mkdtemp()
            link_latest_checkpoint(self.model_dir, directory)
            return tf.train.CheckpointManager(
                self.trainer.checkpoint,
                directory=directory,
                max_to_keep=1,
                step_counter=self.trainer.global_step,
                checkpoint_interval=self.params.trainer.checkpoint_interval,
                init_fn=self.trainer.initialize,
            )

    return Runner


def let_electra_compute_in_bfloat16() -> None:
    """Its logits are float32 where tokens are sampled and losses computed, which must not mix the two types."""
    import tensorflow as tf
    from official.nlp.modeling.models import electra_pretrainer

    sample, call = electra_pretrainer.sample_from_softmax, electra_pretrainer.ElectraPretrainer.call

    def sample_from_softmax(logits, disallow=None):
        return sample(tf.cast(logits, tf.float32), disallow=disallow)

    def call_with_float32_outputs(self, inputs):
        outputs = call(self, inputs)
        return {name: tf.cast(o, tf.float32) if o.dtype.is_floating else o for name, o in outputs.items()}

    electra_pretrainer.sample_from_softmax = sample_from_softmax
    electra_pretrainer.ElectraPretrainer.call = call_with_float32_outputs


def link_latest_checkpoint(model_dir: str, directory: str) -> None:
    """Let `directory` have the latest checkpoint of `model_dir`, as links, which its manager may delete."""
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(model_dir)
    if latest is None:
        return
    for path in tf.io.gfile.glob([f"{latest}.index", f"{latest}.data-*"]):
        target = os.path.join(directory, os.path.basename(path))
        if "://" in path:
            tf.io.gfile.copy(path, target)
        else:
            os.symlink(os.path.abspath(path), target)
    state = f'model_checkpoint_path: "{os.path.basename(latest)}"\n'
    with open(os.path.join(directory, "checkpoint"), "w", encoding="utf-8") as file:
        file.write(state)


def initialize(model, init_checkpoint: str | None) -> None:
    import tensorflow as tf
    from absl import logging

    if init_checkpoint:
        is_directory = tf.io.gfile.isdir(init_checkpoint)
        prefix = tf.train.latest_checkpoint(init_checkpoint) if is_directory else init_checkpoint
        restore_weights(model, prefix)
        logging.info("restored the model, with all heads, from %s", prefix)


def restore_weights(model, prefix: str) -> None:
    """All variables of a model from a checkpoint, those that are made only when the model is first called too."""
    import tensorflow as tf

    items = getattr(model, "checkpoint_items", {})
    status = tf.train.Checkpoint(model=model, **items).read(prefix)
    status.expect_partial().assert_existing_objects_matched()


def with_shared_seed(config, model_dir: str):
    """The configuration with one seed of the data's order for all workers, another one each time that a run continues.

    Without one each worker shuffles the files on its own before it takes its share: some are read twice, some never.
    """
    if num_workers() < 2 or config.task.train_data.seed is not None:
        return config
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(model_dir) if tf.io.gfile.isdir(model_dir) else None
    number = (latest or "-0").rpartition("-")[2]
    return config.replace(task={"train_data": {"seed": 1 + int(number) if number.isdigit() else 1}})


def num_workers() -> int:
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return len(cluster.get("chief", [])) + len(cluster.get("worker", []))

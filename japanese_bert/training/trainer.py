"""Model Garden's training, `official.nlp.train`, with reports and with fixes of what it leaves out or gets wrong.

Each fix was measured with tf-models-official 2.20.0:

- `task.init_checkpoint` restores all of a model. Model Garden leaves out the next sentence output layer, and ELECTRA's
  generator and heads.
- ELECTRA can compute in bfloat16.
- If several machines continue a run, all of them restore weights, optimizer and step from the last checkpoint. Model
  Garden restores only the first one and stops with an error (Shape mismatch in the collective instance).
- Several machines deal the data files in one order.
- A regression (`num_classes: 1`) has the right loss. Model Garden subtracts labels [batch] from outputs [batch, 1],
  which gives a table [batch, batch]. Every output learns the mean of all labels. Perfect outputs have a loss above 0.
- The metric of a regression, `mean_squared_error`, is updated. In Model Garden it is always 0.
- Question answering validates on TFRecords (`question_answering.py`).
- A training no longer counts its operations at the end. For the count Model Garden makes constants of all weights: that
  took over 19 GB for ALBERT xxlarge, and the system killed the run after its last checkpoint.

Imports are inside the functions, because they take seconds.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import TextIO

from japanese_bert.common.progress_line import ProgressLine
from japanese_bert.training.initial_weights import find_initial, restore_weights
from japanese_bert.training.question_answering import fix_question_answering
from japanese_bert.training.reporting import TrainingReport, read_values, report_in_loops
from japanese_bert.training.trainer_log import log_path, output_to
from japanese_bert.training.workers import num_workers, worker_index

TRAINER_CLASS = "official.core.train_utils.create_trainer.trainer_cls"


def pretrain(arguments: Sequence[str]) -> None:
    """Run `python -m official.nlp.train` with these flags in this process."""
    import gin

    gin.bind_parameter(TRAINER_CLASS, make_trainer_class())
    let_electra_compute_in_bfloat16()
    run_model_garden(arguments)


def fine_tune(arguments: Sequence[str]) -> None:
    """Run `python -m official.nlp.train` with these flags in this process, for an experiment of fine-tuning."""
    import gin

    gin.bind_parameter(TRAINER_CLASS, make_fine_tuning_trainer_class())
    fix_regression()
    fix_question_answering()
    run_model_garden(arguments)


def run_model_garden(arguments: Sequence[str]) -> None:
    """Define the trainer's flags, which a process can do only once, and run its `main`. Its output goes to a log."""
    from absl import app, flags, logging
    from official.common import flags as trainer_flags
    from official.core import train_lib
    from official.nlp import train as model_garden

    def main(argv: list[str]) -> None:
        log = log_path(flags.FLAGS.model_dir, worker_index())
        if not worker_index():
            print(f"compiling the first step; the trainer's output: {log}", flush=True)
        try:
            with output_to(log) as stream:
                train_lib.OrbitExperimentRunner = make_runner_class(stream)
                train_lib.train_utils.try_count_flops = lambda model: None
                model_garden.main(argv)
        finally:
            logging.set_verbosity(logging.ERROR)  # the thread that saves checkpoints says that it ends

    trainer_flags.define_flags()
    flags.mark_flags_as_required(["experiment", "mode", "model_dir"])
    app.run(main, argv=[sys.argv[0], *arguments])


def make_trainer_class() -> type:
    """Return a trainer that shares a seed among workers and restores every head."""
    from official.core import base_trainer

    class Trainer(base_trainer.Trainer):
        def __init__(self, config, task, *args, **kwargs) -> None:
            super().__init__(with_shared_seed(config, task.logging_dir), task, *args, **kwargs)

        def initialize(self) -> None:
            """Restore `task.init_checkpoint`. Called if --model_dir has no checkpoint."""
            initialize(self.model, self.config.task.init_checkpoint)

    return Trainer


def make_fine_tuning_trainer_class() -> type:
    """Return a trainer whose task gets the checkpoint itself, because `task.init_checkpoint` may name a directory."""
    from official.core import base_trainer

    class Trainer(base_trainer.Trainer):
        def initialize(self) -> None:
            config = self.task.task_config
            if config.init_checkpoint:
                self.task._task_config = config.replace(init_checkpoint=find_initial(config.init_checkpoint))
            super().initialize()

    return Trainer


def make_runner_class(stream: TextIO) -> type:
    """Return an experiment runner that reports on `stream`, and whose workers all find the last checkpoint."""
    from official.core import train_lib

    class Runner(train_lib.OrbitExperimentRunner):
        def _build_best_checkpoint_exporter(self):
            """Return what saves the best checkpoint. All workers must save, so the others do it elsewhere."""
            subdir = self.params.trainer.best_checkpoint_export_subdir
            if not subdir or not worker_index():
                return super()._build_best_checkpoint_exporter()
            directory = empty_directory(self.model_dir, "best")
            copy_best_values(os.path.join(self.model_dir, subdir), os.path.join(directory, subdir))
            return train_lib.maybe_create_best_ckpt_exporter(self.params, directory)

        def _build_controller(self, trainer, evaluator, **options):
            self.report = make_report(self.params, stream)
            options["eval_actions"] = [
                lambda output: self.report.validation(int(self.trainer.global_step.numpy()), output)
            ]
            if trainer:
                report_in_loops(trainer, self.report, same_parts=num_workers() > 1)
            return super()._build_controller(trainer, evaluator, **options)

        def run(self):
            try:
                result = super().run()
                if num_workers() > 1:  # all must call it: so none ends before the first one has saved
                    read_values(self.trainer)
                return result
            finally:
                self.report.line.close()

        def _maybe_build_checkpoint_manager(self):
            """Return a manager that restores the last checkpoint, on the first worker and on the others.

            The others must save too. They save into a temporary directory, and also look for a checkpoint there.
            """
            import tensorflow as tf

            if self.strategy.extended.should_checkpoint:
                return super()._maybe_build_checkpoint_manager()
            directory = empty_directory(self.model_dir, "latest")
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


def empty_directory(model_dir: str, name: str) -> str:
    """Make a temporary directory of this worker. It is the same for each start of a training, so that none are left."""
    place = model_dir if "://" in model_dir else os.path.abspath(model_dir)
    number = hashlib.sha256(f"{place} {worker_index()} {name}".encode()).hexdigest()[:16]
    directory = os.path.join(tempfile.gettempdir(), f"bert_japanese_{os.getuid()}_{number}")
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory, mode=0o700)
    return directory


def make_report(params, stream: TextIO) -> TrainingReport:
    """Return a report. Only the first worker prints it."""
    shown = open(os.devnull, "w", encoding="utf-8") if worker_index() else stream  # noqa: SIM115
    return TrainingReport(ProgressLine(shown, params.trainer.train_steps), params.task.train_data.global_batch_size)


def let_electra_compute_in_bfloat16() -> None:
    """Make ELECTRA's logits float32 before it samples tokens and computes losses, which cannot mix two types."""
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


def fix_regression() -> None:
    """Let the trainer make our task from a `SentencePredictionConfig`."""
    from official.core import task_factory
    from official.nlp.tasks.sentence_prediction import SentencePredictionConfig

    task_factory._REGISTERED_TASK_CLS[SentencePredictionConfig] = make_task_class()


def make_task_class() -> type:
    """Return a task of fine-tuning whose regression has the right loss and metric."""
    import tensorflow as tf
    from official.nlp.tasks.sentence_prediction import SentencePredictionTask

    class Task(SentencePredictionTask):
        def build_losses(self, labels, model_outputs, aux_losses=None):
            if self.task_config.model.num_classes == 1:  # a loss for each row: its mean is 0 on a GPU without rows
                labels = {**labels, self.label_field: tf.expand_dims(labels[self.label_field], axis=-1)}
            return super().build_losses(labels, model_outputs, aux_losses)

        def process_metrics(self, metrics, labels, model_outputs) -> None:
            super().process_metrics(metrics, labels, model_outputs)
            for metric in metrics:
                if metric.name == "mean_squared_error":
                    metric.update_state(tf.expand_dims(labels[self.label_field], axis=-1), model_outputs)

    return Task


def link_latest_checkpoint(model_dir: str, directory: str) -> None:
    """Put links to the latest checkpoint of `model_dir` into `directory`. A manager may delete them."""
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


def copy_best_values(source: str, target: str) -> None:
    """Copy the values of the best validation so far, so that all workers find the same validation better."""
    import tensorflow as tf

    values = os.path.join(source, "info.json")
    if tf.io.gfile.exists(values):
        tf.io.gfile.makedirs(target)
        tf.io.gfile.copy(values, os.path.join(target, "info.json"))


def initialize(model, init_checkpoint: str | None) -> None:
    """Restore the weights that `task.init_checkpoint` names. Do nothing if it is not set."""
    from absl import logging

    if init_checkpoint:
        prefix = find_initial(init_checkpoint)
        restore_weights(model, prefix)
        logging.info("restored the model, with all heads that are there, from %s", prefix)


def with_shared_seed(config, model_dir: str):
    """Return the configuration with one seed of the data's order for all workers. It changes when a run continues.

    Without a seed each worker shuffles the files on its own before it takes its share. Some are read twice, some never.
    """
    if num_workers() < 2 or config.task.train_data.seed is not None:
        return config
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(model_dir) if tf.io.gfile.isdir(model_dir) else None
    number = (latest or "-0").rpartition("-")[2]
    return config.replace(task={"train_data": {"seed": 1 + int(number) if number.isdigit() else 1}})

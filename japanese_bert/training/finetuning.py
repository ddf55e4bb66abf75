"""Model Garden's own fine-tuning, `official.nlp.train` with `bert/sentence_prediction`, with its regression mended.

There (tf-models-official 2.20.0) the loss of `num_classes: 1` subtracts labels [batch] from outputs [batch, 1], which
makes a table [batch, batch]: every output learns the mean of all labels, and perfect outputs have a loss above zero.
Its metric of a regression, `mean_squared_error`, is never updated and always 0.

Imports are inside the functions: they take seconds.
"""

from collections.abc import Sequence

from japanese_bert.training.trainer import run_model_garden


def train(arguments: Sequence[str]) -> None:
    """Run `python -m official.nlp.train` with these flags in this process."""
    mend_regression()
    run_model_garden(arguments)


def mend_regression() -> None:
    """Let the trainer make our task of a `SentencePredictionConfig`."""
    from official.core import task_factory
    from official.nlp.tasks.sentence_prediction import SentencePredictionConfig

    task_factory._REGISTERED_TASK_CLS[SentencePredictionConfig] = make_task_class()


def make_task_class() -> type:
    import tensorflow as tf
    from official.nlp.tasks.sentence_prediction import SentencePredictionTask

    class Task(SentencePredictionTask):
        def build_losses(self, labels, model_outputs, aux_losses=None):
            if self.task_config.model.num_classes == 1:
                model_outputs = tf.squeeze(model_outputs, axis=-1)
            return super().build_losses(labels, model_outputs, aux_losses)

        def process_metrics(self, metrics, labels, model_outputs) -> None:
            super().process_metrics(metrics, labels, model_outputs)
            for metric in metrics:
                if metric.name == "mean_squared_error":
                    metric.update_state(tf.expand_dims(labels[self.label_field], axis=-1), model_outputs)

    return Task

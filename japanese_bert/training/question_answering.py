"""Model Garden's task of question answering (`bert/squad`), with validation on TFRecords as its training has.

Model Garden's own validation reads the JSON file and cuts the text with its own tokenizer, which splits every Chinese
character. Here the records of `create_question_answering_data.py` are read, which have the answers. The metrics are the
shares of windows whose first, last, and first and last token are right. Answers as text are scored after
`predict_labels.py`.

Imports are inside the functions, because they take seconds.
"""


def fix_question_answering() -> None:
    """Let the trainer make our task from a `QuestionAnsweringConfig`."""
    from official.core import task_factory
    from official.nlp.tasks.question_answering import QuestionAnsweringConfig

    task_factory._REGISTERED_TASK_CLS[QuestionAnsweringConfig] = make_question_answering_class()


def make_question_answering_class() -> type:
    """Return the task, whose validation reads TFRecords."""
    import tensorflow as tf
    import tf_keras
    from official.core import base_task
    from official.nlp.data.question_answering_dataloader import QuestionAnsweringDataLoader
    from official.nlp.tasks.question_answering import QuestionAnsweringTask

    class Task(QuestionAnsweringTask):
        def __init__(self, params, logging_dir=None, name=None) -> None:
            base_task.Task.__init__(self, params, logging_dir, name=name)

        def build_inputs(self, params, input_context=None):
            loader = QuestionAnsweringDataLoader(params)
            loader._is_training = True  # it reads answers then
            return loader.load(input_context)

        def build_losses(self, labels, model_outputs, aux_losses=None):
            loss = super().build_losses(labels, model_outputs, aux_losses)
            # Of several GPUs some may have no row in the last step, and a mean that is no number.
            return tf.math.multiply_no_nan(loss, tf.cast(tf.size(labels["start_positions"]) > 0, loss.dtype))

        def build_metrics(self, training=None) -> list:
            return [*super().build_metrics(training=True), tf_keras.metrics.Mean(name="answer_accuracy")]

        def process_metrics(self, metrics, labels, model_outputs) -> None:
            super().process_metrics(metrics, labels, model_outputs)
            rights = [
                tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), labels[name])
                for name, logits in zip(("start_positions", "end_positions"), model_outputs, strict=True)
            ]
            (metric,) = (metric for metric in metrics if metric.name == "answer_accuracy")
            metric.update_state(tf.cast(tf.logical_and(*rights), tf.float32))

        validation_step = base_task.Task.validation_step
        aggregate_logs = base_task.Task.aggregate_logs
        reduce_aggregated_logs = base_task.Task.reduce_aggregated_logs

    return Task

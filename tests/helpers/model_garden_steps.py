"""Training steps of Model Garden itself on given batches, to compare with those of PyTorch. Nothing here is a test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from japanese_bert.models.checkpoint_writing import find_variable
from japanese_bert.models.config import BertConfig
from japanese_bert.models.model_garden import build_model, model_params
from japanese_bert.models.weight_names import weights_of

LOSSES = ("lm_example_loss", "next_sentence_loss")


@dataclass(frozen=True)
class Steps:
    """What some steps computed. Weights have their names in Transformers."""

    first_weights: dict[str, np.ndarray]
    losses: list[list[float]]
    learning_rates: list[float]
    last_weights: dict[str, np.ndarray]


def take_steps(params, config: BertConfig, tfrecord: Path, count: int) -> Steps:
    """Train on the first batches of a file, in their order, from random weights. `params` are Model Garden's."""
    import tensorflow as tf
    from official.nlp.data import pretrain_dataloader
    from official.nlp.tasks.masked_lm import MaskedLMTask

    model = build_model(model_params(config))
    task = MaskedLMTask(params.task)
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    metrics = task.build_metrics()
    losses = {metric.name: metric for metric in metrics if metric.name in LOSSES}
    first, found, rates = read_weights_of(model, config), [], []
    data = params.task.train_data.replace(input_path=str(tfrecord), is_training=False)
    train_step = tf.function(lambda batch: task.train_step(batch, model, optimizer, metrics))
    for batch in pretrain_dataloader.BertPretrainDataLoader(data).load().take(count):
        rates.append(float(optimizer.learning_rate(optimizer.iterations)))
        train_step(batch)
        found.append([float(losses[name].result()) for name in LOSSES if name in losses])
        for metric in metrics:
            metric.reset_state()
    return Steps(first, found, rates, read_weights_of(model, config))


def read_weights_of(model, config: BertConfig) -> dict[str, np.ndarray]:
    return {row.hf_name: row.to_hf(find_variable(model, row.tf_name).numpy(), config) for row in weights_of(config)}

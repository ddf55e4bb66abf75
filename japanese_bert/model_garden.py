"""Model Garden's BERT, built from our configuration, and what it computes on pretraining data.

Imports of TensorFlow and Model Garden are inside the functions: they take seconds.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from japanese_bert.bert_config import BertConfig

MODEL_INPUTS = ("input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions")


def model_params(config: BertConfig) -> dict:
    """`task.model` of the trainer's YAML, as far as `config` decides it."""
    return {
        "encoder": {
            "type": "bert",
            "bert": {
                "vocab_size": config.vocab_size,
                "hidden_size": config.hidden_size,
                "num_layers": config.num_hidden_layers,
                "num_attention_heads": config.num_attention_heads,
                "intermediate_size": config.intermediate_size,
                "max_position_embeddings": config.max_position_embeddings,
                "type_vocab_size": config.type_vocab_size,
                "hidden_activation": "gelu",
                "dropout_rate": config.hidden_dropout_prob,
                "attention_dropout_rate": config.attention_probs_dropout_prob,
                "initializer_range": config.initializer_range,
            },
        },
        "mlm_activation": "gelu",
        "mlm_initializer_range": config.initializer_range,
        "cls_heads": [
            {
                "name": "next_sentence",
                "inner_dim": config.hidden_size,
                "num_classes": 2,
                "activation": "tanh",
                "dropout_rate": config.hidden_dropout_prob,
            }
        ],
    }


def build_model(params: dict):
    """The trainer's own model for `task.model`, with all its variables made."""
    with _without_messages():
        from official.nlp.tasks import masked_lm

        task_config = masked_lm.MaskedLMConfig()
        task_config.override({"model": params}, is_strict=True)
        model = masked_lm.MaskedLMTask(task_config).build_model()
        model({name: np.zeros((1, 1), np.int32) for name in MODEL_INPUTS})  # heads make their variables when called
    return model


def restore_model(prefix: Path, config: BertConfig):
    """The model with all weights of a checkpoint; `init_checkpoint` would leave out the next sentence output layer."""
    model = build_model(model_params(config))
    import tensorflow

    checkpoint = tensorflow.train.Checkpoint(model=model, **model.checkpoint_items)
    checkpoint.read(str(prefix)).expect_partial().assert_existing_objects_matched()
    return model


def read_instances(tfrecord: Path, config: BertConfig, count: int) -> dict[str, np.ndarray]:
    """The first instances of a file of pretraining data, as the trainer's data loader reads them.

    Raises:
        ValueError: this is no such file, or it was made for another model.
    """
    from official.nlp.data import pretrain_dataloader
    from tensorflow.errors import OpError

    try:
        data_config = pretrain_dataloader.BertPretrainDataConfig(**_data_params(tfrecord), global_batch_size=count)
        batch = next(iter(pretrain_dataloader.BertPretrainDataLoader(data_config).load()))
    except (StopIteration, OpError):
        raise ValueError(f"{tfrecord}: no pretraining data; make it with create_pretraining_data.py") from None
    instances = {name: tensor.numpy() for name, tensor in batch.items()}
    seq_length, last_id = instances["input_mask"].shape[1], instances["input_word_ids"].max()
    if seq_length > config.max_position_embeddings or last_id >= config.vocab_size:
        raise ValueError(
            f"{tfrecord}: {seq_length} tokens long with ids up to {last_id}, but the model has "
            f"{config.max_position_embeddings} positions and {config.vocab_size} tokens; give data made for this model"
        )
    return instances


def _data_params(tfrecord: Path) -> dict:
    """What the trainer's data loader must know, found in the first instance."""
    import tensorflow

    with open(tfrecord, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    records = tensorflow.data.TFRecordDataset(str(tfrecord), compression_type="GZIP" if is_gzip else "")
    features = tensorflow.train.Example.FromString(next(iter(records)).numpy()).features.feature
    return {
        "input_path": str(tfrecord),
        "is_training": False,
        "drop_remainder": False,
        "seq_length": len(features["input_mask"].int64_list.value),
        "max_predictions_per_seq": len(features["masked_lm_positions"].int64_list.value),
        "use_v2_feature_names": "input_word_ids" in features,
        "file_type": "tfrecord_compressed" if is_gzip else "tfrecord",
    }


def logits_of_model_garden(model, instances: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the masked tokens [instances, predictions, vocabulary] and of the next sentence [instances, 2]."""
    with _without_messages():
        outputs = model({name: instances[name] for name in MODEL_INPUTS}, training=False)
    return outputs["mlm_logits"].numpy(), outputs["next_sentence"].numpy()


@contextmanager
def _without_messages() -> Iterator[None]:
    """Hide TensorFlow's start-up messages, and warnings that say only how Model Garden calls its libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield

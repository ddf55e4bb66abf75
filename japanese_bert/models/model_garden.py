"""Model Garden's models: build them from our configuration, restore them, compute their logits on pretraining data.

Imports of TensorFlow and Model Garden are inside the functions, because they take seconds.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from japanese_bert.models.config import ARCHITECTURES, MASKED, NEXT_SENTENCE, REPLACED, BertConfig
from japanese_bert.models.training_history import PARAMS_FILE, TrainingStage
from japanese_bert.tfrecord.reading import read_first_example

ENCODER_INPUTS = ("input_word_ids", "input_mask", "input_type_ids")
MODEL_INPUTS = (*ENCODER_INPUTS, "masked_lm_positions")
NEXT_SENTENCE_HEAD = "next_sentence"  # its name in task.model.cls_heads
# Sizes and rates: Model Garden's name -> Hugging Face's.
ENCODER_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "dropout_rate": "hidden_dropout_prob",
    "attention_dropout_rate": "attention_probs_dropout_prob",
    "initializer_range": "initializer_range",
}
CONTINUED_RATE = 5e-5  # for continued pretraining: half of the first rate of the released base models
ENCODER_CLASSES = {"bert": "BertForPreTraining", "albert": "AlbertForPreTraining", "electra": "ElectraForPreTraining"}
NETWORKS = {"ElectraForPreTraining": "discriminator_encoder", "ElectraForMaskedLM": "generator_encoder"}
EMBEDDING_SIZES = {"albert": {"embedding_width": "embedding_size"}, "electra": {"embedding_size": "embedding_size"}}


def encoder_params(config: BertConfig) -> dict:
    """Return an encoder of the trainer's YAML. An ELECTRA's encoders are of type bert."""
    names = ENCODER_FIELDS | EMBEDDING_SIZES.get(config.model_type, {})
    values = {name: getattr(config, field) for name, field in names.items()}
    kind = "albert" if config.model_type == "albert" else "bert"
    return {"type": kind, kind: {**values, "hidden_activation": "gelu"}}


def config_of_encoder(encoder) -> BertConfig | None:
    """Invert `encoder_params`. Return None for other encoders. An ELECTRA is a BERT with `embedding_size`."""
    if encoder.type not in ("bert", "albert"):
        return None
    sizes = getattr(encoder, encoder.type)
    kind = "electra" if getattr(sizes, "embedding_size", None) else encoder.type
    names = ENCODER_FIELDS | EMBEDDING_SIZES.get(kind, {})
    values = {field: getattr(sizes, name) for name, field in names.items()}
    return BertConfig(**values, architecture=ENCODER_CLASSES[kind])


def model_params(config: BertConfig, generator: BertConfig | None = None) -> dict:
    """Return `task.model` of the trainer's YAML, as far as the configurations decide it.

    An ELECTRA has two. With one of them, both networks have its sizes.
    """
    if config.model_type == "electra":
        return dict(zip(NETWORKS.values(), map(encoder_params, (config, generator or config)), strict=True))
    next_sentence = {
        "name": NEXT_SENTENCE_HEAD,
        "inner_dim": config.hidden_size,
        "num_classes": 2,
        "activation": "tanh",
        "dropout_rate": config.hidden_dropout_prob,
    }
    return {
        "encoder": encoder_params(config),
        "mlm_activation": "gelu",
        "mlm_initializer_range": config.initializer_range,
        "cls_heads": [next_sentence] if ARCHITECTURES[config.architecture].has_next_sentence else [],
    }


def continued_params(
    config: BertConfig, initial_rate: float = CONTINUED_RATE, generator: BertConfig | None = None
) -> dict:
    """Return the trainer's parameters for continued pretraining: the model, and a small learning rate.

    An ELECTRA learns no next sentences, see configs/model/electra_base_wordpiece.yaml.
    """
    rate = {"learning_rate": {"polynomial": {"initial_learning_rate": initial_rate}}}
    task = {"model": model_params(config, generator)}
    if config.model_type == "electra":
        task |= {section: {"use_next_sentence_label": False} for section in ("train_data", "validation_data")}
    return {"task": task, "trainer": {"optimizer_config": rate}}


def check_params(stages: Sequence[TrainingStage], config: BertConfig) -> None:
    """Raise ValueError if `params.yaml` differs from `config` in a way that the weights do not show.

    Weights do not show the activation, and how often an ALBERT uses its one layer.
    """
    if not stages:
        return
    encoder = encoder_params(config)
    kind = encoder["type"]
    for name in ("num_layers", "hidden_activation"):
        path = f"task.model.{NETWORKS.get(config.architecture, 'encoder')}.{kind}.{name}"
        found = stages[-1].param(path)
        if found not in (None, encoder[kind][name]):
            raise ValueError(
                f"{PARAMS_FILE} beside the checkpoint: {path} is {found}, but {encoder[kind][name]} in "
                "--tf_config_file. Give the configuration of the trained model"
            )


def build_model(params: dict):
    """Return the trainer's own model for `task.model`, with all its variables."""
    with _without_messages():
        from official.nlp.tasks import electra_task, masked_lm

        inputs = {name: np.zeros((1, 1), np.int32) for name in MODEL_INPUTS}
        if "discriminator_encoder" in params:
            task, task_config = electra_task.ElectraPretrainTask, electra_task.ElectraPretrainConfig()
            inputs["masked_lm_ids"] = inputs["input_word_ids"]
        else:
            task, task_config = masked_lm.MaskedLMTask, masked_lm.MaskedLMConfig()
        task_config.override({"model": params}, is_strict=True)
        model = task(task_config).build_model()
        model(inputs)  # heads make their variables when called
    return model


def restore_model(prefix: Path, config: BertConfig):
    """Return the model with all weights of a checkpoint. Of an ELECTRA, restore the network of `config` and its head.

    Model Garden's own `init_checkpoint` leaves out the next sentence output layer.
    """
    model = build_model(model_params(config))
    import tensorflow

    make = tensorflow.train.Checkpoint
    if config.architecture == "ElectraForPreTraining":
        head = make(
            discriminator_projection=model.discriminator_projection, discriminator_head=model.discriminator_head
        )
        checkpoint = make(encoder=model.discriminator_network, model=head)
    elif config.architecture == "ElectraForMaskedLM":
        checkpoint = make(model=make(generator_network=model.generator_network, masked_lm=model.masked_lm))
    else:
        checkpoint = make(model=model, **model.checkpoint_items)
    checkpoint.read(str(prefix)).expect_partial().assert_existing_objects_matched()
    return model


def read_instances(tfrecord: Path, config: BertConfig, count: int) -> dict[str, np.ndarray]:
    """Return the first instances of a file of pretraining data, as the trainer's data loader reads them.

    Raises:
        ValueError: the file holds other data, or it was made for another model.
    """
    from official.nlp.data import pretrain_dataloader
    from tensorflow.errors import OpError

    try:
        data_config = pretrain_dataloader.BertPretrainDataConfig(**_data_params(tfrecord), global_batch_size=count)
        batch = next(iter(pretrain_dataloader.BertPretrainDataLoader(data_config).load()))
    except (ValueError, KeyError, StopIteration, OpError):
        raise ValueError(
            f"{tfrecord}: no pretraining data of one length. Make it with create_pretraining_data.py, without "
            "--seq_bucket_lengths"
        ) from None
    instances = {name: tensor.numpy() for name, tensor in batch.items()}
    seq_length, last_id = instances["input_mask"].shape[1], instances["input_word_ids"].max()
    if seq_length > config.max_position_embeddings or last_id >= config.vocab_size:
        raise ValueError(
            f"{tfrecord}: {seq_length} tokens long with ids up to {last_id}, but the model has "
            f"{config.max_position_embeddings} positions and {config.vocab_size} tokens. Give data made for this model"
        )
    return instances


def _data_params(tfrecord: Path) -> dict:
    """Return what the trainer's data loader must know of a file. The first instance shows it."""
    example = read_first_example(str(tfrecord))
    return {
        "input_path": str(tfrecord),
        "is_training": False,
        "drop_remainder": False,
        "seq_length": len(example.features["input_mask"]),
        "max_predictions_per_seq": len(example.features["masked_lm_positions"]),
        "use_v2_feature_names": "input_word_ids" in example.features,
        "use_next_sentence_label": "next_sentence_labels" in example.features,
        "file_type": "tfrecord_compressed" if example.is_compressed else "tfrecord",
    }


def logits_of_model_garden(model, config: BertConfig, instances: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the logits of `config.architecture`, see `config.py`.

    An ELECTRA's discriminator gets the instances as they are. In training it gets the generator's samples.
    """
    import tensorflow

    inputs = {name: tensorflow.constant(instances[name]) for name in MODEL_INPUTS}
    encoder_inputs = [inputs[name] for name in ENCODER_INPUTS]
    with _without_messages():
        if config.architecture == "ElectraForPreTraining":
            encoded = model.discriminator_network(encoder_inputs, training=False)["sequence_output"]
            logits = {REPLACED: model.discriminator_head(model.discriminator_projection(encoded))[..., 0]}
        elif config.architecture == "ElectraForMaskedLM":
            encoded = model.generator_network(encoder_inputs, training=False)["sequence_output"]
            logits = {MASKED: model.masked_lm(encoded, inputs["masked_lm_positions"])}
        else:
            outputs = model(inputs, training=False)
            logits = {MASKED: outputs["mlm_logits"], NEXT_SENTENCE: outputs.get("next_sentence")}
    return {name: logits[name].numpy() for name in ARCHITECTURES[config.architecture].logits}


@contextmanager
def _without_messages() -> Iterator[None]:
    """Hide TensorFlow's start-up messages, and Model Garden's warnings about its libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield

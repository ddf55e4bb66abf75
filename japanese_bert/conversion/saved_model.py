"""A checkpoint of pretraining -> its encoder as a SavedModel, in TF-Hub's form for text encoders.

Model Garden builds what is exported (`official.nlp.tools.export_tfhub_lib`): a BERT, an ALBERT, the discriminator of an
ELECTRA, or a BERT that gin files change. Called with ids, the encoder returns `sequence_output`, `pooled_output` (also
named `default`) and `encoder_outputs`. Its `.mlm` returns `mlm_logits` too, which a discriminator does not have. The
pooler is the trained one of the next sentence head, if there is one. Inputs are ids, not text. Reason: the
preprocessing that Model Garden could export splits every CJK character, and a Japanese vocabulary of words needs whole
words.
"""

import gc
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from japanese_bert.conversion import verification
from japanese_bert.models.checkpoint_reading import VALUE_SUFFIX, read_weights, reading_checkpoint
from japanese_bert.models.checkpoint_writing import writing_by_tensorflow
from japanese_bert.models.config import ARCHITECTURES, BertConfig
from japanese_bert.models.model_garden import ENCODER_INPUTS, MODEL_INPUTS, encoder_params, restore_model
from japanese_bert.models.weight_names import IN_ENCODER
from japanese_bert.tokenization.vocab import Vocab

FILE = "saved_model.pb"
FINGERPRINT_FILE = "fingerprint.pb"
CONFIG_FILE = "config.json"
SUBDIRECTORIES = ("assets", "variables", "variables_temp")  # the last one is left if TensorFlow fails or is killed
OUTPUTS = ("sequence_output", "pooled_output", "mlm_logits")
POOLER_LAYERS = ("pooler_transform", "cls_transform")  # names of the encoders' own layer
# Needless messages of TensorFlow. The export restores parts of a checkpoint. Each time TensorFlow reports every value
# of the others, such as the optimizer, as not found. None is missing: the restoring asserts it, and the proof shows it.
UNDERSTOOD = (
    "Detecting that an object or model or tf.train.Checkpoint is being deleted with unrestored values",
    "Value in checkpoint could not be found in the restored object: (root).",
    "Compiled the loaded model, but the compiled metrics have yet to be built",
)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """What the SavedModel says of its tokens: `vocab.txt` or `spiece.model`, and whether text is lower-cased."""

    file: Path
    vocab: Vocab
    do_lower_case: bool


def check_architecture(config: BertConfig, config_file: Path) -> None:
    """Raise ValueError for the generator of an ELECTRA, and print a note if there is no trained pooler."""
    architecture = ARCHITECTURES[config.architecture]
    if config.architecture == "ElectraForMaskedLM":
        raise ValueError(
            f"{config_file}: describes an {architecture.kind}, whose encoder is not for fine-tuning. Give the "
            "configuration of the discriminator (ElectraForPreTraining)"
        )
    if not architecture.has_next_sentence:
        print(f"NOTE {config.architecture} has no next sentence head: the pooler of the pooled output is not trained")


@contextmanager
def changed_by_gin(gin_files: Sequence[Path]) -> Iterator[None]:
    """Let Model Garden build what gin files describe, such as configs/model/talking_heads_gated_gelu.gin."""
    if not gin_files:
        yield
        return
    import gin

    with quiet():
        from official.common import registry_imports  # noqa: F401
    try:
        gin.parse_config_files_and_bindings([str(path) for path in gin_files], [])
        yield
    except ValueError as error:
        raise ValueError(f"--gin_file: {' '.join(str(error).split())}") from None
    finally:
        gin.clear_config()


def export_encoder(
    prefix: Path, config: BertConfig, tokenizer: Tokenizer, directory: Path, is_changed: bool = False
) -> None:
    """Write the SavedModel, with its vocabulary as an asset and its sizes in `config.json`.

    `is_changed`: gin files change the model, so that its variables are not those of `config`.

    Raises:
        ValueError: the checkpoint is damaged, or belongs to another model than `config` describes.
    """
    if not is_changed:
        read_weights(prefix, config)
    with quiet():
        import tensorflow as tf
        from official.nlp.configs import encoders
        from official.nlp.tools import export_tfhub_lib

        encoder_config = encoders.EncoderConfig()
        encoder_config.override(encoder_params(config), is_strict=True)
        has_mlm = ARCHITECTURES[config.architecture].predicts_tokens
        exported, root = export_tfhub_lib._create_model(encoder_config=encoder_config, with_mlm=has_mlm)
        items, encoder = (root.checkpoint_items, root.encoder_network) if has_mlm else ({"encoder": root}, root)
        if is_changed:
            _check_count(prefix, len(encoder.variables))
        _restore(prefix, items)
        if ARCHITECTURES[config.architecture].has_next_sentence:
            _restore(prefix, {"next_sentence.pooler_dense": _pooler_of(encoder)})
        asset = "sp_model_file" if tokenizer.file.suffix == ".model" else "vocab_file"
        setattr(exported, asset, tf.saved_model.Asset(str(tokenizer.file)))
        exported.do_lower_case = tf.Variable(tokenizer.do_lower_case, trainable=False)
        with writing_by_tensorflow(directory):
            exported.save(str(directory), include_optimizer=False, save_format="tf")
        del exported, root, items, encoder
        gc.collect()  # restorers print their messages when they are deleted
        _replace_random_number(directory / FINGERPRINT_FILE)
    (directory / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8", newline="\n")


def _restore(prefix: Path, items: Mapping[str, object]) -> None:
    """Read all variables of some objects, by their names in the checkpoint."""
    import tensorflow as tf

    with reading_checkpoint(str(prefix)):
        try:
            tf.train.Checkpoint(**items).read(str(prefix)).expect_partial().assert_existing_objects_matched()
        except (AssertionError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{prefix}: does not fit --tf_config_file and --gin_file: {reason}") from None


def _check_count(prefix: Path, count: int) -> None:
    """Raise ValueError if the checkpoint has more weights of an encoder than it would get, such as other layers."""
    with reading_checkpoint(str(prefix)) as reader:
        names = [key.removesuffix(VALUE_SUFFIX) for key in reader.get_variable_to_shape_map()]
    found = sum(name.startswith("encoder/") and ".OPTIMIZER_SLOT" not in name for name in names)
    if found + (IN_ENCODER not in names) != count:  # the masked LM head may have the word embeddings
        raise ValueError(
            f"{prefix}: its encoder has {found} variables, expected {count}. Give the --tf_config_file and --gin_file "
            "of the trained model"
        )


def _pooler_of(encoder):
    """Return the encoder's own pooler."""
    (layer,) = (layer for layer in encoder.layers if layer.name in POOLER_LAYERS)
    return layer


def _replace_random_number(fingerprint_file: Path) -> None:
    """Give a SavedModel the hash of its weights as its `uuid`. So the same checkpoint gives the same bytes."""
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    fingerprint = FingerprintDef.FromString(fingerprint_file.read_bytes())
    fingerprint.uuid = str(fingerprint.checkpoint_hash)
    fingerprint_file.write_bytes(fingerprint.SerializeToString(deterministic=True))


def output_differences(prefix: Path, config: BertConfig, directory: Path, vocab: Vocab) -> dict[str, float]:
    """Return the largest difference of each output from the trained model's, on the same instances in two shapes."""
    instances = verification.make_instances(config, vocab)
    with quiet():
        model, loaded = restore_model(prefix, config), load(directory)
        cases = [instances, verification.shortened(instances)]
        pairs = [(outputs_of_checkpoint(model, case), outputs_of_saved_model(loaded, case)) for case in cases]
    return {
        name: float(np.max([np.abs(expected[name] - found[name]).max() for expected, found in pairs]))
        for name in pairs[0][0]
    }


def check_differences(directory: Path, found: Mapping[str, float]) -> None:
    """Print the differences. Raise ValueError if the SavedModel computes other outputs than the trained model."""
    for name, difference in found.items():
        print(f"largest difference of {name}: {difference:.1e}")
    wrong = [name for name, difference in found.items() if not difference <= verification.MAX_LOGIT_DIFFERENCE]
    if wrong:
        raise ValueError(
            f"{directory}: {wrong[0]} differs from the trained model's by {found[wrong[0]]:.1e}, expected at most "
            f"{verification.MAX_LOGIT_DIFFERENCE}"
        )


def load(directory: Path):
    import tensorflow_hub as hub

    return hub.load(str(directory))


def outputs_of_checkpoint(model, instances: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of the trainer's model. `pooled_output` comes from the head: only its pooler was trained."""
    inputs = {name: instances[name] for name in MODEL_INPUTS}
    if hasattr(model, "discriminator_network"):
        values = model.discriminator_network([inputs[name] for name in ENCODER_INPUTS], training=False)
    else:
        values = {**model(inputs, training=False)}
        for head in model.classification_heads:
            values["pooled_output"] = head(values["sequence_output"], only_project=True)
    return {name: values[name].numpy() for name in OUTPUTS if name in values}


def outputs_of_saved_model(loaded, instances: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of the encoder, and the logits of its `.mlm` if it has one."""
    import tensorflow as tf

    inputs = {name: tf.constant(instances[name]) for name in MODEL_INPUTS}
    values = {**loaded({name: inputs[name] for name in ENCODER_INPUTS})}
    if hasattr(loaded, "mlm"):
        values["mlm_logits"] = loaded.mlm(inputs)["mlm_logits"]
    return {name: values[name].numpy() for name in OUTPUTS if name in values}


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the messages in `UNDERSTOOD`, and warnings about the way Model Garden calls its libraries.

    After an error or a signal the messages stay hidden: restorers print them when they are deleted, which is later.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_says_something)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.removeFilter(_says_something)


def _says_something(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(UNDERSTOOD)

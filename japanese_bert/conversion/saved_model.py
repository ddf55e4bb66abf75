"""A checkpoint of pretraining -> its encoder as a SavedModel, in TF-Hub's form for text encoders.

Model Garden exports it (`official.nlp.tools.export_tfhub_lib`). Called with ids, the encoder returns `sequence_output`,
`pooled_output` (also named `default`) and `encoder_outputs`. Its `.mlm` returns `mlm_logits` too. The pooler is the
trained one of the next sentence head. Inputs are ids, not text. Reason: the preprocessing that Model Garden could
export splits every CJK character, and a Japanese vocabulary of words needs whole words.
"""

import gc
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

from japanese_bert.conversion import verification
from japanese_bert.models.checkpoint_reading import read_weights
from japanese_bert.models.config import ARCHITECTURES, BertConfig
from japanese_bert.models.model_garden import ENCODER_INPUTS, MODEL_INPUTS, encoder_params, restore_model
from japanese_bert.tokenization.vocab import Vocab

FILE = "saved_model.pb"
CONFIG_FILE = "config.json"
SUBDIRECTORIES = ("assets", "variables")
OUTPUTS = ("sequence_output", "pooled_output", "mlm_logits")
# Needless messages of TensorFlow. The export restores a checkpoint twice: the encoder with its masked LM head, then the
# pooler. Each time TensorFlow reports every value of the other half, the optimizer and the next sentence output as not
# found. None is missing: the restoring asserts it, and the proof shows it.
UNDERSTOOD = (
    "Detecting that an object or model or tf.train.Checkpoint is being deleted with unrestored values",
    "Value in checkpoint could not be found in the restored object: (root).",
    "Compiled the loaded model, but the compiled metrics have yet to be built",
)


def check_architecture(config: BertConfig, config_file: Path) -> None:
    """Raise ValueError unless this is a BERT, and print a note if it has no trained pooler."""
    architecture = ARCHITECTURES[config.architecture]
    if config.model_type != "bert":
        raise ValueError(
            f"{config_file}: describes an {architecture.kind}, expected a BERT. Convert it to Hugging Face instead"
        )
    if not architecture.has_next_sentence:
        print(f"NOTE {config.architecture} has no next sentence head: the pooler of the pooled output is not trained")


def export_encoder(prefix: Path, config: BertConfig, vocab_file: Path, do_lower_case: bool, directory: Path) -> None:
    """Write the SavedModel, with its vocabulary as an asset and its sizes in `config.json`.

    Raises:
        ValueError: the checkpoint is damaged, or belongs to another model than `config` describes.
    """
    read_weights(prefix, config)
    with quiet():
        import tensorflow as tf
        from official.nlp.configs import encoders
        from official.nlp.tools import export_tfhub_lib

        encoder_config = encoders.EncoderConfig()
        encoder_config.override(encoder_params(config), is_strict=True)
        # `restore` also asserts a `save_counter`. The checkpoint of convert_hf_checkpoint_to_tf2.py has none.
        with patch.object(tf.train.Checkpoint, "restore", tf.train.Checkpoint.read):
            export_tfhub_lib.export_model(
                str(directory),
                encoder_config=encoder_config,
                model_checkpoint_path=str(prefix),
                with_mlm=True,
                copy_pooler_dense_to_encoder=ARCHITECTURES[config.architecture].has_next_sentence,
                vocab_file=str(vocab_file),
                do_lower_case=do_lower_case,
            )
        gc.collect()  # restorers print their messages when they are deleted
    (directory / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8", newline="\n")


def output_differences(prefix: Path, config: BertConfig, directory: Path, vocab: Vocab) -> dict[str, float]:
    """Return the largest difference of each output from the trained model's, on the same instances in two shapes."""
    instances = verification.make_instances(config, vocab)
    with quiet():
        model, loaded = restore_model(prefix, config), load(directory)
        cases = [instances, verification.shortened(instances)]
        pairs = [(outputs_of_checkpoint(model, case), outputs_of_saved_model(loaded, case)) for case in cases]
    return {
        name: float(np.max([np.abs(expected[name] - found[name]).max() for expected, found in pairs]))
        for name in OUTPUTS
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
    outputs = model({name: instances[name] for name in MODEL_INPUTS}, training=False)
    values = {**outputs}
    for head in model.classification_heads:
        values["pooled_output"] = head(outputs["sequence_output"], only_project=True)
    return {name: values[name].numpy() for name in OUTPUTS}


def outputs_of_saved_model(loaded, instances: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of the encoder, and the logits of its `.mlm`."""
    import tensorflow as tf

    inputs = {name: tf.constant(instances[name]) for name in MODEL_INPUTS}
    encoded = loaded({name: inputs[name] for name in ENCODER_INPUTS})
    values = {**encoded, "mlm_logits": loaded.mlm(inputs)["mlm_logits"]}
    return {name: values[name].numpy() for name in OUTPUTS}


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the messages in `UNDERSTOOD`, and warnings about the way Model Garden calls its libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_says_something)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeFilter(_says_something)


def _says_something(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(UNDERSTOOD)

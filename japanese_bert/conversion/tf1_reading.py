"""Read the weights of Google's TF1 checkpoints by the names of Hugging Face's classes.

The names are a column of `models/weight_names.py`. All heads are read. Model Garden's own converters leave out the
output layer of the next sentence head, and have none for ELECTRA. The networks of an ELECTRA are in one checkpoint and
share variables: both classes get them. The state of the optimizer is left out.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from japanese_bert.models.checkpoint_reading import Mismatch, find_mismatch, reading_checkpoint
from japanese_bert.models.config import BertConfig
from japanese_bert.models.weight_names import is_next_sentence, weights_of

# Counters and the optimizers' slots: of google-research/bert, albert and electra, and of TF1's own Adam.
STATE = re.compile(r"global_step|(.*/)?(adam_[mv]|lamb_[mv]|Adam(_\d)?|Adafactor|beta[12]_power)")


def read_tf1_weights(prefix: Path, configs: Sequence[BertConfig]) -> list[dict[str, np.ndarray]]:
    """Return the weights of each configuration. A checkpoint without next sentence head lacks those of that head.

    Raises:
        ValueError: a weight is missing, unexpected or of another shape, or the checkpoint cannot be read.
    """
    expected = {row.tf1_name: row.tf1_shape(config) for config in configs for row in weights_of(config)}
    optional = {row.tf1_name for config in configs for row in weights_of(config) if is_next_sentence(row.tf_name)}
    with reading_checkpoint(str(prefix), is_tf1=True) as reader:
        shapes = reader.get_variable_to_shape_map()
        found = {name: tuple(shape) for name, shape in shapes.items() if not STATE.fullmatch(name)}
        _check(prefix, find_mismatch(expected, found), optional)
        return [
            {
                row.hf_name: row.tf1_to_hf(reader.get_tensor(row.tf1_name))
                for row in weights_of(c)
                if row.tf1_name in found
            }
            for c in configs
        ]


def _check(prefix: Path, mismatch: Mismatch, optional: set[str]) -> None:
    missing = [name for name in mismatch.missing if name not in optional]
    summary = Mismatch(missing, mismatch.unexpected, mismatch.of_other_shape).summary()
    if summary:
        raise ValueError(f"{prefix}: {summary}. Does --config_file describe this model?")

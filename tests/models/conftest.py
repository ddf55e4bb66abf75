"""A checkpoint that several tests of models read: made once."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.converting import BERT


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Return `ckpt-5` of a `--model_dir`. All weights are random, and it has a step and an optimizer's counter."""
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    directory = tmp_path_factory.mktemp("checkpoint")
    model = build_model(model_params(BERT))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.normal(size=variable.shape))
    items = {"model": model, "global_step": tf.Variable(5, dtype=tf.int64), **model.checkpoint_items}
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(**items), directory, max_to_keep=2)
    return Path(manager.save(checkpoint_number=5))

"""Archives of Model Garden, the encoder alone, through its trainer: pretraining and fine-tuning start from them."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from japanese_bert.models.model_garden import encoder_params
from tests.helpers import small_finetuning, small_pretraining
from tests.helpers.tf1_checkpoints import convert_by_model_garden, tf1_variables, write_google_archive

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]
OWN_POOLER = "task.init_cls_pooler=false,task.model.use_encoder_pooler=true"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Write data of both kinds, and in `archive` what Model Garden offers: two configurations, and a vocabulary."""
    place = small_pretraining.write_all(tmp_path_factory.mktemp("archive"))
    config = small_pretraining.make_config(small_pretraining.num_tokens(place / "vocab.txt"))
    model = write_google_archive(config, place / "tf1")
    np.savez(place / "tf1.npz", **tf1_variables(model))
    convert_by_model_garden("bert", place / "tf1", place / "archive")
    params = {"task": {"model": {"encoder": encoder_params(config)}}}
    (place / "archive" / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copy(place / "tf1" / "bert_config.json", place / "archive")
    shutil.copy(place / "vocab.txt", place / "archive")
    for name, first in (("train", 0), ("valid", 60)):
        rows = small_finetuning.write_rows(place / f"{name}.jsonl", first)
        small_finetuning.make_data(rows, place / "vocab.txt", place / f"{name}.tfrecord.gz")
    small_finetuning.write_yaml(place / "task.yaml", steps=20)
    return place


@pytest.mark.parametrize("name", ["", "/bert_model.ckpt", "/bert_model.ckpt.index"])
def test_ten_steps_of_pretraining(place, tmp_path, name):
    """The files beside the archive describe the model, so that no configuration of it is needed."""
    command = small_pretraining.train_command(place, tmp_path / "model", "trainer.train_steps=10")
    steps = "trainer.optimizer_config.learning_rate.polynomial.decay_steps=10"
    command = [flag for flag in command if "model.yaml" not in flag]
    command[-1] += f",{steps}"
    output = small_pretraining.run([*command, f"--init_checkpoint={place}/archive{name}"])
    heads = "masked language model head and no output layer of the next sentence head, which start at random"
    assert f"NOTE {place}/archive/bert_model.ckpt: has no {heads}" in output
    assert "pooler of the next sentence head: the encoder's own" in output
    assert re.search("^step 10 of 10", output, re.MULTILINE)
    assert (tmp_path / "model" / "ckpt-10.index").is_file()


@pytest.mark.parametrize("name", ["", "/bert_model.ckpt", "/bert_model.ckpt.index"])
def test_twenty_steps_of_fine_tuning_with_the_trained_pooler(place, tmp_path, name):
    more = f"task.init_checkpoint={place}/archive{name},{OWN_POOLER}"
    flags = [f"--tf_config_file={place}/archive/bert_config.json"]
    still = f"{more},trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.0"
    for model_dir, settings in (("still", still), ("model", more)):
        output = small_finetuning.train(place, tmp_path / model_dir, settings, *flags)
        assert re.search("^step 20 of 20", output, re.MULTILINE)
        assert "NOTE" not in output
    expected = np.load(place / "tf1.npz")["bert/pooler/dense/kernel"]
    assert np.array_equal(pooler_of(tmp_path / "still"), expected)  # no step changed it
    assert not np.array_equal(pooler_of(tmp_path / "model"), expected)


def pooler_of(model_dir: Path) -> np.ndarray:
    import tensorflow as tf

    name = "encoder/layer_with_weights-7/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    return tf.train.load_variable(str(model_dir / "ckpt-20"), name)


def test_data_of_another_vocabulary_is_refused(place, tmp_path):
    (tmp_path / "archive").mkdir()
    for path in (place / "archive").iterdir():
        shutil.copy(path, tmp_path / "archive")
    lines = (place / "vocab.txt").read_bytes().split(b"\n")
    (tmp_path / "archive" / "vocab.txt").write_bytes(b"\n".join([*lines[:6], lines[7], lines[6], *lines[8:]]))
    found = small_pretraining.check(place, f"task.init_checkpoint={tmp_path}/archive")
    small_pretraining.assert_problem(found, "vocabulary sha256")

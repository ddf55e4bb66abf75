"""Our configuration as Model Garden's, and its models on pretraining data. All YAML files: `tests/test_configs.py`."""

import dataclasses

import numpy as np
import pytest

from japanese_bert.models.config import MASKED, NEXT_SENTENCE
from japanese_bert.models.model_garden import (
    check_params,
    encoder_params,
    logits_of_model_garden,
    model_params,
    read_instances,
    restore_model,
)
from japanese_bert.models.training_history import TrainingStage
from tests.helpers.converting import BERT, write_tfrecord
from tests.test_configs import with_tensorflow

ALBERT = dataclasses.replace(BERT, embedding_size=8, architecture="AlbertForPreTraining")
GENERATOR = dataclasses.replace(BERT, embedding_size=8, architecture="ElectraForMaskedLM")


def test_encoders_of_the_three_kinds():
    bert = encoder_params(BERT)
    assert bert["type"] == "bert"
    assert (bert["bert"]["num_layers"], bert["bert"]["dropout_rate"], bert["bert"]["hidden_activation"]) == (
        3,
        0.1,
        "gelu",
    )
    assert "embedding_size" not in bert["bert"]
    assert encoder_params(ALBERT)["albert"] == {**bert["bert"], "embedding_width": 8}
    assert encoder_params(GENERATOR) == {"type": "bert", "bert": {**bert["bert"], "embedding_size": 8}}


def test_heads_of_the_classes():
    (head,) = model_params(BERT)["cls_heads"]
    assert (head["name"], head["inner_dim"], head["num_classes"]) == ("next_sentence", 12, 2)
    assert model_params(dataclasses.replace(BERT, architecture="BertForMaskedLM"))["cls_heads"] == []
    assert model_params(GENERATOR).keys() == {"discriminator_encoder", "generator_encoder"}


def stage_with(**encoder) -> TrainingStage:
    return TrainingStage({"task": {"model": {"encoder": {"bert": encoder}}}}, 1, [])


def test_a_training_of_another_model_is_refused():
    check_params([], BERT)
    check_params([stage_with(num_layers=4), stage_with(num_layers=3, hidden_activation="gelu")], BERT)
    with pytest.raises(ValueError, match=r"task\.model\.encoder\.bert\.hidden_activation is relu, but gelu in"):
        check_params([stage_with(hidden_activation="relu")], BERT)
    with pytest.raises(ValueError, match=r"num_layers is 4, but 3 in --tf_config_file"):
        check_params([stage_with(num_layers=4)], BERT)


class TestInstances:
    pytestmark = with_tensorflow

    @pytest.fixture(scope="class")
    def tfrecord(self, tmp_path_factory):
        return write_tfrecord(tmp_path_factory.mktemp("data") / "instances.tfrecord.gz", BERT)

    def test_the_first_instances(self, tfrecord):
        instances = read_instances(tfrecord, BERT, 3)
        assert instances["input_mask"].sum(axis=1).tolist() == [5, 6, 7]
        assert instances["input_word_ids"].shape == (3, 16)
        assert instances["masked_lm_positions"].shape == (3, 3)

    def test_instances_without_next_sentence_labels(self, tfrecord, tmp_path):
        import tensorflow as tf

        with tf.io.TFRecordWriter(str(tmp_path / "single")) as writer:
            for record in tf.data.TFRecordDataset(str(tfrecord), "GZIP"):
                example = tf.train.Example.FromString(record.numpy())
                del example.features.feature["next_sentence_labels"]
                writer.write(example.SerializeToString())
        assert read_instances(tmp_path / "single", BERT, 2)["input_mask"].shape == (2, 16)

    def test_data_of_another_model_is_refused(self, tfrecord):
        with pytest.raises(ValueError, match=r"16 tokens long .* but the model has 8 positions"):
            read_instances(tfrecord, dataclasses.replace(BERT, max_position_embeddings=8), 4)
        with pytest.raises(ValueError, match=r"and 20 tokens\. Give data made for this model"):
            read_instances(tfrecord, dataclasses.replace(BERT, vocab_size=20), 4)

    def test_other_files_are_refused(self, checkpoint, tmp_path):
        with pytest.raises(ValueError, match=r"ckpt-5\.index: no pretraining data"):
            read_instances(checkpoint.with_name("ckpt-5.index"), BERT, 4)
        with pytest.raises(FileNotFoundError, match="nothing: no such file"):
            read_instances(tmp_path / "nothing", BERT, 4)

    def test_logits_of_a_restored_model(self, checkpoint, tfrecord):
        instances = read_instances(tfrecord, BERT, 2)
        logits = logits_of_model_garden(restore_model(checkpoint, BERT), BERT, instances)
        assert {name: array.shape for name, array in logits.items()} == {MASKED: (2, 3, 50), NEXT_SENTENCE: (2, 2)}
        again = logits_of_model_garden(restore_model(checkpoint, BERT), BERT, instances)
        assert np.array_equal(logits[NEXT_SENTENCE], again[NEXT_SENTENCE])

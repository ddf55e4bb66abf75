"""Archives of Model Garden, made by its own converters, as the start of a training."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.models.checkpoint_reading import reading_checkpoint
from japanese_bert.models.model_garden import build_model, model_params
from japanese_bert.models.weight_names import OUTPUT_LAYER, POOLER, own_pooler_of
from japanese_bert.training.initial_weights import find_initial, missing_heads, restore_weights
from tests.helpers.converting import ALBERT, BERT
from tests.helpers.tf1_checkpoints import convert_by_model_garden, tf1_variables, write_google_archive
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
CONFIGS = {"bert": BERT, "albert": ALBERT}
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture(scope="module", params=CONFIGS)
def archive(request, tmp_path_factory):
    """Return the kind of a model, its prefix, and the variables of the TF1 checkpoint that it was made from."""
    place, kind = tmp_path_factory.mktemp(request.param), request.param
    model = write_google_archive(CONFIGS[kind], place / "tf1")
    return kind, convert_by_model_garden(kind, place / "tf1", place / "tf2"), tf1_variables(model)


def test_each_way_to_name_it(archive):
    _, prefix, _ = archive
    for name in (prefix.parent, prefix, f"{prefix}.index", f"{prefix}.data-00000-of-00001"):
        assert find_initial(str(name)) == str(prefix)


def test_the_encoder_and_its_pooler_are_restored_bit_by_bit(archive):
    kind, prefix, tf1 = archive
    model = build_model(model_params(CONFIGS[kind]))
    before = model.classification_heads[0].out_proj.kernel.numpy()
    restore_weights(model, str(prefix))
    head = model.classification_heads[0]
    assert np.array_equal(head.dense.kernel, tf1["bert/pooler/dense/kernel"])
    assert np.array_equal(head.dense.bias, tf1["bert/pooler/dense/bias"])
    assert np.array_equal(head.out_proj.kernel, before)
    with reading_checkpoint(str(prefix)) as reader:
        layers = [layer for layer in model.encoder_network.layers if layer.weights]
        assert np.array_equal(layers[-1].kernel, reader.get_tensor(f"{own_pooler_of(CONFIGS[kind])}/kernel{VALUE}"))
    assert np.array_equal(layers[0].embeddings, tf1["bert/embeddings/word_embeddings"])


def test_an_older_archive_with_another_name_of_a_layer(tmp_path):
    """In it a dense layer is reached on two ways, and the checkpoint has the shorter one. It has a pooler of a head."""
    import tensorflow as tf

    model = build_model(model_params(BERT))
    for layer in model.encoder_network.transformer_layers:
        layer._attention_output_dense = layer._attention_layer._output_dense
    items = {name: item for name, item in model.checkpoint_items.items() if name != "masked_lm"}
    prefix = tf.train.Checkpoint(**items).write(str(tmp_path / "bert_model.ckpt"))
    names = [name for name, _ in tf.train.list_variables(prefix)]
    assert f"encoder/layer_with_weights-4/_attention_output_dense/kernel{VALUE}" in names
    restored = build_model(model_params(BERT))
    restore_weights(restored, prefix)
    for before, after in zip(model.encoder_network.weights, restored.encoder_network.weights, strict=True):
        assert np.array_equal(before, after)
    assert np.array_equal(model.classification_heads[0].dense.kernel, restored.classification_heads[0].dense.kernel)


def test_a_model_without_next_sentence_head_needs_no_pooler(tmp_path):
    import tensorflow as tf

    config = dataclasses.replace(BERT, architecture="BertForMaskedLM")
    model, restored = build_model(model_params(config)), build_model(model_params(config))
    prefix = tf.train.Checkpoint(encoder=model.encoder_network).write(str(tmp_path / "encoder"))
    restore_weights(restored, prefix)
    assert np.array_equal(model.encoder_network.weights[0], restored.encoder_network.weights[0])


def test_only_whole_heads_count_as_missing():
    variables = ["masked_lm/embedding_table", "masked_lm/dense/kernel", "masked_lm/dense/bias", f"{POOLER}kernel"]
    assert missing_heads(variables[1:2], variables) == {}
    assert list(missing_heads(variables[1:3], variables)) == ["masked language model head"]
    assert list(missing_heads([f"{OUTPUT_LAYER}kernel"], [f"{OUTPUT_LAYER}kernel"])) == [
        "output layer of the next sentence head"
    ]


def test_a_directory_of_several_says_what_to_give(tmp_path):
    for name in ("a.index", "b-2.index"):
        Path(tmp_path / name).touch()
    with pytest.raises(ValueError, match=f"Give the checkpoint itself, e.g. {tmp_path}/b-2"):
        find_initial(str(tmp_path))

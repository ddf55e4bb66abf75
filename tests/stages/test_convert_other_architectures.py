"""Converted checkpoints of ALBERT, ELECTRA and BERT without next sentences give the logits of Model Garden."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.conversion import frameworks, verification
from japanese_bert.conversion.frameworks import GENERATOR
from japanese_bert.conversion.verification import MAX_LOGIT_DIFFERENCE
from japanese_bert.models.checkpoint_reading import left_out, read_weights
from japanese_bert.models.config import ARCHITECTURES, BertConfig, load_bert_config
from japanese_bert.models.model_garden import build_model, encoder_params, model_params
from japanese_bert.models.weight_names import weights_of
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers.converting import (
    ALBERT,
    BERT,
    CONFIGS,
    DISCRIMINATOR,
    assert_refused,
    read_safetensors,
    run,
    use,
    write_tfrecord,
)
from tests.helpers.places import ROOT

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # Model Garden and its dependencies warn about each other
]

NAMES = list(CONFIGS)


def params_of_electra(config: BertConfig, generator: BertConfig = CONFIGS["generator"], **others) -> dict:
    encoders = {"discriminator_encoder": encoder_params(config), "generator_encoder": encoder_params(generator)}
    return {**encoders, **others}


def save(params: dict, directory: Path):
    """Save `ckpt-5` of a model with random weights, none of them initial, and return the model."""
    import tensorflow as tf

    model = build_model(params)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    step = tf.Variable(5, dtype=tf.int64)
    tf.train.Checkpoint(model=model, global_step=step, **model.checkpoint_items).write(str(directory / "ckpt-5"))
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, tuple[Path, object]]:
    """Return checkpoint and model by name. Discriminator and generator belong to one ELECTRA."""
    place = tmp_path_factory.mktemp("trained")
    found = {}
    for name in ("bert", "albert", "albert_masked_lm", "discriminator"):
        (place / name).mkdir()
        is_electra = name == "discriminator"
        params = params_of_electra(DISCRIMINATOR) if is_electra else model_params(CONFIGS[name])
        found[name] = place / name / "ckpt-5", save(params, place / name)
    return {**found, "generator": found["discriminator"]}


@pytest.fixture(scope="module")
def converted(trained, tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("converted")
    for name, config in CONFIGS.items():
        run(trained[name][0], place / name, config=write_config(place / f"{name}.json", config))
    return {name: place / name for name in NAMES}


@pytest.fixture(scope="module")
def tfrecord(tmp_path_factory) -> Path:
    return write_tfrecord(tmp_path_factory.mktemp("data") / "instances.tfrecord.gz", BERT)


def write_config(path: Path, config: BertConfig, **values) -> Path:
    """Write a `config.json`. `values` replace those of `config`, and None leaves a field out."""
    fields = {**json.loads(config.to_json()), **values}
    fields = {name: value for name, value in fields.items() if value is not None}
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def is_converted(variable_name: str) -> bool:
    """Return False for the encoders' own poolers and for the generator's next sentence head."""
    return "pooler_transform" not in variable_name and "generator_classification_head" not in variable_name


@pytest.mark.parametrize("name", ["bert", "albert", "albert_masked_lm"])
def test_every_weight_is_used_exactly_once(name, trained, converted):
    values = [variable.numpy().ravel() for variable in trained[name][1].variables if is_converted(variable.name)]
    weights = read_safetensors(converted[name])
    assert len(weights) == len(values) == len(trained[name][1].variables) - 2
    found = np.concatenate([array.ravel() for array in weights.values()])
    assert np.array_equal(np.sort(found), np.sort(np.concatenate(values)))


def test_every_weight_of_an_electra_is_used_exactly_once(trained, converted):
    """Each directory has half of them. Both have the word embeddings."""
    model = trained["generator"][1]
    values = [variable.numpy().ravel() for variable in model.variables if is_converted(variable.name)]
    assert len(values) == len(model.variables) - 4 - 4
    weights = [read_safetensors(converted[name]) for name in ("discriminator", "generator")]
    table = "electra.embeddings.word_embeddings.weight"
    assert np.array_equal(weights[0][table], weights[1][table])
    arrays = [*weights[0].values(), *(array for name, array in weights[1].items() if name != table)]
    assert len(arrays) == len(values)
    found = np.concatenate([array.ravel() for array in arrays])
    assert np.array_equal(np.sort(found), np.sort(np.concatenate(values)))


def test_what_is_left_out_has_a_reason(trained):
    """The converter names 8 variables that no directory has, and those of the other network."""
    found = {name: left_out(trained[name][0], CONFIGS[name]) for name in NAMES}
    pooler = "the encoder's own pooler, never trained"
    assert {name: items[pooler] for name, items in found.items()} == {
        "bert": ["encoder/layer_with_weights-7/bias", "encoder/layer_with_weights-7/kernel"],
        "albert": ["encoder/layer_with_weights-6/bias", "encoder/layer_with_weights-6/kernel"],
        "albert_masked_lm": ["encoder/layer_with_weights-6/bias", "encoder/layer_with_weights-6/kernel"],
        "discriminator": ["encoder/layer_with_weights-8/bias", "encoder/layer_with_weights-8/kernel"],
        "generator": [f"model/generator_network/layer_with_weights-7/{item}" for item in ("bias", "kernel")],
    }
    for name, other in (("discriminator", "generator"), ("generator", "discriminator")):
        (reason,) = [reason for reason in found[name] if reason.startswith(f"the {other}, which")]
        # Its weights but the shared table, and its pooler.
        assert len(found[name][reason]) == len(weights_of(CONFIGS[other])) - 1 + 2
        assert (
            len(found[name]["the generator's next sentence head, for which Hugging Face's ELECTRA has no place"]) == 4
        )


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """Run child processes here, and save the seconds of their imports."""
    for module in (frameworks, verification):
        monkeypatch.setattr(module, "call_in_child", lambda function, *arguments: function(*arguments))


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_model_garden(name, trained, converted, tfrecord, in_this_process):
    """They are equal in two shapes. Transformers 5 has neither TensorFlow nor Flax."""
    config = CONFIGS[name]
    cases = verification.make_cases(trained[name][0], config, tfrecord, None)
    found = {key.partition(" (")[0]: item for key, item in frameworks.logit_differences(converted[name], cases).items()}
    assert {key for key, item in found.items() if item is None} == {"TensorFlow", "Flax"}
    assert found["PyTorch"].keys() == ARCHITECTURES[config.architecture].logits.keys()
    exact = "PyTorch with the trained GELU" if name == "generator" else "PyTorch"
    assert all(0 < difference < MAX_LOGIT_DIFFERENCE for difference in found[exact].values())
    if name == "generator":
        assert MAX_LOGIT_DIFFERENCE < found["PyTorch"]["masked"] < verification.MAX_GENERATOR_DIFFERENCE
    else:
        assert len(found) == 3


@pytest.mark.parametrize("name", NAMES)
def test_loads_without_missing_or_unexpected_weights(name, converted):
    import transformers

    architecture = CONFIGS[name].architecture
    model, loading = getattr(transformers, architecture).from_pretrained(converted[name], output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"] and not loading["mismatched_keys"]
    if name != "discriminator":
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_generator_with_word_embeddings_of_its_own(tmp_path):
    """With `tie_embeddings: false` each network has a table, and the generator's has another size."""
    generator = dataclasses.replace(CONFIGS["generator"], embedding_size=6)
    model = save(params_of_electra(DISCRIMINATOR, generator, tie_embeddings=False), tmp_path)
    networks = {"discriminator": model.discriminator_network, "generator": model.generator_network}
    for name, config in (("discriminator", DISCRIMINATOR), ("generator", generator)):
        table = read_weights(tmp_path / "ckpt-5", config)["electra.embeddings.word_embeddings.weight"]
        assert np.array_equal(table, networks[name].get_embedding_table().numpy())


def test_networks_as_wide_as_their_embeddings_have_no_projection(tmp_path):
    """ELECTRA base has such networks."""
    config = dataclasses.replace(DISCRIMINATOR, embedding_size=12)
    generator = dataclasses.replace(CONFIGS["generator"], embedding_size=12)
    model = save(params_of_electra(config, generator), tmp_path)
    for found in (config, generator):
        names = read_weights(tmp_path / "ckpt-5", found)
        assert ("electra.embeddings_project.weight" in names) == (found is generator)
    head = read_weights(tmp_path / "ckpt-5", config)["discriminator_predictions.dense_prediction.weight"]
    assert np.array_equal(head, model.discriminator_head.kernel.numpy().T)


@pytest.mark.parametrize(
    ("checkpoint", "config", "message"),
    [
        ("bert", ALBERT, "looks like the checkpoint of a model of type bert, but model_type is albert in --tf_config_"),
        ("albert", BERT, "looks like the checkpoint of a model of type albert, but model_type is bert"),
        ("generator", BERT, "looks like the checkpoint of a model of type electra, but model_type is bert"),
        ("bert", DISCRIMINATOR, "looks like the checkpoint of a model of type bert, but model_type is electra"),
        (
            "bert",
            BERT,
            "no variable next_sentence..pooler_dense/kernel and 3 more such. This is a checkpoint of BERT "
            'without next sentence head: write "architectures": ["BertForMaskedLM"] into --tf_config_file',
        ),
        (
            "albert",
            CONFIGS["albert_masked_lm"],
            "unexpected variable model/classification_heads/0/out_proj/bias (2,) "
            'and 3 more such. This is a checkpoint of ALBERT with next sentence head: write "architectures": '
            '["AlbertForPreTraining"]',
        ),
        (
            "generator",
            dataclasses.replace(CONFIGS["generator"], hidden_size=12),
            "model/generator_network/layer_with_weights-4/kernel has shape (8, 18), expected (8, 12)",
        ),
        ("albert", dataclasses.replace(ALBERT, embedding_size=6), "expected (50, 6)"),
        ("albert", dataclasses.replace(ALBERT, vocab_size=49), "has shape (50, 8), expected (49, 8)"),
        ("discriminator", dataclasses.replace(DISCRIMINATOR, num_hidden_layers=4), "no variable encoder/layer_with_we"),
        ("discriminator", dataclasses.replace(DISCRIMINATOR, num_hidden_layers=2), "unexpected variable encoder/layer"),
    ],
)
def test_configuration_of_another_model_is_refused(checkpoint, config, message, trained, tmp_path, capsys):
    path = write_config(tmp_path / "config.json", config)
    assert_refused(capsys, message, trained[checkpoint][0], tmp_path / "model", config=path)


@pytest.mark.parametrize(
    ("name", "encoder", "message"),
    [
        (
            "albert",
            {"encoder": {"albert": {"num_layers": 6}}},
            "encoder.albert.num_layers is 6, but 3 in --tf_config_file",
        ),
        (
            "generator",
            {"generator_encoder": {"bert": {"num_layers": 2, "hidden_activation": "relu"}}},
            "generator_encoder.bert.hidden_activation is relu, but gelu",
        ),
    ],
)
def test_what_weights_do_not_tell(name, encoder, message, trained, tmp_path, capsys):
    """`params.yaml` beside the checkpoint has the activation, and how often an ALBERT's layer is used."""
    for path in trained[name][0].parent.glob("ckpt-5.*"):
        shutil.copyfile(path, tmp_path / path.name)
    (tmp_path / "params.yaml").write_text(json.dumps({"task": {"model": encoder}}), encoding="utf-8")
    config = write_config(tmp_path / "config.json", CONFIGS[name])
    assert_refused(capsys, message, tmp_path / "ckpt-5", tmp_path / "model", config=config)


@pytest.mark.parametrize("name", ["albert", "generator"])
def test_cut_checkpoint_is_refused(name, trained, tmp_path, capsys):
    prefix = trained[name][0]
    (tmp_path / "cut").mkdir()
    for path in prefix.parent.glob("ckpt-5.*"):
        content = path.read_bytes()
        (tmp_path / "cut" / path.name).write_bytes(content if path.suffix == ".index" else content[:100])
    config = write_config(tmp_path / "config.json", CONFIGS[name])
    assert_refused(capsys, "cut short or damaged?", tmp_path / "cut" / "ckpt-5", tmp_path / "model", config=config)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (
            ("_attention_layer/pre_softmax_weight", "_feedforward_block/_gate_dense/0/kernel"),
            "talking heads and gated GELU",
        ),
        (("_feedforward_block/_gate_dense/0/kernel",), "gated GELU"),
    ],
)
def test_models_without_class_are_refused(names, kind, tmp_path, capsys):
    """Variables as `configs/model/talking_heads_gated_gelu.gin` makes them."""
    import tensorflow as tf

    model = tf.train.Checkpoint()
    for name in (f"encoder/layer_with_weights-4/{name}" for name in names):
        node = model
        *parts, last = name.split("/")
        for part in parts:
            if not hasattr(node, part):
                setattr(node, part, tf.train.Checkpoint())
            node = getattr(node, part)
        setattr(node, last, tf.Variable([1.0]))
    model.write(str(tmp_path / "ckpt"))
    config = write_config(tmp_path / "config.json", BERT)
    message = f"cannot be converted. Transformers has no class for a BERT with {kind}"
    assert_refused(capsys, message, tmp_path / "ckpt", tmp_path / "model", config=config)


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory) -> Path:
    words = ["私", "は", "東京", "へ", "を", "彼", "猫", "で", "ある", "今日", "晴れ", "です"]
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *words, *(f"語{index}" for index in range(45 - len(words)))]))
    return path


def tokenizer_flags(place: Path, config: BertConfig, vocab_file: Path) -> list[str]:
    hf_config_dir = place / f"hf_{config.architecture}"
    shutil.copytree(ROOT / "hf_model_configs" / "albert_base_wordpiece", hf_config_dir)
    write_config(hf_config_dir / "config.json", config)
    return ["--hf_config_dir", str(hf_config_dir), "--vocab_file", str(vocab_file)]


def test_one_command_makes_a_generator_that_loads(trained, vocab_file, in_this_process, tmp_path, capsys):
    """The proof names both heads of PyTorch, and the pipeline takes the directory."""
    from transformers import pipeline

    config = CONFIGS["generator"]
    path = write_config(tmp_path / "config.json", config)
    flags = [*tokenizer_flags(tmp_path, config, vocab_file), "--verify"]
    run(trained["generator"][0], tmp_path / "model", *flags, config=path)
    record = json.loads((tmp_path / "model" / "provenance.json").read_text(encoding="utf-8"))
    loaded, exact = record["differences"].values()
    assert exact["masked"] < MAX_LOGIT_DIFFERENCE < loaded["masked"]
    out = capsys.readouterr().out
    assert "left out: the encoder's own pooler, never trained (2 variables, model/generator_network/layer_with_" in out
    fill_mask = pipeline("fill-mask", model=str(tmp_path / "model"))
    assert "token_type_ids" in fill_mask.tokenizer("今日は", "晴れです")
    assert len(fill_mask("今日は[MASK]です")) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
class TestAllFrameworks:
    """PyTorch and ONNX here, PyTorch, TensorFlow and Flax in the environment of Transformers 4."""

    def test_directory(self, name, trained, vocab_file, transformers4_python, tmp_path):
        config, output = CONFIGS[name], tmp_path / "model"
        path = write_config(tmp_path / "config.json", config)
        flags = [*tokenizer_flags(tmp_path, config, vocab_file), "--onnx", "--verify"]
        flags += ["--verify_python", str(transformers4_python)]
        run(trained[name][0], output, *flags, config=path)
        self.check_differences(name, output)
        (new, new_messages), (old, old_messages) = use(sys.executable, output), use(transformers4_python, output)
        assert (new["version"][:2], old["version"][:5]) == ("5.", "4.57.")
        assert new["pair"] == old["pair"]
        assert new["pair"]["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]
        assert new["shapes"] == old["shapes"]
        assert new.get("tokens") == old.get("tokens")
        assert np.allclose(new.get("scores", []), old.get("scores", []), atol=1e-5)
        assert (new["loaded"], len(old["loaded"])) == ([], 3 if name == "albert" else 2)
        for messages in (new_messages, old_messages):
            assert not [text for text in messages.values() if "newly" in text or "MISSING" in text]

    def check_differences(self, name: str, output: Path) -> None:
        record = json.loads((output / "provenance.json").read_text(encoding="utf-8"))
        found = record["differences"]
        heads = ["PyTorch", "PyTorch with the trained GELU"] if name == "generator" else ["PyTorch"]
        assert [key.partition(" (")[0] for key in found] == [*heads, "ONNX", *heads, "TensorFlow", "Flax"]
        for framework, differences in found.items():
            is_exact = name == "generator" and framework.partition(" (")[0] in ("PyTorch", "TensorFlow")
            limit = verification.MAX_GENERATOR_DIFFERENCE if is_exact else MAX_LOGIT_DIFFERENCE
            assert all(0 < difference < limit for difference in differences.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ["albert_base_wordpiece"],
        ["bert_base_lamb_wordpiece"],
        ["electra_small_wordpiece", "electra_small_generator_wordpiece"],
        ["electra_base_wordpiece", "electra_base_generator_wordpiece"],
    ],
)
def test_real_sizes(names, tmp_path):
    """Random weights pass the converter's own proof."""
    configs = [load_bert_config(ROOT / "model_configs" / name / "config.json") for name in names]
    save(params_of_electra(*configs) if len(configs) == 2 else model_params(configs[0]), tmp_path)
    for name, config in zip(names, configs, strict=True):
        path = ROOT / "model_configs" / name / "config.json"
        flags = ("--hf_config_dir", str(ROOT / "hf_model_configs" / name), "--verify")
        run(tmp_path / "ckpt-5", tmp_path / name, *flags, config=path)
        record = json.loads((tmp_path / name / "provenance.json").read_text(encoding="utf-8"))
        assert record["parameters"] == sum(int(np.prod(row.hf_shape(config))) for row in weights_of(config))
        assert len(record["differences"]) == (2 if config.architecture == GENERATOR else 1)

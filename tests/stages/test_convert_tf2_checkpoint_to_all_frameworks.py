"""Converted checkpoints of Model Garden's trainer give the logits of Model Garden."""

import dataclasses
import hashlib
import json
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.conversion import frameworks, onnx_export, verification
from japanese_bert.conversion.model_card import values_of_model
from japanese_bert.conversion.trained_model import TrainedModel
from japanese_bert.conversion.verification import MAX_LOGIT_DIFFERENCE
from japanese_bert.models.checkpoint_reading import read_weights
from japanese_bert.models.model_garden import build_model, model_params
from japanese_bert.models.training_history import BaseModel, TrainingStage
from japanese_bert.models.weight_names import IN_HEAD, weights_of
from japanese_bert.tokenization.identity import Tokenization
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers.converting import (
    BERT,
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

OUTPUT_FILES = ["config.json", "flax_model.msgpack", "model.safetensors", "provenance.json", "tf_model.h5"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Make a `--model_dir` with ckpt-7 and ckpt-8 (optimizer, counters). All weights are random, none is initial."""
    import tensorflow as tf
    from official.core import exp_factory
    from official.nlp.configs import pretraining_experiments  # noqa: F401
    from official.nlp.tasks import masked_lm

    directory = tmp_path_factory.mktemp("trained")
    model = build_model(model_params(BERT))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    trainer = exp_factory.get_exp_config("bert/pretraining").trainer
    trainer.optimizer_config.override({"learning_rate": {"polynomial": {"decay_steps": 10}}})
    trainer.optimizer_config.override({"warmup": {"polynomial": {"warmup_steps": 1}}})
    optimizer = masked_lm.MaskedLMTask.create_optimizer(trainer.optimizer_config)
    optimizer.apply_gradients((tf.zeros_like(variable), variable) for variable in model.trainable_variables)
    step = tf.Variable(8, dtype=tf.int64)
    items = {"model": model, "optimizer": optimizer, "global_step": step, **model.checkpoint_items}
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(**items), directory, max_to_keep=5)
    manager.save(checkpoint_number=7)
    manager.save(checkpoint_number=8)
    (directory / "config.json").write_text(BERT.to_json(), encoding="utf-8")
    return directory, model


@pytest.fixture(scope="module")
def tfrecord(tmp_path_factory):
    return write_tfrecord(tmp_path_factory.mktemp("data") / "instances.tfrecord.gz", BERT)


@pytest.fixture(scope="module")
def converted(trained, tmp_path_factory):
    output = tmp_path_factory.mktemp("converted") / "model"
    run(trained[0] / "ckpt-8", output)
    return output


@pytest.fixture(scope="module")
def tokenizer_flags(tmp_path_factory) -> list[str]:
    """Return `--hf_config_dir` and `--vocab_file` for BERT."""
    inputs = tmp_path_factory.mktemp("inputs")
    hf_config_dir = inputs / "hf_config"
    shutil.copytree(ROOT / "hf_model_configs" / "bert_tiny_wordpiece", hf_config_dir)
    write_config(hf_config_dir / "config.json")
    vocab = inputs / "vocab.txt"
    words = ["私", "は", "東京", "へ", "を", "彼", "猫", "で", "ある", "今日", "晴れ", "です"]
    vocab.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *words, *(f"語{index}" for index in range(45 - len(words)))]))
    return ["--hf_config_dir", str(hf_config_dir), "--vocab_file", str(vocab)]


def write_config(path: Path, **changes) -> Path:
    path.write_text(dataclasses.replace(BERT, **changes).to_json(), encoding="utf-8")
    return path


def copy_checkpoint(trained: Path, target: Path) -> Path:
    target.mkdir()
    for path in [*trained.glob("ckpt-8.*"), trained / "config.json"]:
        shutil.copyfile(path, target / path.name)
    return target / "ckpt-8"


def test_every_weight_is_used_exactly_once(trained, converted):
    """All values of the model are used, but not the encoder's own pooler: pretraining does not train it."""
    model = trained[1]
    unused = {id(variable) for variable in model.encoder_network.get_layer("pooler_transform").variables}
    values = [variable.numpy().ravel() for variable in model.variables if id(variable) not in unused]
    assert len(unused) == 2
    weights = read_safetensors(converted)
    assert len(weights) == len(values) == len(weights_of(BERT))
    found = np.concatenate([array.ravel() for array in weights.values()])
    assert np.array_equal(np.sort(found), np.sort(np.concatenate(values)))


def test_output_files(converted):
    assert sorted(path.name for path in converted.iterdir()) == OUTPUT_FILES
    assert json.loads((converted / "config.json").read_text(encoding="utf-8"))["hidden_act"] == "gelu_new"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in converted.iterdir()}
    assert len(modes) == 1, "model.safetensors must be as readable as its neighbours"


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """Run child processes here, and save the seconds of their imports."""
    for module in (frameworks, verification):
        monkeypatch.setattr(module, "call_in_child", lambda function, *arguments: function(*arguments))


@pytest.fixture(scope="module")
def cases(trained, tfrecord) -> list[frameworks.Case]:
    return verification.make_cases(trained[0] / "ckpt-8", BERT, tfrecord, None)


def test_logits_equal_model_garden(converted, cases, in_this_process):
    """They are equal in two shapes. Transformers 5 has neither TensorFlow nor Flax."""
    found = list(frameworks.logit_differences(converted, cases).values())
    assert [case.instances["input_word_ids"].shape for case in cases] == [(8, 16), (3, 10)]
    assert [item is None for item in found] == [False, True, True]
    assert 0 < found[0]["masked"] < MAX_LOGIT_DIFFERENCE
    assert 0 < found[0]["next_sentence"] < MAX_LOGIT_DIFFERENCE
    assert not frameworks.exceed(found[0], MAX_LOGIT_DIFFERENCE)


def test_loads_without_missing_or_unexpected_weights(converted):
    from transformers import BertForPreTraining

    model, loading = BertForPreTraining.from_pretrained(converted, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"] and not loading["mismatched_keys"]
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight


def test_model_directory_means_its_latest_checkpoint(trained, tmp_path):
    run(trained[0], tmp_path / "model", config=trained[0] / "config.json")
    record = json.loads((tmp_path / "model/provenance.json").read_text(encoding="utf-8"))
    names = {role: [file["name"] for file in files] for role, files in record["inputs"].items()}
    assert names == {
        "checkpoint": ["ckpt-8.index", "ckpt-8.data-00000-of-00001"],
        "config": ["config.json"],
        "tokenizer": [],
    }


def test_word_embeddings_under_the_name_of_the_encoder(trained, tmp_path):
    """The head of this checkpoint does not reach the table. The variables are the same."""
    import tensorflow as tf

    model = trained[1]
    head = model.masked_lm
    parts = {"dense": head.dense, "layer_norm": head.layer_norm, "output_bias/bias": head.bias}
    items = {**model.checkpoint_items, "masked_lm": tf.train.Checkpoint(**parts)}
    classes = tf.train.Checkpoint(classification_heads=model.classification_heads)
    prefix = Path(tf.train.Checkpoint(model=classes, **items).write(str(tmp_path / "ckpt")))
    names = [name for name, _ in tf.train.list_variables(str(prefix))]
    assert not any(IN_HEAD in name for name in names)
    expected = read_weights(trained[0] / "ckpt-8", BERT)
    found = read_weights(prefix, BERT)
    assert sorted(found) == sorted(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_one_command_makes_a_directory_that_loads(trained, tfrecord, tmp_path, capsys):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    hf_config_dir = tmp_path / "hf_config"
    shutil.copytree(ROOT / "hf_model_configs" / "bert_tiny_wordpiece", hf_config_dir)
    write_config(hf_config_dir / "config.json")
    vocab = tmp_path / "vocab.txt"
    vocab.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *(f"語{index}" for index in range(45))]))
    flags = ("--hf_config_dir", hf_config_dir, "--vocab_file", vocab, "--verify")
    run(trained[0] / "ckpt-8", tmp_path / "model", *flags)
    lines = capsys.readouterr().out.split("\n")
    assert len([line for line in lines if "PyTorch" in line and "largest difference of logits" in line]) == 1
    assert len([line for line in lines if "cannot be loaded here" in line]) == 2
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "model")
    logits = model(**tokenizer("語", "語", return_tensors="pt")).logits
    assert logits.shape[-1] == len(tokenizer) == BERT.vocab_size
    module = ROOT / "japanese_bert" / "tokenization" / "tokenization_bert_japanese_fast.py"
    assert (tmp_path / "model" / "tokenization_bert_japanese_fast.py").read_bytes() == module.read_bytes()
    record = json.loads((tmp_path / "model" / "provenance.json").read_text(encoding="utf-8"))
    assert (record["dictionary"], record["tokenization"]) == (None, {})  # the installed dictionary is no record
    (difference,) = record["differences"].values()
    assert 0 < difference["masked"] < MAX_LOGIT_DIFFERENCE


def test_dictionary_of_the_vocabulary_goes_into_the_record(trained, tmp_path, capsys):
    hf_config_dir = tmp_path / "hf_config"
    shutil.copytree(ROOT / "hf_model_configs" / "bert_tiny_wordpiece", hf_config_dir)
    write_config(hf_config_dir / "config.json")
    vocab = tmp_path / "vocab.txt"
    vocab.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *(f"語{index}" for index in range(45))]))
    identity = {"name": "unidic_lite", "version": "1.0.7", "size": 5}
    vocab.with_name("vocab.txt.json").write_text(json.dumps({"dictionary": identity}), encoding="utf-8")
    flags = ("--hf_config_dir", str(hf_config_dir), "--vocab_file", str(vocab))
    run(trained[0] / "ckpt-8", tmp_path / "model", *flags)
    assert json.loads((tmp_path / "model" / "provenance.json").read_text(encoding="utf-8"))["dictionary"] == identity
    identity["name"] = "ipadic"
    vocab.with_name("vocab.txt.json").write_text(json.dumps({"dictionary": identity}), encoding="utf-8")
    message = (
        f"{vocab}.json: dictionary ipadic 1.0.7 (5 bytes), but unidic_lite in {hf_config_dir}/tokenizer_config.json"
    )
    assert_refused(capsys, message, trained[0] / "ckpt-8", tmp_path / "other", *flags)
    run(trained[0] / "ckpt-8", tmp_path / "other", *flags, "--no-check_records")


def test_wrong_logits_are_refused(trained, converted, cases, in_this_process, tmp_path, monkeypatch, capsys):
    """Another activation is found in a directory. The stage refuses such logits and leaves nothing behind."""
    broken = shutil.copytree(converted, tmp_path / "broken")
    text = (broken / "config.json").read_text(encoding="utf-8")
    (broken / "config.json").write_text(text.replace('"gelu_new"', '"relu"'), encoding="utf-8")
    (difference, *_) = frameworks.logit_differences(broken, cases).values()
    assert frameworks.exceed(difference, MAX_LOGIT_DIFFERENCE)
    monkeypatch.setattr(verification, "MAX_LOGIT_DIFFERENCE", 1e-9)
    assert_refused(capsys, "logits of PyTorch", trained[0] / "ckpt-8", tmp_path / "model", "--verify")


def test_proof_needs_no_contradiction(trained, tmp_path, capsys):
    message = "--no-verify contradicts --verify_tfrecord"
    flags = ("--verify_tfrecord", str(trained[0] / "config.json"))
    assert_refused(capsys, message, trained[0] / "ckpt-8", tmp_path / "model", *flags)
    message = "python3: no such file. Make it with ./install.sh transformers4"
    flags = ("--verify", "--verify_python", str(tmp_path / "python3"))
    assert_refused(capsys, message, trained[0] / "ckpt-8", tmp_path / "model", *flags)


def test_a_licence_needs_a_card(trained, tmp_path, capsys):
    message = "--license mit: no card without a tokenizer. Add --hf_config_dir or --vocab_file"
    assert_refused(capsys, message, trained[0] / "ckpt-8", tmp_path / "model", "--license", "mit")


def test_rerun_skips_what_is_complete(trained, tmp_path, capsys):
    output = tmp_path / "model"
    run(trained[0] / "ckpt-8", output)
    before = (output / "provenance.json").stat().st_mtime_ns
    run(trained[0] / "ckpt-8", output)
    assert "skipped" in capsys.readouterr().out
    assert (output / "provenance.json").stat().st_mtime_ns == before


def test_existing_output_needs_overwrite_and_keeps_other_files(trained, tmp_path, capsys):
    output = tmp_path / "model"
    output.mkdir()
    (output / "README.md").write_text("mine", encoding="utf-8")
    assert_refused(capsys, "--overwrite", trained[0] / "ckpt-8", output)
    run(trained[0] / "ckpt-8", output, "--overwrite")
    assert sorted(path.name for path in output.iterdir()) == ["README.md", *OUTPUT_FILES]
    assert (output / "README.md").read_text(encoding="utf-8") == "mine"
    assert sorted(tmp_path.iterdir()) == [output]


def test_a_card_is_replaced_only_as_it_was_written(trained, tokenizer_flags, tmp_path, capsys):
    output, prefix = tmp_path / "model", trained[0] / "ckpt-8"
    card = output / "README.md"
    run(prefix, output, *tokenizer_flags)
    assert "license: apache-2.0\n" in card.read_text(encoding="utf-8")
    run(prefix, output, *tokenizer_flags, "--license", "mit", "--overwrite")
    assert "license: mit\n" in card.read_text(encoding="utf-8")
    changed = card.read_text(encoding="utf-8") + "\nMine.\n"
    card.write_text(changed, encoding="utf-8")
    run(prefix, output, *tokenizer_flags, "--license", "mit")
    assert "skipped" in capsys.readouterr().out
    run(prefix, output, *tokenizer_flags, "--overwrite")
    assert "kept, because this stage did not write it or it was changed" in capsys.readouterr().out
    assert card.read_text(encoding="utf-8") == changed
    run(prefix, output, *tokenizer_flags, "--license", "mit", "--overwrite")
    assert card.read_text(encoding="utf-8") == changed
    card.rename(tmp_path / "mine.md")
    run(prefix, output, *tokenizer_flags, "--license", "mit")
    assert "license: mit\n" in card.read_text(encoding="utf-8") != changed


@pytest.mark.parametrize(
    ("given", "base", "start", "expected"),
    [
        (None, None, None, "apache-2.0"),
        (None, None, "", "apache-2.0"),
        (None, None, "/elsewhere/ckpt-0", None),
        (None, BaseModel("a/b", "cc-by-sa-3.0", 0), "tf2/ckpt-0", "cc-by-sa-3.0"),
        (None, BaseModel("a/b", None, 0), "tf2/ckpt-0", None),
        ("mit", BaseModel("a/b", "cc-by-sa-3.0", 0), "tf2/ckpt-0", "mit"),
    ],
)
def test_only_a_model_from_random_weights_has_a_licence_by_default(given, base, start, expected):
    stages = [] if start is None else [TrainingStage({"task": {"init_checkpoint": start}}, 5, [])]
    model = TrainedModel(Path("ckpt-5"), BERT, stages, base, {}, None, None, None, Tokenization(""))
    assert values_of_model(model, "model", given, [])["license_name"] == expected


def test_an_output_of_version_0_1_is_complete(trained, tokenizer_flags, tmp_path, capsys):
    """That version hashed the text of its card into the recipe and had no roles of inputs."""
    output, prefix = tmp_path / "model", trained[0] / "ckpt-8"
    run(prefix, output, *tokenizer_flags)
    made_by = json.loads((output / "provenance.json").read_text(encoding="utf-8"))
    (output / "README.md").write_text("Another wording.", encoding="utf-8")
    made_by["method"]["model_card"] = hashlib.sha256(b"Another wording.").hexdigest()
    made_by["arguments"]["license"] = "apache-2.0"
    made_by["inputs"] = [file for files in made_by["inputs"].values() for file in files]
    del made_by["card_sha256"]
    (output / "provenance.json").write_text(json.dumps(made_by), encoding="utf-8")
    run(prefix, output, *tokenizer_flags)
    assert "skipped" in capsys.readouterr().out
    assert (output / "README.md").read_text(encoding="utf-8") == "Another wording."
    assert_refused(capsys, "--overwrite", prefix, output, *tokenizer_flags, "--license", "mit")
    run(prefix, output, *tokenizer_flags, "--license", "mit", "--overwrite")
    assert "license: mit\n" in (output / "README.md").read_text(encoding="utf-8")


def test_empty_output_directory_is_filled(trained, tmp_path):
    (tmp_path / "model").mkdir()
    run(trained[0] / "ckpt-8", tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == OUTPUT_FILES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 49}, "masked_lm/embedding_table has shape (50, 12), expected (49, 12)"),
        ({"max_position_embeddings": 32}, "embeddings has shape (16, 12), expected (32, 12)"),
        ({"num_attention_heads": 3}, "_query_dense/kernel has shape (12, 2, 6), expected (12, 3, 4)"),
        ({"intermediate_size": 24}, "_intermediate_dense/kernel has shape (12, 20), expected (12, 24)"),
        ({"num_hidden_layers": 4}, "no variable encoder/layer_with_weights-7/_attention_layer/_query_dense/kernel"),
        ({"num_hidden_layers": 2}, "unexpected variable encoder/layer_with_weights-6/_attention_layer"),
    ],
)
def test_configuration_of_another_model_is_refused(trained, tmp_path, capsys, changes, message):
    config = write_config(tmp_path / "config.json", **changes)
    assert_refused(capsys, message, trained[0] / "ckpt-8", tmp_path / "model", config=config)


def test_impossible_configuration_is_refused(trained, tmp_path, capsys):
    config = write_config(tmp_path / "config.json", num_attention_heads=5)
    message = "is not a multiple of num_attention_heads 5"
    assert_refused(capsys, message, trained[0] / "ckpt-8", tmp_path / "model", config=config)


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".index", lambda content: content[: len(content) // 2]),
        (".data-00000-of-00001", lambda content: content[: len(content) // 10]),
        (".data-00000-of-00001", lambda content: content[:999] + bytes([content[999] ^ 1]) + content[1000:]),
    ],
)
def test_damaged_checkpoint_is_refused(trained, tmp_path, capsys, suffix, damage):
    """TensorFlow checks every value that is read. A cut in the optimizer's state, after the weights, does no harm."""
    prefix = copy_checkpoint(trained[0], tmp_path / "cut")
    path = prefix.with_name(prefix.name + suffix)
    path.write_bytes(damage(path.read_bytes()))
    assert_refused(capsys, "cut short or damaged?", prefix, tmp_path / "model")


def test_checkpoint_without_data_is_refused(trained, tmp_path, capsys):
    prefix = copy_checkpoint(trained[0], tmp_path / "cut")
    prefix.with_name("ckpt-8.data-00000-of-00001").unlink()
    assert_refused(capsys, "Copy ckpt-8.data-* beside it", prefix, tmp_path / "model")


def test_missing_checkpoint_is_refused(trained, tmp_path, capsys):
    config = trained[0] / "config.json"
    assert_refused(capsys, "no such checkpoint", trained[0] / "ckpt-9", tmp_path / "model")
    assert_refused(capsys, "no checkpoint in this directory", tmp_path, tmp_path / "model", config=config)


def test_missing_head_is_refused(trained, tmp_path, capsys):
    """A trainer without next sentence head saves such a checkpoint."""
    import tensorflow as tf

    model = trained[1]
    items = {"encoder": model.encoder_network, "masked_lm": model.masked_lm}
    prefix = Path(tf.train.Checkpoint(**items).write(str(tmp_path / "ckpt")))
    config = write_config(tmp_path / "config.json")
    assert_refused(
        capsys, "no variable next_sentence..pooler_dense/kernel and 3 more", prefix, tmp_path / "m", config=config
    )


@pytest.mark.slow
class TestAllFrameworks:
    """PyTorch and ONNX here, PyTorch, TensorFlow and Flax in the environment of Transformers 4."""

    @pytest.fixture(scope="class")
    def complete(self, trained, tokenizer_flags, transformers4_python, tmp_path_factory) -> Path:
        output = tmp_path_factory.mktemp("complete") / "model"
        run(
            trained[0] / "ckpt-8",
            output,
            *tokenizer_flags,
            "--onnx",
            "--verify",
            "--verify_python",
            str(transformers4_python),
        )
        return output

    def test_logits(self, complete):
        record = json.loads((complete / "provenance.json").read_text(encoding="utf-8"))
        found = [name.rpartition(".")[0] for name in record["differences"]]
        assert found == [
            "PyTorch (transformers 5.23",
            "ONNX (onnxruntime 1.31",
            "PyTorch (transformers 4.57",
            "TensorFlow (transformers 4.57",
            "Flax (transformers 4.57",
        ]
        assert all(0 < item["masked"] < MAX_LOGIT_DIFFERENCE for item in record["differences"].values())
        assert all(0 < item["next_sentence"] < MAX_LOGIT_DIFFERENCE for item in record["differences"].values())

    def test_both_versions_use_the_directory_alike(self, complete, transformers4_python):
        (new, new_messages), (old, old_messages) = use(sys.executable, complete), use(transformers4_python, complete)
        assert (new["version"][:2], old["version"][:5]) == ("5.", "4.57.")
        assert new["pair"] == old["pair"]
        assert new["pair"]["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]
        assert new["tokens"] == old["tokens"]
        assert np.allclose(new["scores"], old["scores"], atol=1e-5)
        assert (new["loaded"], len(old["loaded"])) == ([], 3)
        for messages in (new_messages, old_messages):
            reports = [name for name, text in messages.items() if "initialized" in text or "UNEXPECTED" in text]
            alarming = [text for text in messages.values() if "newly" in text or "MISSING" in text]
            assert set(reports) <= {"AutoModelForMaskedLM", "pipeline", *old["loaded"]}
            assert not alarming

    def test_onnx_takes_any_shape(self, complete):
        import onnxruntime

        session = onnxruntime.InferenceSession(complete / "model.onnx")
        assert [item.shape for item in session.get_inputs()] == [["batch", "sequence"]] * 3
        for shape in ((1, 1), (2, 16), (5, 3)):
            ids = np.ones(shape, np.int64)
            logits, next_sentence = session.run(None, dict.fromkeys(onnx_export.INPUTS, ids))
            assert (logits.shape, next_sentence.shape) == ((*shape, BERT.vocab_size), (shape[0], 2))

    def test_onnx_and_model_are_readable_by_others(self, complete):
        assert len({stat.S_IMODE(path.stat().st_mode) for path in complete.iterdir()}) == 1

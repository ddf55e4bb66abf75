"""The SavedModel computes the outputs of the checkpoint, or there is no output."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.common import command_line
from japanese_bert.conversion import saved_model, verification
from japanese_bert.models.checkpoint_reading import read_weights
from japanese_bert.models.checkpoint_writing import write_checkpoint
from japanese_bert.models.model_garden import restore_model
from japanese_bert.tokenization.sentencepiece_model import load_spm_vocab
from japanese_bert.tokenization.vocab import load_vocab
from tests.helpers import small_finetuning as finetuning
from tests.helpers import small_pretraining as small
from tests.stages.test_convert_tf1_checkpoint_to_tf2 import write_spm
from tests.test_configs import with_tensorflow
from tools import export_saved_model as export

pytestmark = with_tensorflow
FILES = [
    "assets/vocab.txt",
    "config.json",
    "fingerprint.pb",
    "keras_metadata.pb",
    "provenance.json",
    "saved_model.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("export")
    vocab = small.write_vocab(place / "vocab.txt")
    (place / "trained").mkdir()
    finetuning.write_trained(place / "trained", small.make_config(small.num_tokens(vocab)))
    return place


@pytest.fixture(scope="module")
def exported(place) -> Path:
    run(place, place / "saved_model")
    return place / "saved_model"


def flags(place: Path, output: Path, *more: str) -> list[str]:
    """Return the flags of the stage. Later flags win."""
    inputs = ["--tf_checkpoint_path", str(place / "trained")]
    inputs += ["--tf_config_file", str(place / "trained" / "config.json")]
    tokens = [] if "--spm_file" in more else ["--vocab_file", str(place / "vocab.txt")]
    return [*inputs, *tokens, "--output_path", str(output), *more]


def run(place: Path, output: Path, *more: str) -> None:
    command_line.run_stage(export.get_parser(), export.main, flags(place, output, *more))


def assert_refused(capsys, message: str, place: Path, output: Path, *more: str) -> None:
    with pytest.raises(SystemExit) as error:
        run(place, output, *more)
    lines = capsys.readouterr().err.splitlines()
    assert error.value.code == 1
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert not Path(f"{output}.tmp").exists()


def test_files(exported):
    assert sorted(str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file()) == FILES
    assert (exported / "assets/vocab.txt").read_bytes() == (exported.parent / "vocab.txt").read_bytes()
    record = json.loads((exported / "provenance.json").read_text(encoding="utf-8"))
    assert record["differences"].keys() == set(saved_model.OUTPUTS)
    assert max(record["differences"].values()) < 1e-5


def test_outputs_are_those_of_the_trained_model(place, exported):
    """The pooled output comes from the pooler of the next sentence head. Nothing trains the encoder's own pooler."""
    from japanese_bert.models.model_garden import MODEL_INPUTS

    config = finetuning.trained_config(place)
    model, loaded = restore_model(place / "trained" / "ckpt-5", config), saved_model.load(exported)
    instances = verification.make_instances(config, load_vocab(place / "vocab.txt"))
    inputs = {name: instances[name] for name in MODEL_INPUTS}
    expected = model(inputs, training=False)
    encoded = loaded({name: inputs[name] for name in saved_model.ENCODER_INPUTS})
    assert np.allclose(encoded["sequence_output"], expected["sequence_output"], atol=1e-5)
    kernel, bias = (variable.numpy() for variable in model.classification_heads[0].dense.variables)
    pooled = np.tanh(expected["sequence_output"][:, 0] @ kernel + bias)
    assert np.allclose(encoded["pooled_output"], pooled, atol=1e-5)
    assert np.array_equal(encoded["default"], encoded["pooled_output"])
    assert not np.allclose(expected["pooled_output"], pooled, atol=0.1)
    assert len(encoded["encoder_outputs"]) == config.num_hidden_layers
    logits = loaded.mlm(inputs)["mlm_logits"]
    assert np.allclose(logits, expected["mlm_logits"], atol=1e-5)
    assert not loaded.do_lower_case.numpy()


def test_fine_tuning_starts_from_the_same_outputs_both_ways(place, exported):
    """The trainer starts from `task.hub_module_url`, or from `task.init_checkpoint` with `task.init_cls_pooler`."""
    from official.nlp.configs import encoders
    from official.nlp.tasks import sentence_prediction

    from japanese_bert.models.model_garden import encoder_params

    config = finetuning.trained_config(place)
    encoder_config = encoders.EncoderConfig()
    encoder_config.override(encoder_params(config))

    def build(**values):
        model_config = sentence_prediction.ModelConfig(
            num_classes=3, encoder=encoder_config, use_encoder_pooler="hub_module_url" in values
        )
        task = sentence_prediction.SentencePredictionTask(
            sentence_prediction.SentencePredictionConfig(model=model_config, **values)
        )
        model = task.build_model()
        task.initialize(model)
        return model

    of_checkpoint = build(init_checkpoint=str(place / "trained" / "ckpt-5"), init_cls_pooler=True)
    of_saved_model = build(hub_module_url=str(exported))
    instances = verification.make_instances(config, load_vocab(place / "vocab.txt"))
    inputs = {name: instances[name] for name in saved_model.ENCODER_INPUTS}
    first, second = (model.checkpoint_items["encoder"](inputs) for model in (of_checkpoint, of_saved_model))
    assert np.abs(first["sequence_output"] - second["sequence_output"]).max() < 1e-5
    pooled = of_checkpoint.classifier(first["sequence_output"], only_project=True)
    assert np.abs(pooled - second["pooled_output"]).max() < 1e-5
    assert np.abs(pooled).max() > 0.1
    trained = {variable.shape for variable in of_saved_model.trainable_variables}
    assert (config.vocab_size, config.hidden_size) in trained


OTHERS = {
    "ALBERT": {"architecture": "AlbertForPreTraining", "embedding_size": 12},
    "ALBERT with SentencePiece": {"architecture": "AlbertForPreTraining", "embedding_size": 12},
    "ALBERT without next sentences": {"architecture": "AlbertForMaskedLM", "embedding_size": 12},
    "ELECTRA": {"architecture": "ElectraForPreTraining", "embedding_size": 12},
    "LAMB": {"architecture": "BertForMaskedLM"},
    "talking heads": {},
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) for kind in OTHERS])
def test_other_kinds_of_models(place, tmp_path, capsys, kind):
    """hub.load, KerasLayer and task.hub_module_url give the outputs of the checkpoint."""
    import tensorflow_hub as hub
    from official.nlp.tasks import utils

    tokens, vocab = [], load_vocab(place / "vocab.txt")
    if kind == "ALBERT with SentencePiece":
        write_spm(tmp_path / "spiece.model")
        tokens, vocab = ["--spm_file", str(tmp_path / "spiece.model")], load_spm_vocab(tmp_path / "spiece.model")
    config = small.make_config(len(vocab), **OTHERS[kind])
    gin_files = [small.ROOT / "configs/model/talking_heads_gated_gelu.gin"] * (kind == "talking heads")
    (tmp_path / "trained").mkdir()
    with saved_model.changed_by_gin(gin_files):
        finetuning.write_trained(tmp_path / "trained", config)
        model = restore_model(tmp_path / "trained" / "ckpt-5", config)
    inputs = ["--tf_checkpoint_path", str(tmp_path / "trained")]
    inputs += ["--tf_config_file", str(tmp_path / "trained" / "config.json")]
    gin_flags = [flag for path in gin_files for flag in ("--gin_file", str(path))]
    run(place, tmp_path / "out", *inputs, *tokens, *gin_flags)
    assert [path.name for path in (tmp_path / "out" / "assets").iterdir()] == [
        "spiece.model" if tokens else "vocab.txt"
    ]
    record = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))
    assert record["differences"].keys() == set(saved_model.OUTPUTS[: 2 if kind == "ELECTRA" else 3])

    instances = verification.make_instances(config, vocab)
    expected = saved_model.outputs_of_checkpoint(model, instances)
    ids = {name: instances[name] for name in saved_model.ENCODER_INPUTS}
    path = str(tmp_path / "out")
    for loaded in (hub.load(path), hub.KerasLayer(path, trainable=True), utils.get_encoder_from_hub(path)):
        outputs = loaded(ids)
        for name in ("sequence_output", "pooled_output"):
            assert np.abs(expected[name] - outputs[name]).max() < 1e-5
        assert np.array_equal(outputs["default"], outputs["pooled_output"])
        assert len(outputs["encoder_outputs"]) == config.num_hidden_layers
    assert np.abs(expected["pooled_output"]).max() > 0.1
    if gin_files:  # without them, or with another number of layers, it is another model
        capsys.readouterr()
        assert_refused(capsys, "cannot be converted", place, tmp_path / "plain", *inputs)
        config_file = tmp_path / "config.json"
        config_file.write_text(replace(config, num_hidden_layers=2).to_json(), encoding="utf-8")
        changed = [*inputs[:3], str(config_file), *gin_flags]
        assert_refused(capsys, "its encoder has", place, tmp_path / "fewer", *changed)


def test_rerun_skips_and_other_inputs_need_overwrite(place, exported, capsys):
    before = (exported / "saved_model.pb").stat().st_mtime_ns
    run(place, exported)
    assert "skipped" in capsys.readouterr().out
    assert_refused(capsys, "--overwrite", place, exported, "--do_lower_case")
    assert (exported / "saved_model.pb").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_checkpoint_that_the_trainer_did_not_save(place, tmp_path):
    """convert_hf_checkpoint_to_tf2.py writes one without the `save_counter` of the trainer's checkpoints."""
    config = finetuning.trained_config(place)
    weights = read_weights(place / "trained" / "ckpt-5", config)
    write_checkpoint(weights, config, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run(place, tmp_path / "out", "--tf_checkpoint_path", str(tmp_path / "ckpt-0"))
    differences = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))["differences"]
    assert max(differences.values()) < 1e-5
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_hidden_layers": 2}, "layer_with_weights-"),
        ({"intermediate_size": 48}, "has shape"),
        ({"vocab_size": 130}, "vocab.txt: has 131 tokens, but vocab_size is 130"),
        ({"model_type": "electra", "architectures": ["ElectraForMaskedLM"], "embedding_size": 24}, "the discriminator"),
        ({"model_type": "albert", "architectures": ["AlbertForMaskedLM"], "embedding_size": 12}, "of type bert, but"),
    ],
)
def test_another_model_is_refused(place, tmp_path, capsys, sizes, message):
    config = json.loads((place / "trained" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, **sizes}), encoding="utf-8")
    other = ["--tf_config_file", str(tmp_path / "config.json")]
    assert_refused(capsys, message, place, tmp_path / "out", *other)
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_of_the_same_size_and_another_casing_are_refused(place, tmp_path, capsys):
    """The directory of a continued model has its vocabulary and its settings."""
    start = shutil.copytree(place / "trained", tmp_path / "start")
    shutil.copy(place / "vocab.txt", start)
    (start / "tokenizer_config.json").write_text('{"do_lower_case": false}', encoding="utf-8")
    other = tmp_path / "vocab.txt"
    lines = (place / "vocab.txt").read_bytes().split(b"\n")
    other.write_bytes(b"\n".join([*lines[:6], lines[7], lines[6], *lines[8:]]))
    flags = ("--tf_checkpoint_path", str(start))
    assert_refused(
        capsys, "this command: vocabulary sha256", place, tmp_path / "out", *flags, "--vocab_file", str(other)
    )
    message = f"this command: do_lower_case True, but False in {start}"
    assert_refused(capsys, message, place, tmp_path / "out", *flags, "--do_lower_case")


def test_missing_inputs_are_refused(place, tmp_path, capsys):
    out = tmp_path / "out"
    assert_refused(capsys, "no such checkpoint", place, out, "--tf_checkpoint_path", str(place / "trained" / "ckpt-6"))
    assert_refused(capsys, "no such vocabulary", place, out, "--vocab_file", str(place / "other.txt"))
    assert not out.exists()


@pytest.mark.slow
def test_nothing_but_its_own_lines_is_printed(place, tmp_path):
    """TensorFlow says at the end of a process what it did not restore, so the stage runs in a process of its own."""
    arguments = [sys.executable, "-m", "tools.export_saved_model", *flags(place, tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    process = subprocess.run(arguments, env=environment, capture_output=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    lines = [line for line in process.stdout.split("\n") if not line.startswith(("  ", "arguments: "))]
    assert [line.partition(":")[0] for line in lines[:3]] == [f"largest difference of {n}" for n in saved_model.OUTPUTS]
    assert lines[3:] == [f"{tmp_path}/out: done", ""]


def test_no_random_number_is_written(exported):
    """TensorFlow gives each SavedModel one. All else is the same in every run."""
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    fingerprint = FingerprintDef.FromString((exported / "fingerprint.pb").read_bytes())
    assert fingerprint.uuid == str(fingerprint.checkpoint_hash)


STOPPED = """
import os, signal, sys
import tensorflow as tf
from japanese_bert.common.command_line import run_stage
from tools import export_saved_model as export

read = tf.train.Checkpoint.read

def read_and_stop(*arguments):
    status = read(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)
    return status

tf.train.Checkpoint.read = read_and_stop
run_stage(export.get_parser(), export.main)
"""


@pytest.mark.slow
def test_sigterm_between_the_two_restorings_is_one_line(place, tmp_path):
    """TensorFlow would print what it has not restored."""
    environment = os.environ | {"PYTHONPATH": str(small.ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", STOPPED, *flags(place, tmp_path / "saved")]
    stopped = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert stopped.returncode == 143
    assert stopped.stderr == "-c: error: terminated. Run the same command again to start over\n"
    assert list(tmp_path.iterdir()) == []

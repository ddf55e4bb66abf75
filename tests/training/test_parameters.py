"""One line for each mistake in --config_file and --params_override: the file or flag, what is wrong, what is meant."""

import argparse

import pytest

from japanese_bert.training.command import import_model_garden
from japanese_bert.training.parameters import parse_parameters, read_parameters
from tests.helpers.places import ROOT
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
RATE = "trainer.optimizer_config.learning_rate.polynomial"


def parse(*config_files: str, params_override: str = "", experiment: str = "bert/pretraining"):
    import_model_garden()
    files = {"config_file": list(config_files), "params_override": params_override}
    return parse_parameters(argparse.Namespace(experiment=experiment, tpu=None, tf_data_service=None, **files))


def test_later_ones_win():
    runtime = f"{ROOT}/configs/runtime/cpu.yaml"
    found = parse('{"trainer": {"train_steps": 5}, "runtime": {"num_gpus": 3}}', runtime, params_override="task.name=a")
    assert (found.trainer.train_steps, found.runtime.num_gpus, found.task.name) == (5, 0, "a")
    assert parse(params_override="trainer.continuous_eval_timeout=null").trainer.continuous_eval_timeout is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, ": no such file. Expected a YAML file or name=value,..."),
        (b"", ": is empty. Expected lines 'name: value'"),
        (b"# nothing\n", ": is empty. Expected lines 'name: value'"),
        (b"- a\n", ": no parameters. Expected lines 'name: value'"),
        (b"trainer:\n\ttrain_steps: 5\n", ":2: a tab. YAML is indented with spaces"),
        (b"trainer:\n  train_steps:\t5\n", ":2: a tab. YAML is indented with spaces"),
        (b"task: [\n", ":2: no YAML, expected the node content, but found '<stream end>'"),
    ],
)
def test_a_file_that_cannot_be_read(content, message, tmp_path):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        parse(str(path))
    assert str(error.value) == f"--config_file {path}{message}"


def test_a_directory_and_a_file_that_is_no_text(tmp_path):
    with pytest.raises(ValueError) as error:
        parse(str(tmp_path))
    assert str(error.value) == f"--config_file {tmp_path}: is a directory. Expected a YAML file"
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\xff")
    with pytest.raises(ValueError, match=r"^--config_file .*a\.gz: cannot be read as text\. .*codec"):
        parse(str(tmp_path / "a.gz"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.train_stepz=7", ": no parameter trainer.train_stepz. Did you mean trainer.train_steps?"),
        ("train_steps=7", ": no parameter train_steps. Did you mean trainer.train_steps?"),
        ("trainr.train_steps=7", ": no parameter trainr. Did you mean trainer?"),
        (f"{RATE}.inital_learning_rate=1", f": no parameter {RATE}.inital_learning_rate. Did you mean "
         f"{RATE}.initial_learning_rate?"),
        ("runtime.zzz=1", ": no parameter runtime.zzz"),
        ("task.train_data.seq_bucket_lengths=[8, 16]", ": task.train_data.seq_bucket_lengths goes with training data "
         "and run_pretraining.py --experiment=bert/pretraining_dynamic. Others take configs/data/wikipedia.yaml"),
        ("trainer.train_steps=", ": trainer.train_steps is None. Expected a number"),
        (f"{RATE}.decay_steps=1000k", f": {RATE}.decay_steps is '1000k'. Expected a number"),
        ("trainer.train_steps=abc", ": trainer.train_steps is 'abc'. Expected a number"),
        ("task.train_data.is_training=ture", ": task.train_data.is_training is 'ture'. Expected true or false"),
        ("trainer=5", ": trainer is 5. Expected a section, name: value"),
        ("trainer.train_steps 5", " trainer.train_steps 5: no such file. Expected a YAML file or name=value,..."),
        ("trainer: {train_steps: 5", ":1: no YAML, expected ',' or '}', but got '<stream end>'"),
    ],
)  # fmt: skip
def test_a_mistyped_override(override, message):
    with pytest.raises(ValueError) as error:
        parse(params_override=override)
    assert str(error.value) == f"--params_override{message}"


def test_a_mistyped_name_in_a_file_names_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text("trainer:\n  train_stepz: 5\n", encoding="utf-8")
    with pytest.raises(ValueError) as error:
        parse(str(tmp_path / "a.yaml"))
    assert str(error.value) == (
        f"--config_file {tmp_path}/a.yaml: no parameter trainer.train_stepz. Did you mean trainer.train_steps?"
    )


def test_experiments():
    with pytest.raises(ValueError, match=r"^--experiment bert/pretrainin: no such experiment\. See --help$"):
        parse(experiment="bert/pretrainin")
    with pytest.raises(ValueError, match=r"electra_small_wordpiece\.yaml: .* go with --experiment=electra/pretraining"):
        parse(f"{ROOT}/configs/model/electra_small_wordpiece.yaml")


def test_values_are_read_as_model_garden_reads_them():
    assert read_parameters("--params_override", "a.b=1e-4,a.c=gs://x/y,d='e'") == {
        "a": {"b": 1e-4, "c": "gs://x/y"},
        "d": "e",
    }

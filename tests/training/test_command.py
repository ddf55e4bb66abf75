"""The trainer's flags, what they describe, and how the trainer is started."""

import argparse

import pytest

from japanese_bert.training import command
from tests.helpers import small_pretraining as small
from tests.test_configs import with_tensorflow

REQUIRED = ["--experiment=bert/pretraining", "--mode=train", "--model_dir=m"]


def test_flags_are_passed_on_as_the_trainer_knows_them():
    flags = ["--experiment=bert/pretraining", "--mode=train", "--model_dir=m", "--config_file=a", "--config_file=b"]
    flags += ["--params_override=task.init_checkpoint=c", "--tpu=local", "--enable_async_checkpointing=false"]
    own = ["--check_only", "--no-check_records"]
    args = command.get_parser(None, "bert/pretraining").parse_args([*own, *flags, "--noenable_async_checkpointing"])
    assert command.trainer_arguments(args) == [*flags, "--noenable_async_checkpointing"]


def test_the_first_experiment_is_the_default_and_the_help_names_all():
    parser = command.get_parser(None, "a/b", "c/d")
    args = parser.parse_args(["--model_dir=m"])
    assert (args.experiment, args.mode) == ("a/b", "train_and_eval")
    assert "a/b or c/d (default: a/b)" in " ".join(parser.format_help().split())


def test_one_training_at_a_time_in_a_directory(tmp_path, monkeypatch):
    model_dir = str(tmp_path / "model")
    for _ in range(2):
        with command.locked(model_dir, "train"):
            message = "model: another process is writing this output"
            with pytest.raises(BlockingIOError, match=message), command.locked(model_dir, "train_and_eval"):
                pass
            with command.locked(model_dir, "eval"):
                pass
    with command.locked(model_dir, "train"):
        monkeypatch.setenv("RANK", "1")
        with command.locked(model_dir, "train"):
            pass


def test_the_encoders_file_is_no_flag_of_the_trainer():
    args = argparse.Namespace(mode="train", tf_config_file="config.json", check_only=True, check_records=True)
    assert command.trainer_arguments(args) == ["--mode=train"]


@pytest.mark.parametrize(
    ("mode", "trains", "sections"),
    [
        ("train", True, ["train_data"]),
        ("eval", False, ["validation_data"]),
        ("train_and_eval", True, ["train_data", "validation_data"]),
        ("continuous_eval", False, ["validation_data"]),
    ],
)
def test_data_that_a_mode_reads(mode, trains, sections):
    training = command.Training(None, mode, "model")
    assert (training.trains, training.sections) == (trains, sections)


def test_an_interrupted_training_says_how_to_continue(tmp_path, capsys):
    def train(arguments):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as error:
        command.run_trainer(train, argparse.Namespace(mode="train", model_dir=str(tmp_path / "model")))
    assert error.value.code == 130
    assert "continues from the last checkpoint" in capsys.readouterr().err


class TestReadTraining:
    pytestmark = with_tensorflow

    def read(self, *flags: str) -> command.Training:
        command.import_model_garden()
        return command.read_training(command.get_parser(None, "bert/pretraining").parse_args([*REQUIRED, *flags]))

    def test_what_the_flags_describe(self):
        training = self.read(
            f"--config_file={small.ROOT}/configs/model/bert_tiny_wordpiece.yaml",
            "--params_override=trainer.train_steps=7",
            "--gin_file=a.gin",
            "--no-check_records",
        )
        assert (training.mode, training.model_dir, training.check_provenance) == ("train", "m", False)
        assert training.gin == command.Gin(["a.gin"], ())
        assert training.params.trainer.train_steps == 7
        assert training.params.task.model.encoder.bert.num_layers == 2

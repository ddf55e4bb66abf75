"""run_finetuning.py trains on the CPU, from a checkpoint and from a SavedModel, classes and a regression."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.training.curves import read_run
from japanese_bert.training.parameters import parse_options
from tests.helpers import small_finetuning as small
from tests.helpers import small_pretraining
from tests.helpers.recipes import calls, make_workplace, parse_call, script_calls, section
from tests.test_configs import with_tensorflow
from tools import predict_labels, run_finetuning

FLAGS = ["--experiment=bert/sentence_prediction", "--mode=train", "--model_dir=m"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return small.write_all(tmp_path_factory.mktemp("run"))


def test_the_parser_needs_no_framework():
    code = "import sys, tools.run_finetuning as stage; stage.get_parser(); print('tensorflow' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=small_pretraining.ROOT, capture_output=True, encoding="utf-8"
    )
    assert process.stdout == "False\n", process.stderr


class TestStart:
    """In this process, without training."""

    pytestmark = with_tensorflow

    def run(self, place: Path, model_dir: Path, more: str, *flags: str) -> None:
        arguments = small.command(place, model_dir, more, *flags)[3:]
        run_finetuning.main(run_finetuning.get_parser().parse_args(arguments))

    def test_checks_alone(self, place, tmp_path, capsys):
        config_file = f"--tf_config_file={place}/trained/config.json"
        start = f"task.init_checkpoint={place}/trained"
        self.run(place, tmp_path / "model", start, config_file, "--check_only")
        output = capsys.readouterr().out
        assert f"  start: from the weights of {place}/trained/ckpt-5" in output
        assert "0 problem(s)" in output
        assert not (tmp_path / "model").exists()

    def test_problems_are_lines_and_nothing_starts(self, place, tmp_path, capsys):
        with pytest.raises(SystemExit) as error:
            more = "task.init_checkpoint=/nowhere/ckpt-1,trainer.train_steps=30"
            self.run(place, tmp_path / "model", more, f"--tf_config_file={place}/trained/config.json")
        lines = capsys.readouterr().err.splitlines()
        assert error.value.code == 1
        assert [line.split(": ")[:2] for line in lines] == [["run_finetuning.py", "error"]] * 2
        assert not (tmp_path / "model").exists()

    def test_other_experiments_and_parameters_are_one_line(self, place, tmp_path):
        with pytest.raises(ValueError, match="--experiment is bert/pretraining, expected bert/sentence_prediction or"):
            self.run(place, tmp_path / "model", "", "--experiment=bert/pretraining")
        with pytest.raises(
            ValueError,
            match=r"--params_override: no parameter trainer\.train_stepz\. Did you",
        ):
            self.run(place, tmp_path / "model", "trainer.train_stepz=30")


class TestRecipe:
    pytestmark = with_tensorflow

    @pytest.mark.parametrize(
        ("name", "start"), [("from a checkpoint", "init_checkpoint"), ("from a SavedModel", "hub_module_url")]
    )
    def test_command_loads(self, name, start, tmp_path):
        from official.core import train_utils
        from official.nlp.configs import finetuning_experiments  # noqa: F401

        (call,) = script_calls(calls(section("finetuning.sh", name), make_workplace(tmp_path)))
        flags = parse_call(call)
        flags.config_file = [str(small_pretraining.ROOT / name) for name in flags.config_file]
        if flags.tf_config_file:
            encoder = run_finetuning.encoder_json(small_pretraining.ROOT / flags.tf_config_file)
            flags.config_file.insert(0, encoder)
        params = train_utils.parse_configuration(parse_options(flags), print_return=False)
        assert getattr(params.task, start)
        assert params.task.model.use_encoder_pooler == (start == "hub_module_url")
        assert params.task.model.encoder.bert.vocab_size == (32_768 if start == "init_checkpoint" else 30_522)
        assert params.task.train_data.input_path == "finetuning_data/jnli/train.tfrecord.gz"


def predict(model_dir: Path, data: Path, output: Path) -> list:
    flags = ["--model_dir", str(model_dir), "--input_file", str(data), "--output_file", str(output)]
    predict_labels.main(predict_labels.get_parser().parse_args([*flags, "--batch_size", "7"]))
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [row["id"] for row in rows] == [str(number) for number in range(len(rows))]
    return [row["prediction"] for row in rows]


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
class TestTraining:
    def test_from_a_checkpoint_and_from_its_saved_model(self, place, tmp_path):
        """test_export_saved_model.py tests that the two start from equal outputs."""
        small.export(place, tmp_path / "module")
        start, sizes = f"task.init_checkpoint={place}/trained/ckpt-5", f"--tf_config_file={place}/trained/config.json"
        output = small.train(place, tmp_path / "first", start, sizes)
        log = small_pretraining.trainer_log(tmp_path / "first")
        assert f"Finished loading pretrained checkpoint from {place}/trained/ckpt-5" in log
        assert re.search(
            r"^step 10 of 10, .*sequences/s, loss .*\nstep 10, validation: loss .*cls accuracy", output, re.MULTILINE
        )
        start_of_second = f"task.hub_module_url={tmp_path}/module,task.model.use_encoder_pooler=true"
        small.train(place, tmp_path / "second", start_of_second)
        for name in ("first", "second"):
            curves = read_run([tmp_path / name])
            assert [step for step, _ in curves["train", "training_loss"]] == [5, 10]
            assert [step for step, _ in curves["validation", "cls_accuracy"]] == [5, 10]
            assert (tmp_path / name / "ckpt-10.index").is_file()
            predictions = predict(tmp_path / name, place / "valid.tfrecord.gz", tmp_path / f"{name}.jsonl")
            rights = [label == small.LABELS[number % 3] for number, label in enumerate(predictions)]
            assert len(rights) == 60
            assert sum(rights) / 60 == pytest.approx(curves["validation", "cls_accuracy"][-1][1], abs=1e-6)
        again = small.train(place, tmp_path / "first", start, sizes)
        assert f"start: continues from {tmp_path}/first/ckpt-10" in again

    def test_a_regression(self, place, tmp_path):
        """Its metric is the mean over all examples, also those of a last small batch. Model Garden's own is 0."""
        more = f"task.init_checkpoint={place}/trained/ckpt-5,task.model.num_classes=1"
        more += ",task.metric_type=pearson_spearman_corr"
        more += ",task.train_data.label_type=float,task.validation_data.label_type=float"
        sizes = f"--tf_config_file={place}/trained/config.json"
        small.train(place, tmp_path / "model", more, sizes, ending="score.gz")
        curves = read_run([tmp_path / "model"])
        assert len(curves["validation", "pearson_spearman_corr"]) == 2
        errors = [value for _, value in curves["train", "mean_squared_error"]]
        assert errors == pytest.approx([value for _, value in curves["train", "training_loss"]], rel=1e-4)
        assert min(errors) > 0
        scores = predict(tmp_path / "model", place / "valid.score.gz", tmp_path / "scores.jsonl")
        mean = np.mean([(score - number % 3 / 2) ** 2 for number, score in enumerate(scores)])
        assert mean == pytest.approx(curves["validation", "mean_squared_error"][-1][1], rel=1e-3)

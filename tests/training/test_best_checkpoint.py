"""--keep_best and the parameters of the trainer."""

import json
from types import SimpleNamespace

import pytest

import run_pretraining_torch
from japanese_bert.torch_training.parameters import parse_torch_parameters
from japanese_bert.training import command
from japanese_bert.training.best_checkpoint import keep_best_json
from tests.helpers import small_pretraining as small
from tests.test_configs import with_tensorflow


@pytest.mark.parametrize(
    ("experiment", "metric_type", "metric"),
    [
        ("bert/pretraining", None, "masked_lm_accuracy"),
        ("bert/pretraining_dynamic", None, "masked_lm_accuracy"),
        ("electra/pretraining", None, "discriminator_accuracy"),
        ("bert/sentence_prediction", "accuracy", "cls_accuracy"),
        ("bert/sentence_prediction", "f1", "f1"),
        ("bert/squad", None, "answer_accuracy"),
        ("bert/tagging", None, "f1"),
    ],
)
def test_each_experiment_has_its_metric(experiment, metric_type, metric):
    text = keep_best_json(experiment, "train_and_eval", SimpleNamespace(metric_type=metric_type))
    assert json.loads(text)["trainer"]["best_checkpoint_eval_metric"] == metric


def test_a_training_without_validation_has_no_best():
    with pytest.raises(ValueError, match="--keep_best: --mode is train, which does not validate"):
        keep_best_json("bert/pretraining", "train", None)


def test_the_trainer_in_pytorch_gets_the_parameters():
    files = [
        f"--config_file={small.ROOT}/configs/{name}.yaml" for name in ("data/demo_128", "model/bert_tiny_character")
    ]
    args = run_pretraining_torch.get_parser().parse_args(["--model_dir=m", "--keep_best", *files])
    trainer = command.read_training(args, parse_torch_parameters).params.trainer
    found = (trainer.best_checkpoint_export_subdir, trainer.best_checkpoint_eval_metric, trainer.train_steps)
    assert found == ("best", "masked_lm_accuracy", 300)


class TestTrainer:
    pytestmark = with_tensorflow

    @pytest.mark.parametrize(
        ("more", "metric"),
        [("", "masked_lm_accuracy"), ("validation_loss", "validation_loss")],
        ids=["flag", "override"],
    )
    def test_the_trainer_gets_the_parameters(self, more, metric):
        flags = ["--experiment=bert/pretraining", "--mode=train_and_eval", "--model_dir=m", "--keep_best"]
        flags += [f"--config_file={small.ROOT}/configs/data/demo_128.yaml"]
        flags += [f"--params_override=trainer.best_checkpoint_eval_metric={more}"] if more else []
        args = command.get_parser(None, "bert/pretraining").parse_args(flags)
        command.import_model_garden()
        trainer = command.read_training(args).params.trainer
        assert trainer.best_checkpoint_export_subdir == "best"
        assert trainer.best_checkpoint_eval_metric == metric
        assert trainer.train_steps == 300
        passed = command.trainer_arguments(args)
        assert [argument.partition("=")[0] for argument in passed].count("--config_file") == 2
        assert "--keep_best" not in passed

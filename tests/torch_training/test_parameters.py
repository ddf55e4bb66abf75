"""The parameters mean what they mean to Model Garden, and others are refused."""

import argparse

import pytest
import yaml

from japanese_bert.torch_training.parameters import parse_torch_parameters
from japanese_bert.training.parameters import leaves
from tests.helpers.places import ROOT
from tests.test_configs import with_tensorflow

FOLLOWED = [
    name
    for name in sorted(path.stem for path in (ROOT / "configs" / "model").glob("bert_*.yaml"))
    if "lamb" not in name and "talking" not in name
]
RATE = "trainer.optimizer_config.learning_rate.polynomial"


def parse(*config_files: str, override: str = "", experiment: str = "bert/pretraining"):
    found = {"experiment": experiment, "config_file": list(config_files), "params_override": override}
    return parse_torch_parameters(argparse.Namespace(**found))


def config(name: str) -> str:
    return f"{ROOT}/configs/{name}.yaml"


class TestModelGarden:
    pytestmark = with_tensorflow

    @pytest.mark.parametrize("data", ["cc-100", "wikipedia", "demo_128"])
    def test_every_parameter_has_model_gardens_value(self, data):
        from japanese_bert.training.command import import_model_garden
        from japanese_bert.training.parameters import parse_parameters

        import_model_garden()
        for model in FOLLOWED:
            files = [config(f"data/{data}"), config(f"model/{model}"), config("runtime/gpu")]
            override = "trainer.train_steps=7,task.train_data.input_path=gs://a/*.gz,runtime.num_gpus=8"
            args = {"experiment": "bert/pretraining", "tpu": None, "tf_data_service": None}
            args |= {"config_file": files, "params_override": override}
            expected = dict(leaves(parse_parameters(argparse.Namespace(**args)).as_dict()))
            found = dict(leaves(parse(*files, override=override).as_dict()))
            other = {n: (v, expected.get(n)) for n, v in found.items() if as_plain(v) != as_plain(expected.get(n))}
            # Sections that `type` does not choose: Model Garden leaves them out.
            assert {name for name in other if ".linear." not in name} == set()


def as_plain(value):
    if isinstance(value, list | tuple):
        return [as_plain(dict(sorted(item.items())) if isinstance(item, dict) else item) for item in value]
    return value


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("albert_base_wordpiece", "task.model.encoder.type is albert"),
        ("electra_base_wordpiece", "encoder.type is bert"),
        ("bert_base_talking_heads_wordpiece", "task.name is talking_heads_gated_gelu.gin"),
        ("bert_base_lamb_wordpiece", "trainer.optimizer_config.optimizer.type is lamb"),
    ],
)
def test_other_models_are_refused_in_one_line(model, message):
    with pytest.raises(ValueError) as error:
        parse(config("data/cc-100"), config(f"model/{model}"))
    assert message in str(error.value) and "run_pretraining.py" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.train_stepz=7", "--params_override: no parameter trainer.train_stepz. Did you mean trainer.train_"),
        (f"{RATE}.inital_learning_rate=1", f"Did you mean {RATE}.initial_learning_rate?"),
        ("trainer.train_steps=abc", "trainer.train_steps is 'abc'. Expected a number"),
        ("task.model.encoder.bert.norm_first=true", "task.model.encoder.bert.norm_first is True, expected False."),
        ("task.model.encoder.bert.hidden_activation=relu", "hidden_activation is relu, expected gelu"),
        ("trainer.optimizer_config.optimizer.adamw.clipnorm=1.0", "clipnorm is 1.0, expected None"),
        ("runtime.distribution_strategy=tpu", "runtime.distribution_strategy is tpu. run_pretraining_torch.py trains"),
        ("trainer.optimizer_config.learning_rate.type=cosine", "learning_rate.type is cosine. run_pretraining_torch"),
        (
            "task.model.cls_heads=[{inner_dimension: 4}]",
            "no parameter inner_dimension in a head of task.model.cls_heads",
        ),
    ],
)
def test_what_it_does_not_follow_is_refused(override, message):
    with pytest.raises(ValueError) as error:
        parse(override=override)
    assert message in str(error.value)


def test_another_experiment_is_refused():
    with pytest.raises(ValueError, match=r"^--experiment electra/pretraining: .*run_pretraining\.py$"):
        parse(experiment="electra/pretraining")


def test_later_files_win_and_params_yaml_is_read_back(tmp_path):
    params = parse(config("data/cc-100"), config("model/bert_tiny_character"), override="trainer.train_steps=5")
    assert (params.trainer.train_steps, params.task.train_data.seq_length) == (5, 128)
    assert params.task.model.cls_heads[0].inner_dim == params.task.model.encoder.bert.hidden_size
    path = tmp_path / "params.yaml"
    plain = {**params.as_dict()}
    plain["task"]["model"]["cls_heads"] = list(plain["task"]["model"]["cls_heads"])
    adamw = plain["trainer"]["optimizer_config"]["optimizer"]["adamw"]
    adamw["exclude_from_weight_decay"] = list(adamw["exclude_from_weight_decay"])
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    again = parse(str(path))
    assert again.as_dict() == params.as_dict()

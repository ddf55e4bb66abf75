"""Short flags: what each sets, what wins, and that long and short commands describe one training."""

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

import run_pretraining
from japanese_bert.models.model_garden import encoder_params, model_params
from japanese_bert.training import short_flags
from japanese_bert.training.command import import_model_garden, read_training, trainer_arguments
from japanese_bert.training.parameters import read_parameters
from tests.helpers import converting
from tests.helpers.places import ROOT
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
CC100, TINY = (f"--config_file={ROOT}/configs/{name}.yaml" for name in ("data/cc-100", "model/bert_tiny_wordpiece"))


def read(*flags: str):
    """Return the parameters of a command of run_pretraining.py."""
    import_model_garden()
    args = run_pretraining.get_parser().parse_args(["--model_dir=m", *flags])
    args.config_file = short_flags.config_files(args)
    return read_training(args).params


@pytest.mark.parametrize("path", ["a/b.gz", "a,b", "gs://a/b-*.gz", "it's", 'a "b"', "日本[1]", "a: b #c", "7"])
def test_any_path_and_number_arrives(path):
    text = short_flags.as_config({"a.b": path, "a.c": 3e-5, "a.d": True, "e": 7})
    assert read_parameters("--config_file", text) == {"a": {"b": path, "c": 3e-5, "d": True}, "e": 7}


def test_without_them_nothing_changes():
    args = run_pretraining.get_parser().parse_args(["--model_dir=m", "--config_file=a", "--config_file=b"])
    assert short_flags.config_files(args) == ["a", "b"]
    assert trainer_arguments(args) == [
        "--experiment=bert/pretraining",
        "--mode=train_and_eval",
        "--model_dir=m",
        "--config_file=a",
        "--config_file=b",
    ]


def test_they_are_no_flags_of_the_trainer():
    short = ["--train_files", "a", "--validation_files", "b", "--init_checkpoint=c", "--train_steps=5"]
    short += ["--batch_size=2", "--learning_rate=1", "--num_gpus=0"]
    args = run_pretraining.get_parser().parse_args(["--model_dir=m", *short])
    assert [argument.split("=")[0] for argument in trainer_arguments(args)] == ["--experiment", "--mode", "--model_dir"]


def test_short_and_long_commands_describe_one_training():
    short = ["--train_files", "d/a.gz", "d/b.gz", "--validation_files", "d/v.gz", "--init_checkpoint=c/ckpt-1"]
    short += ["--train_steps=20000", "--batch_size=256", "--learning_rate=3e-5", "--num_gpus=8"]
    rate, warmup = (f"trainer.optimizer_config.{name}.polynomial" for name in ("learning_rate", "warmup"))
    long = ["task.train_data.input_path='d/a.gz,d/b.gz',task.validation_data.input_path=d/v.gz"]
    long += ["task.init_checkpoint=c/ckpt-1,task.train_data.global_batch_size=256"]
    long += ["task.validation_data.global_batch_size=256,runtime.num_gpus=8,trainer.train_steps=20000"]
    long += [f"{rate}.decay_steps=20000,{rate}.initial_learning_rate=3e-5,{warmup}.warmup_steps=200"]
    long += ["trainer.checkpoint_interval=4000"]
    runtime = f"--config_file={ROOT}/configs/runtime/gpu.yaml"
    expected = read(CC100, TINY, runtime, f"--params_override={','.join(long)}")
    assert read(CC100, TINY, *short).as_dict() == expected.as_dict()


@pytest.mark.parametrize(
    ("steps", "loop", "checkpoint", "validation", "validation_steps", "warmup"),
    [
        (1, 1, 1, 1, 1, 1),
        (100, 5, 20, 20, 20, 1),
        (2_500, 100, 500, 500, 64, 25),
        (3_000, 100, 600, 600, 64, 30),
        (19_999, 500, 3_500, 1000, 64, 200),
        (20_000, 1000, 4_000, 1000, 64, 200),
        (2_000_000, 1000, 20_000, 1000, 64, 20_000),
    ],
)
def test_everything_that_depends_on_the_steps(steps, loop, checkpoint, validation, validation_steps, warmup):
    trainer = read(CC100, TINY, f"--train_steps={steps}").trainer
    assert (trainer.train_steps, trainer.steps_per_loop, trainer.summary_interval) == (steps, loop, loop)
    assert (trainer.checkpoint_interval, trainer.validation_interval) == (checkpoint, validation)
    assert trainer.validation_steps == validation_steps
    assert trainer.optimizer_config.learning_rate.polynomial.decay_steps == steps
    assert trainer.optimizer_config.warmup.polynomial.warmup_steps == warmup


def test_the_steps_of_a_file_also_end_the_learning_rate():
    """The NOTE of the checks about another decay_steps says: give --train_steps."""
    trainer = read(CC100, TINY, '--config_file={"trainer": {"train_steps": 500}}', "--train_steps=500").trainer
    assert trainer.optimizer_config.learning_rate.polynomial.decay_steps == 500
    assert (trainer.steps_per_loop, trainer.optimizer_config.warmup.polynomial.warmup_steps) == (1000, 10_000)


def test_params_override_wins():
    params = read(CC100, "--train_steps=100", "--batch_size=8", "--params_override=trainer.train_steps=70")
    assert (params.trainer.train_steps, params.task.train_data.global_batch_size) == (70, 8)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--num_gpus=4"], ("mirrored", 4, "bfloat16")),
        (["--num_gpus=0"], ("one_device", 0, None)),
        (["--num_gpus=4", "--params_override=runtime.mixed_precision_dtype=float32"], ("mirrored", 4, "float32")),
        (["--num_gpus=4", f"--config_file={ROOT}/configs/runtime/multi_worker.yaml"],
         ("multi_worker_mirrored", 4, None)),
    ],
)  # fmt: skip
def test_num_gpus_is_enough_for_one_machine(flags, expected):
    runtime = read(CC100, TINY, *flags).runtime
    assert (runtime.distribution_strategy, runtime.num_gpus, runtime.mixed_precision_dtype) == expected


@pytest.mark.parametrize("flag", ["--train_steps=0", "--batch_size=-1", "--learning_rate=0"])
def test_numbers_are_positive(flag):
    with pytest.raises(ValueError, match=rf"^{flag.replace('=', ' ')}(\.0)?: expected a positive number$"):
        read(flag)


def test_a_mistake_in_a_file_is_one_line(tmp_path):
    (tmp_path / "a.yaml").write_text("task: 5\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.yaml: task is 5\. Expected a section, name: value$"):
        read(f"--config_file={tmp_path}/a.yaml", "--train_files", "b")


class TestImplied:
    """What the flags imply if no --config_file sets it."""

    def test_form_of_the_data(self, place):
        task = read("--train_files", f"{place}/data/*.gz").task
        for data in (task.train_data, task.validation_data):
            assert (data.seq_length, data.max_predictions_per_seq, data.global_batch_size) == (32, 4, 512)
            assert (data.use_v2_feature_names, data.use_next_sentence_label) == (True, True)
            assert data.file_type == "tfrecord_compressed"
        other = read("--train_files", f"{place}/other/plain").task.train_data
        assert (other.file_type, other.use_v2_feature_names) == ("tfrecord", True)
        assert not read("--train_files", f"{place}/other/v1").task.train_data.use_v2_feature_names
        assert not read("--train_files", f"{place}/other/single").task.validation_data.use_next_sentence_label

    def test_buckets_of_the_data(self, place):
        flags = ["--experiment=bert/pretraining_dynamic", "--train_files"]
        for name, lengths in (("buckets", (16, 24, 32)), ("short", (32,))):
            task = read(*flags, f"{place}/other/{name}").task
            assert tuple(task.train_data.seq_bucket_lengths) == lengths
            for data in (task.train_data, task.validation_data):
                assert (data.seq_length, data.max_predictions_per_seq) == (32, 4)

    def test_a_trial_needs_no_form(self, place):
        trial = f"--config_file={ROOT}/configs/data/trial.yaml"
        params = read(trial, TINY, "--train_files", f"{place}/data/*.gz")
        assert (params.task.train_data.seq_length, params.task.train_data.global_batch_size) == (32, 16)
        assert (params.trainer.train_steps, params.trainer.validation_steps) == (20, 2)
        rate = params.trainer.optimizer_config.learning_rate.polynomial
        assert (rate.decay_steps, rate.initial_learning_rate) == (20, 1e-3)

    def test_a_config_file_wins(self, place):
        assert read(CC100, "--train_files", f"{place}/data/*.gz").task.train_data.seq_length == 128

    def test_files_that_cannot_be_read_are_left_to_the_checks(self, tmp_path):
        assert read("--train_files", f"{tmp_path}/*.gz").task.train_data.input_path == f"{tmp_path}/*.gz"
        (tmp_path / "text.gz").write_text("text", encoding="utf-8")
        assert read("--train_files", f"{tmp_path}/*.gz").task.train_data.seq_length == 512

    def test_validation_files_beside_the_training_files(self, tmp_path):
        train = ["--train_files", f"{tmp_path}/*.gz"]
        assert "<" in read(*train).task.validation_data.input_path
        with_form = f"--config_file={ROOT}/configs/data/demo_128.yaml"
        assert "<" in read(with_form, *train).task.validation_data.input_path
        (tmp_path / "validation").mkdir()
        (tmp_path / "validation" / "a.gz").touch()
        assert read(*train).task.validation_data.input_path == f"{tmp_path}/validation/*.gz"
        assert read(*train, "--validation_files", "b").task.validation_data.input_path == "b"
        override = "--params_override=task.validation_data.input_path=c"
        assert read(*train, override).task.validation_data.input_path == "c"

    def test_model_of_a_conversion_or_of_a_training(self, tmp_path):
        start = f"--init_checkpoint={tmp_path}/ckpt-7"
        model = yaml.safe_load(Path(TINY.split("=")[1]).read_text(encoding="utf-8"))
        assert read(start).task.model.encoder.bert.vocab_size == 30_522
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({**model, "runtime": {"num_gpus": 9}}), encoding="utf-8")
        params = read(start)
        assert (params.task.model.encoder.bert.vocab_size, params.runtime.num_gpus) == (10_000, 0)
        assert params.task.init_checkpoint == f"{tmp_path}/ckpt-7"
        for best in ("best", "best/", "best/best_ckpt-3"):
            assert read(f"--init_checkpoint={tmp_path}/{best}").task.model.encoder.bert.vocab_size == 10_000
        model["task"]["model"]["encoder"]["bert"]["vocab_size"] = 7
        (tmp_path / "model.yaml").write_text(yaml.safe_dump(model), encoding="utf-8")
        assert read(f"--init_checkpoint={tmp_path}").task.model.encoder.bert.vocab_size == 7
        assert read(start, TINY).task.model.encoder.bert.vocab_size == 10_000

    def test_model_of_a_directory_without_a_next_sentence_head_gets_one(self, tmp_path):
        config = dataclasses.replace(converting.BERT, architecture="BertForMaskedLM")
        (tmp_path / "config.json").write_text(config.to_json(), encoding="utf-8")
        [head] = read(f"--init_checkpoint={tmp_path}").task.model.cls_heads
        assert head.inner_dim == config.hidden_size

    def test_model_of_an_archive_has_heads(self, tmp_path):
        """Its own parameters describe the encoder alone. Those of an ELECTRA have another form."""
        config = dataclasses.replace(converting.ALBERT, vocab_size=70, hidden_dropout_prob=0)
        values = json.loads(config.to_json())
        del values["model_type"], values["architectures"]
        (tmp_path / "albert_config.json").write_text(json.dumps(values), encoding="utf-8")
        encoder = {"encoder": encoder_params(config)}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"task": {"model": encoder}}), encoding="utf-8")
        for start in ("", "/bert_model.ckpt"):
            model = read(f"--init_checkpoint={tmp_path}{start}").task.model
            assert (model.encoder.type, model.encoder.albert.vocab_size) == ("albert", 70)
            assert model.cls_heads[0].inner_dim == config.hidden_size
        (tmp_path / "albert_config.json").unlink()
        networks = model_params(converting.CONFIGS["discriminator"], converting.CONFIGS["generator"])
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"model": networks}), encoding="utf-8")
        electra = read(f"--init_checkpoint={tmp_path}", "--experiment=electra/pretraining").task.model
        assert electra.generator_encoder.bert.hidden_size == 18

"""Everything that would make a fine-tuning fail late or silently is found before it starts."""

import json
import shutil
from pathlib import Path

import pytest

from japanese_bert.training.checks.finetuning import HEAD_POOLER, OWN_POOLER, check_finetuning
from japanese_bert.training.command import Training
from japanese_bert.training.data_files import CLASSIFICATION, read_data_file
from tests.helpers import small_finetuning as small
from tests.helpers.small_finetuning import START, check, parse
from tests.helpers.small_pretraining import assert_problem
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
ENCODER = "task.init_checkpoint={place}/encoder"  # as an archive: one checkpoint of an encoder alone
REGRESSION = "task.model.num_classes=1,task.metric_type=pearson_spearman_corr"
REGRESSION += ",task.train_data.label_type=float,task.validation_data.label_type=float"


@pytest.fixture
def place(finetuning_place) -> Path:
    return finetuning_place


def test_what_fits_is_accepted_and_told(place):
    for path in ("trained/ckpt-5", "trained"):
        found = check(place, f"task.init_checkpoint={place}/{path}")
        assert (found.problems, found.remarks) == ([], [])
        assert "task: 3 classes, accuracy" in found.facts
        assert "train_data: 1 file(s) with 60 examples, 1.3 epochs; validation_data: 1 file(s) with 60 examples" in (
            found.facts
        )
        assert f"start: from the weights of {place}/trained/ckpt-5" in found.facts
    assert not (place / "new").exists()


def test_a_checkpoint_without_next_sentence_head_is_accepted(place):
    found = check(place, "task.init_checkpoint={place}/masked_lm/ckpt-1,task.init_cls_pooler=false")
    assert found.problems == []
    assert len(found.remarks) == 1


@pytest.mark.parametrize("name", ["", "/bert_model.ckpt", "/bert_model.ckpt.index"])
def test_the_trained_pooler_of_an_archive_is_accepted(place, name):
    found = check(place, f"task.init_checkpoint={place}/encoder{name},{OWN_POOLER.replace(' and ', ',')}")
    assert (found.problems, found.remarks) == ([], [])
    assert found.facts[-1] == f"start: from the weights of {place}/encoder/bert_model.ckpt"


def test_a_regression_is_accepted(place):
    found = check(place, f"{START},{REGRESSION}", ending="score.gz")
    assert (found.problems, found.remarks) == ([], [])
    assert "task: regression, pearson_spearman_corr" in found.facts


@pytest.mark.parametrize("prefix", ["", "file://"])
@pytest.mark.parametrize("with_encoder", [False, True])
def test_a_saved_model_is_accepted(place, prefix, with_encoder):
    """The configuration may have the same encoder too."""
    more = f"task.hub_module_url={prefix}{place}/module,task.model.use_encoder_pooler=true"
    found = check(place, more, with_encoder=with_encoder)
    assert (found.problems, found.remarks) == ([], [])
    assert f"start: from the SavedModel {prefix}{place}/module" in found.facts


def test_validation_on_the_text_of_training(place):
    for path in (f"{place}/train.tfrecord.gz", f"{place}/other/copy"):
        found = check(place, f"{START},task.validation_data.input_path={path}")
        assert_problem(found, f"{path} has the text of the training file", "Hold some examples out")


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("task.model.num_classes=0", ["num_classes is 0, expected the number of labels"]),
        ("task.model.num_classes=1", ["num_classes is 1, but task.train_data.label_type int"]),
        ("task.train_data.label_type=int64", ["label_type is int64, expected int or float"]),
        ("task.train_data.label_type=float", ["num_classes is 3, but task.train_data.label_type float"]),
        ("task.metric_type=f1", ["metric_type is f1, which fails at the first validation", "metric_type=accuracy"]),
        ("task.metric_type=pearson_spearman_corr", ["metric_type=accuracy"]),
        ("task.validation_data.seq_length=64", ["seq_length is 64, but task.model.encoder.bert has 48 positions"]),
        ("trainer.train_steps=20", ["decay_steps is 10"]),
        ("runtime.num_gpus=99", ["runtime.num_gpus is 99"]),
    ],
)
def test_settings_that_cannot_work(place, more, messages):
    assert_problem(check(place, f"{START},{more}"), *messages)


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("task.init_checkpoint={place}/nothing/ckpt-1", ["no such checkpoint"]),
        ("task.init_checkpoint={place}/other", ["without a file 'checkpoint'", "start from scratch"]),
        ("task.hub_module_url={place}/trained", ["has no saved_model.pb", "export_saved_model.py"]),
        (START + ",task.hub_module_url={place}/module", ["are both set"]),
        (START + ",task.model.use_encoder_pooler=true", ["was never trained", "task.init_cls_pooler=true"]),
        (START + ",task.model.encoder.bert.num_layers=4", ["does not fit", "layer_with_weights-7", "--tf_config_file"]),
        (START + ",task.model.encoder.bert.num_layers=2", ["does not fit", "unexpected variable encoder/"]),
        (START + ",task.model.encoder.bert.intermediate_size=48", ["has shape", "--tf_config_file"]),
        ("task.init_checkpoint={place}/masked_lm/ckpt-1", ["has no next sentence head", "Set it to false"]),
        ("task.init_checkpoint={place}/encoder", ["has no next sentence head", f"Set {OWN_POOLER}"]),
        ("task.hub_module_url={place}/module,task.model.encoder.bert.num_layers=4", ["num_layers 4", "with 3"]),
    ],
)
def test_starts_that_cannot_work(place, more, messages):
    assert_problem(check(place, more), *messages)


def test_an_encoder_without_sizes(place):
    for start in (START, "task.init_checkpoint=''"):
        assert_problem(check(place, start, with_encoder=False), "task.model.encoder is not set. Give --tf_config_file")


def test_sizes_and_vocabulary_of_a_saved_model_count(place, tmp_path):
    module = small.write_fake_saved_model(place, tmp_path / "module", max_position_embeddings=16)
    more = f"task.model.use_encoder_pooler=true,task.hub_module_url={module}"
    assert_problem(check(place, more, with_encoder=False), "seq_length is 32, but task.model.encoder.bert has ")
    module = small.write_fake_saved_model(place, tmp_path / "other")
    record = json.loads((module / "provenance.json").read_text(encoding="utf-8"))
    record["inputs"]["vocab"][0]["sha256"] = "0"
    (module / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
    more = f"task.model.use_encoder_pooler=true,task.hub_module_url={module}"
    assert_problem(check(place, more, with_encoder=False), "vocabulary sha256", f"but sha256 0 in {module}")


@pytest.mark.parametrize(
    ("more", "remark"),
    [
        (START + ",task.init_cls_pooler=false", f"the pooler starts at random: set {HEAD_POOLER}"),
        (f"{ENCODER},task.init_cls_pooler=false", f"the pooler starts at random: set {OWN_POOLER}"),
        ("task.hub_module_url={place}/module", "the pooler starts at random: set task.model.use_encoder_pooler=true"),
        ("task.init_checkpoint=''", "no pretrained weights are used"),
    ],
)
def test_what_may_be_meant_is_told(place, more, remark):
    found = check(place, more)
    assert found.problems == []
    assert len(found.remarks) == 1
    assert remark in found.remarks[0]


def test_a_run_is_continued_or_evaluated(place, tmp_path):
    params = parse(place, START)
    found = check_finetuning(Training(params, "eval", str(tmp_path)))
    assert_problem(found, "no checkpoint to evaluate")
    shutil.copytree(place / "trained", tmp_path / "model")
    found = check_finetuning(Training(params, "train_and_eval", str(tmp_path / "model")))
    assert found.problems == []
    assert any("start: continues from" in fact and "ckpt-5" in fact for fact in found.facts)
    (tmp_path / "model" / "checkpoint").unlink()
    found = check_finetuning(Training(params, "train_and_eval", str(tmp_path / "model")))
    assert_problem(found, "training would start from scratch")


def test_every_feature_of_the_trainers_loader_is_written(place):
    from official.nlp.data import sentence_prediction_dataloader as loaders

    data = parse(place).task.train_data
    data = data.replace(include_example_id=True)
    features = loaders.SentencePredictionDataLoader(data).name_to_features_spec()
    assert sorted(features) == sorted(read_data_file(str(place / "train.tfrecord.gz"), CLASSIFICATION).example.features)
    batch = next(iter(loaders.SentencePredictionDataLoader(data.replace(is_training=False)).load()))
    assert batch["label_ids"].numpy().tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert batch["example_id"].numpy().tolist() == list(range(8))
    assert batch["input_word_ids"].shape == (8, small.SEQ_LENGTH)

"""Files that describe a checkpoint must describe the same model. The checkpoint itself is not read here."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from japanese_bert.conversion import trained_model
from japanese_bert.conversion.trained_model import TrainedModel, load_fitting_vocab, load_trained_model
from japanese_bert.models.training_history import BaseModel
from japanese_bert.tokenization.identity import of_data
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers.converting import BERT
from tests.helpers.places import ROOT


@pytest.fixture(autouse=True)
def any_checkpoint(monkeypatch) -> None:
    monkeypatch.setattr(trained_model, "find_checkpoint", lambda path: path)


@pytest.fixture
def place(tmp_path) -> Path:
    """`config.json`, `vocab.txt` of 50 tokens, and `hf_config`."""
    (tmp_path / "config.json").write_text(BERT.to_json(), encoding="utf-8")
    (tmp_path / "vocab.txt").write_bytes(vocab_bytes([*SPECIAL_TOKENS, *(f"語{index}" for index in range(45))]))
    shutil.copytree(ROOT / "hf_model_configs" / "bert_tiny_wordpiece", tmp_path / "hf_config")
    (tmp_path / "hf_config" / "config.json").write_text(BERT.to_json(), encoding="utf-8")
    return tmp_path


def load(
    place: Path, hf_config: str | None = "hf_config", vocab: str | None = "vocab.txt", check_records: bool = True
) -> TrainedModel:
    paths = [place / name if name else None for name in (hf_config, vocab)]
    return load_trained_model(place / "ckpt-8", place / "config.json", *paths, None, check_records)


def test_everything_is_loaded(place):
    model = load(place)
    assert (model.checkpoint, model.config, model.stages) == (place / "ckpt-8", BERT, [])
    assert list(model.tokenizer_files) == [
        "config.json",
        "tokenizer_config.json",
        "tokenization_bert_japanese_fast.py",
        "vocab.txt",
    ]
    assert len(model.vocab) == 50
    assert model.settings.subword_tokenizer_type == "wordpiece"
    assert model.vocab_made_by is None
    assert model.tokenization.facts() == {}  # an installed dictionary is no record


def test_tokenizer_files_may_be_missing(place):
    model = load(place, None, None)
    assert (model.tokenizer_files, model.settings, model.vocab) == ({}, None, None)
    (place / "hf_config" / "tokenization_bert_japanese_fast.py").unlink()
    assert list(load(place, vocab=None).tokenizer_files) == ["config.json", "tokenizer_config.json"]


def test_dictionary_of_the_vocabulary(place):
    identity = {"name": "unidic_lite", "version": "1.0.7", "size": 5}
    (place / "vocab.txt.json").write_text(json.dumps({"dictionary": identity}), encoding="utf-8")
    model = load(place)
    assert model.tokenization.dictionary == identity
    assert model.vocab_made_by == {"dictionary": identity}
    identity["name"] = "ipadic"
    (place / "vocab.txt.json").write_text(json.dumps({"dictionary": identity}), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"vocab.txt.json: dictionary ipadic 1.0.7 \(5 bytes\), but unidic_lite in .*tokenizer_config"
    ):
        load(place)


@pytest.mark.parametrize(
    ("made_by", "message"),
    [
        ({"dictionary": {"name": "ipadic", "version": "1.0.0", "size": 5}}, "dictionary ipadic 1.0.0 (5 bytes), but"),
        ({"method": {"do_lower_case": True}}, "do_lower_case True, but False in"),
        ({"inputs": {"vocab": [{"sha256": "0" * 64}]}}, "vocabulary sha256 000000000000, but"),
    ],
)
def test_data_of_another_tokenization_is_refused(place, capsys, made_by, message):
    """The trainer's params.yaml leads to the data. Nothing else would show it: check_tokenizer compares ids only."""
    made_by = {"stage": "create_pretraining_data", "output": {"name": "data_01.tfrecord"}, **made_by}
    (place / "data_01.tfrecord").touch()
    (place / "data_01.tfrecord.json").write_text(json.dumps(made_by), encoding="utf-8")
    params = f"task: {{train_data: {{input_path: '{place}/data_*.tfrecord'}}}}\n"
    (place / "params.yaml").write_text(params, encoding="utf-8")
    with pytest.raises(ValueError, match=r"^data_01.tfrecord.json of the training data: ") as error:
        load(place)
    assert message in str(error.value)
    model = load(place, check_records=False)
    assert f"NOTE data_01.tfrecord.json of the training data: {message}" in capsys.readouterr().out
    assert model.tokenization == of_data(made_by, "records")


def test_the_model_that_was_continued_counts(place):
    """Data of the base model's vocabulary has the size of one of other words, but not its hash."""
    (place / "base").mkdir()
    (place / "base" / "vocab.txt").write_bytes((place / "vocab.txt").read_bytes()[::-1])
    (place / "params.yaml").write_text(f"task: {{init_checkpoint: '{place}/base/ckpt-0'}}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="/base: vocabulary sha256"):
        load(place)


def test_vocabulary_of_another_model_is_refused(place):
    assert len(load_fitting_vocab(place / "vocab.txt", BERT, "--tf_config_file")) == 50
    config = dataclasses.replace(BERT, vocab_size=49)
    with pytest.raises(ValueError, match=r"has 50 tokens, but vocab_size is 49 in --some_file\. Give the vocabulary"):
        load_fitting_vocab(place / "vocab.txt", config, "--some_file")


def test_hf_config_of_another_model_is_refused(place):
    config = dataclasses.replace(BERT, num_hidden_layers=4)
    (place / "hf_config" / "config.json").write_text(config.to_json(), encoding="utf-8")
    with pytest.raises(ValueError, match=r"hf_config/config\.json: describes another model than --tf_config_file"):
        load(place)


def test_missing_files_are_named(place):
    (place / "hf_config" / "tokenizer_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"tokenizer_config\.json: no such file"):
        load(place)
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        load(place, None, "none.txt")


def test_configuration_of_another_training_is_refused(place):
    """`params.yaml` beside the checkpoint knows what the weights do not show."""
    params = {"task": {"model": {"encoder": {"bert": {"hidden_activation": "relu"}}}}}
    (place / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    with pytest.raises(ValueError, match="hidden_activation is relu, but gelu"):
        load(place)


def write_params(directory: Path, **params) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "params.yaml").write_text(json.dumps(params), encoding="utf-8")


def write_continued(directory: Path, **values) -> None:
    """Write the provenance of a directory that convert_hf_checkpoint_to_tf2.py made."""
    directory.mkdir(exist_ok=True)
    content = {"stage": "convert_hf_checkpoint_to_tf2", "arguments": {"hf_model_dir": "/home/me/our-bert"}, **values}
    (directory / "provenance.json").write_text(json.dumps(content), encoding="utf-8")


RECORDED = {"base_model": "a/b", "base_license": "mit", "added_tokens": 7}


class TestBaseModel:
    @pytest.mark.parametrize("start", ["tf2/ckpt-0", "tf2"])
    def test_it_is_kept_through_two_stages(self, place, start):
        write_continued(place / "tf2", **RECORDED)
        write_params(place / "first", task={"init_checkpoint": str(place / start)})
        write_params(place, task={"init_checkpoint": str(place / "first" / "ckpt-9")})
        model = load(place)
        assert [stage.steps for stage in model.stages] == [9, 8]
        assert model.base == BaseModel("a/b", "mit", 7)

    def test_a_checkpoint_that_was_not_trained_further(self, place):
        write_continued(place, **RECORDED)
        assert load(place).base == BaseModel("a/b", "mit", 7)

    def test_version_0_1_recorded_the_directory(self, place):
        write_continued(place / "tf2", added_tokens=0)
        write_params(place, task={"init_checkpoint": str(place / "tf2" / "ckpt-0")})
        assert load(place).base == BaseModel("our-bert", None, 0)

    def test_the_directory_of_the_tokenizer_is_asked_second(self, place):
        """The trainer started from a copy in a bucket."""
        write_params(place, task={"init_checkpoint": "gs://bucket/tf2/ckpt-0"})
        assert load(place).base is None
        write_continued(place / "hf_config", **RECORDED)
        assert load(place).base == BaseModel("a/b", "mit", 7)

    def test_a_model_from_random_weights_has_none(self, place):
        write_continued(place / "hf_config", **RECORDED)
        write_params(place, task={"init_checkpoint": ""})
        assert load(place).base is None

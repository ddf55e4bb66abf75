"""Google's TF1 checkpoints become TF2 checkpoints with every head: the logits of Transformers, Model Garden's bits."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import convert_tf1_checkpoint_to_tf2 as convert
from japanese_bert.common import command_line
from japanese_bert.conversion import frameworks, verification
from japanese_bert.conversion.hf_writing import write_safetensors
from japanese_bert.models.checkpoint_reading import read_weights
from japanese_bert.models.config import BertConfig, load_bert_config
from japanese_bert.models.model_garden import model_params
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers import converting
from tests.helpers.small_pretraining import SUBJECTS, VERBS
from tests.helpers.tf1_checkpoints import (
    convert_by_model_garden,
    make_models,
    tf1_variables_of,
    write_google_archive,
    write_tf1_checkpoint,
)
from tests.test_configs import bert_config, with_tensorflow

pytestmark = [*with_tensorflow]
ELECTRA = [converting.CONFIGS["discriminator"], converting.CONFIGS["generator"]]


def run(*flags: str | Path) -> None:
    arguments = [str(flag) for flag in ("--do_lower_case", *flags)]
    command_line.run_stage(convert.get_parser(), convert.main, arguments)


def write_words(path: Path, size: int) -> Path:
    path.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *(f"w{number}" for number in range(size - 5))]))
    return path


def write_spm(path: Path) -> int:
    """Write a SentencePiece model, and return its size."""
    import sentencepiece

    model = io.BytesIO()
    text = iter([subject + verb for subject in SUBJECTS for verb in VERBS])
    special = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
    options = {"vocab_size": 90, "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 2, **special}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=text, model_writer=model, **options)
    path.write_bytes(model.getvalue())
    return len(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()))


def make_tf2(configs: list[BertConfig], place: Path, words: list) -> list:
    """Write what Google has of a model to `tf1`, convert it to `tf2`, and return the models of Transformers."""
    if len(configs) == 1:
        models = [write_google_archive(configs[0], place / "tf1")]
        (config_file,) = (place / "tf1").glob("*_config.json")
        flags = ["--config_file", config_file]
    else:
        models = make_models(configs)
        write_tf1_checkpoint(tf1_variables_of(models), place / "tf1" / "bert_model.ckpt")
        for name, config in zip(("config", "generator"), configs, strict=True):
            (place / f"{name}.json").write_text(config.to_json(), encoding="utf-8")
        flags = ["--config_file", place / "config.json", "--generator_config_file", place / "generator.json"]
    run("--tf1_checkpoint", place / "tf1", *flags, *words, "--output_dir", place / "tf2")
    return models


def assert_logits_of_transformers(models: list, configs: list[BertConfig], place: Path) -> None:
    """Compare the logits of all heads. Transformers computes a generator's with another GELU and with the trained."""
    for number, (model, config) in enumerate(zip(models, configs, strict=True)):
        directory = place / f"hf{number}"
        directory.mkdir()
        (directory / "config.json").write_text(config.to_json(), encoding="utf-8")
        weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
        write_safetensors(weights, directory / "model.safetensors")
        cases = verification.make_cases(place / "tf2" / "ckpt-0", config, None, None)
        assert all(np.abs(logits).max() > 1e-3 for case in cases for logits in case.logits.values())
        found = {key: value for key, value in frameworks.logit_differences(directory, cases).items() if value}
        for name, differences in found.items():
            assert not frameworks.exceed(differences, verification.max_difference(name, config)), (name, differences)
        assert any(verification.max_difference(name, config) == 1e-4 for name in found)


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("bert")
    words = write_words(place / "vocab.txt", 50)
    models = make_tf2([converting.BERT], place, ["--vocab_file", words])
    assert_logits_of_transformers(models, [converting.BERT], place)
    return place


def test_files_of_a_bert(bert):
    names = {"ckpt-0.index", "ckpt-0.data-00000-of-00001", "checkpoint", "config.json", "model.yaml", "vocab.txt"}
    assert {path.name for path in (bert / "tf2").iterdir()} == names | {"tokenizer_config.json", "provenance.json"}
    assert load_bert_config(bert / "tf2" / "config.json") == converting.BERT
    params = yaml.safe_load((bert / "tf2" / "model.yaml").read_text(encoding="utf-8"))
    assert params["task"]["model"] == model_params(converting.BERT)
    settings = json.loads((bert / "tf2" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "BertTokenizer"
    assert (settings["do_lower_case"], settings["strip_accents"], settings["tokenize_chinese_chars"]) == (True,) * 3
    made_by = json.loads((bert / "tf2" / "provenance.json").read_text(encoding="utf-8"))
    assert (made_by["base_model"], made_by["vocab_size"]) == ("tf1", 50)


def assert_the_other_converter_accepts_it(place: Path, output: Path, *flags: str) -> None:
    flags = ("--hf_config_dir", str(place / "tf2"), "--license", "mit", *flags)
    converting.run(place / "tf2", output, *flags, config=place / "tf2" / "config.json")
    found, expected = converting.read_safetensors(output), converting.read_safetensors(place / "hf0")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)
    assert "base_model: tf1" in (output / "README.md").read_text(encoding="utf-8")


def test_the_other_converter_accepts_it(bert, tmp_path):
    assert_the_other_converter_accepts_it(bert, tmp_path / "hf", "--vocab_file", str(bert / "tf2" / "vocab.txt"))


def test_an_albert_with_its_sentencepiece_model(tmp_path):
    size = write_spm(tmp_path / "30k.model")
    config = dataclasses.replace(converting.ALBERT, vocab_size=size)
    models = make_tf2([config], tmp_path, ["--spm_file", tmp_path / "30k.model"])
    assert_logits_of_transformers(models, [config], tmp_path)
    assert (tmp_path / "tf2" / "spiece.model").read_bytes() == (tmp_path / "30k.model").read_bytes()
    settings = json.loads((tmp_path / "tf2" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert (settings["tokenizer_class"], settings["keep_accents"]) == ("AlbertTokenizer", False)
    assert_the_other_converter_accepts_it(tmp_path, tmp_path / "hf")
    assert (tmp_path / "hf" / "spiece.model").read_bytes() == (tmp_path / "30k.model").read_bytes()


def test_an_electra_has_two_configurations(tmp_path):
    words = ["--vocab_file", write_words(tmp_path / "vocab.txt", 50)]
    models = make_tf2(ELECTRA, tmp_path, words)
    assert_logits_of_transformers(models, ELECTRA, tmp_path)
    params = yaml.safe_load((tmp_path / "tf2" / "model.yaml").read_text(encoding="utf-8"))
    assert params["task"]["model"] == model_params(*ELECTRA)
    assert params["task"]["train_data"] == {"use_next_sentence_label": False}
    assert load_bert_config(tmp_path / "tf2" / "generator_config.json") == ELECTRA[1]


def test_rerun_skips_what_is_complete(bert, capsys):
    files = ["--config_file", bert / "tf1/bert_config.json", "--vocab_file", bert / "vocab.txt"]
    run("--tf1_checkpoint", bert / "tf1/bert_model.ckpt", *files, "--output_dir", bert / "tf2")
    assert "skip" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tf1_checkpoint", "{bert}/tf2"], "is a checkpoint of TensorFlow 2 already"),
        (["--tf1_checkpoint", "{bert}/none"], "no such checkpoint"),
        (["--vocab_file", "{bert}/short.txt"], "has 49 tokens, but vocab_size is 50"),
        (["--config_file", "{bert}/albert.json"], "model.ckpt: no variable bert/encoder/embedding_hidden_mapping_in"),
        (["--config_file", "{bert}/electra.json"], "and ElectraForMaskedLM in --generator_config_file"),
        (["--generator_config_file", "{bert}/albert.json"], "Expected a BERT or ALBERT in --config_file alone"),
    ],
)
def test_what_cannot_be_converted_is_one_line(bert, capsys, flags, message):
    write_words(bert / "short.txt", 49)
    (bert / "albert.json").write_text(converting.ALBERT.to_json(), encoding="utf-8")
    (bert / "electra.json").write_text(ELECTRA[0].to_json(), encoding="utf-8")
    files = ["--tf1_checkpoint", bert / "tf1", "--config_file", bert / "tf1/bert_config.json"]
    given = [flag.format(bert=bert) for flag in flags]
    with pytest.raises(SystemExit) as error:
        run(*files, "--vocab_file", bert / "vocab.txt", *given, "--output_dir", bert / "wrong")
    lines = capsys.readouterr().err.splitlines()
    assert (error.value.code, len(lines)) == (1, 1)
    assert message in lines[0]
    assert not (bert / "wrong").exists()


def test_a_file_that_is_no_sentencepiece_model(bert, capsys):
    files = ["--tf1_checkpoint", bert / "tf1", "--config_file", bert / "tf1/bert_config.json"]
    with pytest.raises(SystemExit):
        run(*files, "--spm_file", bert / "vocab.txt", "--output_dir", bert / "wrong")
    assert "no SentencePiece model" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert_base", "albert_base", "electra_small"])
def test_real_sizes(name, tmp_path):
    """Equal Transformers' logits. The encoder of a BERT and an ALBERT equals that of Model Garden's converter."""
    configs = [bert_config(f"{name}_wordpiece")]
    if name == "electra_small":
        configs.append(bert_config("electra_small_generator_wordpiece"))
    models = make_tf2(configs, tmp_path, ["--vocab_file", write_words(tmp_path / "vocab.txt", 32_768)])
    assert_logits_of_transformers(models, configs, tmp_path)
    if name != "electra_small":
        kind = name.removesuffix("_base")
        archive = convert_by_model_garden(kind, tmp_path / "tf1", tmp_path / "archive")
        assert_equal_encoders(archive, tmp_path / "tf2" / "ckpt-0")
        weights = read_weights(tmp_path / "tf2" / "ckpt-0", configs[0])
        assert all(np.array_equal(weights[key], value.detach()) for key, value in models[0].named_parameters())


def assert_equal_encoders(archive: Path, converted: Path) -> None:
    import tensorflow as tf

    theirs, ours = tf.train.load_checkpoint(str(archive)), tf.train.load_checkpoint(str(converted))
    names = [name for name in theirs.get_variable_to_shape_map() if name.startswith("encoder/")]
    word_embeddings = "encoder/layer_with_weights-0/embeddings/.ATTRIBUTES/VARIABLE_VALUE"
    in_head = "masked_lm/embedding_table/.ATTRIBUTES/VARIABLE_VALUE"
    assert len(names) > 20
    for name in names:
        ours_name = in_head if name == word_embeddings and ours.has_tensor(in_head) else name
        assert np.array_equal(theirs.get_tensor(name), ours.get_tensor(ours_name)), name

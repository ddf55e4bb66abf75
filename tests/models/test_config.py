"""What a `config.json` may say, and what is refused."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from japanese_bert.models.config import BertConfig, load_bert_config, num_positions
from tests.helpers.converting import BERT

ALBERT = dataclasses.replace(BERT, embedding_size=8, architecture="AlbertForPreTraining")
DISCRIMINATOR = dataclasses.replace(BERT, embedding_size=8, architecture="ElectraForPreTraining")


def write(path: Path, config: BertConfig, **changes) -> Path:
    path.write_text(json.dumps({**json.loads(config.to_json()), **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize("config", [BERT, ALBERT, DISCRIMINATOR])
def test_what_is_written_is_read(tmp_path, config):
    assert load_bert_config(write(tmp_path / "config.json", config)) == config


@pytest.mark.parametrize(("config", "expected"), [(BERT, "BertForPreTraining"), (ALBERT, "AlbertForPreTraining")])
def test_the_default_class_has_all_heads(tmp_path, config, expected):
    assert load_bert_config(write(tmp_path / "config.json", config, architectures=None)).architecture == expected


def test_older_files_say_gelu_and_have_other_fields(tmp_path):
    assert load_bert_config(write(tmp_path / "config.json", BERT, hidden_act="gelu", use_cache=True)) == BERT


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (BERT, {"hidden_act": "relu"}, "hidden_act is 'relu', expected 'gelu_new'"),
        (BERT, {"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05, expected 1e-12"),
        (BERT, {"hidden_size": "12"}, "hidden_size is '12', expected a positive integer"),
        (BERT, {"hidden_size": 12.0}, "hidden_size is 12.0, expected a positive integer"),
        (BERT, {"num_hidden_layers": 0}, "num_hidden_layers is 0, expected a positive integer"),
        (BERT, {"num_hidden_layers": True}, "num_hidden_layers is True, expected a positive integer"),
        (
            BERT,
            {"num_hidden_layers": 10**9},
            "num_hidden_layers is 1000000000, expected a positive integer, at most 1,000",
        ),
        (BERT, {"vocab_size": 10**12}, "vocab_size is 1000000000000, expected a positive integer, at most 16,777,216"),
        (BERT, {"hidden_dropout_prob": float("inf")}, "hidden_dropout_prob is inf, expected a number"),
        (BERT, {"vocab_size": None}, "vocab_size is None, expected a positive integer"),
        (BERT, {"initializer_range": -0.1}, "initializer_range is -0.1, expected a number of at least 0"),
        (BERT, {"num_attention_heads": 5}, "hidden_size 12 is not a multiple of num_attention_heads 5"),
        (BERT, {"model_type": "roberta"}, "model_type is 'roberta', expected bert, albert or electra"),
        (
            BERT,
            {"architectures": ["BertModel"]},
            'architectures is ["BertModel"], expected ["BertForPreTraining"] (BERT with next sentence head) or '
            '["BertForMaskedLM"] (BERT without next sentence head)',
        ),
        (
            DISCRIMINATOR,
            {"architectures": None},
            'architectures is null, expected ["ElectraForPreTraining"] (ELECTRA discriminator) or '
            '["ElectraForMaskedLM"] (ELECTRA generator)',
        ),
        (ALBERT, {"embedding_size": None}, "embedding_size is None, expected a positive integer"),
        (ALBERT, {"embedding_size": 12}, "embedding_size is hidden_size (12). Expected another size"),
        (ALBERT, {"num_hidden_groups": 3}, "num_hidden_groups and inner_group_num are 3 and 1, expected 1 and 1"),
    ],
)
def test_what_no_trained_model_has_is_refused(tmp_path, config, changes, message):
    path = write(tmp_path / "config.json", config, **changes)
    with pytest.raises(ValueError) as error:
        load_bert_config(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not JSON"), ("[]", "is a JSON list"), ("[" * 100_000, "config.json: not")]
)
def test_what_is_no_json_object_is_refused(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_bert_config(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_bert_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 130, "pad_token_id": 1}, 128),
        ({"model_type": "xlnet"}, None),
    ],
)
def test_positions_of_models_of_others(values, expected):
    assert num_positions(SimpleNamespace(**values)) == expected

"""The model card from configurations, and from `<output>.json` files as the other stages write them."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from japanese_bert.common.provenance import InputFiles, Provenance
from japanese_bert.conversion import model_card
from japanese_bert.conversion.model_card import (
    UNKNOWN,
    CardFacts,
    CardValues,
    as_recorded,
    card_values,
    read_license,
    values_hash,
)
from japanese_bert.models.config import load_bert_config
from japanese_bert.models.training_history import BaseModel, read_stages
from japanese_bert.tokenization.tokenizer_directory import load_settings
from tests.helpers.converting import CONFIGS, random_weights
from tests.helpers.places import ROOT

MODEL = "bert_base_wordpiece"
DICTIONARY = {"name": "unidic_lite", "version": "1.0.8", "size": 1234}


def write_yaml(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def write_data(directory: Path, corpus: str, number: int) -> None:
    """Write the `<output>.json` of a TFRecord file. The file itself is not read."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"pretraining_data_{number:02}.tfrecord.gz"
    path.touch()
    record = {
        "method": {"do_whole_word_mask": True, "masked_lm_prob": 0.15, "dupe_factor": 5},
        "inputs": [
            {"name": f"corpus_{number:02}.txt", "size": 1_500_000, "sha256": f"{corpus}{number}"},
            {"name": "vocab.txt", "size": 99, "sha256": "v"},
        ],
        "counts": {"documents": 1_000, "sentences": 20_000, "tokens": 300_000, "words": 250_000},
        "arguments": {"input_file": f"/home/me/{corpus}/corpus_{number:02}.txt", "vocab_file": "/home/me/vocab.txt"},
    }
    path.with_name(path.name + ".json").write_text(json.dumps(record), encoding="utf-8")


def params(input_path: Path, seq_length: int, batch_size: int, init_checkpoint: str = "") -> dict:
    polynomial = {"initial_learning_rate": 1e-4, "decay_steps": 1_000_000}
    return {
        "task": {
            "init_checkpoint": init_checkpoint,
            "train_data": {
                "input_path": str(input_path),
                "seq_length": seq_length,
                "max_predictions_per_seq": seq_length * 15 // 100,
                "global_batch_size": batch_size,
            },
        },
        "trainer": {
            "train_steps": 1_000_000,
            "optimizer_config": {
                "learning_rate": {"type": "polynomial", "polynomial": polynomial},
                "optimizer": {"type": "adamw", "adamw": {"weight_decay_rate": 0.01}},
                "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 10_000}},
            },
        },
    }


@pytest.fixture
def two_stages(tmp_path) -> Path:
    """Return the last checkpoint of the second stage. Its data are two shards, the first stage has one shard."""
    data, model = tmp_path / "data", tmp_path / "model"
    write_data(data / "cc-100", "cc-100", 1)
    for number in (1, 2):
        write_data(data / "wikipedia", "wikipedia", number)
    first, second = model / "cc-100", model / "wikipedia"
    write_yaml(first / "params.yaml", params(data / "cc-100" / "*.tfrecord.gz", 128, 2048))
    write_yaml(
        second / "params.yaml", params(data / "wikipedia" / "*.tfrecord.gz", 512, 512, str(first / "ckpt-1000000"))
    )
    return second / "ckpt-900000"


def values(stages: list, **changes) -> CardValues:
    directory = ROOT / "hf_model_configs" / MODEL
    facts = {
        "name": "bert-base-japanese",
        "license": "apache-2.0",
        "base": None,
        "config": load_bert_config(directory / "config.json"),
        "settings": load_settings(directory / "tokenizer_config.json"),
        "dictionary": DICTIONARY,
        "vocab_made_by": {"counts": {"sentences": 10_000_000, "alphabet": 7_012}},
        "stages": stages,
        "files": ["config.json", "model.onnx"],
    }
    return card_values(CardFacts(**{**facts, **changes}))


def card(stages: list, **changes) -> str:
    return model_card.fill_template(values(stages, **changes))


def metadata(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_card_of_the_recipe(two_stages, tmp_path):
    text = card(read_stages(two_stages))
    assert metadata(text) == {
        "language": ["ja"],
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "mask_token": "[MASK]",
        "tags": ["bert", "onnx"],
        "datasets": ["cc100", "wikipedia"],
        "widget": [{"text": "東北大学で[MASK]の研究をしています。"}],
    }
    for line in (
        "# bert-base-japanese",
        "- `cc-100`: 1 file, 1.5 MB of text, 1,000 documents, 20,000 sentences, 300,000 tokens",
        "- `wikipedia`: 2 files, 3.0 MB of text, 2,000 documents, 40,000 sentences, 600,000 tokens",
        "| | stage 1 | stage 2 |",
        "|---|---|---|",
        "| initial weights | random | stage 1 |",
        "| corpus | cc-100 | wikipedia |",
        "| sequence length, tokens | 128 | 512 |",
        "| predictions per sequence | 19 | 76 |",
        "| batch size | 2,048 | 512 |",
        "| steps | 1,000,000 | 900,000 |",
        "| learning rate | 0.0001 | 0.0001 |",
        "| steps of warm-up | 10,000 | 10,000 |",
        "| weight decay | 0.01 | 0.01 |",
    ):
        assert f"\n{line}\n" in text, line
    assert "111,833,602 parameters" in text
    assert "masked language modelling of whole words and next sentence prediction" in text
    assert "MeCab with the dictionary unidic_lite 1.0.8 (1,234 bytes)" in text
    assert "WordPiece, 32,768 entries" in text
    assert "was trained on 10,000,000 sentences" in text
    assert UNKNOWN not in text
    assert str(tmp_path) not in text
    assert "/home/me" not in text


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "bert",
            [
                "- bert",
                "A BERT for Japanese: 3 layers, hidden size 12",
                "masked language modelling.",
                "`TFBertForMaskedLM.from_pretrained",
                "It returns `logits`.",
            ],
        ),
        (
            "albert",
            [
                "- albert",
                "An ALBERT for Japanese: 3 layers that share their weights, embedding size 8, hidden",
                "masked language modelling and next sentence prediction.",
                "(`albert.pooler`, `sop_classifier`)",
                "`FlaxAlbertForPreTraining.from_pretrained",
                "It returns `logits` and `sop_logits`.",
            ],
        ),
        (
            "discriminator",
            [
                "- electra",
                "An ELECTRA discriminator for Japanese: 3 layers, embedding size 8",
                "the detection of replaced tokens",
                "AutoModelForPreTraining",
            ],
        ),
        (
            "generator",
            [
                "- electra",
                "An ELECTRA generator for Japanese: 2 layers",
                "pipeline_tag: fill-mask",
                "model.generator_predictions.activation = get_activation",
            ],
        ),
    ],
)
def test_card_of_each_class(name, lines):
    text = card([], config=CONFIGS[name])
    assert all(line in text for line in lines), [line for line in lines if line not in text]
    parameters = sum(array.size for array in random_weights(CONFIGS[name]).values())
    assert f"{parameters:,} parameters" in text
    assert ("fill-mask" in text) == ("[MASK]" in text) == (name != "discriminator")
    assert ("is no fault" in text) == (name == "albert")
    assert ("computes the exact GELU" in text) == (name == "generator")


def test_what_is_not_recorded_is_marked():
    text = card([], settings=None, dictionary=None, vocab_made_by=None, files=[])
    assert "datasets" not in metadata(text)
    assert metadata(text)["tags"] == ["bert"]
    assert f"## Training data\n\n- {UNKNOWN}\n" in text
    assert f"## Training\n\n{UNKNOWN}\n" in text
    assert f"Words: {UNKNOWN}." in text
    assert "onnx" not in text.lower()
    assert "trust_remote_code" not in text


@pytest.mark.parametrize(("mecab_dic", "name"), [("/home/me/my-dic", "my-dic"), ("ipadic", "ipadic"), (None, UNKNOWN)])
def test_name_of_a_dictionary_that_is_not_recorded(mecab_dic, name):
    settings = load_settings(ROOT / "hf_model_configs" / MODEL / "tokenizer_config.json")
    text = card([], dictionary=None, settings=dataclasses.replace(settings, mecab_dic=mecab_dic))
    assert f"by MeCab with the dictionary {name}. Words are split" in text
    assert "/home/me" not in text
    assert f"fugashi {'ipadic' if name == 'ipadic' else 'unidic-lite'}\n" in text


def test_data_that_is_gone_and_a_foreign_start(two_stages, tmp_path):
    write_yaml(two_stages.parent / "params.yaml", params(tmp_path / "gone" / "*", 512, 512, "/gone/continued/ckpt-0"))
    (stage,) = read_stages(two_stages)
    text = card([stage])
    assert "| initial weights | continued/ckpt-0 |" in text
    assert f"| corpus | {UNKNOWN} |" in text
    assert "| sequence length, tokens | 512 |" in text


def test_card_of_a_continued_model(two_stages, tmp_path):
    write_yaml(two_stages.parent / "params.yaml", params(tmp_path / "gone" / "*", 512, 512, "/gone/tf2/ckpt-0"))
    base = BaseModel("tohoku-nlp/bert-base-japanese-v3", "cc-by-sa-3.0", 2000)
    text = card(read_stages(two_stages), license=base.license, base=base)
    assert metadata(text)["base_model"] == "tohoku-nlp/bert-base-japanese-v3"
    assert metadata(text)["license"] == "cc-by-sa-3.0"
    link = "[`tohoku-nlp/bert-base-japanese-v3`](https://huggingface.co/tohoku-nlp/bert-base-japanese-v3)"
    assert f"Its pretraining was continued from {link} on raw text, with masked language modelling" in text
    assert f"The card of {link} names the data before these.\n" in text
    assert f"The last 2,000 entries were added to the vocabulary of {link}." in text
    assert f"\n| initial weights | {link} |\n" in text
    assert f"`cc-by-sa-3.0`, the licence of {link}. The training data have" in text
    assert "\n\n\n" not in text
    assert "/gone" not in text


def test_a_base_without_licence_and_without_a_place_on_the_hub(two_stages):
    text = card(read_stages(two_stages), license=None, base=BaseModel("our-bert", None, 0))
    assert metadata(text)["base_model"] == "our-bert"
    assert "license" not in metadata(text)
    assert "continued from `our-bert` on raw text" in text
    assert f"## Licence\n\n{UNKNOWN}. The training data" in text
    assert "huggingface.co" not in text
    assert "were added" not in text
    text = card([], license="mit", base=BaseModel("our-bert", "apache-2.0", 0))
    assert "`mit`. The training data" in text
    assert "\n| initial weights | random | stage 1 |\n" in card(read_stages(two_stages))
    assert "\n| initial weights | `our-bert` | stage 1 |\n" in card(
        read_stages(two_stages), base=BaseModel("our-bert", None, 0)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nlicense: cc-by-sa-4.0\nlanguage: ja\n---\n# BERT\n", "cc-by-sa-4.0"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", None),
        ("---\nlicense: [mit\n---\n", None),
        ("---\n- mit\n---\n", None),
        ("# BERT\n", None),
        (None, None),
    ],
)
def test_licence_of_a_card(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "README.md").write_bytes(text.encode("utf-8"))
    assert read_license(tmp_path) == expected


def test_checkpoints_in_a_circle_end(two_stages):
    """A stage may name itself as its start."""
    write_yaml(two_stages.parent / "params.yaml", params(Path("none"), 512, 512, str(two_stages)))
    assert len(read_stages(two_stages)) == 1


def test_damaged_parameters_are_refused(two_stages):
    (two_stages.parent / "params.yaml").write_text("task: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"params\.yaml: not YAML"):
        read_stages(two_stages)


def test_text_from_outside_breaks_neither_yaml_nor_markdown_nor_python(two_stages, tmp_path):
    data = tmp_path / "data" / "a|b`c"
    write_data(data, "a|b`c", 1)
    write_yaml(two_stages.parent / "params.yaml", params(data / "*.tfrecord.gz", 512, 512))
    name = 'my "model"\n---\n`x`'
    text = card(read_stages(two_stages), name=name, license="other: {yes}\n---")
    assert metadata(text)["license"] == "other: {yes} ---"
    lines = text.split("\n")
    assert lines.count("---") == 2
    assert "# my \"model\" --- 'x'" in lines
    (row,) = [line for line in lines if line.startswith("| corpus |")]
    assert row == "| corpus | a\\|b'c |"
    assert "- `a|b'c`: 1 file, 1.5 MB of text, 1,000 documents, 20,000 sentences, 300,000 tokens" in lines
    (code,) = [line for line in lines if line.startswith("fill_mask = ")]
    model = {}
    exec(code, {"pipeline": lambda _, model: model}, model)
    assert model["fill_mask"] == name


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "<img src=//x.org>",
        "[x](//x.org)",
        "![x](//x.org)",
        "x | y",
        "\\<b>",
        "x\n\n# y",
        "a/b)<b>",
    ],
)
def test_names_of_strangers_are_no_markup(two_stages, tmp_path, text):
    """Records of a downloaded model have names that anyone wrote. All places of the card but code show them as text."""
    dictionary = {"name": text, "version": "1", "size": 1, "sha256": "0"}
    base = BaseModel(text, "mit", 0)
    facts = card(read_stages(two_stages), name=text, dictionary=dictionary, base=base)
    body = re.sub(r"```.*?```|`[^`\n]*`", "", facts.split("\n---\n", 1)[1], flags=re.S)
    tags = re.findall(r"(?<!\\)(?:\\\\)*(<[a-z/]|!?\[[^]]*\]\((?!https://huggingface\.co))", body)
    assert tags == []
    assert len(re.findall(r"^# ", body, flags=re.M)) == 1
    (head, *rows) = [line for line in body.split("\n") if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {head.count("|")}


def test_hash_is_of_facts(two_stages, monkeypatch, tmp_path):
    """Another wording keeps it, every fact changes it."""
    stages = read_stages(two_stages)
    before = values_hash(values(stages))
    template = tmp_path / "model_card.md"
    template.write_text("---\n{{ card_data }}\n---\nShort.\n", encoding="utf-8")
    monkeypatch.setattr(model_card, "TEMPLATE", template)
    assert "Short." in card(stages)
    assert values_hash(values(stages)) == before
    changes = ({"license": "mit"}, {"name": "other"}, {"files": []}, {"dictionary": None}, {"vocab_made_by": None})
    changes += tuple({"base": BaseModel(*base)} for base in (("a", None, 0), ("b", None, 0), ("b", "mit", 0)))
    hashes = {values_hash(values(stages, **change)) for change in changes} | {values_hash(values(stages[:1]))}
    assert len(hashes | {before}) == 10


def write_provenance(directory: Path, **content) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "provenance.json").write_text(json.dumps({"stage": "x", **content}), encoding="utf-8")


def test_an_output_of_version_0_1_is_compared_by_its_own_hash(tmp_path):
    """Unless the licence is another one. An output of this version is compared by the hash of its facts."""
    new = Provenance("x", {"onnx": False, "model_card": "new"}, InputFiles(), {"license": "mit"})
    output = tmp_path / "model"
    assert as_recorded(new, output, {}) is new
    old = {"method": {"onnx": True, "model_card": "old"}, "arguments": {"license": "mit"}}
    write_provenance(output, **old)
    assert as_recorded(new, output, {}).method == {"onnx": False, "model_card": "old"}
    write_provenance(output, **old, card_sha256="3f")
    assert as_recorded(new, output, {}) is new
    write_provenance(output, method=old["method"], arguments={"license": "apache-2.0"})
    assert as_recorded(new, output, {}) is new
    by_default = dataclasses.replace(new, arguments={"license": None})
    assert as_recorded(by_default, output, {}).method["model_card"] == "old"


def test_an_output_from_before_base_models_is_compared_without_them(tmp_path):
    """Its card had the default licence."""
    base = BaseModel("tohoku-nlp/bert-base-japanese-v3", "cc-by-sa-3.0", 0)
    now = values([], base=base, license=base.license)
    write_provenance(tmp_path / "model", method={"model_card": values_hash(values([]))}, card_sha256="3f")
    new = Provenance("x", {"model_card": values_hash(now)}, InputFiles(), {"license": None})
    assert as_recorded(new, tmp_path / "model", now).method["model_card"] == values_hash(values([]))
    for license, facts in (("mit", now), (None, {**now, "name": "another"})):
        provenance = dataclasses.replace(new, arguments={"license": license})
        assert as_recorded(provenance, tmp_path / "model", facts) is provenance


@pytest.mark.parametrize("key", ["card_sha256", "method"])
def test_a_card_that_a_user_changed_is_kept(tmp_path, capsys, key):
    """The hash of the card stands in the method if version 0.1 wrote it."""
    output, directory = tmp_path / "model", tmp_path / "model.tmp"
    output.mkdir()
    directory.mkdir()
    path = output / "README.md"
    path.write_text("As written.", encoding="utf-8")
    digest = hashlib.sha256(b"As written.").hexdigest()
    write_provenance(output, **({key: {"model_card": digest}} if key == "method" else {key: digest}))
    recorded = model_card.write_card(values([]), directory, output)
    assert recorded == hashlib.sha256((directory / "README.md").read_bytes()).hexdigest()
    assert "read it before you publish it" in capsys.readouterr().out
    (directory / "README.md").unlink()
    path.write_text("Changed.", encoding="utf-8")
    assert model_card.write_card(values([]), directory, output) == recorded
    assert not (directory / "README.md").exists()
    assert f"{path}: kept" in capsys.readouterr().out

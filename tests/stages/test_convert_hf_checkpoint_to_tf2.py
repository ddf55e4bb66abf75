"""Hugging Face directories -> checkpoints of the trainer and back: the same bits, the same losses."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from math import prod
from pathlib import Path

import numpy as np
import pytest

import convert_hf_checkpoint_to_tf2 as convert
from japanese_bert.common import command_line
from japanese_bert.models.checkpoint_reading import read_weights
from japanese_bert.models.config import load_bert_config
from japanese_bert.models.model_garden import read_instances
from japanese_bert.models.weight_names import weights_of
from japanese_bert.tokenization.tokenizer_directory import FAST_TOKENIZER_FILE
from japanese_bert.tokenization.vocab import load_vocab
from tests.helpers import small_pretraining as small
from tests.helpers.converting import CONFIGS
from tests.helpers.tf1_checkpoints import make_model
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
NEXT_SENTENCE = "cls.seq_relationship.weight"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Make pretraining data, and `hf`: a random model as transformers saves it, without any initial weight."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    place = small.write_all(tmp_path_factory.mktemp("hf"))
    config = small.make_config(small.num_tokens(place / "vocab.txt"))
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(**json.loads(config.to_json())))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(place / "hf")
    shutil.copy(place / "vocab.txt", place / "hf")
    (place / "hf" / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    (place / "hf" / "README.md").write_text("---\nlicense: cc-by-sa-3.0\n---\n", encoding="utf-8")
    (place / "hf" / FAST_TOKENIZER_FILE).write_text("# the module\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def converted(place) -> Path:
    run(place / "hf", place / "tf2")
    return place / "tf2"


def run(hf: Path, output: Path, *flags: str) -> None:
    arguments = ["--hf_model_dir", str(hf), "--output_dir", str(output), *flags]
    command_line.run_stage(convert.get_parser(), convert.main, arguments)


@pytest.mark.skipif(find_spec("triton") is None, reason="this build of PyTorch has no Triton: nothing can crash")
def test_its_process_loads_triton_before_tensorflow(place, tmp_path):
    """The other order ends the process as soon as something imports `torch._dynamo`."""
    arguments = ["--hf_model_dir", place / "hf", "--output_dir", tmp_path / "tf2"]
    code = (
        "import sys, convert_hf_checkpoint_to_tf2 as convert\n"
        "convert.main(convert.get_parser().parse_args())\n"
        "import torch._dynamo\n"
        "modules = list(sys.modules)\n"
        "print(modules.index('triton') < modules.index('tensorflow'))"
    )
    process = subprocess.run([sys.executable, "-c", code, *arguments], cwd=small.ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith("True\n")


def write_hf(config, directory: Path, vocab: Path) -> Path:
    """Write a random model of another architecture as Transformers saves it, with its tied decoder."""
    make_model(config).save_pretrained(directory)
    shutil.copy(vocab, directory)
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    return directory


@pytest.fixture
def electra(place, tmp_path) -> list:
    """Return the configurations of a discriminator and a generator, whose directories are `hf0` and `hf1`."""
    from safetensors.torch import load_file, save_file

    size = small.num_tokens(place / "vocab.txt")
    configs = [replace(CONFIGS[name], vocab_size=size) for name in ("discriminator", "generator")]
    for number, config in enumerate(configs):
        write_hf(config, tmp_path / f"hf{number}", place / "vocab.txt")
    words = "electra.embeddings.word_embeddings.weight"
    tensors = load_file(tmp_path / "hf1" / "model.safetensors")
    tensors[words] = load_file(tmp_path / "hf0" / "model.safetensors")[words]
    save_file(tensors, tmp_path / "hf1" / "model.safetensors")
    return configs


def test_an_albert_there_and_back_again(place, tmp_path):
    config = replace(CONFIGS["albert"], vocab_size=small.num_tokens(place / "vocab.txt"))
    hf = write_hf(config, tmp_path / "hf", place / "vocab.txt")
    run(hf, tmp_path / "tf2")
    assert_same_weights(tmp_path / "tf2", hf)
    values = json.loads((tmp_path / "tf2" / "config.json").read_text(encoding="utf-8"))
    assert (values["model_type"], values["tokenizer_class"]) == ("albert", "BertTokenizer")
    names = {"model": str(tmp_path / "tf2" / "model.yaml"), "check_provenance": False}
    found = small.check(place, f"task.init_checkpoint={tmp_path}/tf2", **names)
    assert [problem for problem in found.problems if "/tf2" in problem] == []


def test_an_electra_of_two_directories_there_and_back_again(place, tmp_path, electra):
    run(tmp_path / "hf0", tmp_path / "tf2", "--hf_generator_dir", str(tmp_path / "hf1"))
    for number, name in enumerate(("config.json", "generator_config.json")):
        found = read_weights(tmp_path / "tf2" / "ckpt-0", load_bert_config(tmp_path / "tf2" / name))
        expected = {name: tensor.numpy() for name, tensor in tensors_of(tmp_path / f"hf{number}").items()}
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in found)
    made_by = json.loads((tmp_path / "tf2" / "provenance.json").read_text(encoding="utf-8"))
    total = sum(prod(row.hf_shape(config)) for config in electra for row in weights_of(config))
    assert made_by["parameters"] == total - electra[0].vocab_size * electra[0].embedding_width
    assert len(made_by["inputs"]["config"]) == 2


def test_new_words_of_an_electra_are_in_both_networks(place, tmp_path, electra):
    words = tmp_path / "words.txt"
    words.write_text("ネコエキ\n", encoding="utf-8")
    flags = ["--hf_generator_dir", str(tmp_path / "hf1"), "--add_vocab_file", str(words)]
    run(tmp_path / "hf0", tmp_path / "tf2", *flags)
    for name in ("config.json", "generator_config.json"):
        config = load_bert_config(tmp_path / "tf2" / name)
        assert config.vocab_size == electra[0].vocab_size + 1
        assert read_weights(tmp_path / "tf2" / "ckpt-0", config)


def test_networks_that_share_no_words_are_refused(place, tmp_path, electra, capsys):
    write_hf(electra[1], tmp_path / "hf2", place / "vocab.txt")
    capsys.readouterr()
    for generator, message in (("hf2", "other word embeddings than"), ("hf0", "ElectraForMaskedLM in --hf_gen")):
        flags = ["--hf_generator_dir", str(tmp_path / generator)]
        assert_refused(capsys, message, tmp_path / "hf0", tmp_path / "tf2", *flags)


def assert_refused(capsys, message: str, hf: Path, output: Path, *flags: str) -> None:
    with pytest.raises(SystemExit) as error:
        run(hf, output, *flags)
    lines = capsys.readouterr().err.splitlines()
    assert error.value.code == 1
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert not output.exists()


def tensors_of(hf: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(hf / "model.safetensors")


def copy_with(place: Path, target: Path, tensors: dict, **config) -> Path:
    """Copy the model's directory with other weights and other values in `config.json`."""
    from safetensors.torch import save_file

    shutil.copytree(place / "hf", target)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target / "model.safetensors")
    values = json.loads((target / "config.json").read_text(encoding="utf-8"))
    (target / "config.json").write_text(json.dumps({**values, **config}), encoding="utf-8")
    return target


def assert_same_weights(directory: Path, hf: Path) -> None:
    found = read_weights(directory / "ckpt-0", load_bert_config(directory / "config.json"))
    expected = {name: tensor.float().numpy() for name, tensor in tensors_of(hf).items()}
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes(), name


def test_there_and_back_again_gives_the_same_bits(place, converted):
    assert_same_weights(converted, place / "hf")
    names = ["checkpoint", "ckpt-0.data-00000-of-00001", "ckpt-0.index", "config.json", "model.yaml"]
    names += ["provenance.json", FAST_TOKENIZER_FILE, "tokenizer_config.json", "vocab.txt"]
    assert sorted(path.name for path in converted.iterdir()) == names
    tokenizer = json.loads((converted / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert tokenizer.pop("tokenizer_class") == "BertJapaneseTokenizer"  # of config.json
    assert tokenizer == {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    assert (converted / FAST_TOKENIZER_FILE).read_bytes() == (place / "hf" / FAST_TOKENIZER_FILE).read_bytes()


@pytest.mark.slow
def test_the_other_converter_accepts_it(place, converted, tmp_path):
    import convert_tf2_checkpoint_to_all_frameworks as convert_back

    flags = ["--tf_checkpoint_path", str(converted), "--tf_config_file", str(converted / "config.json")]
    arguments = convert_back.get_parser().parse_args([*flags, "--output_path", str(tmp_path / "hf")])
    convert_back.main(arguments)
    found, expected = tensors_of(tmp_path / "hf"), tensors_of(place / "hf")
    assert sorted(found) == sorted(expected)
    assert all(found[name].numpy().tobytes() == expected[name].numpy().tobytes() for name in expected)


def trainer_model(directory: Path):
    """Return the trainer's model, initialized as in training."""
    import yaml

    from japanese_bert.models.model_garden import build_model
    from japanese_bert.training.trainer import initialize

    model = build_model(yaml.safe_load((directory / "model.yaml").read_text(encoding="utf-8"))["task"]["model"])
    initialize(model, str(directory))
    return model


def test_losses_at_the_start_are_those_of_pytorch(place, converted):
    from official.nlp.tasks import masked_lm

    config = load_bert_config(converted / "config.json")
    batch = read_instances(place / "held_out" / "valid.tfrecord.gz", config, 64)
    task = masked_lm.MaskedLMTask(masked_lm.MaskedLMConfig())
    task.task_config.train_data = masked_lm.cfg.DataConfig()
    model = trainer_model(converted)
    outputs = task.inference_step(batch, model)
    metrics = {name: Recorder(name) for name in ("lm_example_loss", "next_sentence_loss")}
    task.build_losses(batch, outputs, list(metrics.values()))
    expected = losses_of_pytorch(place / "hf", batch)
    assert float(metrics["lm_example_loss"].value) == pytest.approx(expected[0], abs=1e-4)
    assert float(metrics["next_sentence_loss"].value) == pytest.approx(expected[1], abs=1e-4)
    assert min(expected) > 0.3


class Recorder:
    """A metric that keeps its last value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def update_state(self, value) -> None:
        self.value = value


def losses_of_pytorch(hf: Path, batch: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return masked language model and next sentence loss of a batch, by transformers."""
    import torch
    from transformers import BertForPreTraining

    model = BertForPreTraining.from_pretrained(hf).eval()
    labels = np.full(batch["input_word_ids"].shape, -100, np.int64)
    rows, columns = np.nonzero(batch["masked_lm_weights"])
    labels[rows, batch["masked_lm_positions"][rows, columns]] = batch["masked_lm_ids"][rows, columns]
    tensors = {name: torch.from_numpy(array).long() for name, array in batch.items() if array.dtype != np.float32}
    inputs = {"input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids"}
    inputs = {name: tensors[source] for name, source in inputs.items()}
    with torch.inference_mode():
        next_sentence = tensors["next_sentence_labels"].flatten()
        both = model(**inputs, labels=torch.from_numpy(labels), next_sentence_label=next_sentence).loss
        logits = model(**inputs).seq_relationship_logits
        alone = torch.nn.functional.cross_entropy(logits, next_sentence)
    return float(both - alone), float(alone)


def test_the_untrained_pooler_of_the_encoder_is_a_copy(converted):
    model = trainer_model(converted)
    pooler, head = model.encoder_network.layers[-1], model.classification_heads[0].dense
    assert np.array_equal(pooler.kernel, head.kernel)
    assert np.array_equal(pooler.bias, head.bias)


def test_the_trainer_accepts_it(place, converted):
    from tests.helpers.small_pretraining import check

    shutil.copy(converted / "model.yaml", place / "converted.yaml")
    for path in (converted, converted / "ckpt-0"):
        found = check(place, f"task.init_checkpoint={path}", model="converted.yaml")
        assert (found.problems, found.remarks) == ([], [])


def test_base_model_is_recorded(place, converted, tmp_path, capsys):
    made_by = json.loads((converted / "provenance.json").read_text(encoding="utf-8"))
    assert (made_by["base_model"], made_by["base_license"], made_by["added_tokens"]) == ("hf", "cc-by-sa-3.0", 0)
    assert made_by["method"].keys() == {"max_added_tokens", "initial_learning_rate", "random_seed"}  # version 0.1's
    name = "tohoku-nlp/bert-base-japanese-v3"
    with pytest.raises(SystemExit):
        run(place / "hf", converted, "--base_model", name)
    assert "exists, and other inputs, other arguments" in capsys.readouterr().err
    run(place / "hf", tmp_path / "tf2", "--base_model", name)
    assert json.loads((tmp_path / "tf2" / "provenance.json").read_text(encoding="utf-8"))["base_model"] == name
    assert f"base_model: {name}" in capsys.readouterr().out


def test_a_base_model_is_no_path(place, tmp_path, capsys):
    """The card is made to be published."""
    message = "--base_model /home/me/bert: expected a name on the Hub, such as tohoku-nlp/bert-"
    assert_refused(capsys, message, place / "hf", tmp_path / "tf2", "--base_model", "/home/me/bert")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max_added_tokens", "5"], "--max_added_tokens and --add_pieces need a list of words"),
        (["--add_vocab_file", "words.txt", "--max_added_tokens", "-5"], "--max_added_tokens -5: expected a positive"),
    ],
)
def test_numbers_of_added_tokens(place, tmp_path, capsys, flags, message):
    assert_refused(capsys, message, place / "hf", tmp_path / "tf2", *flags)


@pytest.mark.parametrize(
    ("directory", "recorded", "expected"),
    [
        ("our-bert", None, "our-bert"),
        ("bert-base", "someone/bert-base", "someone/bert-base"),
        ("bert-base", "/home/me/bert-base", "bert-base"),
        ("my-bert", "someone/bert-base", "my-bert"),  # what my-bert was fine-tuned from
        ("hub/models--a-b--c--d/snapshots/0f3a", "x/y", "a-b/c--d"),
    ],
)
def test_name_of_a_model(tmp_path, directory, recorded, expected):
    (tmp_path / directory).mkdir(parents=True)
    (tmp_path / directory / "config.json").write_text(json.dumps({"_name_or_path": recorded}), encoding="utf-8")
    assert convert.hf_reading.find_model_name(tmp_path / directory) == expected


def test_rerun_skips_what_is_complete(place, converted, capsys):
    before = (converted / "provenance.json").stat().st_mtime_ns
    run(place / "hf", converted)
    assert "skipped" in capsys.readouterr().out
    assert (converted / "provenance.json").stat().st_mtime_ns == before


def test_model_without_next_sentence_head_gets_one(place, tmp_path, capsys):
    kept = {name: tensor for name, tensor in tensors_of(place / "hf").items() if "seq_rel" not in name}
    directory = copy_with(place, tmp_path / "hf", kept, architectures=["BertForMaskedLM"])
    run(directory, tmp_path / "tf2")
    assert "the next sentence head is new, random" in capsys.readouterr().err
    weights = read_weights(tmp_path / "tf2" / "ckpt-0", load_bert_config(tmp_path / "tf2" / "config.json"))
    assert 0.01 < weights[NEXT_SENTENCE].std() < 0.03
    assert not weights["cls.seq_relationship.bias"].any()
    name = "bert.pooler.dense.weight"
    assert np.array_equal(weights[name], kept[name].numpy())


def test_gelu_is_remarked(place, tmp_path, capsys):
    directory = copy_with(place, tmp_path / "hf", tensors_of(place / "hf"), hidden_act="gelu")
    run(directory, tmp_path / "tf2")
    assert "NOTE hidden_act is gelu" in capsys.readouterr().out
    config = json.loads((tmp_path / "tf2" / "config.json").read_text(encoding="utf-8"))
    assert config["hidden_act"] == "gelu_new"


def test_added_vocabulary(place, converted, tmp_path, capsys):
    """New rows are the means of the rows of their pieces. Nothing else changes."""
    words = tmp_path / "words.txt"
    words.write_text("図書館\n猫\n##書館\n[PAD]\n\n犬猫\n図書館\n駅前\n", encoding="utf-8")
    flags = ("--add_vocab_file", str(words), "--max_added_tokens", "3", "--add_pieces")
    run(place / "hf", tmp_path / "tf2", *flags)
    line = "  added: lines 132 to 134 of vocab.txt, 図書館 ##書館 犬猫 (all: added_vocab.txt)\n"
    assert line in capsys.readouterr().out
    old, new = load_vocab(place / "vocab.txt"), load_vocab(tmp_path / "tf2" / "vocab.txt")
    assert new.tokens == (*old.tokens, "図書館", "##書館", "犬猫")
    assert (tmp_path / "tf2" / "added_vocab.txt").read_text(encoding="utf-8") == "図書館\n##書館\n犬猫\n"
    config = load_bert_config(tmp_path / "tf2" / "config.json")
    assert config.vocab_size == len(new)
    before = read_weights(converted / "ckpt-0", load_bert_config(converted / "config.json"))
    after = read_weights(tmp_path / "tf2" / "ckpt-0", config)
    for name, array in before.items():
        assert np.array_equal(after[name][: len(array)], array), name
    pieces = [["図", "##書", "##館"], ["##書", "##館"], [old.tokens[index] for index in old.real_token_ids()]]
    for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
        for row, tokens in zip(after[name][len(old) :], pieces, strict=True):
            ids = [old.ids[token] for token in tokens]
            assert np.allclose(row, before[name][ids].mean(axis=0), atol=1e-7)
    assert f"vocab_size: {len(new)}" in (tmp_path / "tf2" / "model.yaml").read_text(encoding="utf-8")


def test_pieces_are_added_only_if_asked_for(place, tmp_path, capsys):
    words = tmp_path / "words.txt"
    words.write_text("図書館\n##書館\n##犬\n犬猫\n駅前\n", encoding="utf-8")
    run(place / "hf", tmp_path / "tf2", "--add_vocab_file", str(words), "--max_added_tokens", "2")
    assert load_vocab(tmp_path / "tf2" / "vocab.txt").tokens[131:] == ("図書館", "犬猫")
    out = capsys.readouterr().out
    assert "left out: new pieces that begin with ## (2). --add_pieces adds them\n" in out
    assert "  added: lines 132 to 133 of vocab.txt, 図書館 犬猫 (all: added_vocab.txt)\n" in out
    words.write_text("##犬\n", encoding="utf-8")
    message = "has no word that the model's vocab.txt lacks. It has new pieces that begin with ## (1). --add_pieces"
    assert_refused(capsys, message, place / "hf", tmp_path / "other", "--add_vocab_file", str(words))


def test_added_words_are_normalized_as_text_is(place, tmp_path, capsys):
    """Text never has the full-width and half-width forms of a list, so no text would hit them."""
    words = tmp_path / "words.txt"
    words.write_text("ﾜｸﾁﾝ\n猫\n ＩｇＧ\t\n##ｶﾞｽ\n㈱\nワクチン\nＰＣＲ検査\n", encoding="utf-8")
    flags = ("--add_vocab_file", str(words), "--add_pieces")
    run(place / "hf", tmp_path / "tf2", *flags)
    tokens = load_vocab(tmp_path / "tf2" / "vocab.txt").tokens[131:]
    assert tokens == ("ワクチン", "IgG", "##ガス", "(株)", "PCR検査")
    out = capsys.readouterr().out
    assert "normalized as in text: 5 (ﾜｸﾁﾝ -> ワクチン, ＩｇＧ -> IgG, ##ｶﾞｽ -> ##ガス, ㈱ -> (株), ＰＣＲ検査" in out
    assert "in vocab.txt already: 1 (猫)" in out


def test_added_words_that_mecab_splits_are_named(place, tmp_path, capsys):
    """Text hits a word only if MeCab leaves it whole. Where the dictionary is not known, nothing is said."""
    words = tmp_path / "words.txt"
    words.write_text("図書館\n言語\n##書館\n", encoding="utf-8")
    directory = copy_with(place, tmp_path / "hf", tensors_of(place / "hf"))
    line = "split by MeCab, so text hits them hardly ever: 1 (図書館 -> 図書 館)\n"
    for dictionary, lines in (("unidic_lite", 1), (str(tmp_path / "none"), 0)):
        settings = {"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": dictionary}}
        (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        run(directory, tmp_path / "tf2", "--add_vocab_file", str(words), "--add_pieces", "--overwrite")
        out = capsys.readouterr().out
        assert out.count(line) == out.count("split by MeCab") == lines


def test_a_tokenizer_that_names_no_dictionary(place, tmp_path, capsys):
    """The first Japanese models were released so. They mean ipadic, which Transformers no longer takes by itself."""
    directory = copy_with(place, tmp_path / "hf", tensors_of(place / "hf"))
    path = directory / "tokenizer_config.json"
    released = {"do_lower_case": False, "subword_tokenizer_type": "wordpiece", "word_tokenizer_type": "mecab"}
    path.write_text(json.dumps(released), encoding="utf-8")
    message = f"{path}: names no MeCab dictionary. The first Japanese models (v1) mean ipadic there"
    assert_refused(capsys, message, directory, tmp_path / "tf2")
    run(directory, tmp_path / "tf2", "--mecab_dic_type", "ipadic")
    written = json.loads((tmp_path / "tf2" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written["mecab_kwargs"] == {"mecab_dic": "ipadic"}
    path.write_text(json.dumps(released | {"mecab_kwargs": {"mecab_dic": "unidic_lite"}}), encoding="utf-8")
    flags = ("--mecab_dic_type", "ipadic")
    assert_refused(capsys, f"--mecab_dic_type ipadic: {path} names unidic_lite", directory, tmp_path / "other", *flags)
    run(directory, tmp_path / "other", "--mecab_dic_type", "unidic_lite")
    before = (tmp_path / "other" / "provenance.json").stat().st_mtime_ns
    run(directory, tmp_path / "other")  # the flag says what the file says: the output is complete
    assert (tmp_path / "other" / "provenance.json").stat().st_mtime_ns == before


def test_vocabulary_without_anything_new_is_refused(place, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("猫\n書\n", encoding="utf-8")
    flags = ("--add_vocab_file", str(tmp_path / "words.txt"))
    message = "has no word that the model's vocab.txt lacks. Leave --add_vocab_file out"
    assert_refused(capsys, message, place / "hf", tmp_path / "tf2", *flags)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"intermediate_size": 41}, "has shape (40,), expected (41,)"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        (
            {"model_type": "electra", "architectures": ["ElectraForMaskedLM"], "embedding_size": 24},
            "architectures is ElectraForMaskedLM. Expected a BERT or ALBERT in --hf_model_dir alone",
        ),
        ({"vocab_size": 130}, "has 131 tokens, but vocab_size is 130"),
    ],
)
def test_configurations_that_do_not_fit(place, tmp_path, capsys, config, message):
    directory = copy_with(place, tmp_path / "hf", tensors_of(place / "hf"), **config)
    assert_refused(capsys, message, directory, tmp_path / "tf2")


@pytest.mark.slow
def test_a_model_of_base_size_through_the_trainer(tmp_path):
    """Compare both losses before the first step, for the released architecture and vocabulary size."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    from japanese_bert.training.curves import read_run

    values = json.loads((small.ROOT / "hf_model_configs/bert_base_wordpiece/config.json").read_text(encoding="utf-8"))
    vocab = small.write_vocab(tmp_path / "vocab.txt")
    missing = values["vocab_size"] - small.num_tokens(vocab)
    vocab.write_bytes(vocab.read_bytes() + "".join(f"語{number}\n" for number in range(missing)).encode())
    torch.manual_seed(0)
    BertForPreTraining(BertConfig(**values)).save_pretrained(tmp_path / "hf")
    shutil.copy(vocab, tmp_path / "hf")
    run(tmp_path / "hf", tmp_path / "tf2")
    assert_same_weights(tmp_path / "tf2", tmp_path / "hf")
    data = small.make_data(small.write_corpus(tmp_path / "c.txt"), vocab, tmp_path / "held_out/valid.tfrecord.gz")
    shutil.copy(tmp_path / "tf2" / "model.yaml", tmp_path)
    small.write_data_yaml(tmp_path / "data.yaml", batch=16)
    more = f"task.init_checkpoint={tmp_path}/tf2,trainer.validation_steps=1"
    small.train(tmp_path, tmp_path / "model", more, mode="eval")
    curves = read_run([tmp_path / "model"])
    config = load_bert_config(tmp_path / "tf2" / "config.json")
    expected = losses_of_pytorch(tmp_path / "hf", read_instances(data, config, 16))
    for tag, loss in zip(("lm_example_loss", "next_sentence_loss"), expected, strict=True):
        assert curves["validation", tag] == [(0, pytest.approx(loss, abs=1e-4))]
        print(tag, curves["validation", tag][0][1], loss)


@pytest.mark.parametrize("place_of_tokens", ["added_tokens.json", "tokenizer_config.json", "none"])
def test_embeddings_with_more_rows_than_the_vocabulary(place, tmp_path, capsys, place_of_tokens):
    """Tokens may be added beside vocab.txt, and rows rounded up to a multiple of 64. Every row stays as it is."""
    directory = shutil.copytree(place / "hf", tmp_path / "hf")
    lines = (place / "vocab.txt").read_bytes().split(b"\n")
    (directory / "vocab.txt").write_bytes(b"\n".join(lines[:100]) + b"\n")
    added = {
        "added_tokens.json": {"<追加>": 100},
        "tokenizer_config.json": {"added_tokens_decoder": {"0": {"content": "[PAD]"}, "100": {"content": "<追加>"}}},
    }
    if place_of_tokens in added:
        (directory / place_of_tokens).write_text(json.dumps(added[place_of_tokens]), encoding="utf-8")
    run(directory, tmp_path / "tf2")
    assert "NOTE config.json has 31 rows more than vocab.txt. The new vocab.txt names them" in capsys.readouterr().out
    tokens = load_vocab(tmp_path / "tf2" / "vocab.txt").tokens
    assert tokens[:100] == tuple(line.decode() for line in lines[:100])
    assert tokens[100] == ("[unused_row100]" if place_of_tokens == "none" else "<追加>")
    assert tokens[101:] == tuple(f"[unused_row{number}]" for number in range(101, 131))
    assert_same_weights(tmp_path / "tf2", place / "hf")
    if place_of_tokens == "tokenizer_config.json":  # a word would be found before MeCab splits the text
        settings = json.loads((tmp_path / "tf2" / "tokenizer_config.json").read_text(encoding="utf-8"))
        assert settings["added_tokens_decoder"] == {"0": {"content": "[PAD]"}}
    (directory / "added_tokens.json").write_text('{"<追加>": 131}', encoding="utf-8")
    assert_refused(capsys, "but vocab_size is 131 in config.json", directory, tmp_path / "other")

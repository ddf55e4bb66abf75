"""The check of a model directory's tokenizer: what it accepts, and the first difference of each kind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from japanese_bert.common import command_line
from japanese_bert.tokenization import tokenizer_directory
from japanese_bert.tokenization.mecab import find_dictionary
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, unused_tokens, vocab_bytes
from tests.helpers.places import ROOT
from tools import check_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of whatever it does not like to load


@pytest.fixture
def directory(tmp_path, monkeypatch) -> Path:
    """Make a WordPiece model directory by `cp hf_model_configs/bert_tiny_wordpiece/* vocab.txt`."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path)
    path = shutil.copytree(ROOT / "hf_model_configs" / "bert_tiny_wordpiece", tmp_path / "checked")
    characters = sorted(set("".join(check_tokenizer.SENTENCES)) - set("\t吾☃ \u3000"))
    pieces = [f"##{character}" for character in characters]
    write_vocab(path, [*SPECIAL_TOKENS, *unused_tokens(10), " ", *characters, *pieces, "名前", "##ython", "語"])
    return path


def write_vocab(directory: Path, tokens: list[str]) -> None:
    tokens = list(dict.fromkeys(tokens))
    (directory / "vocab.txt").write_bytes(vocab_bytes(tokens))
    edit(directory / "config.json", vocab_size=len(tokens))


def edit(path: Path, **values) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | values), encoding="utf-8")


def check(directory: Path, *flags: object) -> None:
    arguments = ["--model_dir", str(directory), *map(str, flags)]
    check_tokenizer.main(check_tokenizer.get_parser().parse_args(arguments))


def record(directory: Path, file: str, **changes) -> None:
    identity = find_dictionary("unidic_lite").identity() | changes
    (directory / file).write_text(json.dumps({"stage": "x", "dictionary": identity}), encoding="utf-8")


def test_directory_made_by_copying_is_accepted(directory, capsys):
    check(directory)
    output = capsys.readouterr().out
    assert "slow tokenizer (transformers" in output and "fast tokenizer (transformers" in output
    assert "The directory does not record its own" in output
    assert f"  compared: {len(check_tokenizer.SENTENCES)}\n" in output


def test_sentences_of_files(directory, tmp_path, capsys):
    """A special token in the text is special to a tokenizer and text to data creation. This is not reported."""
    (tmp_path / "a.txt").write_bytes("名前は\0まだ\n\n[MASK]は\nと\xff思う。".encode().replace(b"\xc3\xbf", b"\xff"))
    (tmp_path / "b.txt").write_text("ｶﾞﾗｽ\nここは読まない\n", encoding="utf-8")
    check(directory, "--input_file", tmp_path / "a.txt", tmp_path / "b.txt", "--num_sentences", 4)
    output = capsys.readouterr().out
    assert "  sentences: 4\n" in output and "  compared: 3\n" in output
    assert "  left_out_with_special_tokens: 1\n" in output and "  changed_by_nfkc: 1\n" in output


def test_recorded_dictionary_is_compared(directory, capsys):
    record(directory, "provenance.json")
    record(directory, "vocab.txt.json", size=1)  # the directory's own record comes first
    check(directory, "--num_sentences", 1)
    assert "bytes), as recorded\n" in capsys.readouterr().out
    (directory / "provenance.json").unlink()
    for change, message in (
        ({"size": 1}, r"\(1 bytes\)"),
        ({"version": "1.0.7"}, "unidic_lite 1.0.7"),
        ({"name": "ipadic"}, "ipadic 1.0.8"),
    ):
        record(directory, "vocab.txt.json", **change)
        with pytest.raises(ValueError, match=rf"dictionary unidic_lite.*but .*{message}"):
            check(directory)
    record(directory, "provenance.json")
    made_by = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))
    made_by["tokenization"] = {"do_lower_case": True}
    (directory / "provenance.json").write_text(json.dumps(made_by), encoding="utf-8")
    with pytest.raises(ValueError, match="do_lower_case False, but True in the provenance of"):
        check(directory)


def test_other_dictionary_than_the_data(directory, capsys):
    """Data is made with the dictionary in tokenizer_config.json. A tokenizer with another one gives other words."""
    settings = tokenizer_directory.load_settings(directory / "tokenizer_config.json")
    vocab = tokenizer_directory.load_checked_vocab(directory)
    encode = tokenizer_directory.make_encoder(settings, vocab)
    edit(directory / "tokenizer_config.json", mecab_kwargs={"mecab_dic": "ipadic"})
    tokenizers = check_tokenizer.load_tokenizers(directory, settings, False)
    assert len(tokenizers) == 2
    for name in tokenizers:
        with pytest.raises(ValueError, match="tokenizes differently from the training data"):
            check_tokenizer.compare(check_tokenizer.SENTENCES[2:], encode, {name: tokenizers[name]}, vocab, None)
        lines = capsys.readouterr().out.split("\n")
        assert lines[0].removeprefix("sentence: ") in check_tokenizer.SENTENCES
        rows = [line.split(": ", 1) for line in lines[1:3]]
        assert [label for label, _ in rows] == ["data creation", name]
        assert rows[0][1] != rows[1][1]
        assert all(tokens.startswith("[CLS] ") and tokens.endswith(" [SEP]") for _, tokens in rows)


def test_difference_ends_with_one_line_and_exit_code_1(directory, capsys, monkeypatch):
    monkeypatch.setattr(tokenizer_directory, "make_encoder", lambda *_: lambda _: [2, 5, 3])
    with pytest.raises(SystemExit) as ended:
        command_line.run_stage(check_tokenizer.get_parser(), check_tokenizer.main, ["--model_dir", str(directory)])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "slow tokenizer" in captured.err
    assert "data creation: [CLS] [unused0] [SEP]\n" in captured.out


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("tokenizer_config.json", {"model_input_names": ["input_ids", "attention_mask"]}, "model_input_names is"),
        ("tokenizer_config.json", {"word_tokenizer_type": "sudachi"}, "'sudachi', expected one of mecab, basic"),
        ("tokenizer_config.json", {"mecab_kwargs": {"mecab_dic": "unidic"}}, "pip install unidic"),
        ("config.json", {"vocab_size": 32768}, "vocab_size is 32768, but"),
    ],
)
def test_wrong_settings_are_refused(directory, file, values, message):
    edit(directory / file, **values)
    with pytest.raises((ValueError, ImportError), match=message):
        check(directory)


def test_ids_that_are_not_line_numbers_are_refused(directory):
    vocab = tokenizer_directory.load_checked_vocab(directory)
    settings = tokenizer_directory.load_settings(directory / "tokenizer_config.json")
    write_vocab(directory, [*vocab.tokens[:20], "挿", *vocab.tokens[20:]])
    for name, tokenizer in check_tokenizer.load_tokenizers(directory, settings, False).items():
        with pytest.raises(ValueError, match=r"has id 21, but is on line 21 of vocab.txt"):
            check_tokenizer.check_special_tokens(name, tokenizer, vocab)


def test_foreign_code_runs_only_on_demand(directory, capsys):
    module = directory / tokenizer_directory.FAST_TOKENIZER_FILE
    module.write_text(module.read_text(encoding="utf-8") + "\nprint('foreign code')\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"not this project's tokenization_bert_japanese_fast.py"):
        check(directory)
    assert "foreign code" not in capsys.readouterr().out
    check(directory, "--trust_remote_code")
    assert "foreign code" in capsys.readouterr().out
    module.unlink()
    check(directory)
    assert "fast tokenizer: the directory has none" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["tokenizer_config.json", "config.json"])
def test_code_that_auto_map_names_does_not_run(directory, tmp_path, capsys, file):
    """The file of the fast tokenizer is ours, and `auto_map` names another one beside it."""
    evil = f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom .tokenization_bert_japanese_fast import *\n"
    (directory / "evil.py").write_text(evil, encoding="utf-8")
    names = ["evil.BertJapaneseTokenizer", "evil.BertJapaneseTokenizerFast"]
    edit(directory / file, auto_map={"AutoTokenizer": names, "AutoConfig": "evil.Config"})
    check(directory)
    assert "fast tokenizer (transformers" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_no_sentence_is_an_error(directory, tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no sentence to compare"):
        check(directory, "--input_file", tmp_path / "empty.txt")


def test_help_imports_no_library():
    code = "import sys, tools.check_tokenizer; print({'transformers', 'numpy', 'torch'} & sys.modules.keys())"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert process.stdout == "set()\n"


@pytest.fixture(scope="module")
def trained_directories(tmp_path_factory, aozora_bytes) -> dict[str, Path]:
    """Make model directories with tokenizers that the stage trains on 20 MB."""
    from tests.pretraining_data.test_exactness import make_vocabs

    vocabs = make_vocabs(tmp_path_factory.mktemp("tokenizers"), aozora_bytes, 32_768)
    directories = {}
    for name, vocab in vocabs.items():
        directories[name] = tmp_path_factory.mktemp("model") / name
        shutil.copytree(ROOT / "hf_model_configs" / f"bert_base_{name}", directories[name])
        for file in (vocab, vocab.with_name("vocab.txt.json")):
            shutil.copy(file, directories[name])
    return directories


@pytest.mark.slow
@pytest.mark.parametrize("version", ["5", "4"])
@pytest.mark.parametrize("tokens", ["wordpiece", "character"])
def test_every_sentence_of_20_megabytes(trained_directories, aozora_bytes, tmp_path, request, version, tokens):
    """Slow and fast tokenizer of both versions of Transformers give the ids of the data."""
    python = request.getfixturevalue("transformers4_python") if version == "4" else sys.executable
    (tmp_path / "text.txt").write_bytes(aozora_bytes)
    command = [python, "-m", "tools.check_tokenizer", "--model_dir", trained_directories[tokens]]
    command += ["--input_file", tmp_path / "text.txt"]
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr
    assert f"slow tokenizer (transformers {version}." in process.stdout
    assert f"fast tokenizer (transformers {version}." in process.stdout
    assert "as recorded" in process.stdout
    compared = re.search(r"^  compared: ([\d,]+)$", process.stdout, re.MULTILINE)
    assert int(compared[1].replace(",", "")) > 150_000

"""`train_tokenizer.py` and its parts. Dictionary: unidic-lite 1.0.8."""

import gzip
import random
import subprocess
import sys
from pathlib import Path

import pytest

import train_tokenizer
from japanese_bert.common.provenance import read_provenance
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, load_vocab, unused_tokens, vocab_bytes
from tests.helpers.places import ROOT

NOUNS = ["山桜", "川魚", "猫又", "犬小屋", "ガラス", "ｶﾞﾗｽ", "東京都", "京都府", "BERT", "ＢＥＲＴ", "𠮷野家", "😀"]
VOCAB_SIZE = 110  # of some 119 that the corpus supports
VERBS = ["走り回る", "食べ続ける", "泳ぎ切る", "思い出す", "見つけ出した", "乗り換える"]


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory) -> Path:
    """3,000 sentences, with documents, broken bytes and NULs."""
    rng = random.Random(12345)
    lines = [f"{rng.choice(NOUNS)}が{rng.choice(NOUNS)}で{rng.choice(VERBS)}。" for _ in range(3000)]
    lines[1000] = lines[2000] = ""
    content = "".join(f"{line}\n" for line in lines).encode()
    path = tmp_path_factory.mktemp("corpus") / "corpus_01.txt"
    path.write_bytes("　\u2028\n".encode() + b"\xe5\xb1\n" + b"\x00\n" + "猫\x00又\n".encode() + content)
    return path


def run_stage(*argv) -> None:
    train_tokenizer.main(train_tokenizer.get_parser().parse_args([str(part) for part in argv]))


def train(corpus_file: Path, output_dir: Path, *argv) -> list[str]:
    run_stage("--input_files", corpus_file, "--output_dir", output_dir, "--vocab_size", VOCAB_SIZE, *argv)
    return list(load_vocab(output_dir / "vocab.txt").tokens)


def test_order_and_size(corpus_file, tmp_path):
    alphabet = sorted("猫山川 Zが")
    (tmp_path / "alphabet.txt").write_bytes(vocab_bytes(alphabet))
    tokens = train(corpus_file, tmp_path, "--initial_alphabet_file", tmp_path / "alphabet.txt", "--limit_alphabet", 50)
    assert len(tokens) == VOCAB_SIZE
    assert tokens[:15] == [*SPECIAL_TOKENS, *unused_tokens(10)]
    assert tokens[15:65] == sorted(tokens[15:65])
    assert set(alphabet) < set(tokens[15:65])
    assert all(len(token) == 1 for token in tokens[15:65])
    inner = [token for token in tokens[65:] if token.startswith("##") and len(token) == 3]
    assert inner == tokens[65 : 65 + len(inner)]
    assert all(token[2] in tokens[15:65] for token in inner)
    assert "ガラス" in tokens[65:]
    assert "BERT" in tokens[65:]  # NFKC, not lower-cased
    assert not any("が" in token for token in tokens[65:])  # a word of its own, never merged with its neighbours


def test_same_bytes_in_every_run_and_for_any_number_of_workers(corpus_file, tmp_path):
    lines = corpus_file.read_bytes().splitlines(keepends=True)
    for index in range(10):  # a shard is at least one block, which is what a worker gets
        (tmp_path / f"shard_{index}.txt").write_bytes(b"".join(lines[index::10]))
    command = [sys.executable, ROOT / "train_tokenizer.py", "--input_files", tmp_path / "shard_*.txt"]
    for workers in "123":  # processes of their own: hash tables are seeded per process
        flags = ["--output_dir", tmp_path / workers, "--num_workers", workers, "--vocab_size", str(VOCAB_SIZE)]
        subprocess.run([*command, *flags], check=True, capture_output=True)
    train(corpus_file, tmp_path / "one_file")
    outputs = {(tmp_path / name / "vocab.txt").read_bytes() for name in ("1", "2", "3", "one_file")}
    assert len(outputs) == 1


def test_counts_and_provenance(corpus_file, tmp_path):
    train(corpus_file, tmp_path)
    provenance = read_provenance(tmp_path / "vocab.txt")
    counts = provenance["counts"]
    assert counts["sentences"] == 2999
    assert counts["blank_lines"] == 5
    assert counts["nul_characters"] == 2
    assert counts["invalid_utf8_bytes"] == 2
    assert provenance["dictionary"]["name"] == "unidic_lite"
    assert set(provenance["versions"]) >= {"tokenizers", "fugashi", "bert-japanese"}
    assert not {"input_files", "output_dir", "num_workers", "overwrite"} & set(provenance["method"])


def test_whitespace_pre_tokenizer_and_compressed_inputs(tmp_path):
    (tmp_path / "a_1.txt.gz").write_bytes(gzip.compress("山川 山川　草木\n".encode()))
    (tmp_path / "a_2.txt").write_text("草木 ｱｱ", encoding="utf-8")  # no newline at the end
    run_stage(
        "--input_files", tmp_path / "a_*", "--output_dir", tmp_path / "out", "--pre_tokenizer_type", "whitespace",
        "--vocab_size", 17, "--num_unused_tokens", 1, "--min_frequency", 1,
    )  # fmt: skip
    tokens = load_vocab(tmp_path / "out" / "vocab.txt").tokens
    assert tokens[5:] == ("[unused0]", *"ア山川木草", "##ア", "##川", "##木", "山川", "草木", "アア")
    assert read_provenance(tmp_path / "out" / "vocab.txt")["dictionary"] is None


def test_character_vocabulary_is_the_head(corpus_file, tmp_path):
    tokens = train(corpus_file, tmp_path / "word", "--character_output_dir", tmp_path / "character")
    num_characters = read_provenance(tmp_path / "word" / "vocab.txt")["counts"]["alphabet"]
    characters = load_vocab(tmp_path / "character" / "vocab.txt").tokens
    assert list(characters) == tokens[: 15 + num_characters]
    assert tokens[15 + num_characters].startswith("##")


def test_another_prefix(corpus_file, tmp_path):
    tokens = train(corpus_file, tmp_path, "--wordpieces_prefix", "@@")
    assert any(token.startswith("@@") for token in tokens)
    assert not any(token.startswith("##") for token in tokens)


def test_sample(corpus_file, tmp_path):
    all_tokens = train(corpus_file, tmp_path / "all")
    assert train(corpus_file, tmp_path / "big_sample", "--sample_sentences", 5000) == all_tokens
    runs = {
        (tmp_path / name / "vocab.txt")
        for name, seed, workers in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1))
        if train(
            corpus_file, tmp_path / name, "--sample_sentences", 500, "--random_seed", seed, "--num_workers", workers
        )
    }
    a, b, c = (path.read_bytes() for path in sorted(runs))
    assert a == b != c
    counts = read_provenance(tmp_path / "a" / "vocab.txt")["counts"]
    assert (counts["sentences"], counts["sentences_before_sampling"], counts["blank_lines"]) == (500, 2999, 5)


def test_second_run_does_nothing_and_other_arguments_need_overwrite(corpus_file, tmp_path, capsys):
    train(corpus_file, tmp_path)
    written = (tmp_path / "vocab.txt").stat().st_mtime_ns
    train(corpus_file, tmp_path, "--num_workers", 2)
    assert "skipped: " in capsys.readouterr().out
    assert (tmp_path / "vocab.txt").stat().st_mtime_ns == written
    with pytest.raises(FileExistsError, match="--overwrite"):
        train(corpus_file, tmp_path, "--min_frequency", 3)
    assert len(train(corpus_file, tmp_path, "--min_frequency", 3, "--overwrite")) == VOCAB_SIZE


def test_a_character_vocabulary_is_no_wordpiece_vocabulary(corpus_file, tmp_path):
    train(corpus_file, tmp_path / "a", "--character_output_dir", tmp_path / "b")
    for flags in ([], ["--character_output_dir", tmp_path / "a"]):
        with pytest.raises(FileExistsError, match=r"b/vocab\.txt: is the other one of this training's"):
            train(corpus_file, tmp_path / "b", *flags)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--vocab_size", 32768], r"supports only \d+ entries .* use --vocab_size \d+"),
        (["--vocab_size", 30], r"alone take \d+"),
        (["--vocab_size", 0], "--vocab_size 0: expected a positive number"),
        (["--num_workers", 0], "--num_workers 0: expected a positive number"),
        (["--num_unused_tokens", -1], "--num_unused_tokens -1"),
        (["--random_seed", -1], "--random_seed -1: expected 0 or a positive number"),
        (["--mecab_option", "-u words.dic"], r"words\.dic: no such file\. -u in --mecab_option names it"),
        (["--mecab_dic_type", "no/such/dir"], "no compiled MeCab dictionary"),
    ],
)
def test_bad_arguments_leave_nothing_behind(corpus_file, tmp_path, argv, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(corpus_file, tmp_path, *argv)
    assert list(tmp_path.iterdir()) == []


def test_one_directory_under_two_names(corpus_file, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="expected another directory than --output_dir"):
        train(corpus_file, tmp_path, "--character_output_dir", tmp_path / "link")


def test_the_size_named_in_the_error_works(corpus_file, tmp_path):
    with pytest.raises(ValueError) as error:
        train(corpus_file, tmp_path, "--vocab_size", 32768)
    size = int(str(error.value).split()[-1])
    assert len(train(corpus_file, tmp_path, "--vocab_size", size)) == size


@pytest.mark.parametrize("content", [b"", b"\n\n", "　\n \n".encode(), b"\0\n"])
def test_empty_input_is_an_error(tmp_path, content):
    (tmp_path / "corpus.txt").write_bytes(content)
    with pytest.raises(ValueError, match="no words"):
        train(tmp_path / "corpus.txt", tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_missing_files(corpus_file, tmp_path):
    with pytest.raises(FileNotFoundError, match="no file matches"):
        train(tmp_path / "none_*.txt", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="make_alphabet_from_unidic"):
        train(corpus_file, tmp_path / "out", "--initial_alphabet_file", tmp_path / "none.txt")


def test_help_is_fast_and_imports_nothing_heavy():
    code = "import sys, train_tokenizer, make_alphabet_from_unidic; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "fugashi", "tokenizers", "tqdm", "torch", "tensorflow", "transformers"} & set(modules.split())

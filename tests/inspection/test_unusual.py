"""Each planted fault is named, and good data is not blamed."""

import json
import shutil
import string
from itertools import product
from pathlib import Path

import pytest

from japanese_bert.tokenization.mecab import find_dictionary
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers.small_inspection import lines, look, write_small
from tests.helpers.small_pretraining import SUBJECTS, VERBS, make_data, write_corpus, write_vocab
from tests.helpers.tfrecord_reader import read_examples
from tests.helpers.tfrecord_writer import example, frame


@pytest.fixture
def vocab(tmp_path) -> Path:
    return write_vocab(tmp_path / "vocab.txt")


def write_text(path: Path, documents: list[list[str]]) -> Path:
    path.write_text("\n".join("".join(f"{line}\n" for line in lines) for lines in documents), encoding="utf-8")
    return path


def write_character_vocab(path: Path, text: str, more: list[str] = []) -> Path:  # noqa: B006
    characters = sorted(set(text) - set("\n "))
    path.write_bytes(
        vocab_bytes([*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters), *more])
    )
    return path


def findings(data: Path, vocab: Path, *flags: object) -> list[str]:
    return lines(look("--input_files", data, "--vocab_file", vocab, *flags))


def assert_named(found: list[str], *words: str) -> None:
    """Assert that one finding has all these words."""
    matching = [line for line in found if all(word in line for word in words)]
    assert len(matching) == 1, found


def test_good_data_has_nothing_unusual(tmp_path):
    corpus = write_corpus(tmp_path / "corpus.txt")
    vocab = write_character_vocab(tmp_path / "vocab.txt", corpus.read_text(encoding="utf-8") + "!?")  # NFKC of ！？
    data = make_data(corpus, vocab, tmp_path / "data.gz", "--max_predictions_per_seq", "5", "--dupe_factor", "2")
    assert findings(data, vocab, "--corpus_files", corpus) == []


def test_all_random_next_sentences_and_padding(tmp_path, vocab):
    documents = [[f"{subject}{verb}"] for subject in SUBJECTS for verb in VERBS]
    corpus = write_text(tmp_path / "corpus.txt", documents)
    found = look(
        "--input_files", make_data(corpus, vocab, tmp_path / "data.gz", "--no-check_use"), "--vocab_file", vocab,
        "--corpus_files", corpus,
    )  # fmt: skip
    assert_named(lines(found), "data: 100.0% of the next sentences are random")
    assert_named(lines(found), "data: ", "of all positions are padding", "--max_seq_length")
    assert_named(lines(found), "corpus: 100.0% of the documents have one sentence")
    assert {thing.rate for thing in found.unusual} >= {"random_next", "padding", "documents_of_one_sentence"}


def test_a_lower_cased_corpus_under_a_cased_vocabulary(tmp_path):
    text = [[f"{first}{second} and NHK" for second in string.ascii_uppercase] for first in string.ascii_uppercase]
    capitals = ["".join(pair) for pair in product(string.ascii_uppercase, repeat=2)]
    vocab = write_character_vocab(tmp_path / "vocab.txt", string.ascii_letters, capitals)
    corpus = write_text(tmp_path / "corpus.txt", text)
    flags = ("--dupe_factor", "1", "--max_predictions_per_seq", "5")
    lower = make_data(corpus, vocab, tmp_path / "lower.gz", *flags, "--do_lower_case")
    assert_named(findings(lower, vocab), "none of the 728 entries with capital letters occurs", "--do_lower_case")
    cased = make_data(corpus, vocab, tmp_path / "cased.gz", *flags)
    assert not any("capital" in line for line in findings(cased, vocab))


def test_another_dictionary_than_that_of_the_vocabulary(tmp_path, vocab):
    corpus = write_corpus(tmp_path / "corpus.txt")
    data = make_data(corpus, vocab, tmp_path / "data.gz", "--mecab_dic_type", "ipadic", "--dupe_factor", "2")
    assert not any("dictionary" in line for line in findings(data, vocab, "--mecab_dic_type", "ipadic"))
    made_by = {"stage": "train_tokenizer", "dictionary": find_dictionary("unidic_lite").identity()}
    Path(f"{vocab}.json").write_text(json.dumps(made_by), encoding="utf-8")
    found = findings(data, vocab, "--mecab_dic_type", "ipadic")
    assert_named(found, f"data: {data}: dictionary ipadic", "but unidic_lite", f"in {vocab}. ")


def test_another_dictionary_without_a_record(tmp_path, aozora_bytes):
    text = aozora_bytes[: aozora_bytes.index(b"\n\n", 100_000)].decode()
    vocab = write_character_vocab(tmp_path / "vocab.txt", text)
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    for dictionary, is_other in (("ipadic", True), ("unidic_lite", False)):
        data = make_data(
            tmp_path / "corpus.txt", vocab, tmp_path / f"{dictionary}.gz", "--mecab_dic_type", dictionary,
            "--dupe_factor", "1", "--max_seq_length", "128", "--max_predictions_per_seq", "19",
        )  # fmt: skip
        Path(f"{data}.json").unlink()
        found = [line for line in findings(data, vocab) if "boundaries are those of the dictionary unidic_lite" in line]
        assert len(found) == is_other


def test_mojibake(tmp_path):
    text = write_corpus(tmp_path / "right.txt").read_text(encoding="utf-8")
    wrong = "\n".join(line.encode().decode("cp932", errors="replace") for line in text.split("\n"))
    vocab = write_character_vocab(tmp_path / "vocab.txt", wrong)
    (tmp_path / "corpus.txt").write_text(wrong, encoding="utf-8")
    data = make_data(tmp_path / "corpus.txt", vocab, tmp_path / "data.gz", "--max_predictions_per_seq", "10")
    found = findings(data, vocab, "--corpus_files", tmp_path / "corpus.txt")
    assert_named(found, "data: ", "of the instances look decoded with a wrong encoding (mojibake)")
    assert_named(found, "corpus: ", "of the sentences look decoded with a wrong encoding (mojibake)")
    assert_named(found, f"{tmp_path / 'corpus.txt'}:1: looks like mojibake")


def test_unknown_tokens(tmp_path, vocab):
    corpus = write_text(tmp_path / "corpus.txt", [["猫が鰻を好きだ。", "猫は鰻。"] * 5] * 5)
    data = make_data(corpus, vocab, tmp_path / "data.gz")
    found = look("--input_files", data, "--vocab_file", vocab, "--corpus_files", corpus)
    assert_named(lines(found), "data: ", "of the tokens are [UNK]")
    assert_named(lines(found), "corpus: ", "of the characters are not in the vocabulary")
    assert dict(found.unknown)["鰻"] == 50


def test_duplicated_shards(tmp_path):
    data, vocab = write_small(tmp_path)
    copy = shutil.copy(data, tmp_path / "other.tfrecord.gz")
    found = lines(look("--input_files", data, copy, "--vocab_file", vocab))
    assert_named(found, f"data: {copy} has the instances of {data}. Leave one of the two out")
    assert_named(found, "of the instances were there before, with the same masks")


def test_a_validation_file_that_is_a_training_file(tmp_path):
    data, vocab = write_small(tmp_path)
    found = findings(data, vocab, "--validation_files", data)
    assert_named(found, f"validation: shares instances with {data}. Take it out of the training files")
    assert_named(found, "validation: 100.0% of the instances have a text of the training data")


def test_a_validation_file_of_the_same_text(tmp_path):
    data, vocab = write_small(tmp_path)
    other = make_data(tmp_path / "corpus.txt", vocab, tmp_path / "other.gz", "--random_seed", "1")
    found = findings(data, vocab, "--validation_files", other)
    assert_named(found, "validation: made from 1 of the text files that the training data was made from")
    held_out = make_data(write_corpus(tmp_path / "held_out.txt", 3), vocab, tmp_path / "held_out.gz")
    found = findings(data, vocab, "--validation_files", held_out)
    assert not any("made from" in line for line in found)


def test_a_truncated_file(tmp_path):
    vocab, corpus = write_vocab(tmp_path / "vocab.txt"), write_corpus(tmp_path / "corpus.txt")
    data = make_data(corpus, vocab, tmp_path / "data.tfrecord", "--no-gzip_compress", "--dupe_factor", "2")
    data.write_bytes(data.read_bytes()[:-100])
    assert_named(findings(data, vocab), f"data: {data}: record ", "the file ends inside of it")


def test_another_vocabulary(tmp_path):
    data, vocab = write_small(tmp_path)
    tokens = vocab.read_text(encoding="utf-8").split("\n")
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("\n".join(tokens[: len(tokens) // 2]) + "\n", encoding="utf-8")
    found = findings(data, shorter)
    assert_named(found, f"token ids are not in {shorter} ({len(tokens) // 2} entries)")
    assert_named(found, f"data: {data}: vocabulary sha256", f"in {shorter}. ")


def test_files_of_two_stages(tmp_path):
    data, vocab = write_small(tmp_path)
    other = make_data(tmp_path / "corpus.txt", vocab, tmp_path / "other.gz", "--max_seq_length", "64")
    found = lines(look("--input_files", data, other, "--vocab_file", vocab))
    assert_named(found, "files of different --max_seq_length are together")


def test_masks_of_another_kind(tmp_path):
    data, vocab = write_small(tmp_path, "--dupe_factor", "2")
    mask = vocab.read_text(encoding="utf-8").split("\n").index("[MASK]")
    records = []
    for features in read_examples(data):
        count = int(sum(features["masked_lm_weights"]))
        for position in features["masked_lm_positions"][:count]:
            features["input_word_ids"][position] = mask
        records.append(example(features))
    data.write_bytes(frame(*records))
    found = findings(data, vocab)
    assert_named(found, "100.0% of the masked tokens are [MASK], expected 0.8")
    assert_named(found, "0.0% of the masked tokens are kept, expected 0.1")


def test_words_that_are_not_masked_whole(tmp_path):
    data, vocab = write_small(tmp_path, "--no-do_whole_word_mask")
    assert not any("masked whole" in line for line in findings(data, vocab))
    made_by = json.loads(Path(f"{data}.json").read_text(encoding="utf-8"))
    made_by["method"]["do_whole_word_mask"] = True
    Path(f"{data}.json").write_text(json.dumps(made_by), encoding="utf-8")
    assert_named(findings(data, vocab), "of the masked words of several tokens are masked whole")


def test_instances_that_predict_nothing(tmp_path):
    data, vocab = write_small(tmp_path, "--dupe_factor", "1")
    records = read_examples(data)
    for features in records[::10]:
        features["masked_lm_weights"] = [0.0] * len(features["masked_lm_weights"])
    data.write_bytes(frame(*map(example, records)))
    assert_named(findings(data, vocab), "of the instances predict nothing", "--max_predictions_per_seq")


def test_a_corpus_alone(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_bytes("同じ文がいつも続いている。\n".encode() * 100 + b"\n\xff" + b"a" * 20_000 + b"\n")
    found = lines(look("--corpus_files", corpus))
    assert_named(found, "corpus: ", "of the sentences were there before")
    assert_named(found, f"corpus: {corpus}:102: a sentence of 20,000 characters")
    assert_named(found, "corpus: 1 bytes are no UTF-8 text")
    corpus.write_bytes(b"\n\n")
    assert lines(look("--corpus_files", corpus)) == ["corpus: no sentence. Give text with one sentence a line"]

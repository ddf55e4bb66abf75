"""The stage as users run it: exact records on tiny text, and what happens when something is wrong."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import ipadic
import numpy as np
import pytest

import create_pretraining_data as stage
import train_tokenizer
from japanese_bert.common.provenance import read_provenance
from japanese_bert.tokenization.identity import Tokenization, check_same, of_config, of_data
from japanese_bert.tokenization.sentencepiece_model import SentencePieceWords, read_ids
from japanese_bert.tokenization.vocab import load_vocab
from japanese_bert.tokenization.words import make_word_splitter
from tests.helpers.mixed_text import write_albert
from tests.helpers.tfrecord_reader import read_examples

SCRIPT = Path(stage.__file__)
V2_NAMES = {
    "input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions", "masked_lm_ids", "masked_lm_weights",
    "next_sentence_labels",
}  # fmt: skip


@pytest.fixture
def create(tmp_path, small_corpus, wordpiece_vocab):
    """Run the stage in this process, and return the examples of its (first) output."""

    def run(*flags: str, output: str = "data.tfrecord", **options) -> list[dict[str, list]]:
        arguments = {
            "input_file": small_corpus,
            "output_file": tmp_path / output,
            "vocab_file": wordpiece_vocab,
            "max_seq_length": 32,
            "max_predictions_per_seq": 5,
            "dupe_factor": 3,
        } | options
        command = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
        stage.main(stage.get_parser().parse_args([*command, *flags]))
        return read_examples(Path(str(arguments["output_file"]).split(",")[0]))

    return run


def run_script(*arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, **options)


def error_of(process: subprocess.CompletedProcess) -> str:
    """Return the one line on stderr of a failed run, without progress bars."""
    assert process.returncode == 1
    lines = [line for line in process.stderr.replace("\r", "\n").split("\n") if line and "/s]" not in line]
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("create_pretraining_data.py: error: ")
    return lines[0]


def unmasked(example: dict[str, list], ids: str = "input_word_ids") -> list[int]:
    tokens = example[ids][: sum(example["input_mask"])]
    count = int(sum(example["masked_lm_weights"]))
    for position, label in zip(example["masked_lm_positions"][:count], example["masked_lm_ids"][:count], strict=True):
        tokens[position] = label
    return tokens


def corpus_words(corpus: Path, vocab_file: Path) -> set[tuple[int, ...]]:
    """Return the ids of every word of the corpus, cut by the longest known piece."""
    from japanese_bert.tokenization.subwords import encode_wordpieces

    ids = load_vocab(vocab_file).ids
    splitter = make_word_splitter("mecab", "unidic_lite", False)
    lines = corpus.read_text(encoding="utf-8").split("\n")
    return {tuple(encode_wordpieces(word, ids)) for line in lines if line for word in splitter.split(line)}


def test_records_have_the_layout_that_model_garden_reads(create, wordpiece_vocab):
    ids = load_vocab(wordpiece_vocab).ids
    examples = create("--do_whole_word_mask", "--use_v2_feature_names")
    assert len(examples) > 60
    for example in examples:
        assert set(example) == V2_NAMES
        length = sum(example["input_mask"])
        assert example["input_mask"] == [1] * length + [0] * (32 - length)
        tokens = unmasked(example)
        separators = [index for index, token in enumerate(tokens) if token == ids["[SEP]"]]
        assert tokens[0] == ids["[CLS]"]
        assert separators == [separators[0], length - 1]
        b_length = length - 1 - separators[0]
        assert example["input_type_ids"] == [0] * (separators[0] + 1) + [1] * b_length + [0] * (32 - length)
        assert [len(example[name]) for name in ("input_word_ids", "input_type_ids")] == [32, 32]
        assert [len(example[f"masked_lm_{name}"]) for name in ("positions", "ids", "weights")] == [5, 5, 5]
        assert example["next_sentence_labels"] in ([0], [1])


def test_predictions_are_whole_words_within_the_quota(create, small_corpus, wordpiece_vocab):
    vocab = load_vocab(wordpiece_vocab)
    words = corpus_words(small_corpus, wordpiece_vocab)
    assert any(len(word) > 1 for word in words)
    for example in create("--do_whole_word_mask", "--use_v2_feature_names"):
        count = int(sum(example["masked_lm_weights"]))
        length = sum(example["input_mask"])
        assert 1 <= count <= min(5, max(1, round(0.15 * length)))
        positions, labels = example["masked_lm_positions"], example["masked_lm_ids"]
        assert positions[count:] == labels[count:] == [0] * (5 - count)
        assert positions[:count] == sorted(set(positions[:count]))
        tokens = unmasked(example)
        special = {0, tokens.index(vocab.ids["[SEP]"]), length - 1}
        assert not special & set(positions[:count])
        for group in whole_words(tokens, words, special):
            assert set(group) <= set(positions[:count]) or not set(group) & set(positions[:count])


def whole_words(tokens: list[int], words: set[tuple[int, ...]], special: set[int]) -> list[range]:
    """Return the places of words of two and more pieces, except at the start of a segment."""
    places = []
    for word in words:
        if len(word) > 1:
            for start in range(1, len(tokens) - len(word)):
                if tuple(tokens[start : start + len(word)]) == word and start - 1 not in special:
                    places.append(range(start, start + len(word)))
    return places


def test_replacements_are_masks_the_token_itself_or_real_words(create, wordpiece_vocab):
    vocab = load_vocab(wordpiece_vocab)
    real = set(vocab.real_token_ids())
    seen = {"mask": 0, "kept": 0, "random": 0}
    for example in create("--use_v2_feature_names", dupe_factor=40):
        for index in range(int(sum(example["masked_lm_weights"]))):
            token, label = (
                example["input_word_ids"][example["masked_lm_positions"][index]],
                example["masked_lm_ids"][index],
            )
            kind = "mask" if token == vocab.ids["[MASK]"] else "kept" if token == label else "random"
            assert kind != "random" or token in real
            seen[kind] += 1
    total = sum(seen.values())
    assert total > 2000
    for kind, share in (("mask", 0.8), ("kept", 0.1), ("random", 0.1)):
        assert abs(seen[kind] - share * total) < 5 * (total * share * (1 - share)) ** 0.5 + 0.01 * total * (
            kind != "mask"
        )


@pytest.fixture
def lettered_corpus(tmp_path) -> tuple[Path, Path]:
    """Ten documents of one character each, so that a token shows its document, and a vocabulary."""
    letters = "一二三四五六七八九十"
    corpus, vocab = tmp_path / "letters.txt", tmp_path / "letters_vocab.txt"
    corpus.write_text("\n".join(f"{letter * 9}\n" * 8 for letter in letters), encoding="utf-8")
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]) + "\n", encoding="utf-8")
    return corpus, vocab


@pytest.fixture
def letters(create, lettered_corpus):
    """Run the stage on the lettered corpus."""
    corpus, vocab = lettered_corpus
    characters = ("--vocab_has_no_subword_prefix", "--use_v2_feature_names")
    settings = {"input_file": corpus, "vocab_file": vocab, "subword_tokenizer_type": "character"}
    return lambda *flags, **options: create(*characters, *flags, **(settings | options))


def test_label_is_1_where_the_second_segment_is_from_another_document(letters):
    examples = letters()
    labels = []
    for example in examples:
        tokens = unmasked(example)
        cut = tokens.index(3)
        documents = set(tokens[1:cut]), set(tokens[cut + 1 : -1])
        assert [len(side) for side in documents] == [1, 1]
        assert example["next_sentence_labels"] == [int(documents[0] != documents[1])]
        labels += example["next_sentence_labels"]
    assert 0 < sum(labels) < len(labels)


def test_records_are_shuffled(letters):
    documents = [unmasked(example)[1] for example in letters(dupe_factor=1)]
    changes = sum(first != second for first, second in pairwise(documents))
    assert changes > 2 * len(set(documents))


def test_quota_is_bounded_by_max_predictions_per_seq(letters):
    counts = {sum(example["masked_lm_weights"]) for example in letters(masked_lm_prob=0.5, max_predictions_per_seq=3)}
    assert counts == {3}


def test_probabilities_are_those_that_are_given(letters):
    whole = [sum(example["input_mask"]) for example in letters(short_seq_prob=0)]
    short = [sum(example["input_mask"]) for example in letters(short_seq_prob=1, output="short.tfrecord")]
    assert np.mean(whole) > np.mean(short) + 5
    few = letters(masked_lm_prob=0, output="few.tfrecord")
    assert {sum(example["masked_lm_weights"]) for example in few} == {1}


def test_lower_case_is_off_unless_asked_for(create, wordpiece_vocab, tmp_path):
    corpus = tmp_path / "latin.txt"
    corpus.write_text("PC PC PC PC PC PC\n\nPC PC PC PC PC PC\n", encoding="utf-8")
    unknown = load_vocab(wordpiece_vocab).ids["[UNK]"]
    as_it_is = create("--no-check_use", input_file=corpus, output="upper.tfrecord")
    lower = create("--no-check_use", "--do_lower_case", input_file=corpus, output="lower.tfrecord")
    assert not any(unknown in unmasked(example, "input_ids") for example in as_it_is)
    assert all(unknown in unmasked(example, "input_ids") for example in lower)


def test_report_counts_what_the_records_hold(letters, tmp_path):
    examples = letters(dupe_factor=30)
    provenance = read_provenance(tmp_path / "data.tfrecord")
    tokens = sum(sum(example["input_mask"]) for example in examples)
    predictions = [
        (example["input_word_ids"][position], label)
        for example in examples
        for position, label, weight in zip(
            example["masked_lm_positions"], example["masked_lm_ids"], example["masked_lm_weights"], strict=True
        )
        if weight
    ]
    assert provenance["counts"]["masked_tokens"] == len(predictions)
    assert provenance["counts"]["words"] >= provenance["counts"]["sentences"] == 80
    assert provenance["counts"]["tokens"] == 80 * 9
    rates = provenance["rates"]
    assert rates["masked"] == len(predictions) / tokens
    assert rates["replaced_by_mask"] == sum(token == 4 for token, _ in predictions) / len(predictions)
    assert rates["kept"] == sum(token == label for token, label in predictions) / len(predictions)
    assert rates["random_next"] == sum(example["next_sentence_labels"][0] for example in examples) / len(examples)
    assert rates["mean_length"] == tokens / len(examples)
    assert rates["unknown_tokens"] == 0


def test_bytes_of_this_version(letters, tmp_path):
    """A change of this hash changes every user's data: raise its number in DATA_FORMATS and say so in the CHANGELOG."""
    letters("--do_whole_word_mask")
    digest = hashlib.sha256((tmp_path / "data.tfrecord").read_bytes()).hexdigest()
    assert digest == "021d439c5f88c284f077d1828e14ab5a44cf4ccc6187e0a674bb38eebe0b0ded"


def test_buckets_change_padding_and_nothing_else(create, tmp_path):
    static = create(output="static", short_seq_prob=0.9)
    lengths = [20, 28, 32]
    bucketed = create("--seq_bucket_lengths", *map(str, lengths), output="bucketed", short_seq_prob=0.9)
    assert len(bucketed) == len(static)
    sizes = Counter(len(example["input_ids"]) for example in bucketed)
    assert sorted(sizes) == lengths
    for example, full in zip(bucketed, static, strict=True):
        length = sum(example["input_mask"])
        assert len(example["input_ids"]) == min(size for size in lengths if size >= length)
        assert len(example["masked_lm_ids"]) == {20: 3, 28: 5, 32: 5}[len(example["input_ids"])]
        for name, values in example.items():
            assert full[name] == values + [0] * (len(full[name]) - len(values))
    found, before = read_provenance(tmp_path / "bucketed"), read_provenance(tmp_path / "static")
    assert found["method"].pop("seq_bucket_lengths") == lengths
    assert found["method"] | {"outputs": ["static"]} == before["method"]  # without the flag the recipe is the old one
    assert (found["counts"], found["rates"]) == (before["counts"], before["rates"])
    buckets = found["buckets"]
    assert [buckets[f"instances_up_to_{length}"] for length in lengths] == [sizes[length] for length in lengths]
    tokens = sum(sum(example["input_mask"]) for example in static)
    assert buckets["padding"] == 1 - tokens / sum(length * count for length, count in sizes.items())
    assert "buckets" not in before


def test_unmasked_text_is_the_corpus(create, small_corpus, wordpiece_vocab):
    vocab = load_vocab(wordpiece_vocab)
    text = "".join(small_corpus.read_text(encoding="utf-8").split())
    splitter = make_word_splitter("mecab", "unidic_lite", False)
    normal = "".join(splitter.split(text)).replace("𠮷", "?")
    for example in create("--use_v2_feature_names"):
        tokens = unmasked(example)
        cut = tokens.index(vocab.ids["[SEP]"])
        for segment in (tokens[1:cut], tokens[cut + 1 : -1]):
            pieces = [vocab.tokens[token].removeprefix("##") for token in segment]
            if "[UNK]" not in pieces:
                assert "".join(pieces) in normal


def test_v1_names_and_gzip(create, tmp_path):
    plain = create()
    zipped = create("--gzip_compress", output="data.tfrecord.gz")
    assert (tmp_path / "data.tfrecord.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert plain == zipped
    assert {"input_ids", "segment_ids"} <= set(plain[0])


def test_only_per_piece_masking_breaks_words(create, wordpiece_vocab):
    tokens = load_vocab(wordpiece_vocab).tokens
    whole, pieces = create("--do_whole_word_mask"), create(output="pieces.tfrecord")
    assert len(whole) == len(pieces)
    assert not any(has_broken_word(example, tokens) for example in whole)
    assert any(has_broken_word(example, tokens) for example in pieces)


def has_broken_word(example: dict[str, list], tokens: tuple[str, ...]) -> bool:
    """Return True if a ## piece is masked without the piece before it, or the other way round."""
    ids = unmasked(example, "input_ids")
    masked = set(example["masked_lm_positions"][: int(sum(example["masked_lm_weights"]))])
    return any(
        tokens[token].startswith("##") and tokens[before] != "[SEP]" and ((index in masked) != (index - 1 in masked))
        for index, (before, token) in enumerate(pairwise(ids), start=1)
        if index > 1
    )


def test_characters(create, character_vocab):
    examples = create(
        "--vocab_has_no_subword_prefix",
        "--do_whole_word_mask",
        subword_tokenizer_type="character",
        vocab_file=character_vocab,
    )
    vocab = load_vocab(character_vocab)
    assert all(
        len(vocab.tokens[token]) == 1 or token < 5 for example in examples for token in unmasked(example, "input_ids")
    )


def test_masked_lm_without_next_sentence(create, wordpiece_vocab):
    ids = load_vocab(wordpiece_vocab).ids
    for example in create("--no-next_sentence", "--use_v2_feature_names"):
        assert set(example) == V2_NAMES - {"next_sentence_labels"}
        assert unmasked(example).count(ids["[SEP]"]) == 1
        assert set(example["input_type_ids"]) == {0}


@pytest.mark.parametrize("flags", [(), ("--do_whole_word_mask", "--seq_bucket_lengths", "24", "32")])
def test_full_sentences(create, tmp_path, small_corpus, wordpiece_vocab, flags):
    """Nothing is cut, documents follow each other, and no [SEP] is predicted."""
    ids = load_vocab(wordpiece_vocab).ids
    single = create("--no-next_sentence", "--short_seq_prob", "0", "--use_v2_feature_names", output="single")
    packed = create("--no-next_sentence", "--packing", "full_sentences", "--use_v2_feature_names", *flags)
    texts = [Counter(), Counter()]
    for examples, text in zip((single, packed), texts, strict=True):
        for example in examples:
            assert not {ids["[SEP]"], ids["[CLS]"]} & set(example["masked_lm_ids"])
            assert set(example["input_type_ids"]) == {0}
            text.update(unmasked(example)[1:-1])
            assert ids["[SEP]"] not in (unmasked(example)[1], unmasked(example)[-2])
    assert 0 < texts[1].pop(ids["[SEP]"]) <= 3 * 12
    assert texts[1] == texts[0]
    assert len(packed) < len(single)
    found = read_provenance(tmp_path / "data.tfrecord")
    assert (found["method"]["packing"], found["method"]["short_seq_prob"]) == ("full_sentences", 0)
    assert found["counts"]["tokens_used"] == 3 * found["counts"]["tokens"] == sum(texts[1].values())
    assert "packing" not in read_provenance(tmp_path / "single")["method"]


def test_several_inputs_and_outputs(create, tmp_path, small_corpus):
    single = create("--use_v2_feature_names")
    outputs = [tmp_path / f"part_{index}.tfrecord" for index in range(3)]
    create("--use_v2_feature_names", output_file=",".join(map(str, outputs)))
    parts = [read_examples(path) for path in outputs]
    assert [parts[index % 3][index // 3] for index in range(len(single))] == single
    (tmp_path / "corpus_02.txt").write_bytes(small_corpus.read_bytes())
    both = create("--use_v2_feature_names", input_file=tmp_path / "corpus_*.txt", output="both.tfrecord")
    assert read_provenance(tmp_path / "both.tfrecord")["counts"]["documents"] == 24
    assert len(both) > 1.5 * len(single)


@pytest.mark.parametrize("word_tokenizer_type", ["mecab", "basic"])
def test_same_bytes_for_any_workers_and_batches(create, tmp_path, monkeypatch, word_tokenizer_type):
    monkeypatch.setattr("japanese_bert.tfrecord.writing.RECORDS_PER_MEMBER", 16)
    monkeypatch.setattr("japanese_bert.pretraining_data.rendering.RECORDS_PER_JOB", 32)
    flags = ["--gzip_compress", "--do_whole_word_mask"]
    create(*flags, output="one.gz", word_tokenizer_type=word_tokenizer_type)
    create(*flags, output="two.gz", num_workers=2, word_tokenizer_type=word_tokenizer_type)
    monkeypatch.setattr("japanese_bert.pretraining_data.rendering.RECORDS_PER_JOB", 16)
    monkeypatch.setattr("japanese_bert.pretraining_data.token_store.TOKENIZE_BLOCK_BYTES", 100)
    create(*flags, output="batch.gz", word_tokenizer_type=word_tokenizer_type)
    first = (tmp_path / "one.gz").read_bytes()
    assert first == (tmp_path / "two.gz").read_bytes() == (tmp_path / "batch.gz").read_bytes()


def test_tokens_of_a_sentencepiece_model(tmp_path, small_corpus):
    lines = small_corpus.read_text(encoding="utf-8").split("\n") + ["playing and masking words, 1, 2"] * 20
    spm_file = write_albert(tmp_path / "albert", lines, do_lower_case=True) / "spiece.model"
    flags = ["--input_file", str(small_corpus), "--output_file", str(tmp_path / "out"), "--max_seq_length", "32"]
    flags += ["--subword_tokenizer_type", "sentencepiece", "--spm_file", str(spm_file), "--do_lower_case"]
    stage.main(stage.get_parser().parse_args([*flags, "--do_whole_word_mask", "--dupe_factor", "1"]))
    words = SentencePieceWords(spm_file, do_lower_case=True, strip_accents=True)
    ids = {index for line in lines for word in words.split(line) for index in read_ids(word)}
    examples = read_examples(tmp_path / "out")
    assert len(examples) > 10
    assert {token for example in examples for token in unmasked(example, "input_ids")} <= ids | {2, 3}
    assert not {2, 3, 4} & {token for example in examples for token in example["masked_lm_ids"]}
    made_by = read_provenance(tmp_path / "out")
    assert {name: made_by["method"].get(name) for name in ("word_tokenizer_type", "strip_accents")} == {
        "word_tokenizer_type": "sentencepiece", "strip_accents": None,
    }  # fmt: skip
    stated = [of_data(made_by, "out.json"), of_config(tmp_path / "albert" / "tokenizer_config.json")]
    check_same(stated)
    for item in stated:
        with pytest.raises(ValueError, match="strip_accents False, but True in"):
            check_same([item, Tokenization("x", strip_accents=False)])
    with pytest.raises(
        ValueError, match="--subword_tokenizer_type wordpiece: expected --vocab_file, and no --spm_file"
    ):
        stage.main(stage.get_parser().parse_args([*flags, "--subword_tokenizer_type", "wordpiece", "--overwrite"]))


def test_records_of_older_outputs_are_still_those_of_the_same_command(create, tmp_path):
    """Newer flags are in the record only where they change something."""
    newer = {"tokenize_chinese_chars", "strip_accents", "spm_file", "vocab_file"}
    create(output="mecab", dupe_factor=1)
    create("--no-tokenize_chinese_chars", output="basic", dupe_factor=1, word_tokenizer_type="basic")
    create(output="bert", dupe_factor=1, word_tokenizer_type="basic")
    methods = [read_provenance(tmp_path / name)["method"] for name in ("mecab", "basic", "bert")]
    assert [newer & method.keys() for method in methods] == [set(), set(), {"tokenize_chinese_chars"}]


def test_same_bytes_without_the_jit(create, tmp_path, small_corpus, wordpiece_vocab):
    create("--do_whole_word_mask", dupe_factor=1)
    process = run_script(
        "--input_file", small_corpus, "--output_file", tmp_path / "slow.tfrecord", "--vocab_file", wordpiece_vocab,
        "--max_seq_length", 32, "--max_predictions_per_seq", 5, "--dupe_factor", 1, "--do_whole_word_mask",
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "slow.tfrecord").read_bytes() == (tmp_path / "data.tfrecord").read_bytes()


def test_dictionaries_by_name_and_by_directory(create, tmp_path):
    import unidic_lite

    by_name = create()
    by_directory = create(mecab_dic_type=unidic_lite.DICDIR, output="directory.tfrecord")
    assert by_name == by_directory
    assert len(read_provenance(tmp_path / "directory.tfrecord")["dictionary"]["sha256"]) == 64
    assert create(mecab_dic_type="ipadic", output="ipadic.tfrecord") != by_name
    assert read_provenance(tmp_path / "ipadic.tfrecord")["dictionary"]["name"] == "ipadic"


def test_another_seed_gives_other_bytes(create):
    assert create() != create(output="other.tfrecord", random_seed=1)


def test_provenance_tells_what_was_made(create, tmp_path, small_corpus):
    examples = create()
    provenance = read_provenance(tmp_path / "data.tfrecord")
    assert provenance["counts"]["instances"] == len(examples)
    assert provenance["counts"]["documents"] == 12
    assert provenance["dictionary"]["name"] == "unidic_lite"
    assert provenance["inputs"]["text"][0]["size"] == small_corpus.stat().st_size
    assert 0.1 < provenance["rates"]["masked"] < 0.17
    assert provenance["method"]["random_seed"] == 12345


def test_a_complete_output_is_skipped_and_another_one_is_not_replaced(create, tmp_path, capsys):
    create()
    before = (tmp_path / "data.tfrecord").stat().st_mtime_ns
    create()
    assert "skipped: " in capsys.readouterr().out
    assert (tmp_path / "data.tfrecord").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="--overwrite"):
        create(random_seed=2)
    assert (tmp_path / "data.tfrecord").stat().st_mtime_ns == before
    create("--overwrite", random_seed=2)
    assert (tmp_path / "data.tfrecord").stat().st_mtime_ns > before
    assert json.loads((tmp_path / "data.tfrecord.json").read_text())["method"]["random_seed"] == 2


@pytest.mark.parametrize(
    ("length", "probability", "expected"), [(128, 0.15, 19), (512, 0.15, 76), (100, 0.29, 29), (8, 0.0, 1)]
)
def test_default_of_predictions(length, probability, expected):
    assert stage.default_predictions(length, probability) == expected


def test_512_tokens_mask_15_percent_without_max_predictions_per_seq(tmp_path, small_corpus, wordpiece_vocab):
    output = tmp_path / "x.tfrecord.gz"
    flags = ["--input_file", str(small_corpus), "--output_file", str(output), "--vocab_file", str(wordpiece_vocab)]
    stage.main(stage.get_parser().parse_args([*flags, "--max_seq_length", "512", "--gzip_compress"]))
    made_by = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
    assert made_by["method"]["max_predictions_per_seq"] == 76
    assert {len(example["masked_lm_positions"]) for example in read_examples(output)} == {76}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_file": "missing_*.txt"}, "missing_*.txt: no file matches"),
        ({"vocab_file": "missing.txt"}, "missing.txt: no such vocabulary. Make it with train_tokenizer.py"),
        ({"max_seq_length": 7}, "--max_seq_length 7: expected 8"),
        ({"max_predictions_per_seq": 33}, "more than --max_seq_length 32"),
        ({"dupe_factor": 0}, "--dupe_factor 0"),
        ({"masked_lm_prob": 1.5}, "--masked_lm_prob 1.5"),
        ({"mecab_dic_type": "/nonexistent"}, "/nonexistent: no compiled MeCab dictionary"),
        ({"output_file": "a,,b"}, "--output_file a,,b"),
        ({"output_file": "a,./a"}, "--output_file a,./a: expected different names"),
        ({"random_seed": 2**64}, "expected 0 or more, below 2**63"),
        ({"work_dir": "/nonexistent/w"}, "--work_dir /nonexistent/w: no such directory"),
        ({"mecab_dic_type": ""}, "--mecab_dic_type: is empty"),
        (
            {"seq_bucket_lengths": 16},
            "--seq_bucket_lengths 16: expected ascending lengths from 8 on to",
        ),
        ({"packing": "full_sentences"}, "--packing full_sentences: expected --no-next_sentence"),
        (
            {"output_file": "out/x.tfrecord.gz"},
            "--output_file out/x.tfrecord.gz: ends in .gz. Expected --gzip_compress, or a name such as out/x.tfrecord",
        ),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, small_corpus, wordpiece_vocab, changes, message):
    arguments = {
        "input_file": small_corpus, "output_file": tmp_path / "out" / "data.tfrecord", "vocab_file": wordpiece_vocab,
        "max_seq_length": 32, "max_predictions_per_seq": 5,
    } | changes  # fmt: skip
    process = run_script(*(text for name, value in arguments.items() for text in (f"--{name}", value)), cwd=tmp_path)
    assert message in error_of(process)
    assert not (tmp_path / "out").exists()


def test_a_pipe_is_read_from_its_beginning(create, tmp_path, small_corpus, wordpiece_vocab):
    create("--use_v2_feature_names")
    output = tmp_path / "piped.tfrecord"
    command = [sys.executable, str(SCRIPT), "--input_file", "-", "--output_file", str(output), "--use_v2_feature_names"]
    command += ["--vocab_file", str(wordpiece_vocab), "--max_seq_length", "32", "--max_predictions_per_seq", "5"]
    for overwrite in ([], ["--overwrite"]):  # what a pipe holds is not known beforehand: never complete
        with open(small_corpus, "rb") as corpus:
            pipe = subprocess.Popen(["cat"], stdin=corpus, stdout=subprocess.PIPE)
            process = subprocess.run(
                [*command, "--dupe_factor", "3", *overwrite], stdin=pipe.stdout, capture_output=True, encoding="utf-8"
            )
            pipe.wait()
            pipe.stdout.close()
        assert process.returncode == 0, process.stderr
        assert "skipped" not in process.stdout
        assert output.read_bytes() == (tmp_path / "data.tfrecord").read_bytes()


def test_a_vocabulary_of_another_dictionary_is_refused(create, tmp_path, capsys):
    """The vocabulary was trained with IPADIC, which its name need not show: MeCab's own option named it."""
    text = tmp_path / "text.txt"
    text.write_text("東京都に住む猫は、京都の山を見た。\n" * 9, encoding="utf-8")
    flags = ["--input_files", text, "--output_dir", tmp_path / "tokenizer", "--vocab_size", 36]
    flags += ["--mecab_option", f"-d {ipadic.DICDIR}"]
    train_tokenizer.main(train_tokenizer.get_parser().parse_args(list(map(str, flags))))
    vocab = tmp_path / "tokenizer" / "vocab.txt"
    with pytest.raises(
        ValueError, match=r"this command: dictionary unidic_lite 1.0.8 .*but dicdir sha256 .*vocab.txt.j"
    ):
        create(vocab_file=vocab)
    assert not (tmp_path / "data.tfrecord").exists()
    create(vocab_file=vocab, mecab_dic_type="ipadic")
    create("--no-check_records", vocab_file=vocab, output="other.tfrecord")
    assert "NOTE this command: dictionary unidic_lite 1.0.8" in capsys.readouterr().out


def test_another_tokenization_than_the_model_has_is_refused(create, tmp_path, wordpiece_vocab):
    """The vocabulary of a model that is trained on has the tokenizer_config.json of the model beside it."""
    vocab = shutil.copy(wordpiece_vocab, tmp_path / "model.txt")
    shutil.copy(SCRIPT.parent / "hf_model_configs/bert_base_wordpiece/tokenizer_config.json", tmp_path)
    create(vocab_file=vocab)
    for flag, value in (("--do_lower_case", None), ("--mecab_dic_type", "ipadic"), ("--word_tokenizer_type", "basic")):
        with pytest.raises(ValueError, match=f"this command: .*but .*in {tmp_path}/tokenizer_config.json"):
            create(flag, *([value] if value else []), vocab_file=vocab, output="other.tfrecord")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{'猫と山。' * 40}\n\n" * 3,
            "the instances use 9% of the tokens, because most lines are longer than an instance",
        ),
        ("猫は山を見た。\n\n" * 9, "every next sentence would be random, because every document is one line"),
    ],
)
def test_text_that_is_not_a_sentence_a_line(create, tmp_path, text, message):
    """Released once, such data looks as any other: nothing in it counts what is left out."""
    corpus = tmp_path / "text.txt"
    corpus.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        create(input_file=corpus)
    assert message in str(error.value) and "Or add --no-check_use" in str(error.value)
    assert [path.name for path in tmp_path.glob("data*")] == []
    create("--no-check_use", input_file=corpus)
    create("--no-next_sentence", input_file=corpus, output="single.tfrecord")
    counts = read_provenance(tmp_path / "single.tfrecord")["counts"]
    assert (counts["tokens_used"], counts["tokens_cut"]) == (3 * counts["tokens"], 0)


def test_tokens_used_and_cut_are_those_of_the_records(letters, tmp_path):
    """A random next sentence is no use of its tokens."""
    examples = letters(dupe_factor=7, max_seq_length=16, max_predictions_per_seq=3)
    used = 0
    for example in examples:
        tokens = unmasked(example)
        cut = tokens.index(3)
        used += cut - 1 + (0 if example["next_sentence_labels"][0] else len(tokens) - cut - 2)
    counts = read_provenance(tmp_path / "data.tfrecord")["counts"]
    assert 0.5 < used / (7 * counts["tokens"]) < 1
    assert (counts["tokens_used"], counts["tokens_cut"]) == (used, 7 * counts["tokens"] - used)


def test_another_content_of_the_input_is_not_complete(create, small_corpus):
    create()
    small_corpus.write_text(small_corpus.read_text(encoding="utf-8") + "\n猫だ。\n", encoding="utf-8")
    with pytest.raises(FileExistsError, match="--overwrite"):
        create()


def test_provenance_beside_the_shards_are_no_input(create, tmp_path, small_corpus):
    create(output="one.tfrecord")
    (tmp_path / "corpus_01.txt.json").write_text('{"stage": "merge_split_corpora"}', encoding="utf-8")
    create(input_file=tmp_path / "corpus_*", output="glob.tfrecord")
    assert (tmp_path / "glob.tfrecord").read_bytes() == (tmp_path / "one.tfrecord").read_bytes()


def test_a_file_of_the_user_where_the_provenance_would_be_is_kept(create, tmp_path):
    (tmp_path / "data.tfrecord.json").write_text("precious", encoding="utf-8")
    with pytest.raises(FileExistsError, match="move it away"):
        create()
    assert (tmp_path / "data.tfrecord.json").read_text(encoding="utf-8") == "precious"


def test_more_outputs_than_instances(create, tmp_path):
    with pytest.raises(ValueError, match="Name fewer"):
        create(output_file=",".join(str(tmp_path / f"part_{index}") for index in range(200)))
    assert not list(tmp_path.glob("part*"))


def test_words_that_no_quota_holds(letters, tmp_path):
    with pytest.raises(ValueError, match="--max_predictions_per_seq 1"):
        letters("--do_whole_word_mask", "--no-check_use", input_file=long_words(tmp_path), max_predictions_per_seq=1)
    assert not list(tmp_path.glob("data*"))


def long_words(directory: Path) -> Path:
    path = directory / "words.txt"
    path.write_text("東京\n\n天気\n\n説明\n", encoding="utf-8")
    return path


def test_a_vocabulary_without_text_is_refused(letters, tmp_path):
    vocab = tmp_path / "empty_vocab.txt"
    vocab.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[unused0]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="only special and unused tokens"):
        letters(vocab_file=vocab)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 documents"),
        (b"\n \n\n", "0 documents"),
        ("猫が好きだ。\n犬だ。\n".encode(), "1 documents. Expected at least 2"),
        (bytes(range(256)) * 20, "not UTF-8"),
    ],
    ids=["empty", "blank lines", "one document", "binary"],
)
def test_bad_corpora_are_one_line_and_leave_nothing(tmp_path, wordpiece_vocab, content, message):
    corpus = tmp_path / "corpus.txt"
    corpus.write_bytes(content)
    output = tmp_path / "data.tfrecord"
    process = run_script("--input_file", corpus, "--output_file", output, "--vocab_file", wordpiece_vocab)
    assert message in error_of(process)
    assert {path.name for path in tmp_path.glob("data*")} == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("[MASK]\n", ""), "no line [MASK]"),
        (lambda text: text + "東京\n", "is on line"),
    ],
    ids=["without [MASK]", "duplicate line"],
)
def test_bad_vocabularies_are_one_line(tmp_path, small_corpus, wordpiece_vocab, change, message):
    wordpiece_vocab.write_text(change(wordpiece_vocab.read_text(encoding="utf-8")), encoding="utf-8")
    output = tmp_path / "data.tfrecord"
    process = run_script("--input_file", small_corpus, "--output_file", output, "--vocab_file", wordpiece_vocab)
    assert message in error_of(process)
    assert not output.exists()


def test_truncated_gzip_input_is_one_line(tmp_path, small_corpus, wordpiece_vocab):
    import gzip

    path = tmp_path / "corpus.txt.gz"
    path.write_bytes(gzip.compress(small_corpus.read_bytes() * 2000)[:-2000])
    output = tmp_path / "data.tfrecord"
    process = run_script("--input_file", path, "--output_file", output, "--vocab_file", wordpiece_vocab)
    assert "truncated or corrupt" in error_of(process)
    assert not list(tmp_path.glob("data*"))


def test_an_unwritable_output_directory_is_one_line(tmp_path, small_corpus, wordpiece_vocab):
    (tmp_path / "file").write_text("", encoding="utf-8")
    output = tmp_path / "file" / "data.tfrecord"
    process = run_script("--input_file", small_corpus, "--output_file", output, "--vocab_file", wordpiece_vocab)
    assert f"{tmp_path / 'file'}: is a file, expected a directory" in error_of(process)


def test_a_sentence_of_100000_characters(create, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("猫が好きだ。" * 16_667 + "\n\n" + "犬の話は続く。\n" * 3, encoding="utf-8")
    examples = create("--no-check_use", input_file=path, dupe_factor=1)
    assert max(sum(example["input_mask"]) for example in examples) <= 32
    assert read_provenance(tmp_path / "data.tfrecord")["counts"]["sentences"] == 4


def test_help_imports_nothing_heavy():
    assert imported_by("create_pretraining_data", "numpy", "fugashi", "numba", "tqdm") == "[]"


def test_the_engine_imports_no_framework():
    engine = ", ".join(
        f"japanese_bert.{name}"
        for name in (
            "pretraining_data.rendering",
            "pretraining_data.token_store",
            "tokenization.words",
            "common.provenance",
        )
    )
    assert imported_by(engine, "tensorflow", "torch", "jax", "transformers") == "[]"


def test_compiled_code_imports_no_linear_algebra(tmp_path, small_corpus, wordpiece_vocab):
    """Numba's searchsorted and sums do. It costs 0.15 s of each run."""
    flags = ["--input_file", small_corpus, "--vocab_file", wordpiece_vocab, "--output_file", tmp_path / "a.tfrecord"]
    code = "import sys, create_pretraining_data as stage; stage.main(stage.get_parser().parse_args()); "
    code += "print('scipy.linalg' in sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", code, *flags], encoding="utf-8", cwd=SCRIPT.parent)
    assert printed.split("\n")[-2] == "False"


def imported_by(modules: str, *names: str) -> str:
    check = f"import sys, {modules}; print([name for name in {names} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", check], capture_output=True, encoding="utf-8", cwd=SCRIPT.parent)
    return process.stdout.strip()


def test_vocab_ids_fill_the_examples(create, wordpiece_vocab):
    ids = np.array([example["input_ids"] for example in create()])
    assert ids.max() < len(load_vocab(wordpiece_vocab))

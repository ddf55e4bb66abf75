"""create_classification_data.py: exact records, the tokenizer's own ids, and one line for every wrong input."""

import gzip
import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from japanese_bert.common import command_line
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, load_vocab, unused_tokens, vocab_bytes
from tests.helpers.places import ROOT, SHARED_DATA
from tests.helpers.tfrecord_reader import read_examples
from tools import create_classification_data as create

LABELS = ["--labels", "no", "yes", "maybe"]
PAIR = ["--text_fields", "a", "b"]
ROWS = [
    {"a": "猫が好きだ。", "b": "東京の天気について調べた。", "label": "maybe"},
    {"a": "詩を見て驚いた。", "b": "", "label": "no"},
    {"a": "ＰＣは３番目に大切です！", "b": "ﾗｰﾒﾝ", "label": "yes"},
]
# With unidic_lite. Of more than one character 調べ, 驚い, 東京 and 天気 are in the vocabulary; ! of NFKC is not.
PIECES = [
    (["猫", "が", "好", "##き", "だ", "。"], ["東京", "の", "天気", "に", "つ", "##い", "て", "調べ", "た", "。"]),
    (["詩", "を", "見", "て", "驚い", "た", "。"], []),
    (["P", "##C", "は", "3", "番", "目", "に", "大", "##切", "で", "##す", "[UNK]"], ["ラ", "##ー", "##メ", "##ン"]),
]


def write_rows(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def run(input_file: Path, output: Path, vocab: Path, *flags: str) -> list[dict[str, list]]:
    files = ["--input_file", str(input_file), "--output_file", str(output), "--vocab_file", str(vocab)]
    command_line.run_stage(create.get_parser(), create.main, [*files, "--max_seq_length", "24", *flags])
    return read_examples(output)


def provenance_of(output: Path) -> dict:
    return json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))


def padded(values: list[int], length: int = 24) -> list[int]:
    return [*values, *[0] * (length - len(values))]


@pytest.fixture
def rows(tmp_path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", ROWS)


def test_records_of_pairs(tmp_path, rows, wordpiece_vocab):
    ids = load_vocab(wordpiece_vocab).ids
    examples = run(rows, tmp_path / "out", wordpiece_vocab, *PAIR, *LABELS)
    assert len(examples) == 3
    for number, (example, (first, second)) in enumerate(zip(examples, PIECES, strict=True)):
        tokens = ["[CLS]", *first, "[SEP]", *second, "[SEP]"]
        assert example == {
            "input_ids": padded([ids[token] for token in tokens]),
            "input_mask": padded([1] * len(tokens)),
            "segment_ids": padded([0] * (len(first) + 2) + [1] * (len(second) + 1)),
            "label_ids": [[2, 0, 1][number]],
            "example_id": [number],
        }
    provenance = provenance_of(tmp_path / "out")
    tokens = sum(sum(example["input_mask"]) for example in examples)
    assert provenance["counts"] == {"instances": 3, "tokens": tokens, "instances_cut": 0, "texts_without_tokens": 1}
    assert provenance["labels"] == {"no": 1, "yes": 1, "maybe": 1}
    assert provenance["method"]["labels"] == LABELS[1:]
    assert {role: files[0]["name"] for role, files in provenance["inputs"].items()} == {
        "text": "rows.jsonl",
        "vocab": "vocab.txt",
    }


def test_records_of_single_texts(tmp_path, rows, wordpiece_vocab):
    ids = load_vocab(wordpiece_vocab).ids
    examples = run(rows, tmp_path / "out", wordpiece_vocab, "--text_fields", "a", *LABELS)
    for example, (first, _) in zip(examples, PIECES, strict=True):
        assert example["input_ids"] == padded([ids[token] for token in ("[CLS]", *first, "[SEP]")])
        assert example["input_mask"] == padded([1] * (len(first) + 2))
        assert example["segment_ids"] == [0] * 24


def test_records_of_characters(tmp_path, rows, character_vocab):
    ids = load_vocab(character_vocab).ids
    flags = ["--subword_tokenizer_type", "character", "--vocab_has_no_subword_prefix"]
    example = run(rows, tmp_path / "out", character_vocab, *PAIR, *LABELS, *flags)[2]
    tokens = ["[CLS]", *"PCは3番目に大切です", "[UNK]", "[SEP]", *"ラーメン", "[SEP]"]
    assert example["input_ids"] == padded([ids[token] for token in tokens])


def test_scores_of_a_regression(tmp_path, wordpiece_vocab):
    scores = [0, 4.25, "2.5", -1]
    rows = write_rows(tmp_path / "rows.jsonl", [{"a": "猫", "score": score} for score in scores])
    flags = ["--text_fields", "a", "--label_field", "score", "--regression"]
    examples = run(rows, tmp_path / "out", wordpiece_vocab, *flags)
    assert [example["label_ids"] for example in examples] == [[0.0], [4.25], [2.5], [-1.0]]
    assert provenance_of(tmp_path / "out")["labels"] == {"mean": 1.4375, "min": -1.0, "max": 4.25}


def test_long_pairs_are_cut_and_counted(tmp_path, rows, wordpiece_vocab):
    ids = load_vocab(wordpiece_vocab).ids
    examples = run(rows, tmp_path / "out", wordpiece_vocab, *PAIR, *LABELS, "--max_seq_length", "12")
    first, second = PIECES[0]
    tokens = ["[CLS]", *first[:5], "[SEP]", *second[:4], "[SEP]"]
    assert examples[0]["input_ids"] == [ids[token] for token in tokens]
    assert examples[0]["segment_ids"] == [0] * 7 + [1] * 5
    assert provenance_of(tmp_path / "out")["counts"]["instances_cut"] == 2


def test_tsv_gives_the_same_records(tmp_path, rows, wordpiece_vocab):
    lines = ["label\tb\tother\ta", *(f'{row["label"]}\t{row["b"]}\t"\t{row["a"]}' for row in ROWS)]
    tsv = tmp_path / "rows.tsv"
    tsv.write_text("\r\n".join(lines), encoding="utf-8")
    compressed = tmp_path / "rows.tsv.gz"
    compressed.write_bytes(gzip.compress(tsv.read_bytes()))
    expected = run(rows, tmp_path / "out", wordpiece_vocab, *PAIR, *LABELS)
    assert run(tsv, tmp_path / "tsv", wordpiece_vocab, *PAIR, *LABELS) == expected
    assert run(compressed, tmp_path / "gz", wordpiece_vocab, *PAIR, *LABELS) == expected


def test_labels_that_are_no_text(tmp_path, wordpiece_vocab):
    rows = write_rows(tmp_path / "rows.jsonl", [{"a": "猫", "label": label} for label in (1, True, 0, "1")])
    examples = run(rows, tmp_path / "out", wordpiece_vocab, "--text_fields", "a", "--labels", "0", "1", "true")
    assert [example["label_ids"] for example in examples] == [[1], [2], [0], [1]]


def test_more_records_than_a_gzip_member_holds(tmp_path, wordpiece_vocab):
    rows = write_rows(tmp_path / "rows.jsonl", [{"a": "猫", "label": "no"}] * 1100)
    plain = run(rows, tmp_path / "plain", wordpiece_vocab, "--text_fields", "a", *LABELS)
    packed = run(rows, tmp_path / "packed", wordpiece_vocab, "--text_fields", "a", *LABELS, "--gzip_compress")
    assert packed == plain
    assert [example["example_id"] for example in plain] == [[number] for number in range(1100)]
    assert (tmp_path / "packed").read_bytes()[:2] == b"\x1f\x8b"


def test_what_text_may_hold(tmp_path, wordpiece_vocab):
    """NULs are dropped. Special tokens are text. Line breaks and tabs inside a text are white space."""
    texts = ["猫\0が好きだ。", "[SEP]", "猫\nが\t好きだ。\n", "　", "猫𠮷が😀"]
    rows = write_rows(tmp_path / "rows.jsonl", [{"a": text, "label": "no"} for text in texts])
    examples = run(rows, tmp_path / "out", wordpiece_vocab, "--text_fields", "a", *LABELS)
    vocab = load_vocab(wordpiece_vocab)
    cat = [vocab.ids[token] for token in ("[CLS]", "猫", "が", "好", "##き", "だ", "。", "[SEP]")]
    assert examples[0]["input_ids"] == examples[2]["input_ids"] == padded(cat)
    assert vocab.ids["[SEP]"] not in examples[1]["input_ids"][1 : sum(examples[1]["input_mask"]) - 1]
    assert sum(examples[3]["input_mask"]) == 2
    assert [vocab.tokens[id] for id in examples[4]["input_ids"][:6]] == ["[CLS]", "猫", "[UNK]", "が", "[UNK]", "[SEP]"]
    assert provenance_of(tmp_path / "out")["dropped"] == {"nul_characters": 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"a": "猫", "b": "", "label": "no"}\n{"a": ', "a.jsonl:2: not JSON"),
        ("a.jsonl", b"\xff\n", "a.jsonl:1: not UTF-8 text"),
        ("a.jsonl", "\n", "a.jsonl: no example"),
        ("a.tsv", "a\tb\tlabel\n", "a.tsv: no example"),
        ("a.tsv", "a\tb\tlabel\n猫\tno\n", "a.tsv:2: has 2 columns, expected 3"),
        ("a.tsv.gz", b"\x1f\x8b\x08", "a.tsv.gz: truncated or corrupt"),
    ],
)
def test_wrong_files_are_one_line(tmp_path, wordpiece_vocab, capsys, name, text, message):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    assert_refused(capsys, message, path, tmp_path / "out", wordpiece_vocab, *PAIR, *LABELS)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([*PAIR, "--labels", "no"], "--labels no: expected two or more different labels"),
        ([*PAIR, "--labels", "no", "yes", "no"], "--labels no yes no: expected two or more different labels"),
        (["--text_fields", "a", "b", "label", *LABELS], "--text_fields a b label: expected one text, or a pair"),
        ([*PAIR, *LABELS, "--max_seq_length", "4"], "--max_seq_length 4: expected 5 to 65535"),
        ([*PAIR, *LABELS, "--mecab_dic_type", ""], "--mecab_dic_type: is empty"),
        ([*PAIR, *LABELS, "--input_file", "nowhere.json"], "nowhere.json: no such file"),
        ([*PAIR, *LABELS, "--vocab_file", "nowhere.txt"], "nowhere.txt: no such vocabulary"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, rows, wordpiece_vocab, capsys, flags, message):
    assert_refused(capsys, message, rows, tmp_path / "out", wordpiece_vocab, *flags)


def test_a_name_in_gz_without_gzip_compress_is_one_line(tmp_path, rows, wordpiece_vocab, capsys):
    output = tmp_path / "x.tfrecord.gz"
    assert_refused(capsys, "x.tfrecord.gz: ends in .gz. Expected", rows, output, wordpiece_vocab, *PAIR, *LABELS)


def assert_refused(capsys, message: str, path: Path, output: Path, vocab: Path, *flags: str) -> None:
    with pytest.raises(SystemExit) as error:
        run(path, output, vocab, *flags)
    lines = capsys.readouterr().err.splitlines()
    assert error.value.code == 1
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert not output.exists()
    assert not Path(f"{output}.tmp").exists()


def test_rerun_skips_and_another_order_of_labels_is_refused(tmp_path, rows, wordpiece_vocab, capsys):
    run(rows, tmp_path / "out", wordpiece_vocab, *PAIR, *LABELS)
    before = (tmp_path / "out").read_bytes()
    run(rows, tmp_path / "out", wordpiece_vocab, *PAIR, *LABELS)
    assert "skipped: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(rows, tmp_path / "out", wordpiece_vocab, *PAIR, "--labels", "yes", "no", "maybe")
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out").read_bytes() == before


def test_no_framework_is_needed():
    code = "import sys; from tools import create_classification_data as c; c.get_parser(); "
    code += "import japanese_bert.finetuning_data.encoding; "
    code += "print(sorted({'tensorflow', 'torch', 'transformers'} & set(sys.modules)), 'numba' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8").stdout
    assert output == "[] True\n"


def jglue_files(split: str) -> list[Path]:
    return sorted(SHARED_DATA.glob(f"jglue/datasets/[jJ][nNsS][lLtT][iIsS]-v*/{split}-*.json"))


def test_another_tokenization_than_the_model_has_is_refused(tmp_path, rows, wordpiece_vocab, capsys):
    vocab = shutil.copy(wordpiece_vocab, tmp_path / "model.txt")
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    with pytest.raises(SystemExit):
        run(rows, tmp_path / "out", vocab, *PAIR, *LABELS)
    assert "error: this command: do_lower_case False, but True in" in capsys.readouterr().err
    run(rows, tmp_path / "out", vocab, *PAIR, *LABELS, "--do_lower_case")
    run(rows, tmp_path / "other", vocab, *PAIR, *LABELS, "--no-check_records")


@pytest.fixture(scope="module")
def real_vocabs(tmp_path_factory) -> dict[str, Path]:
    """The vocabularies of the words and characters of the validation files, without a third of the words."""
    from japanese_bert.tokenization.words import make_word_splitter

    files = jglue_files("valid")
    if not files:
        pytest.skip("JGLUE is not here")
    split = make_word_splitter("mecab", "unidic_lite", do_lower_case=False).split
    texts = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    words = Counter(itertools.chain.from_iterable(split(row["sentence1"]) for row in texts))
    characters = sorted({character for word in words for character in word})
    fixed = [*SPECIAL_TOKENS, *unused_tokens(10), *characters]
    whole = [word for number, word in enumerate(sorted(words)) if len(word) > 1 and number % 3]
    tokens = {"character": fixed, "wordpiece": [*fixed, *(f"##{character}" for character in characters), *whole]}
    found = {}
    for name, entries in tokens.items():
        directory = tmp_path_factory.mktemp("tokenizer") / name
        shutil.copytree(ROOT / "hf_model_configs" / f"bert_base_{name}", directory)
        found[name] = directory / "vocab.txt"
        found[name].write_bytes(vocab_bytes(entries))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["wordpiece", "character"])
@pytest.mark.parametrize(
    ("split", "every"), [("valid", 6), pytest.param("*", 1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_real_pairs_have_the_ids_of_the_shipped_tokenizer(tmp_path, real_vocabs, kind, split, every):
    """JNLI and JSTS, at a length that cuts some."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # it warns of every pair that it cuts
    tokenizer = AutoTokenizer.from_pretrained(real_vocabs[kind].parent)
    flags = ["--text_fields", "sentence1", "sentence2", "--subword_tokenizer_type", kind, "--gzip_compress"]
    flags += ["--vocab_has_no_subword_prefix"] if kind == "character" else []
    length = {"wordpiece": 48, "character": 56}[kind]
    cut = total = 0
    for number, path in enumerate(jglue_files(split)):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]][::every]
        source = write_rows(tmp_path / f"{number}.jsonl", rows)
        is_jsts = isinstance(rows[0]["label"], float)
        labels = ["--regression"] if is_jsts else ["--labels", "entailment", "contradiction", "neutral"]
        output = tmp_path / f"{number}.tfrecord.gz"
        examples = run(source, output, real_vocabs[kind], *flags, *labels, "--max_seq_length", str(length))
        assert len(examples) == len(rows)
        for row, example in zip(rows, examples, strict=True):
            encoded = tokenizer(
                row["sentence1"], row["sentence2"], truncation=True, max_length=length, padding="max_length"
            )
            assert example["input_ids"] == encoded["input_ids"]
            assert example["input_mask"] == encoded["attention_mask"]
            assert example["segment_ids"] == encoded["token_type_ids"]
            if is_jsts:
                assert example["label_ids"] == [pytest.approx(row["label"], abs=1e-6)]
            else:
                assert example["label_ids"] == [labels[1:].index(row["label"])]
        cut += provenance_of(output)["counts"]["instances_cut"]
        total += len(rows)
    assert total >= 600
    assert 0.05 < cut / total < 0.6

"""The stage as a user runs it: every document in one shard, whole and in order."""

import gzip
import io
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import merge_split_corpora as stage_script
from japanese_bert.common.text_files import read_blocks
from japanese_bert.corpus import dealing, documents, duplicates
from japanese_bert.corpus.dealing import ShardWriter
from japanese_bert.corpus.documents import DOCUMENT, DocumentBatch, DocumentReader, LineLengths
from japanese_bert.corpus.duplicates import DuplicateFilter
from tests.helpers.places import ROOT


def run(*arguments) -> None:
    stage_script.main(stage_script.get_parser().parse_args([str(argument) for argument in arguments]))


def read_shard(path: Path) -> list[str]:
    """Documents of a shard, which must be written exactly so: lines, and a blank line after each document."""
    text = b"".join(read_blocks(path)).decode("utf-8")
    assert text.endswith("\n\n")
    documents = text.removesuffix("\n\n").split("\n\n")
    assert all(line and line == " ".join(line.split()) for document in documents for line in document.split("\n"))
    return documents


@pytest.fixture
def texts() -> list[str]:
    generator = random.Random(1)
    return [
        "\n".join(f"文書{number}の文{line}。" + "長い" * generator.randrange(40) for line in range(1 + number % 7))
        for number in range(300)
    ]


@pytest.fixture
def text_file(tmp_path, texts) -> Path:
    """The texts with all that may lie between and around them."""
    path = tmp_path / "in.txt"
    boundaries = ["\n\n", "\r\n\r\n", "\n\u3000\n", "\n\n\n\n", "\n \t\n\n"]
    body = "".join(document + boundaries[number % 5] for number, document in enumerate(texts))
    path.write_bytes(("\ufeff\n\n" + body.rstrip()).replace("。長", "。\u3000 \t長").encode("utf-8"))
    return path


def expected_documents(texts: list[str]) -> list[str]:
    return [document.replace("。長", "。 長") for document in texts]


def shard_of(shards: list[list[str]], document: str) -> int:
    return next(number for number, shard in enumerate(shards) if document in shard)


def test_every_document_lands_whole_in_one_shard_in_order(tmp_path, text_file, texts):
    run("--input_files", text_file, "--output_dir", tmp_path / "out", "--num_files", 12)
    names = [f"corpus_{number:02d}.txt" for number in range(1, 13)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names + [f"{n}.json" for n in names])
    shards = [read_shard(tmp_path / "out" / name) for name in names]
    expected = expected_documents(texts)
    assert sum(map(len, shards)) == len(expected)
    for shard in shards:
        positions = [expected.index(document) for document in shard]
        assert positions == sorted(positions)
        assert positions != list(range(positions[0], positions[0] + len(positions)))
    assert {document for shard in shards for document in shard} == set(expected)


def test_shards_are_balanced(tmp_path, text_file):
    run("--input_files", text_file, "--output_dir", tmp_path / "out", "--num_files", 5)
    sizes = [len(path.read_text(encoding="utf-8")) for path in (tmp_path / "out").glob("*.txt")]
    longest = max(len(document) for document in read_shard(tmp_path / "out" / "corpus_01.txt"))
    assert max(sizes) - min(sizes) <= 2 * longest


def test_no_shard_is_empty_while_documents_suffice(tmp_path):
    (tmp_path / "in.txt").write_text("\n\n".join(f"文{number}。" for number in range(64)), encoding="utf-8")
    run("--input_files", tmp_path / "in.txt", "--output_dir", tmp_path / "out", "--num_files", 64)
    shards = [read_shard(tmp_path / "out" / f"corpus_{number:02d}.txt") for number in range(1, 65)]
    assert [len(shard) for shard in shards] == [1] * 64
    assert [shard[0] for shard in shards] != [f"文{number}。" for number in range(64)]


def test_more_than_99_shards_are_numbered_as_seq_does(tmp_path, text_file):
    run("--input_files", text_file, "--output_dir", tmp_path / "out", "--num_files", 101)
    assert {"corpus_01.txt", "corpus_99.txt", "corpus_101.txt"} < {path.name for path in (tmp_path / "out").iterdir()}


def test_seed_decides(tmp_path, text_file):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("--input_files", text_file, "--output_dir", tmp_path / name, "--num_files", 3, "--random_seed", seed)
    first, same, other = ([(tmp_path / name / f"corpus_0{n}.txt").read_bytes() for n in (1, 2, 3)] for name in "abc")
    assert first == same
    assert first != other


def test_several_inputs_end_their_documents(tmp_path):
    (tmp_path / "a.txt").write_bytes("一".encode())
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("二\n二の二\n".encode()))
    run("--input_files", tmp_path / "*.txt", tmp_path / "b.txt.gz", "--output_dir", tmp_path / "out", "--num_files", 1)
    assert (tmp_path / "out" / "corpus_01.txt").read_text(encoding="utf-8") == "一\n\n二\n二の二\n\n"


def test_compressed_shards_hold_the_same_text(tmp_path, text_file):
    run("--input_files", text_file, "--output_dir", tmp_path / "plain", "--num_files", 2)
    run("--input_files", text_file, "--output_dir", tmp_path / "gz", "--num_files", 2, "--compress")
    for number in (1, 2):
        plain = (tmp_path / "plain" / f"corpus_0{number}.txt").read_bytes()
        assert gzip.decompress((tmp_path / "gz" / f"corpus_0{number}.txt.gz").read_bytes()) == plain


def test_standard_input_gives_the_same_shards_and_is_never_taken_as_known(tmp_path, text_file):
    run("--input_files", text_file, "--output_dir", tmp_path / "file", "--num_files", 3)
    command = [sys.executable, "merge_split_corpora.py", "--input_files", "-", "--num_files", "3", "--output_dir"]
    with open(text_file, "rb") as file:
        cat = subprocess.run(
            [*command, tmp_path / "pipe"], input=file.read(), cwd=ROOT, capture_output=True, check=True
        )
    assert b"documents_out: 300" in cat.stdout
    for number in (1, 2, 3):
        name = f"corpus_0{number}.txt"
        assert (tmp_path / "pipe" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()
    again = subprocess.run(
        [*command, tmp_path / "pipe"], input="別\n\n文\n\n章".encode(), cwd=ROOT, capture_output=True
    )
    assert again.returncode == 1
    assert b"--overwrite" in again.stderr


def test_second_run_skips_and_another_recipe_needs_overwrite(tmp_path, text_file, capsys):
    arguments = ["--input_files", text_file, "--output_dir", tmp_path / "out", "--num_files"]
    run(*arguments, 3)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    run(*arguments, 3)
    assert "complete" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    with pytest.raises(FileExistsError, match="--overwrite"):
        run(*arguments, 3, "--random_seed", 2)
    old = (tmp_path / "out" / "corpus_01.txt").read_bytes()
    run(*arguments, 3, "--random_seed", 2, "--overwrite")
    assert (tmp_path / "out" / "corpus_01.txt").read_bytes() != old


def test_shards_of_a_run_with_more_of_them_are_an_error(tmp_path, text_file):
    arguments = ["--input_files", text_file, "--output_dir", tmp_path / "out", "--num_files"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "corpus_sampled.txt").write_text("標本\n", encoding="utf-8")
    run(*arguments, 3)
    for more in (["--overwrite"], ["--overwrite", "--compress"]):
        with pytest.raises(FileExistsError, match=r"corpus_0\d\.txt: a shard of another run"):
            run(*arguments, 2, *more)
    run(*arguments, 4, "--overwrite")


RULES = ["--min_line_length", 2, "--max_line_length", 5, "--drop_duplicate_documents"]


def read_record(path: Path) -> dict:
    return json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))


def check_sums(record: dict) -> None:
    """What came in is what went out and what each rule dropped."""
    for unit in ("documents", "lines", "characters"):
        assert record[f"{unit}_in"] == record[f"{unit}_out"] + sum(record[f"dropped_{unit}"].values())


def test_provenance_counts(tmp_path):
    lines = "\ufeff短\n中くらい\nとてもとても長い\n\n短\n\n中くらい\n\n 中く\u3000 らい\0\n中く らい\r\n\n\n中くらい"
    (tmp_path / "in.txt").write_bytes(lines.encode() + b"\xff")
    run("--input_files", tmp_path / "in.txt", "--output_dir", tmp_path / "out", "--num_files", 1, *RULES)
    assert read_shard(tmp_path / "out" / "corpus_01.txt") == ["中くらい", "中く らい\n中く らい"]
    record = read_record(tmp_path / "out" / "corpus_01.txt")
    assert record["dropped_documents"] == {"left_empty": 1, "duplicate": 2}
    assert record["dropped_lines"] == {"blank": 5, "short": 2, "long": 1, "of_duplicate_documents": 2}
    assert record["dropped_characters"] == {
        "white_space": 3,
        "nul": 1,
        "invalid_utf8_bytes": 1,
        "byte_order_marks": 1,
        "of_short_lines": 2,
        "of_long_lines": 8,
        "of_duplicate_documents": 8,
    }
    names = ("documents_in", "documents_out", "lines_in", "lines_out", "characters_in", "characters_out")
    assert [record[name] for name in names] == [5, 2, 13, 3, 38, 14]
    check_sums(record)
    assert record["method"]["min_line_length"] == 2
    assert "output_dir" not in record["method"]


def test_real_text_comes_out_whole_or_is_counted(tmp_path, aozora_bytes):
    data = aozora_bytes + aozora_bytes[:5_000_000] + b"\xe3\x80" + aozora_bytes[:99]
    invalid = len(data) - len(data.decode("utf-8", "ignore").encode())
    (tmp_path / "in.txt").write_bytes(data)
    for name, rules in (("all", []), ("some", ["--min_line_length", 10, "--max_line_length", 100, *RULES[4:]])):
        run("--input_files", tmp_path / "in.txt", "--output_dir", tmp_path / name, "--num_files", 4, *rules)
        shards = [read_shard(tmp_path / name / f"corpus_0{number}.txt") for number in range(1, 5)]
        lines = [line for shard in shards for document in shard for line in document.split("\n")]
        record = read_record(tmp_path / name / "corpus_01.txt")
        check_sums(record)
        assert record["documents_out"] == sum(map(len, shards))
        assert (record["lines_out"], record["characters_out"]) == (len(lines), sum(map(len, lines)))
        assert record["dropped_characters"]["invalid_utf8_bytes"] == invalid
    assert record["dropped_documents"]["duplicate"] > 500
    assert record["dropped_lines"]["short"] > 1000 < record["dropped_lines"]["long"]


def batches_of(parts: list[str]) -> Iterator[DocumentBatch]:
    """One batch for each text."""
    reader = DocumentReader(LineLengths(0, sys.maxsize))
    for part in parts:
        yield from reader.read_file([part.encode()])
        yield from reader.take()


def texts_of(batch: DocumentBatch) -> list[str]:
    bounds = zip(batch.documents["start"], batch.documents["end"], strict=True)
    return [batch.text[start:end].tobytes().decode("utf-8").removesuffix("\n\n") for start, end in bounds]


def test_first_of_equal_documents_is_kept_over_batches():
    selector = DuplicateFilter()
    batches = batches_of(["a\n\nb\nb\n\na\n", "b\nb\n\nc\n\nab\n"])
    assert [texts_of(selector.select(batch)) for batch in batches] == [["a", "b\nb"], ["c", "ab"]]
    assert selector.dropped == {"documents": 2, "lines": 3, "characters": 3}


@pytest.mark.parametrize("per_batch", [1, 7, 1000])
def test_duplicates_are_found_while_the_table_grows(monkeypatch, per_batch):
    monkeypatch.setattr(duplicates, "FIRST_SLOTS", 4)
    generator = random.Random(1)
    numbers = [str(generator.randrange(600)) for _ in range(1000)]
    parts = ["\n\n".join([*numbers[start : start + per_batch], ""]) for start in range(0, 1000, per_batch)]
    selector = DuplicateFilter()
    kept = [text for batch in batches_of(parts) for text in texts_of(selector.select(batch))]
    assert kept == list(dict.fromkeys(numbers))
    assert 2 * len(kept) <= len(selector._table) <= 4 * 2 * (len(kept) + per_batch)


def test_hashes_that_meet_in_one_slot_and_the_hash_of_a_free_one():
    table = np.zeros(8, np.uint64)
    hashes = np.array([7, 15, 23, 15, 0, 1, 7, 0], np.uint64)
    is_new = np.zeros(len(hashes), np.bool_)
    duplicates.insert(table, hashes, is_new)
    assert is_new.tolist() == [True, True, True, False, True, False, False, False]
    assert sorted(table[table > 0].tolist()) == [1, 7, 15, 23]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("", [], "no document in the input"),
        (" \n\u3000\n\r\n\0", [], "no document in the input"),
        ("一\n\n二\n", ["--num_files", 3], "2 documents cannot fill --num_files 3 shards"),
        ("一\n\n一\n", ["--drop_duplicate_documents"], "1 documents cannot fill"),
        ("一\n\n二\n", ["--min_line_length", 2], "no document in the input"),
        ("一\n\n二\n", ["--min_line_length", 3, "--max_line_length", 2], "is above --max_line_length 2"),
        ("一\n\n二\n", ["--min_line_length", 0], "--min_line_length 0: expected a positive number"),
        ("一\n\n二\n", ["--num_files", 0], "--num_files 0: expected a positive number"),
        ("一\n\n二\n", ["--random_seed", -1], "--random_seed -1"),
    ],
)
def test_bad_input_is_one_error_and_leaves_nothing(tmp_path, content, arguments, message):
    (tmp_path / "in.txt").write_text(content, encoding="utf-8", newline="")
    with pytest.raises(ValueError, match=message):
        run("--input_files", tmp_path / "in.txt", "--output_dir", tmp_path / "out", "--num_files", 2, *arguments)
    assert not list(tmp_path.glob("out/*"))


def test_truncated_input_leaves_nothing(tmp_path):
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress(b"a\n\n" * 9999 + random.Random(1).randbytes(999))[:-200])
    with pytest.raises(ValueError, match=r"in\.txt\.gz: truncated"):
        run("--input_files", tmp_path / "in.txt.gz", "--output_dir", tmp_path / "out", "--num_files", 2)
    assert not list(tmp_path.glob("out/*"))


def test_an_input_is_never_a_shard_to_write(tmp_path):
    (tmp_path / "corpus_01.txt").write_text("一\n\n二\n", encoding="utf-8")
    with pytest.raises(ValueError, match="is an input and also a shard"):
        run("--input_files", tmp_path / "*.txt", "--output_dir", tmp_path, "--num_files", 1, "--overwrite")


def test_output_directory_that_is_a_file(tmp_path, text_file):
    with pytest.raises(OSError, match=r"in\.txt"):
        run("--input_files", text_file, "--output_dir", text_file, "--num_files", 1)


def deal_in_plain_python(texts: list[str], num_files: int, random_seed: int, draws_at_once: int) -> list[list[str]]:
    """The rule: one to each shard first, then to the smaller of two."""
    generator = np.random.default_rng(random_seed)
    pairs = [(shard, shard) for shard in generator.permutation(num_files).tolist()]
    while len(pairs) < len(texts):
        pairs += generator.integers(num_files, size=(draws_at_once, 2)).tolist()
    shards, sizes = [[] for _ in range(num_files)], [0] * num_files
    for text, (one, other) in zip(texts, pairs, strict=False):
        shard = one if sizes[one] <= sizes[other] else other
        shards[shard].append(text)
        sizes[shard] += len(text)
    return shards


@pytest.mark.parametrize("held_bytes", [1, 5000, 1 << 22])
def test_dealing_equals_the_rule_in_batches_of_any_size(tmp_path, text_file, texts, monkeypatch, held_bytes):
    monkeypatch.setattr(documents, "HELD_BYTES", held_bytes)
    monkeypatch.setattr(dealing, "DRAWS_AT_ONCE", 50)
    monkeypatch.setattr(stage_script, "TEXT_BLOCK_BYTES", 999)
    run("--input_files", text_file, "--output_dir", tmp_path / "out", "--num_files", 7)
    shards = [read_shard(tmp_path / "out" / f"corpus_0{number}.txt") for number in range(1, 8)]
    assert shards == deal_in_plain_python(expected_documents(texts), 7, 12345, 50)


def test_dealing_equals_the_rule_where_shards_are_of_one_size(tmp_path):
    texts = [f"{number:03}" for number in range(300)]
    (tmp_path / "in.txt").write_text("\n\n".join(texts), encoding="utf-8")
    run("--input_files", tmp_path / "in.txt", "--output_dir", tmp_path / "out", "--num_files", 3)
    shards = [read_shard(tmp_path / "out" / f"corpus_0{number}.txt") for number in range(1, 4)]
    assert shards == deal_in_plain_python(texts, 3, 12345, dealing.DRAWS_AT_ONCE)


def test_every_document_is_written_when_its_batch_is():
    files = [io.BytesIO() for _ in range(4)]
    writer = ShardWriter(files, np.random.default_rng(1))
    text = np.frombuffer(("字" * 1000 + "\n\n").encode() * 50, np.uint8)
    table = np.zeros(50, DOCUMENT)
    table["end"] = np.arange(1, 51) * 3002
    table["start"] = table["end"] - 3002
    table["num_lines"], table["num_characters"] = 1, 1000
    for number in range(1, 101):
        writer.write(DocumentBatch(text, table))
        assert sum(file.tell() for file in files) == number * 50 * 3002
        assert writer.sizes.sum() == number * 50 * 1000
    assert (writer.num_documents, writer.num_lines, writer.num_characters) == (5000, 5000, 5_000_000)
    assert len(writer._dealt) == len(text)


def test_help_needs_no_heavy_import():
    code = "import sys, merge_split_corpora as s; s.get_parser(); print([m for m in sys.argv[1:] if m in sys.modules])"
    command = [sys.executable, "-c", code, "numpy", "numba", "isal", "tqdm"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip() == "[]"

"""The stage as a user runs it: every document in one shard, complete and in order."""

import gzip
import random
import subprocess
import sys
from pathlib import Path

import pytest

import merge_split_corpora as stage_script
from japanese_bert.common.provenance import read_provenance
from japanese_bert.common.text_files import read_blocks
from tests.helpers.places import ROOT


def run(*arguments) -> None:
    stage_script.main(stage_script.get_parser().parse_args([str(argument) for argument in arguments]))


def read_shard(path: Path) -> list[str]:
    """Return the documents of a shard. It must have only lines and a blank line after each document."""
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
    """The texts with everything that may lie between and around them."""
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


def check_sums(provenance: dict) -> None:
    """Assert that what came in is what went out and what each rule dropped."""
    for unit in ("documents", "lines", "characters"):
        assert provenance[f"{unit}_in"] == provenance[f"{unit}_out"] + sum(provenance[f"dropped_{unit}"].values())


def test_provenance_counts(tmp_path):
    lines = "\ufeff短\n中くらい\nとてもとても長い\n\n短\n\n中くらい\n\n 中く\u3000 らい\0\n中く らい\r\n\n\n中くらい"
    (tmp_path / "in.txt").write_bytes(lines.encode() + b"\xff")
    run("--input_files", tmp_path / "in.txt", "--output_dir", tmp_path / "out", "--num_files", 1, *RULES)
    assert read_shard(tmp_path / "out" / "corpus_01.txt") == ["中くらい", "中く らい\n中く らい"]
    provenance = read_provenance(tmp_path / "out" / "corpus_01.txt")
    assert provenance["dropped_documents"] == {"left_empty": 1, "duplicate": 2}
    assert provenance["dropped_lines"] == {"blank": 5, "short": 2, "long": 1, "of_duplicate_documents": 2}
    assert provenance["dropped_characters"] == {
        "white_space": 3,
        "nul": 1,
        "invalid_utf8_bytes": 1,
        "byte_order_marks": 1,
        "of_short_lines": 2,
        "of_long_lines": 8,
        "of_duplicate_documents": 8,
    }
    names = ("documents_in", "documents_out", "lines_in", "lines_out", "characters_in", "characters_out")
    assert [provenance[name] for name in names] == [5, 2, 13, 3, 38, 14]
    check_sums(provenance)
    assert provenance["method"]["min_line_length"] == 2
    assert "output_dir" not in provenance["method"]


def test_real_text_comes_out_whole_or_is_counted(tmp_path, aozora_bytes):
    data = aozora_bytes + aozora_bytes[:5_000_000] + b"\xe3\x80" + aozora_bytes[:99]
    invalid = len(data) - len(data.decode("utf-8", "ignore").encode())
    (tmp_path / "in.txt").write_bytes(data)
    for name, rules in (("all", []), ("some", ["--min_line_length", 10, "--max_line_length", 100, *RULES[4:]])):
        run("--input_files", tmp_path / "in.txt", "--output_dir", tmp_path / name, "--num_files", 4, *rules)
        shards = [read_shard(tmp_path / name / f"corpus_0{number}.txt") for number in range(1, 5)]
        lines = [line for shard in shards for document in shard for line in document.split("\n")]
        provenance = read_provenance(tmp_path / name / "corpus_01.txt")
        check_sums(provenance)
        assert provenance["documents_out"] == sum(map(len, shards))
        assert (provenance["lines_out"], provenance["characters_out"]) == (len(lines), sum(map(len, lines)))
        assert provenance["dropped_characters"]["invalid_utf8_bytes"] == invalid
    assert provenance["dropped_documents"]["duplicate"] > 500
    assert provenance["dropped_lines"]["short"] > 1000 < provenance["dropped_lines"]["long"]


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


def test_help_needs_no_heavy_import():
    code = "import sys, merge_split_corpora as s; s.get_parser(); print([m for m in sys.argv[1:] if m in sys.modules])"
    command = [sys.executable, "-c", code, "numpy", "numba", "isal", "tqdm"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip() == "[]"

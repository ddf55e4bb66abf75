"""The stage as a user runs it, with unidic-lite 1.0.8."""

import gzip
import json
import lzma
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import make_corpus as stage_script
from japanese_bert.common.text_files import read_blocks
from japanese_bert.corpus.own_text import preparation, selection
from tests.helpers.places import ROOT, SHARED_DATA

SAMPLE = lzma.decompress((ROOT / "sample_data" / "cc100_sample.txt.xz").read_bytes()).decode()
DOCUMENTS = [text for text in SAMPLE.split("\n\n") if text.strip()]
AOZORA = SHARED_DATA / "aozora" / "ja.txt.xz"
ENCODINGS = ("cp932", "euc_jp")
CLEANING = ("--quality", "web", "--near_duplicates", "0.8", "--drop_duplicate_paragraphs")


def run(*arguments) -> None:
    stage_script.main(stage_script.get_parser().parse_args([str(argument) for argument in arguments]))


def write_jsonl(path: Path, documents: list[str]) -> Path:
    path.write_text("".join(f"{json.dumps({'text': text})}\n" for text in documents), encoding="utf-8")
    return path


def corpus(output: Path) -> str:
    return b"".join(read_blocks(output)).decode("utf-8")


def report(output: Path) -> dict:
    return json.loads(output.with_name(f"{output.name}.json").read_text(encoding="utf-8"))


def check_account(found: dict, text: str) -> None:
    """Raise AssertionError unless every character and every document is accounted for."""
    assert found["characters_in"] == found["characters_out"] + sum(found["dropped_characters"].values())
    assert found["documents_in"] == found["documents_out"] + sum(found["dropped_documents"].values())
    lines = [line for line in text.split("\n") if line]
    assert found["sentences_out"] == len(lines)
    assert found["characters_out"] == sum(map(len, lines))
    assert found["documents_out"] == text.count("\n\n")


def same_corpus_of_all_formats(directory: Path, documents: list[str]) -> str:
    """Write documents in four formats, make a corpus of each, and return it."""
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    write_jsonl(directory / "a.jsonl", documents)
    parquet.write_table(pyarrow.table({"text": documents}), directory / "a.parquet", row_group_size=1000)
    for encoding in ENCODINGS:
        text = "\n\n".join(documents).replace("\n", "\r\n" if encoding == "cp932" else "\n")
        (directory / f"{encoding}.txt").write_bytes(text.encode(encoding))
    found = set()
    for name in ("a.jsonl", "a.parquet", *(f"{encoding}.txt" for encoding in ENCODINGS)):
        output = directory / f"{name}.corpus.txt"
        run("--input_files", directory / name, "--output_file", output, *CLEANING, "--num_workers", 2)
        found.add(corpus(output))
        check_account(report(output), corpus(output))
    assert report(output)["encodings"] == {str(directory / name): "euc_jp"}
    assert len(found) == 1
    return found.pop()


def encodable(texts: Iterator[str]) -> list[str]:
    """Return the texts that all encodings can hold and give back."""
    kept = []
    for text in texts:
        data = [text.encode(encoding, errors="ignore") for encoding in ENCODINGS]
        if all(part.decode(encoding) == text for part, encoding in zip(data, ENCODINGS, strict=True)):
            kept.append(text)
    return kept


def test_four_formats_give_the_same_corpus(tmp_path):
    documents = encodable(iter(DOCUMENTS))
    assert len(documents) > 30
    assert same_corpus_of_all_formats(tmp_path, documents).count("\n") > 200


@pytest.mark.slow
@pytest.mark.skipif(not AOZORA.exists(), reason="no shared data")
def test_four_formats_of_20_megabytes_give_the_same_corpus(tmp_path):
    lines = b"".join(block for block, _ in zip(read_blocks(AOZORA), range(24), strict=False)).decode("utf-8", "ignore")
    lines = [line.strip() for line in lines.split("\n") if line.strip()]
    documents = encodable("\n".join(lines[start : start + 12]) for start in range(0, len(lines), 12))
    assert len("".join(documents).encode("utf-8")) > 20_000_000
    same_corpus_of_all_formats(tmp_path, documents)


def test_workers_and_order_of_files_do_not_matter(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "PART_BYTES", 20_000)
    copies = [text.replace("です", "ます", 1) for text in DOCUMENTS[::3]]
    names = [
        write_jsonl(tmp_path / f"{number}.jsonl", documents)
        for number, documents in enumerate((DOCUMENTS[:30], DOCUMENTS[30:] + copies, DOCUMENTS[10:50]))
    ]
    outputs = []
    for workers, order in ((1, names), (2, names[::-1]), (5, names[1:] + names[:1])):
        outputs.append(tmp_path / f"{workers}.txt.gz")
        run("--input_files", *order, "--output_file", outputs[-1], *CLEANING, "--num_workers", workers)
        assert not outputs[-1].with_name(f"{outputs[-1].name}.parts").exists()
    assert outputs[0].read_bytes() == outputs[1].read_bytes() == outputs[2].read_bytes()
    found = report(outputs[0])
    check_account(found, corpus(outputs[0]))
    assert found["dropped_documents"]["duplicate_documents"] >= 40
    assert found["dropped_documents"]["near_duplicates"] >= 10


def test_parts_of_a_cluster_give_the_same_corpus(tmp_path):
    names = [write_jsonl(tmp_path / f"{n}.jsonl", DOCUMENTS[n::2] + DOCUMENTS[:9]) for n in range(2)]
    run("--input_files", *names, "--output_file", tmp_path / "one.txt", *CLEANING)
    for name in names:
        run("--input_files", name, "--output_part", tmp_path / "parts" / name.stem, *CLEANING)
    run("--input_parts", f"{tmp_path}/parts/*", "--output_file", tmp_path / "two.txt", *CLEANING)
    assert corpus(tmp_path / "one.txt") == corpus(tmp_path / "two.txt")
    one, two = report(tmp_path / "one.txt"), report(tmp_path / "two.txt")
    assert one["dropped_characters"] == two["dropped_characters"]
    assert {name: one["method"][name] for name in two["method"]} == two["method"]
    assert (tmp_path / "parts" / "0" / "text").is_file()
    run("--input_files", names[0], "--output_part", tmp_path / "parts" / "2")
    with pytest.raises(ValueError, match=r"parts/2: was made with other arguments than"):
        run("--input_parts", f"{tmp_path}/parts/*", "--output_file", tmp_path / "three.txt")
    parts = ("--input_parts", tmp_path / "parts" / "2", "--output_file", tmp_path / "three.txt")
    for flags in (("--quality", "strict"), ("--rules", "urls"), ("--min_sentence_length", 9)):
        with pytest.raises(ValueError, match=rf"^{flags[0]} .*{flags[1]}.*: the parts were made with "):
            run(*parts, *flags)
    with pytest.raises(ValueError, match="was made without --near_duplicates"):
        run(*parts, "--near_duplicates", 0.8)


def test_parts_that_are_given_are_kept_and_say_how_they_were_made(tmp_path, capsys):
    name, part = write_jsonl(tmp_path / "a.jsonl", DOCUMENTS[:20]), tmp_path / "c.txt.parts" / "a"
    run("--input_files", name, "--output_part", part, "--drop_duplicate_documents")
    for flags, number in (((), 1), ((), 1), (("--drop_duplicate_documents", "--overwrite"), 0)):
        run("--input_parts", f"{tmp_path}/c.txt.parts/*", "--output_file", tmp_path / "c.txt", *flags)
        assert (part / "text").is_file()
        assert capsys.readouterr().out.count("NOTE parts were made with --drop_duplicate_documents") == number


def test_files_that_were_read_are_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "PART_BYTES", 1)
    write_jsonl(tmp_path / "1.jsonl", DOCUMENTS[:30])
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": SAMPLE}).encode())[:-9])
    (tmp_path / "notes.csv").touch()  # in a directory, it is left out, and so is the part
    arguments = ["--input_files", tmp_path, "--output_file", tmp_path / "out" / "corpus.txt.gz"]
    with pytest.raises(ValueError, match=r"2\.jsonl\.gz: truncated or corrupt"):
        run(*arguments)
    (part,) = (tmp_path / "out" / "corpus.txt.gz.parts").glob("00000-*")
    first = part.joinpath("text").stat()
    assert [path.name for path in (tmp_path / "out").rglob("*.txt*")] == ["corpus.txt.gz.parts"]
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": SAMPLE}).encode()))
    seen = []
    monkeypatch.setattr(selection, "write_selected", spy(selection.write_selected, part / "text", seen))
    run(*arguments)
    assert seen == [(first.st_ino, first.st_mtime_ns)]
    monkeypatch.undo()
    run("--input_files", tmp_path / "1.jsonl", tmp_path / "2.jsonl.gz", "--output_file", tmp_path / "again.txt")
    assert corpus(tmp_path / "again.txt") == corpus(tmp_path / "out" / "corpus.txt.gz")
    with pytest.raises(ValueError, match="is also an input"):
        run(*arguments)


def spy(function, path: Path, seen: list):
    def call(*arguments):
        seen.append((path.stat().st_ino, path.stat().st_mtime_ns))
        return function(*arguments)

    return call


def test_standard_input_is_never_taken_for_what_was_read_before(tmp_path, monkeypatch):
    for number, text in enumerate(("これは最初の文章である。", "これは二番目の文章である。")):
        (tmp_path / "in").write_text(text, encoding="utf-8")
        with open(tmp_path / "in", encoding="utf-8") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            run("--input_files", "-", "--output_part", tmp_path / "part", "--overwrite")
            assert (tmp_path / "part" / "text").read_text(encoding="utf-8") == f"{text}\n"
            stdin.seek(0)
            run("--input_files", "-", "--output_file", tmp_path / f"{number}.txt")
        assert corpus(tmp_path / f"{number}.txt") == f"{text}\n\n"


def test_a_pipe_is_never_taken_for_what_was_read_before(tmp_path):
    """Bash gives <(...) the same name each time."""
    for text in ("これは最初の文章である。", "これは二番目の文章である。"):
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        run("--input_files", f"/dev/fd/{read}", "--output_part", tmp_path / "part", "--overwrite")
        os.close(read)
        assert (tmp_path / "part" / "text").read_text(encoding="utf-8") == f"{text}\n"


def test_parts_of_a_run_that_was_given_up_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "PART_BYTES", 1)
    good = write_jsonl(tmp_path / "1.jsonl", DOCUMENTS)
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": SAMPLE}).encode())[:-9])
    with pytest.raises(ValueError, match="truncated"):
        run("--input_files", good, tmp_path / "2.jsonl.gz", "--output_file", tmp_path / "out.txt")
    assert len(list((tmp_path / "out.txt.parts").iterdir())) == 1
    run("--input_files", good, "--min_sentence_length", 5, "--output_file", tmp_path / "out.txt")
    assert not (tmp_path / "out.txt.parts").exists()


def test_a_text_of_empty_lines(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no sentence kept of 0 rows"):
        run("--input_files", tmp_path / "a.txt", "--output_file", tmp_path / "out.txt")


def test_rows_that_cannot_be_read_are_named_and_counted(tmp_path, capsys):
    path = write_jsonl(tmp_path / "a.jsonl", DOCUMENTS)
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"id": "x7", "body": 1}\n{"id": "x8", "text": nu\n')
    (tmp_path / "empty.txt").touch()
    arguments = ["--input_files", path, tmp_path / "empty.txt", "--id_field", "id", "--output_file", tmp_path / "o.txt"]
    run(*arguments)
    errors = capsys.readouterr().err
    rows = len(DOCUMENTS)
    assert f"warning: {path}:{rows + 1} (x7): no field --text_field text. The fields are: id, body" in errors
    assert f"warning: {path}:{rows + 2}: not JSON" in errors
    assert f"warning: {tmp_path}/empty.txt: no text in this file" in errors
    assert len(report(tmp_path / "o.txt")["corrupt_rows"]) == 3
    with pytest.raises(ValueError, match=r"more than --max_corrupt_rows"):
        run(*arguments, "--max_corrupt_rows", 2, "--overwrite", "--min_sentence_length", 5)


def test_rules_and_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes("｜吾輩《わがはい》は猫である。\r\n名前はまだ無い。\r\n".encode("cp932"))
    rest = ["--input_files", tmp_path / "a.txt", "--min_sentence_length", 1, "--documents", "file", "--output_file"]
    run(*rest, tmp_path / "1.txt", "--rules", "ruby")
    assert corpus(tmp_path / "1.txt") == "吾輩は猫である。\n名前はまだ無い。\n\n"
    run(*rest, tmp_path / "2.txt", "--keep_lines")
    assert corpus(tmp_path / "2.txt") == "｜吾輩《わがはい》は猫である。\n名前はまだ無い。\n\n"
    assert report(tmp_path / "2.txt")["dictionary"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rules", "nothing"], "--rules nothing: expected one or more of html ruby"),
        (["--near_duplicates", "80"], r"--near_duplicates 80\.0: expected a similarity from 0\.5 to 1"),
        (["--listed_words", "words.txt"], "--listed_words is a rule of --quality"),
        (["--max_corrupt_rows", "-1"], "--max_corrupt_rows -1: expected 0 or a positive number"),
        (["--encoding", "sjs"], "--encoding sjs: unknown"),
        (["--min_sentence_length", "300"], "--min_sentence_length 300 is above the maximum 200"),
        (["--min_sentence_length", "200"], "no sentence kept"),
        (["--text_field", "body"], r"no field --text_field body.*more than --max_corrupt_rows 10"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, arguments, message):
    path = write_jsonl(tmp_path / "a.jsonl", DOCUMENTS)
    with pytest.raises(ValueError, match=message):
        run("--input_files", path, "--output_file", tmp_path / "o.txt", *arguments)
    assert list(tmp_path.iterdir()) == [path] or message == "no sentence kept"

"""The stage as a user runs it, with unidic-lite 1.0.8 unless said otherwise."""

import bz2
import gzip
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import ipadic
import pytest

import make_corpus_wiki as stage_script
from tests.helpers.places import ROOT, SHARED_DATA
from tests.helpers.small_dictionary import build_dictionary

WIKIPEDIA = SHARED_DATA / "wikipedia"

PAGES = [
    {
        "title": "梅雨",
        "text": "気象 > 季節 > 梅雨 梅雨（つゆ）は、雨の多い期間のこと[1]。雨季の一種である[要出典]。 ^ 気象庁。",
    },
    {"title": "円周率", "text": r"円周率は約3.14である無理数。式 {\displaystyle \pi } で表される数である。短い。"},
    {"title": "数式", "text": r"{\displaystyle x=1} だけから成る記事である。"},
    {
        "title": "絵文字",
        "text": "改行\nと\u2028全角\u3000空白とNUL\0と片割れ\ud800を含む文である。" + "長" * 201 + "。",
    },
]
EXPECTED = """梅雨(つゆ)は、雨の多い期間のこと。
雨季の一種である。

円周率は約3.14である無理数。

改行 と 全角 空白とNULと片割れを含む文である。

"""


def run(*arguments) -> None:
    stage_script.main(stage_script.get_parser().parse_args([str(argument) for argument in arguments]))


def old_layout(pages: list[dict]) -> bytes:
    rows = [
        row for number, page in enumerate(pages) for row in ({"index": {"_type": "_doc", "_id": str(number)}}, page)
    ]
    return "".join(json.dumps({"namespace": 0, **row} if "title" in row else row) + "\n" for row in rows).encode()


def new_layout(pages: list[dict]) -> bytes:
    redirect = {"page_id": 9, "title": "つゆ", "namespace": 0, "page_type": "redirect"}
    talk = {"page_id": 10, "title": "ノート", "namespace": 1, "text": "本文ではない文である。", "page_type": "primary"}
    pages = [redirect, *({"page_type": "primary", **page} for page in pages), talk]
    return "".join(f'{{"index": {{"_id": {n}}}}}\n{json.dumps(page)}\n' for n, page in enumerate(pages)).encode()


@pytest.fixture
def dump(tmp_path) -> Path:
    path = tmp_path / "wiki.json.gz"
    path.write_bytes(gzip.compress(old_layout(PAGES)))
    return path


def test_exact_corpus_of_the_old_layout(tmp_path, dump):
    run("--input_file", dump, "--output_file", tmp_path / "out" / "corpus.txt", "--min_sentence_length", 5)
    assert (tmp_path / "out" / "corpus.txt").read_text(encoding="utf-8") == EXPECTED


def test_new_layout_gives_the_same_bytes(tmp_path, dump):
    directory = tmp_path / "index_name=jawiki_content"
    directory.mkdir()
    (directory / "jawiki_content-00000.json.bz2").write_bytes(bz2.compress(new_layout(PAGES[:2])))
    (directory / "jawiki_content-00001.json.bz2").write_bytes(bz2.compress(new_layout(PAGES[2:])))
    (directory / "_SUCCESS").touch()
    rules = ["--min_sentence_length", 5, "--output_file"]
    run("--input_file", dump, *rules, tmp_path / "old.txt.gz")
    for number, names in enumerate(
        [directory, f"{directory}/*.bz2", ",".join(map(str, sorted(directory.glob("*.bz2"))))]
    ):
        run("--input_file", names, *rules, tmp_path / f"{number}.txt.gz")
        assert (tmp_path / f"{number}.txt.gz").read_bytes() == (tmp_path / "old.txt.gz").read_bytes()
    assert gzip.decompress((tmp_path / "old.txt.gz").read_bytes()).decode() == EXPECTED


def test_output_does_not_depend_on_the_number_of_workers(tmp_path):
    pages = [{"title": f"記事{n}", "text": f"記事{n}は{n}番目の記事である。" * (n % 9 + 1)} for n in range(12000)]
    (tmp_path / "wiki.json").write_bytes(old_layout(pages))
    assert (tmp_path / "wiki.json").stat().st_size > 3_000_000
    for workers in (1, 3):
        output = tmp_path / f"{workers}.txt.gz"
        run("--input_file", tmp_path / "wiki.json", "--output_file", output, "--num_workers", workers)
    assert (tmp_path / "1.txt.gz").read_bytes() == (tmp_path / "3.txt.gz").read_bytes()
    lines = gzip.decompress((tmp_path / "1.txt.gz").read_bytes()).decode().split("\n")
    assert lines.count("") == 12001
    assert [line for line in lines if line] == [
        f"記事{n}は{n}番目の記事である。" for n in range(12000) for _ in range(n % 9 + 1)
    ]


def test_mecab_option_names_another_dictionary(tmp_path, dump):
    option = f"-r {ipadic.DICDIR}/mecabrc -d {ipadic.DICDIR}"
    run("--input_file", dump, "--output_file", tmp_path / "o.txt", "--mecab_option", option, "--min_sentence_length", 5)
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") == EXPECTED
    provenance = json.loads((tmp_path / "o.txt.json").read_text(encoding="utf-8"))
    assert provenance["dictionary"]["size"] == Path(ipadic.DICDIR, "sys.dic").stat().st_size
    assert provenance["method"]["mecab_option"] == ""
    run("--input_file", dump, "--output_file", tmp_path / "p.txt", "--mecab_dic_type", "ipadic")
    assert json.loads((tmp_path / "p.txt.json").read_text(encoding="utf-8"))["dictionary"]["name"] == "ipadic"


def test_a_changed_user_dictionary_makes_another_corpus(tmp_path, dump):
    option = f"-d {ipadic.DICDIR} -u {tmp_path / 'words.dic'}"
    arguments = ["--input_file", dump, "--output_file", tmp_path / "o.txt", "--mecab_option", option]
    with pytest.raises(FileNotFoundError, match=r"words\.dic: no such file. -u in --mecab_option names it"):
        run(*arguments)
    methods = []
    for word, overwrite in (("雨季の一種", "--no-overwrite"), ("無理数", "--overwrite")):
        (tmp_path / "words.csv").write_text(f"{word},1288,1288,0,名詞,固有名詞,一般,*,*,*,*,*,*\n", encoding="utf-8")
        build_dictionary("-d", ipadic.DICDIR, "-u", tmp_path / "words.dic", tmp_path / "words.csv")
        if methods:
            with pytest.raises(FileExistsError, match="--overwrite"):
                run(*arguments)
        run(*arguments, overwrite)
        methods.append(json.loads((tmp_path / "o.txt.json").read_text(encoding="utf-8"))["method"])
    assert methods[0]["mecab_option"] == methods[1]["mecab_option"] == ""
    assert methods[0]["user_dictionaries"] != methods[1]["user_dictionaries"]
    (tmp_path / "rc").write_text(
        f"userdic = {tmp_path}/words.dic\n", encoding="utf-8"
    )  # MeCab's own files name one too
    option = f"-d {ipadic.DICDIR} -r {tmp_path}/rc"
    run("--input_file", dump, "--output_file", tmp_path / "p.txt", "--mecab_option", option)
    assert json.loads((tmp_path / "p.txt.json").read_text(encoding="utf-8"))["method"] == methods[1]


def test_account_of_rows_and_characters(tmp_path):
    pages = [*PAGES, {"title": "空", "text": " "}]
    (tmp_path / "wiki.json").write_bytes(new_layout(pages) + b"\n \n")
    run("--input_file", tmp_path / "wiki.json", "--output_file", tmp_path / "o.txt", "--min_sentence_length", 5)
    provenance = json.loads((tmp_path / "o.txt.json").read_text(encoding="utf-8"))
    assert provenance["dropped_rows"] == {"actions": 7, "redirects": 1, "other_namespaces": 1, "without_text": 1}
    counts = {name: provenance[name] for name in ("rows", "pages_in", "pages_out", "sentences_out", "characters_out")}
    lengths = [len(line) for line in EXPECTED.split("\n") if line]
    expected = {"rows": 14, "pages_in": 4, "pages_out": 3, "sentences_out": 4, "characters_out": sum(lengths)}
    assert counts == expected
    dropped = provenance["dropped_characters"]
    assert provenance["characters_in"] == sum(len(page["text"]) for page in PAGES)
    assert provenance["characters_in"] + provenance["characters_added_by_nfkc"] == sum(lengths) + sum(dropped.values())
    assert dropped["short_sentences"] == 3
    assert dropped["long_sentences"] == 202
    assert dropped["unprintable"] == 2
    assert dropped["breadcrumb"] == len("気象 > 季節 > 梅雨")


def test_corrupt_lines_are_named_and_limited(tmp_path, capsys):
    lines = old_layout(PAGES).split(b"\n")
    lines[2:2] = [b'{"title": "\xff"}', b"[]"]
    (tmp_path / "wiki.json").write_bytes(b"\n".join(lines))
    arguments = [
        "--input_file",
        tmp_path / "wiki.json",
        "--output_file",
        tmp_path / "o.txt",
        "--min_sentence_length",
        5,
    ]
    with pytest.raises(ValueError, match=r"wiki\.json:4: is JSON of type list.*--max_corrupt_lines 1"):
        run(*arguments, "--max_corrupt_lines", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["wiki.json"]
    run(*arguments)
    assert "wiki.json:3: not JSON" in capsys.readouterr().err
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") == EXPECTED
    provenance = json.loads((tmp_path / "o.txt.json").read_text(encoding="utf-8"))
    assert provenance["dropped_rows"]["corrupt"] == 2
    assert len(provenance["corrupt_lines"]) == 2


def test_second_run_skips_and_another_recipe_needs_overwrite(tmp_path, dump, capsys):
    arguments = ["--input_file", dump, "--output_file", tmp_path / "o.txt", "--min_sentence_length"]
    run(*arguments, 5)
    stamp = (tmp_path / "o.txt").stat().st_mtime_ns
    capsys.readouterr()
    run(*arguments, 5, "--num_workers", 2)
    assert "complete" in capsys.readouterr().out
    assert (tmp_path / "o.txt").stat().st_mtime_ns == stamp
    with pytest.raises(FileExistsError, match="--overwrite"):
        run(*arguments, 3)
    run(*arguments, 3, "--overwrite")
    assert "短い。" in (tmp_path / "o.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min_sentence_length", 400, "--max_sentence_length", 500], "no sentence kept of 8 rows"),
        (["--min_sentence_length", 300], "is above --max_sentence_length 200"),
        (["--max_sentence_length", 0], "--max_sentence_length 0"),
        (["--num_workers", 0], "--num_workers 0"),
        (["--max_corrupt_lines", -1], "--max_corrupt_lines -1"),
        (["--mecab_option", "-l 1"], "names no dictionary"),
        (["--mecab_option", "-d nowhere"], "no compiled MeCab dictionary"),
        (["--mecab_option", f"-r nowhere -d {ipadic.DICDIR}"], "nowhere: no such file. -r in --mecab_option names it"),
        (["--mecab_dic_type", "nowhere"], "no compiled MeCab dictionary"),
    ],
)
def test_bad_arguments_leave_nothing(tmp_path, dump, arguments, message):
    with pytest.raises((ValueError, OSError), match=message):
        run("--input_file", dump, "--output_file", tmp_path / "out" / "o.txt", *arguments)
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_truncated_dump_leaves_nothing(tmp_path, suffix, compress):
    path = tmp_path / f"wiki.json{suffix}"
    path.write_bytes(compress(old_layout(PAGES * 50))[:-20])
    with pytest.raises(ValueError, match="truncated or corrupt"):
        run("--input_file", path, "--output_file", tmp_path / "out" / "o.txt")
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.skipif(not WIKIPEDIA.is_dir(), reason="the shared dumps are not here")
def test_both_layouts_of_real_text_agree(tmp_path):
    old = next(WIKIPEDIA.glob("cirrussearch/*/*.json.gz"))
    new = next(WIKIPEDIA.glob("cirrus_search_index/*/index_name*"))
    run("--input_file", old, "--output_file", tmp_path / "old.txt.gz")
    run("--input_file", new, "--output_file", tmp_path / "new.txt.gz", "--num_workers", 2)
    assert (tmp_path / "old.txt.gz").read_bytes() == (tmp_path / "new.txt.gz").read_bytes()
    provenance = json.loads((tmp_path / "old.txt.gz.json").read_text(encoding="utf-8"))
    assert provenance["pages_out"] == 4097
    assert provenance["characters_out"] > 0.98 * provenance["characters_in"]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory) -> tuple[list[str], bytes, float]:
    """A command of some seconds, the bytes of its output without a signal, and its seconds."""
    directory = tmp_path_factory.mktemp("long_run")
    text = "".join(f"第{n}文は少しずつ違う文である。" for n in range(200))
    (directory / "wiki.json").write_bytes(old_layout([{"title": str(n), "text": f"{n}番。{text}"} for n in range(500)]))
    command = [sys.executable, str(ROOT / "make_corpus_wiki.py"), "--input_file", str(directory / "wiki.json")]
    start = time.perf_counter()
    whole = directory / "whole.txt.gz"
    subprocess.run([*command, "--output_file", str(whole)], check=True, capture_output=True)
    return command, whole.read_bytes(), time.perf_counter() - start


def kill_at(command: list[str], seconds: float, kill: signal.Signals) -> bool:
    """Return whether the signal came before the command had ended."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(kill)
    return process.wait() != 0


def check_kills(long_run, output: Path, kill: signal.Signals, workers: int, moments: list[float]) -> int:
    command, expected, seconds = long_run
    command = [*command, "--output_file", str(output), "--num_workers", str(workers)]
    provenance = output.with_name(output.name + ".json")
    killed = 0
    for moment in moments:
        for path in (output, provenance):
            path.unlink(missing_ok=True)
        killed += kill_at(command, moment * seconds, kill)
        if output.exists():
            assert output.read_bytes() == expected
        elif kill == signal.SIGTERM and output.parent.exists():
            assert not list(output.parent.iterdir())
    subprocess.run(command, check=True, capture_output=True)
    assert output.read_bytes() == expected
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name, provenance.name]
    return killed


def test_killed_in_the_middle_and_run_again(long_run, tmp_path):
    assert check_kills(long_run, tmp_path / "out" / "corpus.txt.gz", signal.SIGKILL, 2, [0.5])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_at_random_moments(long_run, tmp_path, kill, workers):
    rng = random.Random(f"{kill} {workers}")
    moments = [rng.uniform(0.02, 0.9 if workers == 1 else 0.5) for _ in range(15)] + [0.97, 1.0, 1.03]
    assert check_kills(long_run, tmp_path / "out" / "corpus.txt.gz", kill, workers, moments) >= 12


def test_command_line_reports_errors_in_one_line(tmp_path):
    command = [
        sys.executable,
        "make_corpus_wiki.py",
        "--input_file",
        "nowhere.json.gz",
        "--output_file",
        tmp_path / "o",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "nowhere.json.gz: no file matches" in result.stderr


def test_help_needs_no_heavy_import():
    code = "import sys, make_corpus_wiki as s; s.get_parser(); print([m for m in sys.argv[1:] if m in sys.modules])"
    command = [sys.executable, "-c", code, "numpy", "isal", "fugashi"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip() == "[]"

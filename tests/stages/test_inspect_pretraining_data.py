"""tools/inspect_pretraining_data.py: what it prints and writes, wrong arguments, and the report in a browser."""

import subprocess
import sys
from pathlib import Path

import pytest

from japanese_bert.common import command_line
from japanese_bert.common.text_files import read_blocks
from japanese_bert.inspection import dictionaries
from tests.helpers.browser import CHROMIUM, Page
from tests.helpers.places import ROOT
from tests.helpers.small_inspection import write_small
from tests.helpers.small_pretraining import make_data
from tests.pretraining_data.test_exactness import make_vocabs
from tools import inspect_pretraining_data as tool

OFFLINE = "new Set(performance.getEntriesByType('resource').map((entry) => entry.name)).size"


def run(*flags: object) -> None:
    command_line.run_stage(tool.get_parser(), tool.main, list(map(str, flags)))


def test_the_terminal_and_the_report(tmp_path, capsys):
    data, vocab = write_small(tmp_path)
    corpus, report = tmp_path / "corpus.txt", tmp_path / "report.html"
    corpus.write_text(corpus.read_text(encoding="utf-8") + "鰻鰻鱈\n", encoding="utf-8")
    report.write_text("older", encoding="utf-8")
    run("--input_files", data, "--vocab_file", vocab, "--corpus_files", corpus, "--output_file", report)
    out = capsys.readouterr().out
    for text in (
        "  counts: files 1, instances ",
        "tokens of an instance: mean ",
        "replaced_by_mask 0.",
        "sentences 86",
    ):
        assert text in out
    [unknown] = [line for line in out.split("\n") if line.startswith("unknown characters: ")]
    assert "鰻 2" in unknown and "鱈 1" in unknown
    assert "unusual:\n  data: " in out
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.glob("report*")] == ["report.html"]


def test_a_corpus_with_a_vocabulary_alone(tmp_path, capsys):
    _, vocab = write_small(tmp_path)
    (tmp_path / "text.txt").write_text("東京の鰻。\n", encoding="utf-8")
    run("--corpus_files", tmp_path / "text.txt", "--vocab_file", vocab, "--output_file", tmp_path / "report.html")
    assert "unknown characters: 鰻 1" in capsys.readouterr().out


def test_words_without_mecab_are_not_compared_with_its(tmp_path, monkeypatch):
    data, vocab = write_small(tmp_path, "--word_tokenizer_type", "basic")
    monkeypatch.setattr(dictionaries, "boundary_agreement", None)  # cannot be called
    run("--input_files", data, "--vocab_file", vocab, "--output_file", tmp_path / "report.html")
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "nothing to inspect. Give --input_files, --corpus_files, or both"),
        (["--input_files", "DATA"], "--input_files: needs the --vocab_file that the data was made with"),
        (["--corpus_files", "DATA", "--compare_files", "DATA"], "--compare_files: without --input_files"),
        (["--input_files", "DATA", "--vocab_file", "VOCAB", "--num_samples", "-1"], "--num_samples -1: expected 0 or"),
        (["--input_files", "none*", "--vocab_file", "VOCAB"], "none*: no file matches"),
        (["--input_files", "VOCAB", "--vocab_file", "VOCAB"], "vocab.txt: record 1: checksum of the length differs"),
        (["--input_files", "/dev/null", "--vocab_file", "VOCAB"], "/dev/null: no instance. Expected pretraining data"),
        (["--input_files", "DATA", "--vocab_file", "VOCAB", "--output_file", "r.gz"], "--output_file r.gz: expected a"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, capsys, flags, message):
    data, vocab = write_small(tmp_path)
    report = tmp_path / "report.html"
    given = [{"DATA": data, "VOCAB": vocab}.get(flag, flag) for flag in flags]
    with pytest.raises(SystemExit, match="1"):
        run("--output_file", report, *given)
    [line] = [line for line in capsys.readouterr().err.split("\n") if "error:" in line]
    assert message in line
    assert not report.exists() and not Path("r.gz").exists()


def test_tensorflow_is_not_imported(tmp_path):
    data, vocab = write_small(tmp_path)
    code = (
        "import sys; from tools import inspect_pretraining_data as tool; "
        "tool.main(tool.get_parser().parse_args(sys.argv[1:])); "
        "sys.exit(' '.join({'tensorflow', 'torch', 'jax', 'transformers'} & sys.modules.keys()) or 0)"
    )
    flags = ["--input_files", data, "--vocab_file", vocab, "--output_file", tmp_path / "report.html"]
    subprocess.run([sys.executable, "-c", code, *map(str, flags)], check=True, cwd=ROOT, capture_output=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory, aozora) -> Path:
    """Two data sets of real text beside each other, and their corpus."""
    place = tmp_path_factory.mktemp("report")
    block = next(iter(read_blocks(aozora)))
    text = block[: block.rindex(b"\n\n")] + b"\n"
    (place / "corpus.txt").write_bytes(text)
    vocab = make_vocabs(place, text, 12_000)["wordpiece"]
    for name, flags in (("a", ("--max_seq_length", "128")), ("b", ("--max_seq_length", "64", "--random_seed", "1"))):
        make_data(place / "corpus.txt", vocab, place / f"{name}.gz", *flags, "--dupe_factor", "1")
    run(
        "--input_files", place / "a.gz", "--compare_files", place / "b.gz", "--vocab_file", vocab,
        "--corpus_files", place / "corpus.txt", "--output_file", place / "report.html", "--num_samples", "40",
    )  # fmt: skip
    return place / "report.html"


@pytest.fixture
def page(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    page = Page(tmp_path / "profile")
    yield page
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_in_a_browser(report, page, width, scheme):
    page.open(report, width, scheme)
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    edges = "[...document.querySelectorAll('body *')].map((element) => element.getBoundingClientRect().right)"
    assert max(page.evaluate(edges)) <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(background) > 600) == (scheme == "light")
    assert page.evaluate("document.querySelectorAll('svg').length") == 7
    assert page.evaluate(OFFLINE) == 0
    assert page.messages == []


@pytest.mark.slow
def test_search_and_filter_in_a_browser(report, page):
    page.open(report, 1280, "light")

    def choose(field: str, value: str) -> list[str]:
        """Set a field as a user does. Return the text of the samples that are shown."""
        page.evaluate(f"{{ const f = document.getElementById({field!r}); f.value = {value!r};"
                      "f.dispatchEvent(new Event('input', { bubbles: true })); }")  # fmt: skip
        shown = "[...document.querySelectorAll('.sample')].filter((e) => e.offsetParent).map((e) => e.textContent)"
        texts = page.evaluate(shown)
        assert page.evaluate("document.getElementById('shown').textContent") == str(len(texts))
        return texts

    assert len(choose("search", "")) == 80
    found = choose("search", "。「")
    assert 0 < len(found) < 80
    assert len(choose("search", "この文字列はどこにもない")) == 0
    choose("search", "")
    of_data, of_other = choose("data", "data"), choose("data", "compared")
    assert len(of_data) == len(of_other) == 40 and not set(of_data) & set(of_other)
    choose("data", "")
    random, following = choose("kind", "random"), choose("kind", "next")
    assert len(random) + len(following) == 80 and all("B is random" in text for text in random)
    choose("kind", "")
    label = page.evaluate("document.querySelector('.sample ruby.masked rt').textContent")
    assert 0 < len(choose("search", label)) <= 80
    masked = page.evaluate("""(() => { const p = document.querySelector('.sample .text').cloneNode(true);
        p.querySelectorAll('.segment, rp').forEach((e) => e.remove());
        p.querySelectorAll('ruby').forEach((e) => e.replaceWith(e.querySelector('rt').textContent));
        return p.textContent })()""")
    assert len(choose("search", masked[:20])) == 1, "the text before masking is searched"
    assert page.messages == []

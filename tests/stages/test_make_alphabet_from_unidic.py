"""`make_alphabet_from_unidic.py` as a user runs it. Dictionary: unidic-lite 1.0.8."""

from pathlib import Path

import pytest

import make_alphabet_from_unidic
from japanese_bert.common.provenance import read_provenance
from japanese_bert.tokenization.alphabet import load_alphabet, make_alphabet
from japanese_bert.tokenization.dictionary_file import iter_surfaces
from tests.helpers.small_dictionary import SURFACES, compile_dictionary, write_source


@pytest.fixture(scope="module")
def source_dir(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("dictionary_source"))


def run_stage(*argv) -> None:
    make_alphabet_from_unidic.main(make_alphabet_from_unidic.get_parser().parse_args([str(part) for part in argv]))


def test_unidic_lite_has_7012_characters(tmp_path):
    output = tmp_path / "alphabet.txt"
    run_stage("--mecab_dic_type", "unidic_lite", "--output_file", output)
    alphabet = load_alphabet(output)
    assert len(alphabet) == 7012
    assert alphabet == sorted(alphabet)
    # Ids in the released vocabularies, where five special and ten unused tokens come first.
    assert [alphabet.index(character) + 15 for character in " のではを山"] == [15, 464, 457, 465, 500, 1872]
    provenance = read_provenance(output)
    assert provenance["dictionary"] == {"name": "unidic_lite", "version": "1.0.8", "size": 187680870}
    assert provenance["counts"] == {"surfaces": 570018, "distinct_characters": 7223, "alphabet": 7012}


def test_compiled_and_source_dictionary_agree(source_dir, tmp_path):
    compiled = compile_dictionary(source_dir, tmp_path / "utf8", "utf8")
    surfaces = list(iter_surfaces(compiled / "sys.dic"))
    assert len(surfaces) == len(SURFACES)
    assert set(surfaces) == SURFACES
    run_stage("--lex_file", source_dir / "lex.csv", "--output_file", tmp_path / "from_lex.txt")
    run_stage("--dictionary_dir", compiled, "--output_file", tmp_path / "from_sys.txt")
    assert (tmp_path / "from_lex.txt").read_bytes() == (tmp_path / "from_sys.txt").read_bytes()
    expected = make_alphabet(set("".join(SURFACES)))
    assert (tmp_path / "from_lex.txt").read_bytes() == "".join(f"{character}\n" for character in expected).encode()


def test_second_run_does_nothing_and_other_input_needs_overwrite(source_dir, tmp_path, capsys):
    output = tmp_path / "alphabet.txt"
    run_stage("--lex_file", source_dir / "lex.csv", "--output_file", output)
    written = output.stat().st_mtime_ns
    run_stage("--lex_file", source_dir / "lex.csv", "--output_file", output)
    assert "skipped: " in capsys.readouterr().out
    assert output.stat().st_mtime_ns == written
    with pytest.raises(FileExistsError, match="--overwrite"):
        run_stage("--mecab_dic_type", "ipadic", "--output_file", output)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"\xbb\xb3,0,0,1,x\n", r"lex.csv:1: not UTF-8"),
        ("山,0\n川\n".encode(), r"lex.csv:2: no comma"),
        (b"\n\n", "no surface"),
        ("\u200b,0\n".encode(), "no surface with a printable character"),
    ],
)
def test_bad_lex_file(tmp_path, content, message):
    (tmp_path / "lex.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        run_stage("--lex_file", tmp_path / "lex.csv", "--output_file", tmp_path / "alphabet.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lex.csv"]


def test_missing_sources(tmp_path):
    for flag in ("--lex_file", "--dictionary_dir"):
        with pytest.raises(FileNotFoundError):
            run_stage(flag, tmp_path / "none", "--output_file", tmp_path / "alphabet.txt")
    with pytest.raises(SystemExit):
        run_stage("--output_file", tmp_path / "alphabet.txt")

"""`japanese_bert.tokenization.alphabet` and `make_alphabet_from_unidic.py`."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

import make_alphabet_from_unidic
from japanese_bert.common.provenance import read_provenance
from japanese_bert.tokenization.alphabet import (
    iter_dictionary_surfaces,
    iter_lex_surfaces,
    load_alphabet,
    make_alphabet,
)
from japanese_bert.tokenization.mecab import find_dictionary

LEX = ["山", '"""', '","', "山川", "㎏", "ｶﾞｱ", "　", "が", "パ", "１", "々", "Tシャツ", "\u200b", "#", "〜"]
SURFACES = {"山", '"', ",", "山川", "㎏", "ｶﾞｱ", "　", "が", "パ", "１", "々", "Tシャツ", "\u200b", "#", "〜"}
ALPHABET = list(' "#,1T々〜が\u3099アカシツパャ山川')  # U+3099 from U+FF9E by itself: combining, but printable


@pytest.fixture(scope="module")
def source_dir(tmp_path_factory) -> Path:
    """The source of a small dictionary, with every surface twice."""
    directory = tmp_path_factory.mktemp("dictionary_source")
    quoted = ['""""' if surface == '"""' else surface for surface in LEX]
    files = {
        "lex.csv": "".join(f"{surface},0,0,{cost},名詞\n" for cost in (1, 2) for surface in quoted),
        "matrix.def": "1 1\n0 0 0\n",
        "char.def": "DEFAULT 0 1 0\nSPACE 0 1 0\n0x0020 SPACE\n",
        "unk.def": "DEFAULT,0,0,1,*\nSPACE,0,0,1,*\n",
        "pos-id.def": "",
        "dicrc": "cost-factor = 800\nbos-feature = BOS\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    return directory


def compile_dictionary(source: Path, output: Path, charset: str) -> Path:
    output.mkdir()
    build = f"import fugashi; fugashi.build_dictionary('x -d {source} -o {output} -f utf8 -t {charset}')"
    subprocess.run([sys.executable, "-c", build], check=True, capture_output=True)
    return output


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
    record = read_provenance(output)
    assert record["dictionary"] == {"name": "unidic_lite", "version": "1.0.8", "size": 187680870}
    assert record["counts"] == {"surfaces": 570018, "distinct_characters": 7223, "alphabet": 7012}


def test_alphabet_exactly():
    assert make_alphabet(set("".join(SURFACES))) == ALPHABET


def test_lex_surfaces_exactly(source_dir):
    surfaces = list(iter_lex_surfaces(source_dir / "lex.csv"))
    assert len(surfaces) == 2 * len(SURFACES)
    assert set(surfaces) == SURFACES


def test_compiled_and_source_dictionary_agree(source_dir, tmp_path):
    compiled = compile_dictionary(source_dir, tmp_path / "utf8", "utf8")
    surfaces = list(iter_dictionary_surfaces(compiled / "sys.dic"))
    assert len(surfaces) == len(SURFACES)
    assert set(surfaces) == SURFACES
    run_stage("--lex_file", source_dir / "lex.csv", "--output_file", tmp_path / "from_lex.txt")
    run_stage("--dictionary_dir", compiled, "--output_file", tmp_path / "from_sys.txt")
    assert (tmp_path / "from_lex.txt").read_bytes() == (tmp_path / "from_sys.txt").read_bytes()
    assert (tmp_path / "from_lex.txt").read_bytes() == "".join(f"{character}\n" for character in ALPHABET).encode()


def test_euc_jp_dictionary(source_dir, tmp_path):
    compiled = compile_dictionary(source_dir, tmp_path / "euc", "euc-jp")
    surfaces = list(iter_dictionary_surfaces(compiled / "sys.dic"))
    assert set(surfaces) == SURFACES - {"㎏", "\u200b"}  # not in EUC-JP: the compiler skips them


def test_many_random_surfaces(source_dir, tmp_path):
    rng = random.Random(1)
    surfaces = {"".join(rng.choices("あいうえおかがｱa山川々𠮷😀", k=rng.randint(1, 30))) for _ in range(3000)}
    source = tmp_path / "source"
    source.mkdir()
    for file in source_dir.iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    lines = "".join(f"{surface},0,0,1,x\n" for surface in surfaces)
    (source / "lex.csv").write_text(lines, encoding="utf-8", newline="\n")
    found = list(iter_dictionary_surfaces(compile_dictionary(source, tmp_path / "compiled", "utf8") / "sys.dic"))
    assert len(found) == len(surfaces)
    assert set(found) == surfaces


def test_every_surface_of_unidic_lite_leads_back_to_its_entry():
    from japanese_bert.tokenization.mecab import make_tagger

    dictionary = find_dictionary("unidic_lite")
    surfaces = [surface for surface in iter_dictionary_surfaces(dictionary.directory / "sys.dic") if len(surface) == 1]
    tagger = make_tagger(dictionary)
    for surface in surfaces[::40]:
        if surface != "\u3000":
            assert [(word.surface, word.is_unk) for word in tagger(surface)] == [(surface, False)]


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


def test_bad_dictionary(source_dir, tmp_path):
    compiled = compile_dictionary(source_dir, tmp_path / "utf8", "utf8") / "sys.dic"
    good = compiled.read_bytes()
    for bad in (b"", good[:50], good[:-1], b"x" * len(good)):
        compiled.write_bytes(bad)
        with pytest.raises(ValueError, match="truncated, or no dictionary compiled by MeCab"):
            list(iter_dictionary_surfaces(compiled))
    compiled.write_bytes(good[:12] + b"\xff" + good[13:])
    with pytest.raises(ValueError, match="its header says"):
        list(iter_dictionary_surfaces(compiled))
    compiled.write_bytes(good[:40] + b"no-such-charset".ljust(32, b"\0") + good[72:])
    with pytest.raises(ValueError, match="character set"):
        list(iter_dictionary_surfaces(compiled))


def test_missing_sources(tmp_path):
    for flag in ("--lex_file", "--dictionary_dir"):
        with pytest.raises(FileNotFoundError):
            run_stage(flag, tmp_path / "none", "--output_file", tmp_path / "alphabet.txt")
    with pytest.raises(SystemExit):
        run_stage("--output_file", tmp_path / "alphabet.txt")


@pytest.mark.parametrize(
    "content, message",
    [
        ("あ\nい\nあ\n", r"alphabet.txt:3: 'あ' stands twice"),
        ("あ\n\nい\n", r"alphabet.txt:2: ''"),
        ("あ\nいう\n", r"alphabet.txt:2: 'いう'"),
        ("", r"alphabet.txt:1: ''"),
    ],
)
def test_bad_alphabet_file(tmp_path, content, message):
    (tmp_path / "alphabet.txt").write_text(content, encoding="utf-8", newline="\n")
    with pytest.raises(ValueError, match=message):
        load_alphabet(tmp_path / "alphabet.txt")
    with pytest.raises(FileNotFoundError, match="make it with make_alphabet_from_unidic"):
        load_alphabet(tmp_path / "none.txt")

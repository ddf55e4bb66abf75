"""Dictionaries: unidic-lite 1.0.8, ipadic 1.0.0, and some compiled here."""

import doctest
import hashlib
import subprocess
import sys
from pathlib import Path

import ipadic
import pytest

from japanese_bert.tokenization import mecab
from japanese_bert.tokenization.mecab import COMPILED_FILES, dictionary_of_option, find_dictionary, hash_of, make_tagger
from tests.helpers.places import ROOT
from tests.helpers.small_dictionary import compile_dictionary, write_source


def test_identity_of_a_package():
    dictionary = find_dictionary("unidic_lite")
    assert dictionary.identity() == {"name": "unidic_lite", "version": "1.0.8", "size": 187680870}
    assert (dictionary.directory / "sys.dic").stat().st_size == 187680870


def test_identity_of_a_directory_changes_with_costs(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    write_source(source)
    compiled = [compile_dictionary(source, tmp_path / "a", "utf8")]
    lex = (source / "lex.csv").read_text(encoding="utf-8")
    (source / "lex.csv").write_text(lex.replace(",0,0,1,", ",0,0,9,"), encoding="utf-8", newline="\n")
    compiled.append(compile_dictionary(source, tmp_path / "b", "utf8"))
    one, other = (find_dictionary(str(directory)).identity() for directory in compiled)
    assert (one["name"], one["version"], one["size"]) == ("a", "", other["size"])
    assert one["sha256"] == hash_of(compiled[0] / name for name in COMPILED_FILES) != other["sha256"]


def test_a_hash_covers_the_files_that_exist(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    expected = hashlib.sha256(hashlib.sha256(b"a").digest()).hexdigest()
    assert hash_of([tmp_path / "a", tmp_path / "none"]) == expected


@pytest.mark.parametrize("option", ["-r x -d {}", "--dicdir={} -C", "--dicdir {}", "-d '{}'"])
def test_dictionary_of_an_option(option):
    dictionary = dictionary_of_option(option.format(ipadic.DICDIR))
    assert str(dictionary.directory) == ipadic.DICDIR
    assert len(dictionary.sha256) == 64


def test_a_directory_with_the_name_of_a_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unidic_lite").symlink_to(ipadic.DICDIR)
    size = find_dictionary("ipadic").size
    for found in (mecab.dictionary_in(Path("unidic_lite")), dictionary_of_option("-d unidic_lite")):
        assert (found.directory, found.size, found.version) == (Path("unidic_lite"), size, "")
    (tmp_path / "unidic").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "unidic", None)  # so that the end of the test removes what is imported
    del sys.modules["unidic"]
    with pytest.raises(ImportError, match="the dictionary unidic is not installed"):
        find_dictionary("unidic")


def test_missing_dictionaries(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no compiled MeCab dictionary \(sys.dic\)"):
        find_dictionary(str(tmp_path))
    with pytest.raises(ValueError, match=r"names no dictionary\. Add -d"):
        dictionary_of_option("-r x -C")


def test_dictionaries_that_mecab_cannot_use(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    euc = find_dictionary(str(compile_dictionary(write_source(source), tmp_path / "euc", "euc-jp")))
    for name in ("dicrc", "mecabrc"):
        (euc.directory / name).write_bytes((source / "dicrc").read_bytes())
    with pytest.raises(ValueError, match=r"its charset is .*, expected UTF-8"):
        make_tagger(euc)
    (euc.directory / "matrix.bin").unlink()
    with pytest.raises(ValueError, match="MeCab cannot open this dictionary"):
        make_tagger(euc)


def test_examples_in_docstrings():
    assert doctest.testmod(mecab) == (0, 1)


def test_unidic_without_its_dictionary(tmp_path, monkeypatch):
    """The package has no dictionary until it is downloaded by a command of its own."""
    (tmp_path / "unidic").mkdir()
    (tmp_path / "unidic" / "__init__.py").write_text(f"DICDIR = '{tmp_path}/unidic/dicdir'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "unidic", None)  # so that the end of the test removes what is imported
    del sys.modules["unidic"]
    with pytest.raises(
        FileNotFoundError, match=r"unidic/dicdir: no dictionary. Download it .*: python -m unidic download"
    ):
        find_dictionary("unidic")


def test_too_little_address_space():
    """The message of MeCab is the same as for a dictionary that is damaged."""
    code = (
        "import fugashi, resource\n"
        "from japanese_bert.tokenization.mecab import find_dictionary, make_tagger\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + 50_000_000, -1))\n"
        "make_tagger(find_dictionary('unidic_lite'))"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "does not fit into the address space of this process (187,680,870 bytes and more)" in process.stderr

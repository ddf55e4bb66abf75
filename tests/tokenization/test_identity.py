"""What files state of a tokenization: the right ones agree, and each kind of wrong one is named."""

import json
import shutil
from pathlib import Path

import ipadic
import pytest
import unidic_lite

from japanese_bert.tokenization import identity
from japanese_bert.tokenization.identity import Tokenization, check_same, differences, merged
from japanese_bert.tokenization.mecab import find_dictionary
from japanese_bert.tokenization.words import make_word_splitter
from tests.helpers.places import ROOT
from tests.helpers.small_dictionary import compile_dictionary, write_source, write_user_dictionary

UNIDIC = {"name": "unidic_lite", "version": "1.0.8", "size": 187680870}
METHOD = {
    "word_tokenizer_type": "mecab",
    "subword_tokenizer_type": "wordpiece",
    "vocab_has_no_subword_prefix": False,
    "do_lower_case": False,
}
MADE_BY = {"method": METHOD, "dictionary": UNIDIC, "inputs": {"vocab": [{"sha256": "9" * 64}]}}


def data(source: str = "data.json", **method) -> Tokenization:
    return identity.of_data({**MADE_BY, "method": METHOD | method}, source)


def write_config(directory: Path, **changes) -> Path:
    """Write the tokenizer_config.json of the released models with other fields."""
    text = (ROOT / "hf_model_configs/bert_base_wordpiece/tokenizer_config.json").read_text(encoding="utf-8")
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(text) | changes), encoding="utf-8")
    return path


def test_what_files_state(tmp_path):
    assert data().facts() == {
        "word_tokenizer_type": "mecab",
        "subword_tokenizer_type": "wordpiece",
        "subword_prefix": "##",
        "do_lower_case": False,
        "mecab_option": "",
        "normalize_text": True,
        "dictionary": UNIDIC,
        "vocab_sha256": "9" * 64,
    }
    facts = {name: value for name, value in data().facts().items() if name != "vocab_sha256"}
    assert identity.of_config(write_config(tmp_path)).facts() == facts | {"dictionary": {"name": "unidic_lite"}}
    (tmp_path / "vocab.txt").write_bytes(b"a\n")
    assert identity.of_directory(tmp_path).vocab_sha256 == identity.hash_of_file(tmp_path / "vocab.txt")


def test_files_without_records_state_nothing(tmp_path):
    """A configuration states what is written in it. Defaults differ between tokenizers."""
    assert identity.of_directory(tmp_path).facts() == {}
    assert identity.of_vocab_record(tmp_path / "vocab.txt").facts() == {}
    assert identity.of_model_directory(tmp_path).facts() == {}
    assert identity.of_data({}, "data.json").facts() == {}
    (tmp_path / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    assert identity.of_config(tmp_path / "tokenizer_config.json").facts() == {}
    assert identity.of_config(write_config(tmp_path, mecab_kwargs={"mecab_dic": "/elsewhere"})).dictionary is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"mecab_kwargs": {"mecab_dic": "ipadic"}},
            r"dictionary ipadic, but unidic_lite 1.0.8 \(187,680,870 bytes\) in",
        ),
        ({"mecab_kwargs": {"mecab_option": f"-d {ipadic.DICDIR}"}}, "dictionary dicdir sha256 "),
        ({"do_lower_case": True}, "do_lower_case True, but False in data.json"),
        ({"word_tokenizer_type": "basic"}, "word_tokenizer_type 'basic', but 'mecab' in data.json"),
        ({"word_tokenizer_type": "sudachi"}, "word_tokenizer_type 'sudachi', but 'mecab' in data.json"),
        ({"subword_tokenizer_type": "character"}, "subword_tokenizer_type 'character', but 'wordpiece' in data.json"),
        ({"mecab_kwargs": {"mecab_dic": "unidic_lite", "mecab_option": "-c 1"}}, "mecab_option '-c 1', but '' in"),
        ({"mecab_kwargs": {"mecab_dic": "unidic_lite", "normalize_text": False}}, "normalize_text False, but True in"),
    ],
)
def test_a_configuration_of_another_tokenization(tmp_path, capsys, changes, message):
    path = write_config(tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"tokenizer_config.json: {message}.*--no-check_records"):
        check_same([data(), identity.of_config(path)])
    check_same([data(), identity.of_config(path)], strict=False)
    assert f"NOTE {path}: " in capsys.readouterr().out
    check_same([data(), identity.of_config(write_config(tmp_path))])


def test_characters_with_and_without_prefix(tmp_path):
    config = identity.of_config(write_config(tmp_path, subword_tokenizer_type="character"))
    with pytest.raises(ValueError, match="subword_prefix '##', but ''"):
        check_same([config, data(subword_tokenizer_type="character")])
    check_same([config, data(subword_tokenizer_type="character", vocab_has_no_subword_prefix=True)])


def test_a_vocabulary_of_the_same_size():
    other = Tokenization("tf2/vocab.txt", vocab_sha256="8" * 64)
    with pytest.raises(ValueError, match=r"tf2/vocab.txt: vocabulary sha256 8{12}, but sha256 9{12} in data.json"):
        check_same([data(), other])


@pytest.mark.parametrize("change", [{"version": "1.0.7"}, {"size": 1}, {"name": "unidic"}])
def test_other_dictionaries(change):
    found = differences([data(), Tokenization("vocab.txt.json", dictionary=UNIDIC | change)])
    assert len(found) == 1
    assert found[0].startswith("vocab.txt.json: dictionary unidic")


def test_a_copy_of_a_dictionary_is_the_same_one(tmp_path):
    """The name of its directory is no part of its identity."""
    for path in (unidic_lite.DICDIR, shutil.copytree(ipadic.DICDIR, tmp_path / "copy")):
        copy = find_dictionary(str(path)).identity()
        name = "unidic_lite" if path == unidic_lite.DICDIR else "ipadic"
        package = find_dictionary(name).identity()
        assert copy["sha256"] and "sha256" not in package
        for known in (package, {"name": name}, copy | {"name": "renamed"}):
            assert differences([Tokenization("a", dictionary=copy), Tokenization("b", dictionary=known)]) == []
            assert differences([Tokenization("b", dictionary=known), Tokenization("a", dictionary=copy)]) == []
    other = Tokenization("a", dictionary=copy | {"sha256": "0"})
    assert len(differences([Tokenization("b", dictionary=package), other])) == 1
    away = {"name": name, "version": "0.1", "size": copy["size"] + 1}  # not installed: its size still shows it
    assert len(differences([Tokenization("b", dictionary=away), other])) == 1


def test_user_dictionaries_count_by_content(tmp_path):
    """They may be named by an option, or by a configuration file of the dictionary."""
    source = write_source(tmp_path)
    system = compile_dictionary(source, tmp_path / "system", "utf8")
    shutil.copy(source / "dicrc", system)
    first, second = (write_user_dictionary(source, tmp_path / f"{word}.dic", word) for word in ("犬山", "猫川"))
    copy = shutil.copy(first, tmp_path / "copy.dic")

    def of_option(option: str) -> Tokenization:
        splitter = make_word_splitter("mecab", str(system), False, option)
        return Tokenization(option, dictionary=splitter.dictionary.identity())

    plain, with_first = of_option(""), of_option(f"-u {first}")
    assert differences([with_first, of_option(f"-u {copy}")]) == []
    for option in ("", f"-u {second}", f"-u {first},{second}"):
        assert "user dictionaries (sha256" in differences([with_first, of_option(option)])[0]
    config = write_config(tmp_path, mecab_kwargs={"mecab_dic": str(system), "mecab_option": f"-u {copy}"})
    assert differences([with_first, identity.of_config(config)]) == []
    assert len(differences([plain, identity.of_config(config)])) == 1
    (system / "dicrc").write_text(f"{(source / 'dicrc').read_text()}userdic = {first}\n", encoding="utf-8")
    assert differences([with_first, of_option("")]) == []


def test_what_is_recorded_of_a_model_directory(tmp_path):
    """Its conversion says it. An older conversion recorded the dictionary, and train_tokenizer.py may have."""

    def record(name: str, **values) -> None:
        (tmp_path / name).write_text(json.dumps({"stage": "x", **values}), encoding="utf-8")

    record("vocab.txt.json", dictionary=UNIDIC | {"size": 1})
    assert identity.of_model_directory(tmp_path).dictionary == UNIDIC | {"size": 1}
    record("provenance.json", dictionary=UNIDIC)
    assert identity.of_model_directory(tmp_path).facts() == {"dictionary": UNIDIC}
    record("provenance.json", tokenization=data().facts())
    assert identity.of_model_directory(tmp_path).facts() == data().facts()


def test_merged_states_what_any_of_them_states():
    found = merged([Tokenization("a", do_lower_case=False), data(do_lower_case=True)])
    assert found.facts() == data().facts()

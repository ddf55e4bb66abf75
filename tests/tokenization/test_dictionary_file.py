import random
from pathlib import Path

import pytest

from japanese_bert.tokenization import dictionary_file
from japanese_bert.tokenization.dictionary_file import (
    find_entries,
    iter_surfaces,
    read_categories,
    read_left_contexts,
)
from japanese_bert.tokenization.mecab import find_dictionary, make_tagger
from tests.helpers.small_dictionary import SURFACES, compile_dictionary, write_source


@pytest.fixture(scope="module")
def source_dir(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("dictionary_source"))


def test_euc_jp_dictionary(source_dir, tmp_path):
    compiled = compile_dictionary(source_dir, tmp_path / "euc", "euc-jp")
    surfaces = list(iter_surfaces(compiled / "sys.dic"))
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
    found = list(iter_surfaces(compile_dictionary(source, tmp_path / "compiled", "utf8") / "sys.dic"))
    assert len(found) == len(surfaces)
    assert set(found) == surfaces


def test_every_surface_of_unidic_lite_leads_back_to_its_entry():
    dictionary = find_dictionary("unidic_lite")
    surfaces = [surface for surface in iter_surfaces(dictionary.directory / "sys.dic") if len(surface) == 1]
    tagger = make_tagger(dictionary)
    for surface in surfaces[::40]:
        if surface != "\u3000":
            assert [(word.surface, word.is_unk) for word in tagger(surface)] == [(surface, False)]


def test_bad_dictionary(source_dir, tmp_path):
    compiled = compile_dictionary(source_dir, tmp_path / "utf8", "utf8") / "sys.dic"
    good = compiled.read_bytes()
    for bad in (b"", good[:50], good[:-1], b"x" * len(good)):
        compiled.write_bytes(bad)
        with pytest.raises(ValueError, match="truncated, or no dictionary compiled by MeCab"):
            list(iter_surfaces(compiled))
    compiled.write_bytes(good[:12] + b"\xff" + good[13:])
    with pytest.raises(ValueError, match="Its header says"):
        list(iter_surfaces(compiled))
    compiled.write_bytes(good[:40] + b"no-such-charset".ljust(32, b"\0") + good[72:])
    with pytest.raises(ValueError, match="character set"):
        list(iter_surfaces(compiled))


def test_left_contexts_of_tokens_with_and_without_a_subtype():
    directory = find_dictionary("unidic_lite").directory
    full_stops, others = read_left_contexts(directory / "sys.dic", "句点")
    assert full_stops == {5970, 5971}
    assert len(others) > 5000
    assert not full_stops & others
    assert read_left_contexts(directory / "unk.dic", "句点")[0] == set()


def test_entries_with_a_part_or_a_context(source_dir, tmp_path):
    path = find_dictionary("ipadic").directory / "sys.dic"
    assert find_entries(path, "。", {8}) == {"。": {8}, "．": {8, 1295}, "モー娘。": {1288}}
    surfaces = set(iter_surfaces(path))
    for part in ("。", "ー娘", "っとう", "𠮷"):
        assert find_entries(path, part, ()).keys() == {surface for surface in surfaces if part in surface}
    compiled = compile_dictionary(source_dir, tmp_path / "euc", "euc-jp") / "sys.dic"
    assert find_entries(compiled, "山", ()) == {"山": {0}, "山川": {0}}
    assert find_entries(compiled, "川", {0}).keys() == set(iter_surfaces(compiled))


def test_categories_of_characters():
    """〇 is a symbol and a number, 一 a kanji and a number (unidic-lite's char.def)."""
    categories = read_categories(find_dictionary("unidic_lite").directory / "char.bin")
    symbol, both, number_and_kanji, kanji = (int(categories[ord(character)]) for character in "。〇一山")
    assert [value.bit_count() for value in (symbol, both, number_and_kanji, kanji)] == [1, 2, 2, 1]
    assert both & number_and_kanji == both - symbol == number_and_kanji - kanji
    assert len(categories) == 0xFFFF


def test_features_are_found_across_blocks(monkeypatch):
    path = find_dictionary("ipadic").directory / "sys.dic"
    expected = read_left_contexts(path, "句点")
    assert expected[0] == {8}
    for size in (999_983, 5_000_011):
        monkeypatch.setattr(dictionary_file, "FEATURE_BLOCK_BYTES", size)
        assert read_left_contexts(path, "句点") == expected

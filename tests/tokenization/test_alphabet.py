import pytest

from japanese_bert.tokenization.alphabet import collect_characters, iter_lex_surfaces, load_alphabet, make_alphabet
from tests.helpers.small_dictionary import SURFACES, write_source

ALPHABET = list(' "#,1T々〜が\u3099アカシツパャ山川')  # U+3099 from U+FF9E by itself: combining, but printable


def test_alphabet_exactly():
    assert make_alphabet(set("".join(SURFACES))) == ALPHABET


def test_characters_are_counted_by_surface():
    assert collect_characters(iter(["山川", "川", "川"])) == (3, {"山", "川"})


def test_lex_surfaces_exactly(tmp_path):
    surfaces = list(iter_lex_surfaces(write_source(tmp_path) / "lex.csv"))
    assert len(surfaces) == 2 * len(SURFACES)
    assert set(surfaces) == SURFACES


@pytest.mark.parametrize(
    "content, message",
    [
        ("あ\nい\nあ\n", r"alphabet.txt:3: 'あ' occurs twice"),
        ("あ\n\nい\n", r"alphabet.txt:2: is ''"),
        ("あ\nいう\n", r"alphabet.txt:2: is 'いう'"),
        ("", r"alphabet.txt:1: is ''"),
    ],
)
def test_bad_alphabet_file(tmp_path, content, message):
    (tmp_path / "alphabet.txt").write_text(content, encoding="utf-8", newline="\n")
    with pytest.raises(ValueError, match=message):
        load_alphabet(tmp_path / "alphabet.txt")
    with pytest.raises(FileNotFoundError, match="Make it with make_alphabet_from_unidic"):
        load_alphabet(tmp_path / "none.txt")

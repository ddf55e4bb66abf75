import pytest

from japanese_bert.inspection.characters import is_invisible, script_of


@pytest.mark.parametrize(
    ("script", "characters"),
    [
        ("kanji", "語々〇𠮷﨑"),
        ("hiragana", "あぢゟ"),
        ("katakana", "アーヷｶﾞ"),
        ("Latin", "aZéＡß"),
        ("digits", "0９٣²"),
        ("other", "。「!€한Я😀"),
    ],
)
def test_scripts(script, characters):
    assert [script_of(character) for character in characters] == [script] * len(characters)


def test_invisible_characters():
    assert all(map(is_invisible, " \u3000\t\0\u200b\ufeff\ue000"))
    assert not any(map(is_invisible, "あa。\ufffd😀"))

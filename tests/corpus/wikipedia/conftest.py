"""Finders of full stops with UniDic, with IPADIC, and with dictionaries that are compiled here."""

from pathlib import Path

import pytest

from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.tokenization import mecab
from tests.helpers.small_dictionary import build_dictionary

SINGER = "モーニング娘。,{0},{0},-5000,名詞,固有名詞,人名,一般,*,*,モーニング娘。,モーニングムスメ,モーニングムスメ\n"


@pytest.fixture(scope="session")
def finders():
    return {name: FullStopFinder(mecab.find_dictionary(name)) for name in ("unidic_lite", "ipadic")}


@pytest.fixture(scope="session")
def small_neologd(tmp_path_factory) -> Path:
    """A dictionary laid out like NEologd: entries of IPADIC's form, names with full stops among them."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "dictionary"))
    files = {
        "words.csv": SINGER.format(1)
        + "。,2,2,100,記号,句点,*,*,*,*,。,。,。\nの,3,3,100,助詞,連体化,*,*,*,*,の,ノ,ノ\n"
        + "歌,1,1,100,名詞,一般,*,*,*,*,歌,ウタ,ウタ\n"
        + "".join(f"{name},1,1,100,名詞,一般,*,*,*,*,*,*,*\n" for name in ("。゜", "歌手。", "𠮷。", "。😀"))
        + "！,2,2,100,記号,句点,*,*,*,*,！,！,！\n",
        "matrix.def": "4 4\n" + "".join(f"{left} {right} 0\n" for left in range(4) for right in range(4)),
        "char.def": "DEFAULT 0 1 0\nSPACE 0 1 0\nSYMBOL 1 1 0\nKANJI 1 0 5\n0x0020 SPACE\n0x3001..0x3002 SYMBOL\n"
        "0x300C..0x300D SYMBOL\n0x3007 KANJI SYMBOL\n0x6B4C KANJI\n",
        "unk.def": "".join(
            f"{name},1,1,{cost},名詞,一般,*,*,*,*,*\n"
            for name, cost in {"DEFAULT": 2000, "SPACE": 2000, "SYMBOL": 90, "KANJI": 90}.items()
        ),
        "left-id.def": "0 BOS/EOS\n1 名詞\n2 記号,句点\n3 助詞\n",
        "right-id.def": "0 BOS/EOS\n1 名詞\n2 記号,句点\n3 助詞\n",
        "dicrc": "cost-factor = 800\nbos-feature = BOS/EOS,*,*,*,*,*,*,*,*\nconfig-charset = UTF-8\n",
        **dict.fromkeys(("feature.def", "rewrite.def", "pos-id.def"), ""),
    }
    for name, text in files.items():
        (source / name).write_text(text, encoding="utf-8")
    build_dictionary("-d", source, "-o", target)
    for name in ("dicrc", "mecabrc"):
        (target / name).write_text(files["dicrc"], encoding="utf-8")
    return target


@pytest.fixture
def ipadic_with(tmp_path):
    """IPADIC with a user dictionary of one entry, in the given left and right context."""

    def make(context: int, entry: str = SINGER) -> FullStopFinder:
        (tmp_path / "user.csv").write_text(entry.format(context), encoding="utf-8")
        ipadic = mecab.find_dictionary("ipadic")
        build_dictionary("-d", ipadic.directory, "-u", tmp_path / "user.dic", tmp_path / "user.csv")
        return FullStopFinder(ipadic, f'-u "{tmp_path / "user.dic"}"')

    return make

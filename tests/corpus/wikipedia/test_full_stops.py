"""Full-stop tokens with any dictionary: unidic-lite 1.0.8, ipadic 1.0.0, and some compiled here."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from japanese_bert.common.encodings import check_format
from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.corpus.wikipedia.certain_full_stops import find_uncertain
from japanese_bert.corpus.wikipedia.cirrussearch import Page, parse_row
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder, find_full_stop_contexts, text_pieces
from japanese_bert.tokenization import mecab
from tests.helpers.places import ROOT, SHARED_DATA
from tests.helpers.small_dictionary import build_dictionary

WIKIPEDIA = SHARED_DATA / "wikipedia"
NEIGHBOURS = ("。。。。〇一漢雨娘モー歌手あの「」（…・゜ーA1 !.?．！𠮷😀\u3099", "。〇歌」あ", "。〇一漢")
SINGER = "モーニング娘。,{0},{0},-5000,名詞,固有名詞,人名,一般,*,*,モーニング娘。,モーニングムスメ,モーニングムスメ\n"


@pytest.fixture(scope="module")
def finders():
    return {name: FullStopFinder(mecab.find_dictionary(name)) for name in ("unidic_lite", "ipadic")}


@pytest.fixture(scope="module")
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


def full_stops_of_nodes(text: str, tagger) -> list[int]:
    """Return the full stops by the plain way: every token as an object, with its complete part of speech."""
    stops, position = [], 0
    for node in tagger.parseToNodeList(text):
        position += len(node.white_space) + len(node.surface)
        if node.feature[1] == "句点":
            stops.append(position)
        elif node.is_unk and "。" in node.surface:
            stops.append(position - len(node.surface) + node.surface.rindex("。") + 1)
    return stops


@pytest.mark.skipif(not WIKIPEDIA.is_dir(), reason="the shared dumps are not here")
@pytest.mark.parametrize("name", ["unidic_lite", "ipadic"])
def test_contexts_tell_what_parts_of_speech_tell(finders, name):
    tagger = mecab.make_tagger(mecab.find_dictionary(name))
    dump = next(WIKIPEDIA.glob("cirrussearch/*/*.json.gz"))
    rows = [row for block in read_line_blocks(dump, check=check_format) for row in block.split(b"\n") if row]
    texts = [" ".join(page.text.split()) for page in map(parse_row, rows[:1200]) if isinstance(page, Page)]
    assert len(texts) == 600
    # NFKC is left out here, so that both dictionaries meet characters in all their forms.
    found = [finders[name].find_with_mecab(text[:5000]) for text in texts]
    assert found == [finders[name].find(text[:5000]) for text in texts]
    assert found == [full_stops_of_nodes(text[:5000], tagger) for text in texts]
    assert sum(map(len, found)) > 5000


@pytest.mark.parametrize("name", ["unidic_lite", "ipadic"])
@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("", []),
        ("雨", []),
        ("。", [1]),
        ("  雨。  雪。 ", [4, 8]),
        ("(雨)。-だ。", [4, 7]),
        ("𠮷野家。パ。", [4, 6]),
        ("雨。\u200d\u3000", [2]),
    ],
)
def test_positions_count_characters(finders, name, text, stops):
    assert finders[name].find(text) == finders[name].find_with_mecab(text) == stops


@pytest.mark.parametrize("name", ["unidic_lite", "ipadic", "small_neologd"])
def test_full_stops_that_need_no_mecab(finders, small_neologd, name, monkeypatch):
    """The same as with MeCab, for texts of everything that may join a full stop with its neighbours."""
    finder = finders.get(name) or FullStopFinder(mecab.find_dictionary(str(small_neologd)))
    with_mecab, asked = finder.find_with_mecab, list[str]()
    monkeypatch.setattr(finder, "find_with_mecab", lambda text: asked.append(text) or with_mecab(text))
    rng = random.Random(1)
    texts = ["".join(rng.choices(rng.choice(NEIGHBOURS), k=rng.randint(1, 12))).strip() for _ in range(20_000)]
    assert [finder.find(text) for text in texts] == [with_mecab(text) for text in texts]
    told = [text for text in set(texts) - set(asked) if "。" in text]
    assert len(told) > 1000 and any("。" in text[:-1] for text in told)


def test_texts_that_go_to_mecab(finders, monkeypatch):
    finder = finders["ipadic"]
    monkeypatch.setattr(finder, "find_with_mecab", lambda text: None)
    for text in ("雨だ。「雪か。」", "一。あ。", "(雨)。", "雨 。", "雨。〇", "。", "𠮷。", "モーツァルト。"):
        assert finder.find(text) == [match.end() for match in re.finditer("。", text)]
    for text in ("雨．雪", "モー娘。", "雨。。", "(雨。)。", "雨。「〇一漢。"):
        assert finder.find(text) is None
    assert finders["unidic_lite"].find("雨! 雪。") != []


def test_full_stops_with_another_meaning_go_to_mecab(ipadic_with, finders, tmp_path):
    """In a user dictionary, or as unknown words: there MeCab's cost decides."""
    finder = ipadic_with(1288, "。,{0},{0},-9000,名詞,固有名詞,人名,一般,*,*,。,マル,マル\n")
    assert finder.find("雨の日。") == [] != finders["ipadic"].find("雨の日。")
    directory = mecab.find_dictionary("ipadic").directory
    ipadic = [directory / name for name in ("sys.dic", "unk.dic")]
    assert not find_uncertain(ipadic, {8}).search("雨。")
    assert find_uncertain(ipadic, {8, 1283}).search("雨。")
    assert find_uncertain([tmp_path / "user.dic", *ipadic], {8}).search("雨。")
    (tmp_path / "unk.dic").write_bytes(ipadic[1].read_bytes())
    (tmp_path / "char.bin").write_bytes((directory / "char.bin").read_bytes()[: -4 * 0xFFFF] + bytes([1]) * 4 * 0xFFFF)
    assert find_uncertain([ipadic[0], tmp_path / "unk.dic"], {8}).search("雨。")  # all characters are spaces, too


def test_a_name_with_a_full_stop_ends_nothing(small_neologd, finders):
    text = "モーニング娘。の歌。モーニング娘。。歌。"
    finder = FullStopFinder(mecab.find_dictionary(str(small_neologd)))
    assert finder.find(text) == [10, 18, 20]
    assert finders["ipadic"].find(text)[0] == 7


def test_the_stage_with_a_dictionary_like_neologd(small_neologd, tmp_path):
    page = {"title": "歌", "text": "モーニング娘。の歌。歌の歌。"}
    (tmp_path / "wiki.json").write_text(json.dumps(page) + "\n", encoding="utf-8")
    command = [sys.executable, "make_corpus_wiki.py", "--min_sentence_length", "1", "--output_file", tmp_path / "o.txt"]
    command += ["--input_file", tmp_path / "wiki.json"]
    command += ["--mecab_option", f"-r {small_neologd}/mecabrc -d {small_neologd}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") == "モーニング娘。の歌。\n歌の歌。\n\n"


@pytest.mark.parametrize("context", [1288, 8])
def test_user_dictionary(ipadic_with, context):
    """1288 is IPADIC's context of names. 8 is the context of full stops, which other words then share."""
    finder = ipadic_with(context)
    assert ("%f[1]" in finder.mecab_format) == (context == 8)
    assert finder.find("モーニング娘。の歌が好きだ。") == [14]


def test_contexts_of_compiled_dictionaries(small_neologd):
    assert find_full_stop_contexts([small_neologd / "sys.dic"]) == {2}
    unidic = mecab.find_dictionary("unidic_lite").directory
    assert find_full_stop_contexts([unidic / "sys.dic", unidic / "unk.dic"]) == {5970, 5971}
    assert find_full_stop_contexts([unidic / "unk.dic"]) == set()


def test_long_text_is_parsed_in_pieces(finders, monkeypatch):
    finder, lengths = finders["unidic_lite"], list[int]()
    text = "雨の日が続くのである。 " * 200 + "切れ目の無い文" * 100
    whole, find_in_piece = finder.find_with_mecab(text), finder._find
    assert len(whole) == 200
    monkeypatch.setattr(finder, "_find", lambda piece: lengths.append(len(piece)) or find_in_piece(piece))
    for length in (50, 333):
        assert "".join(text[start:end] for start, end in text_pieces(text, length)) == text
        with monkeypatch.context() as patch:
            patch.setattr(text_pieces, "__defaults__", (length,))
            assert finder.find_with_mecab(text) == whole
        assert 0 < min(lengths) <= max(lengths) <= length
        lengths.clear()

"""Full stops without MeCab are those of MeCab, with any dictionary."""

import random
import re

import pytest

from japanese_bert.corpus.wikipedia.certain_full_stops import find_uncertain
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.tokenization import mecab

NEIGHBOURS = ("。。。。〇一漢雨娘モー歌手あの「」（…・゜ーA1 !.?．！𠮷😀\u3099", "。〇歌」あ", "。〇一漢")


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

"""Full-stop tokens with any dictionary: unidic-lite 1.0.8, ipadic 1.0.0, and some compiled here."""

import json
import subprocess
import sys

import pytest

from japanese_bert.common.encodings import check_format
from japanese_bert.common.text_files import read_line_blocks
from japanese_bert.corpus.wikipedia.cirrussearch import Page, parse_row
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder, find_full_stop_contexts, text_pieces
from japanese_bert.tokenization import mecab
from tests.helpers.places import ROOT, SHARED_DATA

WIKIPEDIA = SHARED_DATA / "wikipedia"


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

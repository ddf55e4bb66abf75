"""Pages -> sentences, with a count of every character. Dictionary: unidic-lite 1.0.8."""

import gzip
import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from japanese_bert.corpus.wikipedia.cirrussearch import Page, RowBlock, parse_row
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.corpus.wikipedia.pages import CorpusBlock, PageConverter
from japanese_bert.tokenization import mecab
from tests.helpers.places import SHARED_DATA

WIKIPEDIA = SHARED_DATA / "wikipedia"


@pytest.fixture(scope="module")
def converter() -> PageConverter:
    return PageConverter(FullStopFinder(mecab.find_dictionary("unidic_lite")), 3, 20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from("雨。.!?「」()[]{}要1 ^>㍿ｶﾞ\ud800\0\u2028\n\u3000A"), max_size=60), max_size=4))
def test_characters_in_are_characters_kept_or_dropped(converter, texts):
    block = CorpusBlock()
    kept = [converter.convert_page(Page("雨", text), block) for text in texts]
    counts = block.counts
    assert counts["characters_out"] == sum(len(sentence) for sentences in kept for sentence in sentences)
    assert counts["characters_in"] + counts["characters_added_by_nfkc"] == counts["characters_out"] + sum(
        block.dropped_characters.values()
    )
    assert all(3 <= len(sentence) <= 20 and sentence.isprintable() for sentences in kept for sentence in sentences)


def test_blocks_count_lines_from_their_first(converter):
    block = converter.convert_rows(RowBlock(Path("x.json"), 101, b"{}\n\nbad\n"))
    assert [line.split(": ")[0] for line in block.corrupt] == ["x.json:103"]


@pytest.fixture(scope="module")
def real_pages() -> list[Page]:
    if not WIKIPEDIA.is_dir():
        pytest.skip("the shared dumps are not here")
    rows = gzip.decompress(next(WIKIPEDIA.glob("cirrussearch/*/*.json.gz")).read_bytes()).split(b"\n")
    return [page for row in rows if row and isinstance(page := parse_row(row), Page)]


def convert(pages: list[Page], min_length: int = 10, max_length: int = 200) -> list[tuple[list[str], CorpusBlock]]:
    converter = PageConverter(FullStopFinder(mecab.find_dictionary("unidic_lite")), min_length, max_length)
    blocks = [CorpusBlock() for _ in pages]
    return [(converter.convert_page(page, block), block) for page, block in zip(pages, blocks, strict=True)]


def test_every_real_page_is_accounted_for(real_pages):
    """Count each page again, without the code under test."""
    for page, (kept, block) in zip(real_pages, convert(real_pages), strict=True):
        normal = unicodedata.normalize("NFKC", page.text)
        dropped = block.dropped_characters
        assert len(normal) == sum(map(len, kept)) + sum(dropped.values()), page.title
        assert set(dropped) <= {"unprintable", "white_space", "short_sentences", "long_sentences"}, page.title
        assert min(dropped.values(), default=0) >= 0
        rest = "".join(normal.split())
        for sentence in kept:
            position = rest.index("".join(sentence.split()))
            rest = rest[:position] + rest[position + len("".join(sentence.split())) :]
        lost = sum(dropped[name] for name in ("short_sentences", "long_sentences"))
        assert lost - 100 <= len(rest) - dropped["unprintable"] <= lost, page.title


def test_real_pages_lose_only_white_space_and_the_unprintable_if_no_length_is_asked_for(real_pages):
    for page, (kept, _) in zip(real_pages, convert(real_pages, 1, 10**6), strict=True):
        normal = unicodedata.normalize("NFKC", page.text)
        assert "".join("".join(kept).split()) == "".join(filter(str.isprintable, "".join(normal.split()))), page.title


FORMULA = r"{\displaystyle \sum _{k=0}^{n}{\binom {n}{k}}=2^{n}.\quad n!=n(n-1)!}"
MARKS = ["[1]", "[注 3]", "[注釈\u00a04]", "[要出典]", "[要検証 – ノート]", "[誰？]", "[リンク切れ]", "[新聞 5]"]
MARKUP = {
    "breadcrumb": r" > ",
    "footnote mark": r"\[[^\[\]]{0,9}[0-9]\]|\[要|\[誰|\[リンク|脚注の使い方",
    "template": r"\{\{|\}\}",
    "formula": r"\\[a-z]+|[{}]",
    "footnote": r"\^",
    "line break": r"[\n\r\t\x0b\x0c\x1c-\x1f\x85\u2028\u2029]",
}


def with_markup(page: Page, rng: random.Random) -> Page:
    """Return the page with markup of all kinds, at the ends of sentences and paragraphs."""
    extras = [
        *MARKS,
        "".join(rng.sample(MARKS, 2)),
        "{{仮リンク|記事|en|article}}",
        "{{Math|{x}_{1}}}",
        f" 式は{FORMULA}である。",
        f" {FORMULA}。",
        "\n",
        "\u2028\t",
    ]
    paragraphs = [text + (rng.choice(extras) if text.endswith("。") else "") for text in page.text.split(" ")]
    breadcrumb = rng.choice(
        ["", f"地理 > 日本の地理 > {page.title} ", f"主要 > {page.title} 歴史 > 年表 > {page.title} "]
    )
    footnotes = rng.choice(
        ["", " [脚注の使い方] ^ 山田『雨』2010年、5頁。 ^ a b “Title. One”. The Times (2012年). 2013年閲覧。"]
    )
    return Page(page.title, breadcrumb + " ".join(paragraphs) + footnotes)


def test_markup_in_real_pages_is_dropped_and_nothing_else(real_pages):
    """Pages without markup give the expected sentences. Other patterns search for what may be left."""
    searches = {name: re.compile(pattern) for name, pattern in MARKUP.items()}
    clean = [page for page in real_pages if not any(search.search(page.text) for search in searches.values())]
    assert len(clean) > 2000
    rng = random.Random(12345)
    marked = [with_markup(page, rng) for page in clean]
    total = CorpusBlock()
    for page, (expected, _), (found, block) in zip(marked, convert(clean), convert(marked), strict=True):
        assert found == expected, page.title
        assert not [name for name, search in searches.items() for sentence in found if search.search(sentence)]
        normal = unicodedata.normalize("NFKC", page.text)
        assert len(normal) == sum(map(len, found)) + sum(block.dropped_characters.values()), page.title
        total.add(block)
    rules = {"footnote_marks", "requests", "templates", "breadcrumb", "footnotes", "notes", "white_space", "formulas"}
    assert all(total.dropped_characters[rule] > 1000 for rule in rules)

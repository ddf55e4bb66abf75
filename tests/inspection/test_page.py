"""The page: valid HTML, text of the corpus stays text, and every number, sample and file is in it."""

import re
import shutil

import html5lib
import pytest

from japanese_bert.inspection.page import fill_page
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers.small_inspection import look, write_small
from tests.helpers.tfrecord_writer import example, frame

XHTML = "{http://www.w3.org/1999/xhtml}"
EVIL = "<script>alert('猫')</script>&amp;\"<b>"


def parse(page: str):
    """Return the tree of a page. A parse error is an exception."""
    return html5lib.HTMLParser(strict=True).parse(page)


def texts(tree, tag: str, **attributes: str) -> list[str]:
    found = [
        node for node in tree.iter(f"{XHTML}{tag}") if all(node.get(name) == attributes[name] for name in attributes)
    ]
    return ["".join(node.itertext()) for node in found]


def test_a_whole_page(tmp_path):
    data, vocab = write_small(tmp_path)
    copy = shutil.copy(data, tmp_path / "other.tfrecord.gz")
    shutil.copy(f"{data}.json", f"{copy}.json")
    found = look(
        "--input_files", data, "--vocab_file", vocab, "--validation_files", copy, "--compare_files", copy,
        "--corpus_files", tmp_path / "corpus.txt", "--num_samples", "20",
    )  # fmt: skip
    page = fill_page(found)
    tree = parse(page)
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert len(texts(tree, "div", **{"class": "card unusual"})) == len(found.unusual) > 2
    assert len([node for node in tree.iter(f"{XHTML}div") if (node.get("class") or "") == "card sample"]) == 60
    rows = {tuple(" ".join(node.itertext()).split()) for node in tree.iter(f"{XHTML}tr")}
    count = f"{found.groups['data']['counts']['instances']:,}"
    assert ("instances", count, count, count) in rows
    assert ("texts", "of", "training", "–", "100.0%", "–") in rows
    assert [
        node.get("class") for node in tree.iter(f"{XHTML}tr") if "".join(node.itertext()).startswith("texts of")
    ] == ["odd"]
    assert "dictionary" in texts(tree, "th", scope="row") and str(data) in texts(tree, "th", scope="row")
    assert page.count("<svg ") == 7
    assert "http" not in page.replace("http://www.w3.org", "")


def test_text_of_the_corpus_stays_text(tmp_path):
    characters = sorted(set(EVIL))
    vocab = tmp_path / "vocab.txt"
    vocab.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters), EVIL]))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(f"{EVIL}\n{EVIL}{EVIL}\n\n{EVIL * 2000}\n{EVIL}\n", encoding="utf-8")
    evil = 5 + 2 * len(characters)
    ids = [2, evil, 4, evil, 3, evil, 3, 0]
    path = tmp_path / "<b>.tfrecord"
    path.write_bytes(frame(example({
        "input_ids": ids, "input_mask": [1] * 7 + [0], "segment_ids": [0] * 5 + [1] * 3, "masked_lm_positions": [2, 3],
        "masked_lm_ids": [evil, 7], "masked_lm_weights": [1.0, 1.0], "next_sentence_labels": [0],
    })))  # fmt: skip
    page = fill_page(look("--input_files", path, "--vocab_file", vocab, "--corpus_files", corpus))
    tree = parse(page)
    assert len(list(tree.iter(f"{XHTML}script"))) == 1
    assert not list(tree.iter(f"{XHTML}b"))
    assert f"A{EVIL}[MASK]({EVIL}){EVIL}({characters[2]})" in texts(tree, "p", **{"class": "text"})
    assert f"masked, label: {EVIL}" in [node.get("title") for node in tree.iter(f"{XHTML}ruby")]
    assert EVIL in "".join(texts(tree, "span", lang="ja"))


@pytest.mark.parametrize("kind", ["corpus", "labels", "answers", "tags", "foreign"])
def test_pages_of_other_data(tmp_path, kind):
    data, vocab = write_small(tmp_path)
    features = {"input_ids": [2, 6, 7, 3], "input_mask": [1] * 4, "segment_ids": [0] * 4}
    more = {"labels": {"label_ids": [1]}, "answers": {"start_positions": [1], "end_positions": [2]}}
    more["tags"] = {"label_ids": [-1, 3, 2, -1]}
    path = tmp_path / "other"
    path.write_bytes(frame(*[example(features | more.get(kind, {}))] * 5))
    flags = {
        "corpus": ["--corpus_files", tmp_path / "corpus.txt"],
        "foreign": ["--input_files", data, tmp_path / "vocab.txt", "--vocab_file", vocab],
    }
    page = fill_page(look(*flags.get(kind, ["--input_files", path, "--vocab_file", vocab])))
    text = "".join(parse(page).itertext())
    expected = {"labels": "label 1", "answers": "answer is marked", "foreign": "record 1", "corpus": "documents of one"}
    assert expected.get(kind, "") in text
    assert kind != "tags" or not {"label -1", "label nan"} & set(re.findall(r"label [-\w]+", text))
    assert kind != "corpus" or page.count("<svg ") == 3


def test_the_page_is_the_same_every_time(tmp_path):
    data, vocab = write_small(tmp_path)
    assert fill_page(look("--input_files", data, "--vocab_file", vocab)) == fill_page(
        look("--input_files", data, "--vocab_file", vocab)
    )

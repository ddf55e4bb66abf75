"""Parts on disk: what is written is what is read, and damage is seen."""

import numpy as np
import pytest

from japanese_bert.corpus.own_text import parts
from japanese_bert.corpus.own_text.parts import PreparedPart, common_method, open_parts, remove_parts
from tests.helpers.small_parts import make_part

DOCUMENTS = [f"文書{number}の文。\n" + "次の行。\n" * (number % 4) + "😀終わり" for number in range(700)]


@pytest.mark.parametrize("chunk", [7, 100, 10_000])
def test_chunks_give_the_documents_back(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(parts, "CHUNK_DOCUMENTS", chunk)
    found = open_parts([make_part(tmp_path / "a", DOCUMENTS[:300]), make_part(tmp_path / "b", DOCUMENTS[300:])])
    chunks = [chunk for part in found for chunk in part.chunks()]
    text = b"".join(chunk.write_kept(np.ones(len(chunk.paragraphs), np.bool_)).tobytes() for chunk in chunks)
    assert text.decode("utf-8") == "".join(f"{document}\n\n" for document in DOCUMENTS)
    numbers = np.concatenate([np.arange(2000)[chunk.document_numbers] for chunk in chunks])
    assert numbers.tolist() == list(range(700))
    numbers = np.concatenate([np.arange(9000)[chunk.paragraph_numbers] for chunk in chunks])
    assert numbers.tolist() == list(range(text.count(b"\n") - 700))


def test_only_kept_paragraphs_are_written(tmp_path):
    (chunk,) = open_parts([make_part(tmp_path / "a", ["一\n二\n三", "四", "五\n六"])])[0].chunks()
    kept = np.array([True, False, True, False, False, True])
    assert chunk.write_kept(kept).tobytes().decode() == "一\n三\n\n六\n\n"
    assert chunk.owners().tolist() == [0, 0, 0, 1, 2, 2]


def test_what_is_no_part_or_damaged_is_named(tmp_path):
    part = make_part(tmp_path / "a", DOCUMENTS)
    with pytest.raises(ValueError, match=f"^{tmp_path}: no part"):
        PreparedPart(tmp_path, 0, 0)
    with open(part / "text", "ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match=f"^{part}: its files have other sizes"):
        PreparedPart(part, 0, 0)
    alike = open_parts([make_part(tmp_path / "b", DOCUMENTS), make_part(tmp_path / "c", DOCUMENTS, preset="web")])
    with pytest.raises(ValueError, match=r"c: was made with other arguments than .*b\. Make all parts alike"):
        common_method(alike)


def test_only_parts_are_removed(tmp_path):
    make_part(tmp_path / "all" / "a", DOCUMENTS)
    make_part(tmp_path / "all" / "b", [])
    (tmp_path / "all" / "b" / "mine").touch()
    (tmp_path / "all" / "c").mkdir()
    make_part(tmp_path / "other" / "a", DOCUMENTS)
    remove_parts([*(tmp_path / "all").iterdir(), tmp_path / "none" / "a"])
    remove_parts([tmp_path / "other" / "a"])
    assert not (tmp_path / "other").exists()
    assert sorted(path.name for path in (tmp_path / "all").rglob("*")) == ["b", "c", "mine"]

"""Which encoding bytes have, and what is refused by every stage that reads text."""

import gzip
import json
import lzma
import zipfile
from pathlib import Path

import pytest

import create_pretraining_data
import merge_split_corpora
import train_tokenizer
from japanese_bert.common.encodings import check_is_utf8_text, decodes, guess_encoding
from japanese_bert.common.text_files import read_blocks
from tests.helpers.places import ROOT, SHARED_DATA

SAMPLE = lzma.decompress((ROOT / "sample_data" / "cc100_sample.txt.xz").read_bytes()).decode()
AOZORA = SHARED_DATA / "aozora" / "ja.txt.xz"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp932", "euc_jp", "iso2022_jp")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_of_whole_texts(encoding, ends):
    data = SAMPLE[:3000].replace("\n", ends).encode(encoding, errors="ignore")
    assert guess_encoding(data) == encoding
    if not encoding.startswith("utf-8"):
        with pytest.raises(ValueError, match=r"^a\.txt: is .*, expected UTF-8 text\. Run make_corpus\.py"):
            check_is_utf8_text(Path("a.txt"), data)
    else:
        check_is_utf8_text(Path("a.txt"), data)


@pytest.mark.skipif(not AOZORA.exists(), reason="no shared data")
@pytest.mark.parametrize(("length", "errors"), [(30, 18), (100, 0), (1000, 0)])
def test_encodings_of_900_short_texts(length, errors):
    text = next(read_blocks(AOZORA)).decode("utf-8", errors="ignore")
    wrong = []
    for start in range(0, 300 * length, length):
        for encoding in ("utf-8", "cp932", "euc_jp"):
            data = text[start : start + length].encode(encoding, errors="ignore")
            if (guess := guess_encoding(data)) != encoding:
                wrong.append((guess, encoding, data.decode(encoding)))
    assert len(wrong) <= errors, wrong


def test_a_sample_may_end_inside_a_character():
    assert [decodes("首都".encode()[:n], "utf-8") for n in range(7)] == ["", "", "", "首", "首", "首", "首都"]
    assert decodes(b"\xff" + SAMPLE.encode(), "utf-8") is None
    assert guess_encoding(bytes(range(128, 256)) * 9) is None
    assert guess_encoding(b"plain ASCII\n") == "utf-8"


def test_damaged_text_is_text():
    data = SAMPLE.encode()
    for damaged in (b"\xff" + data, data[1:], data.replace("。".encode(), b"\0"), "猫".encode() + b"\xff", b"\0\n"[:1]):
        check_is_utf8_text(Path("a.txt"), damaged)


def test_standard_input_has_no_name_to_change():
    with pytest.raises(ValueError, match=r"^-: is xz data, expected text\. Make text of it before the pipe$"):
        check_is_utf8_text(Path("-"), lzma.compress(b"a"))


@pytest.fixture
def others(tmp_path) -> dict[str, tuple[Path, str]]:
    """Files that are not text under the name of a text, each with what a stage says of it."""
    text = SAMPLE.encode()
    contents = {
        "gzip.txt": (gzip.compress(text), r"gzip data, expected text\. Name it .*gzip\.txt\.gz"),
        "sjis.txt": (
            SAMPLE.encode("cp932", errors="ignore"),
            r"Shift_JIS \(cp932\), expected UTF-8 text\. Run make_co",
        ),
        "utf16.txt": (SAMPLE.encode("utf-16"), "utf-16, expected UTF-8 text"),
        "utf16le.txt": (SAMPLE.encode("utf-16-le"), "utf-16-le, expected UTF-8 text"),
        "rows.txt": (json.dumps({"text": SAMPLE}, ensure_ascii=False).encode() + b"\n", "JSON Lines, expected text"),
        "noise.txt": (bytes(range(128, 256)) * 99, "not UTF-8, and no other Japanese encoding"),
    }
    for name, (data, _) in contents.items():
        (tmp_path / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "zip.txt", "w") as archive:
        archive.writestr("a.txt", text)
    messages = {name: message for name, (_, message) in contents.items()} | {"zip.txt": r"a zip archive.* unzip .*zip"}
    return {name: (tmp_path / name, rf"{name}: is {message}") for name, message in messages.items()}


@pytest.mark.parametrize("stage", ["merge_split_corpora", "train_tokenizer", "create_pretraining_data"])
def test_stages_refuse_what_is_not_text(tmp_path, others, stage):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n猫\n##猫\n", encoding="utf-8")
    out = tmp_path / "out"
    commands = {
        "merge_split_corpora": (merge_split_corpora, ["--input_files", "{}", "--output_dir", out, "--num_files", "2"]),
        "train_tokenizer": (train_tokenizer, ["--input_files", "{}", "--output_dir", out, "--vocab_size", "5000"]),
        "create_pretraining_data": (
            create_pretraining_data,
            ["--input_file", "{}", "--vocab_file", tmp_path / "vocab.txt", "--output_file", out / "a.tfrecord"],
        ),
    }
    script, arguments = commands[stage]
    for path, message in others.values():
        with pytest.raises(ValueError, match=message):
            script.main(script.get_parser().parse_args([str(argument).format(path) for argument in arguments]))
        assert not out.exists() or not any(out.iterdir())

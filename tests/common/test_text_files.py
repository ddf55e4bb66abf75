"""Reading and writing corpus text, compressed or not."""

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from japanese_bert.common.text_files import (
    compressed_writer,
    expand_paths,
    read_blocks,
    read_line_blocks,
)

COMPRESSORS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
AWKWARD = st.text(st.sampled_from("あ。A \n\n\r\t\u3000\u2028\x85\xa0\x0b\x1c\ufeff𠮷ﾞ"), max_size=60)


@given(st.lists(AWKWARD.filter(lambda text: text), max_size=8))
def test_line_blocks_are_whole_lines(tmp_path_factory, parts):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    content = "".join(parts).encode("utf-8")
    path.write_bytes(content)
    blocks = list(read_line_blocks(path, block_bytes=5))
    assert all(block.endswith(b"\n") for block in blocks)
    as_lines = [text.replace(b"\r", b"\n").rstrip(b"\n") for text in (b"".join(blocks), content)]  # as an old Mac
    assert as_lines[0] == as_lines[1]
    if b"\r" not in content:
        assert b"".join(blocks) == (content if content.endswith(b"\n") or not content else content + b"\n")


def test_lines_of_an_old_mac_end_in_cr(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("吾輩は\r猫である。\r".encode() * 3)
    assert b"".join(read_line_blocks(path, block_bytes=8)).decode() == "吾輩は\n猫である。\n" * 3
    path.write_bytes("吾輩は\r猫である。\n".encode())  # white space in a line
    assert b"".join(read_line_blocks(path)).decode() == "吾輩は\r猫である。\n"


@pytest.mark.skipif(not shutil.which("zstd"), reason="no program zstd")
def test_zstd(tmp_path, monkeypatch):
    text, path = "吾輩は猫である。\n".encode() * 1000, tmp_path / "a.txt.zst"
    packed = subprocess.run(["zstd"], input=text, capture_output=True, check=True).stdout
    path.write_bytes(packed)
    assert b"".join(read_blocks(path)) == text
    path.write_bytes(packed[:-9])
    with pytest.raises(ValueError, match=r"a\.txt\.zst: truncated or corrupt"):
        list(read_blocks(path))
    monkeypatch.setattr("japanese_bert.common.text_files.DECOMPRESSORS", {})
    with pytest.raises(ValueError, match=r"a\.txt\.zst: no program zstd"):
        list(read_blocks(path))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
def test_compressed_input_and_its_progress(tmp_path, suffix):
    text = "吾輩は猫である。\n" * 1000
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESSORS.get(suffix, bytes)(text.encode()))
    seen = []
    assert b"".join(read_blocks(path, seen.append, 777)).decode() == text
    assert sum(seen) == path.stat().st_size


@pytest.mark.parametrize("program", [True, False])
@pytest.mark.parametrize("suffix", COMPRESSORS)
@pytest.mark.parametrize("damage", ["truncated", "corrupt", "zeros"])
def test_damaged_input_is_an_error_that_names_it(tmp_path, monkeypatch, suffix, damage, program):
    if not program:
        monkeypatch.setattr("japanese_bert.common.text_files.DECOMPRESSORS", {})
    whole = bytearray(COMPRESSORS[suffix](bytes(range(256)) * 3000))
    if damage == "corrupt":
        whole[len(whole) // 2] ^= 0xFF
    if damage == "zeros":  # where the first block of a .gz begins
        whole[10:74] = bytes(64)
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(whole[: len(whole) - 9] if damage == "truncated" else whole)
    with pytest.raises(ValueError, match=rf"a\.txt{suffix}: truncated or corrupt"):
        list(read_blocks(path))


@pytest.mark.parametrize("suffix", [".txt", ".gz", ".bz2", ".xz"])
def test_writes_of_any_size_give_the_same_bytes(tmp_path, suffix):
    text = "".join(f"{number * 7919 % 1013}番の文である。\n" for number in range(40000)).encode()
    outputs = []
    for size in (1 << 30, 100_003, 999):
        raw = io.BytesIO()
        with compressed_writer(Path(f"a{suffix}"), raw) as stream:
            for start in range(0, len(text), size):
                stream.write(text[start : start + size])
        outputs.append(raw.getvalue())
    assert outputs[0] == outputs[1] == outputs[2]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(outputs[0])
    assert b"".join(read_blocks(path)) == text


def test_zstd_is_only_read(tmp_path):
    with pytest.raises(ValueError, match=r"a\.txt\.zst: \.zst is only read"), (tmp_path / "a").open("wb") as raw:
        compressed_writer(tmp_path / "a.txt.zst", raw).__enter__()


def test_inputs_are_checked_before_work(tmp_path):
    (tmp_path / "a.txt").write_text("あ\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"b\*\.txt: no file matches"):
        expand_paths(f"{tmp_path}/a.txt,{tmp_path}/b*.txt")
    with pytest.raises(ValueError, match="is a directory"):
        expand_paths(str(tmp_path))
    with pytest.raises(ValueError, match="named twice"):
        expand_paths([f"{tmp_path}/a.txt", f"{tmp_path}/*.txt"])
    (tmp_path / "東京, 日本.txt").write_text("あ\n", encoding="utf-8")
    assert expand_paths([f"{tmp_path}/東京, 日本.txt"]) == [tmp_path / "東京, 日本.txt"]
    with pytest.raises(FileNotFoundError, match="no input file given"):
        expand_paths(",")

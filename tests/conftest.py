"""Fixtures that every test may use. The network is blocked: nothing may be fetched while tests run."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from japanese_bert.common.environment import import_triton_first
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, unused_tokens, vocab_bytes
from tests.helpers.places import ROOT, SHARED_DATA

os.environ["PYTHONPATH"] = str(ROOT)  # tools are modules, which tests run from any directory
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in jobs of the background
import_triton_first()  # tests load TensorFlow and PyTorch in one process, in any order


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    connect = socket.socket.connect

    def connect_locally(self, address):
        if self.family == socket.AF_UNIX or (isinstance(address, tuple) and address[0] in ("127.0.0.1", "::1")):
            return connect(self, address)
        raise OSError(f"a test tried to reach {address}")

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture(scope="session")
def aozora() -> Path:
    """Real text laid out like CC-100."""
    path = SHARED_DATA / "aozora" / "ja.txt.xz"
    if not path.is_file():
        pytest.skip("the shared corpus is not here")
    return path


@pytest.fixture(scope="session")
def aozora_bytes(aozora) -> bytes:
    """20 MB of it, from a document's beginning to a document's end."""
    from japanese_bert.common.text_files import read_blocks

    text, size = b"", 0
    blocks = []
    for block in read_blocks(aozora):
        blocks.append(block)
        size += len(block)
        if size > 21_000_000:
            break
    text = b"".join(blocks)
    start = text.index(b"\n\n", 500_000) + 2
    return text[start : text.index(b"\n\n", start + 20_000_000) + 2]


@pytest.fixture(scope="session")
def transformers4_python() -> Path:
    """Python of a second environment, with Transformers 4: the one that TRANSFORMERS4_PYTHON names, else our own.

    For slow tests: where it is missing `.venv-transformers4` is made, which needs the network and two minutes.
    """
    if named := os.environ.get("TRANSFORMERS4_PYTHON"):
        return Path(named)
    subprocess.run([ROOT / "install.sh", "transformers4"], check=True)
    return ROOT / ".venv-transformers4" / "bin" / "python"


@pytest.fixture
def small_corpus(tmp_path) -> Path:
    """Twelve documents of three to eight sentences, all different."""
    path = tmp_path / "corpus_01.txt"
    subjects = [
        "猫",
        "東京の天気",
        "新しいＰＣ",
        "ラーメン",
        "図書館",
        "サッカー",
        "量子力学",
        "確定申告",
        "梅雨",
        "駅",
        "詩",
        "𠮷野家",
    ]
    verbs = [
        "が好きだ。",
        "について調べた。",
        "は３番目に大切です！",
        "を見て驚いた。",
        "とは何か？",
        "の話は続く。",
        "も変わった。",
        "へ行こう。",
    ]
    documents = [
        "".join(f"{subject}{verb}{'とても長い説明が続いている。' * (index % 3)}\n" for verb in verbs[: 3 + index % 6])
        for index, subject in enumerate(subjects)
    ]
    path.write_text("\n".join(documents), encoding="utf-8", newline="\n")
    return path


@pytest.fixture
def wordpiece_vocab(tmp_path, small_corpus) -> Path:
    """Characters of the small corpus, alone and with ##, and some words."""
    characters = sorted(set(small_corpus.read_text(encoding="utf-8")) - {"\n", "𠮷", "Ｐ", "Ｃ", "３"} | set("PC3"))
    words = ["について", "調べ", "驚い", "説明", "続い", "##強", "東京", "天気"]
    tokens = [*SPECIAL_TOKENS, *unused_tokens(10), *characters, *(f"##{char}" for char in characters), *words]
    path = tmp_path / "vocab.txt"
    path.write_bytes(vocab_bytes(tokens))
    return path


@pytest.fixture
def character_vocab(tmp_path, wordpiece_vocab) -> Path:
    path = tmp_path / "character_vocab.txt"
    tokens = wordpiece_vocab.read_text(encoding="utf-8").split("\n")[:-1]
    path.write_bytes(vocab_bytes(token for token in tokens if len(token) == 1 or token.startswith("[")))
    return path


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    directory = tmp_path / "small_disk"
    directory.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(directory)], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)

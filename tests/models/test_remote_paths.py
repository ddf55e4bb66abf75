"""Records beside a checkpoint in a bucket, read without TensorFlow."""

import json
import sys

import pytest

from japanese_bert.models.remote_paths import RemotePath, any_path, matching_files
from japanese_bert.models.training_history import read_tokenizations

fsspec = pytest.importorskip("fsspec")
FILES = {
    "model/params.yaml": b"task: {train_data: {input_path: 'memory://b/data/*.gz'}, init_checkpoint: 'memory://b/tf2/ckpt-0'}",
    "data/a.gz": b"",
    "data/a.gz.json": json.dumps({"output": {"name": "a.gz"}, "method": {"do_lower_case": True}}).encode(),
    "tf2/vocab.txt": "猫\n".encode(),
    "tf2/tokenizer_config.json": b'{"word_tokenizer_type": "basic", "do_lower_case": false}',
}


@pytest.fixture
def bucket(monkeypatch) -> str:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    for name, data in FILES.items():
        with fsspec.open(f"memory://b/{name}", "wb") as file:
            file.write(data)
    return "memory://b"


def test_paths(bucket):
    path = any_path(f"{bucket}/tf2/ckpt-0")
    assert isinstance(path, RemotePath)
    assert str(path.parent / "vocab.txt") == f"{bucket}/tf2/vocab.txt"
    assert (path.parent / "vocab.txt").read_text(encoding="utf-8") == "猫\n"
    assert (path.parent / "vocab.txt").is_file() and path.parent.is_dir()
    assert not path.is_file() and not path.is_dir() and not path.parent.is_file()
    assert str(any_path("file:///a/b").parent) == "file:///a"
    with pytest.raises(FileNotFoundError, match="memory://b/tf2/none: no such file"):
        path.with_name("none").read_bytes()


def test_patterns(bucket, tmp_path):
    (tmp_path / "a.gz").touch()
    assert list(map(any_path, matching_files(f"{bucket}/data/*.gz"))) == [any_path(f"{bucket}/data/a.gz")]
    assert matching_files(f"{tmp_path}/*") == [f"{tmp_path}/a.gz"]
    with pytest.raises(ValueError, match="nowhere://a/\\*: Protocol not known"):
        matching_files("nowhere://a/*")


def test_the_history_of_a_checkpoint_in_a_bucket(bucket):
    start, data = read_tokenizations(any_path(f"{bucket}/model/ckpt-5"))
    assert (start.source, start.word_tokenizer_type, start.do_lower_case) == (f"{bucket}/tf2", "basic", False)
    assert start.vocab_sha256
    assert (data.source, data.do_lower_case) == ("a.gz.json of the training data", True)


def test_a_local_checkpoint_waits_for_no_bucket(bucket, tmp_path):
    """Its training may have run on another machine, and the bucket may be out of reach."""
    (tmp_path / "params.yaml").write_bytes(FILES["model/params.yaml"])
    (start,) = read_tokenizations(tmp_path / "ckpt-5")
    assert start.facts() == {}

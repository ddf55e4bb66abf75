"""Checkpoints: complete or not there, found by their step, and the oldest are removed."""

import pytest

from japanese_bert.common.provenance import InputFiles, Provenance
from japanese_bert.torch_training.checkpoints import check_complete, find_checkpoints, step_of, writing_checkpoint


def write(model_dir, step: int, max_to_keep: int = 2, content: str = "weights"):
    provenance = Provenance("run_pretraining_torch", {"step": step}, InputFiles(), {})
    path = model_dir / f"ckpt-{step}"
    with writing_checkpoint(path, provenance, max_to_keep) as directory:
        (directory / "model.safetensors").write_text(content, encoding="utf-8")
        if content == "fail":
            raise OSError("disk full")
    return path


def test_the_latest_is_that_of_the_most_steps(tmp_path):
    assert find_checkpoints(tmp_path / "nothing") == []
    for step in (5, 10, 100):
        write(tmp_path, step, max_to_keep=0)
    (tmp_path / "ckpt-7.tmp").mkdir()
    (tmp_path / "ckpt-8").write_text("a file", encoding="utf-8")
    assert [step_of(path) for path in find_checkpoints(tmp_path)] == [5, 10, 100]


def test_the_oldest_are_removed_but_not_what_a_user_added(tmp_path):
    (write(tmp_path, 1) / "notes.txt").write_text("mine", encoding="utf-8")
    for step in (2, 3, 4):
        write(tmp_path, step)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["ckpt-1", "ckpt-3", "ckpt-4"]
    assert [path.name for path in (tmp_path / "ckpt-1").iterdir()] == ["notes.txt"]


def test_a_failure_leaves_the_last_one(tmp_path):
    write(tmp_path, 1)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, 2, content="fail")
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt-1"]
    check_complete(tmp_path / "ckpt-1")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.safetensors", None, "model.safetensors: no such file. Copy it again, or remove this directory"),
        ("model.safetensors", "wei", "model.safetensors: has 3 bytes, expected 7. Copy it again"),
        ("provenance.json", None, "provenance.json: missing or damaged. Copy it again"),
        ("provenance.json", "{", "provenance.json: missing or damaged. Copy it again"),
    ],
)
def test_a_file_that_is_lost_or_cut_is_named(tmp_path, name, change, message):
    path = write(tmp_path, 1)
    (path / name).unlink()
    if change:
        (path / name).write_text(change, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        check_complete(path)
    assert str(error.value).startswith(f"{path}/{message}")

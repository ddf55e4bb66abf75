"""Renames that lose nothing, also where the system cannot do them in one step."""

import errno
import os

import pytest

from japanese_bert.common import renames
from japanese_bert.common.renames import exchange_directories, rename_to_free_name


def no_links(*_, **__) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.fixture(params=["renameat2", "links", "neither"])
def system(request, monkeypatch) -> str:
    if request.param != "renameat2":
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    if request.param == "neither":
        monkeypatch.setattr(os, "link", no_links)
    return request.param


def test_a_name_that_is_taken_stays(tmp_path, system):
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("old", "link"):
        with pytest.raises(FileExistsError):
            rename_to_free_name(tmp_path / "new", tmp_path / name)
    assert (tmp_path / "old").read_bytes() == b"old"
    rename_to_free_name(tmp_path / "new", tmp_path / "free")
    assert (tmp_path / "free").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["free", "link", "old"]


def test_directories_are_exchanged(tmp_path, system):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange_directories(tmp_path / "one", tmp_path / "other", tmp_path / "aside")
    assert (tmp_path / "one" / "other").exists()
    assert (tmp_path / "other" / "one").exists()
    assert not (tmp_path / "aside").exists()


def test_other_errors_are_raised(tmp_path):
    with pytest.raises(FileNotFoundError, match="free"):
        rename_to_free_name(tmp_path / "nothing", tmp_path / "free")


def test_steps_are_audited_as_those_of_os_rename(tmp_path):
    """The fault suite stops a stage before each."""
    import sys

    seen = []
    sys.addaudithook(lambda event, arguments: seen.append(arguments[:2]) if event == "os.rename" else None)
    (tmp_path / "new").touch()
    rename_to_free_name(tmp_path / "new", tmp_path / "free")
    assert (str(tmp_path / "new"), str(tmp_path / "free")) in seen

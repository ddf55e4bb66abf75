"""One process has a temporary name at a time, also while it is renamed."""

import fcntl
import os

import pytest

from japanese_bert.common.locks import check_not_being_published, is_same_file, open_locked, temporary_path


def open_file(path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def test_the_second_one_is_refused_until_the_first_lets_go(tmp_path):
    path = temporary_path(tmp_path / "data.txt")
    assert path.name == "data.txt.tmp"
    first = open_locked(path, open_file)
    with pytest.raises(BlockingIOError, match=r"data\.txt\.tmp: another process is writing this output"):
        open_locked(path, open_file)
    os.close(first)
    os.close(open_locked(path, open_file))


def test_a_file_that_its_owner_renames_meanwhile_is_opened_anew(tmp_path):
    path, opened = tmp_path / "a.tmp", []

    def open_and_lose(name) -> int:
        opened.append(open_file(name))
        if len(opened) == 1:
            os.rename(name, tmp_path / "a")
        return opened[-1]

    descriptor = open_locked(path, open_and_lose)
    assert len(opened) == 2
    assert is_same_file(path, descriptor)
    assert not is_same_file(tmp_path / "a", descriptor)
    assert not is_same_file(tmp_path / "nothing", descriptor)
    os.close(descriptor)


def test_no_descriptor_stays_open_after_a_refusal(tmp_path):
    first = open_locked(tmp_path / "a", open_file)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            open_locked(tmp_path / "a", open_file)
    assert set(os.listdir("/proc/self/fd")) == before
    os.close(first)


def test_an_output_is_busy_until_its_owner_closes_it(tmp_path):
    check_not_being_published(tmp_path / "nothing")
    with open(tmp_path / "a", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            check_not_being_published(tmp_path / "a")
    check_not_being_published(tmp_path / "a")

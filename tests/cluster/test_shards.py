"""Shards of a command: names, logs, and the status that says which of them are finished."""

import json
import os
from pathlib import Path

import pytest

from japanese_bert.cluster.shards import (
    Shard,
    command_log_dir,
    file_name,
    is_finished,
    last_lines,
    last_output,
    make_shards,
    read_names,
    write_status,
)


class TestNames:
    def test_lines_become_commands(self, tmp_path):
        shards = make_shards(read_names(["01", " 02 ", ""]), ["gzip", "-k", "a_{}.txt,b_{}.txt"], tmp_path)
        assert [shard.command for shard in shards] == [
            ("gzip", "-k", "a_01.txt,b_01.txt"),
            ("gzip", "-k", "a_02.txt,b_02.txt"),
        ]
        assert [shard.log for shard in shards] == [tmp_path / "01.log", tmp_path / "02.log"]

    @pytest.mark.parametrize(
        ("lines", "template", "message"),
        [
            ([""], ["gzip", "{}"], "no shards. Give their names one a line"),
            (["1", "2", "1"], ["gzip", "{}"], "shard 1: the name is there twice"),
            (["1"], ["gzip", "a{", "}"], "gzip a{ }: the command has no {}"),
            (["1"], [], "no command. Write it after --"),
        ],
    )
    def test_unusable_names_and_commands(self, tmp_path, lines, template, message):
        with pytest.raises(ValueError, match=message):
            make_shards(read_names(lines), template, tmp_path)

    def test_names_that_no_file_can_have_get_different_logs(self):
        names = ["a/b", "a_b", "a b", "..", "あ", "x" * 300, "x" * 301]
        files = [file_name(name) for name in names]
        assert len(set(files)) == len(names)
        assert all("/" not in name and len(name.encode()) < 255 and name.strip(".") for name in files)
        assert file_name("01") == "01"

    def test_each_command_has_its_own_logs(self):
        one, other = (["python", "stage.py", "--dupe_factor", number, "{}"] for number in ("5", "30"))
        assert command_log_dir(Path("logs"), one) != command_log_dir(Path("logs"), other)
        assert command_log_dir(Path("logs"), one) == Path("logs/stage-819cadc5")


class TestStatus:
    @pytest.fixture
    def shard(self, tmp_path) -> Shard:
        (tmp_path / "in_01.txt").write_text("text", encoding="utf-8")
        (tmp_path / "out_01").write_text("data", encoding="utf-8")
        (tmp_path / "out_01.json").write_text("{}", encoding="utf-8")
        shard = make_shards(["01"], ["stage", "--input_file=in_{}.txt", "--output_file", "x,out_{}"], tmp_path)[0]
        write_status(shard, tmp_path, {"seconds": 1})
        return shard

    def test_a_finished_shard_with_its_files_unchanged(self, shard, tmp_path):
        assert is_finished(shard, tmp_path)
        files = json.loads(shard.status.read_text(encoding="utf-8"))["files"]
        assert sorted(Path(name).name for name in files) == ["in_01.txt", "out_01", "out_01.json"]

    def test_a_status_of_the_first_version(self, shard, tmp_path):
        """Shards that were finished before an update are skipped after it."""
        states = {name: (tmp_path / name).stat() for name in ("in_01.txt", "out_01", "out_01.json")}
        status = {
            "shard": "01",
            "command": ["stage", "--input_file=in_01.txt", "--output_file", "x,out_01"],
            "directory": str(tmp_path),
            "attempt": 1,
            "worker": "node1:4711",
            "started": "2026-10-01T12:00:00+09:00",
            "seconds": 61.5,
            "files": {str(tmp_path / name): [state.st_size, state.st_mtime_ns] for name, state in states.items()},
        }
        shard.log.with_name("01.json").write_text(json.dumps(status, indent=1), encoding="utf-8")
        assert is_finished(shard, tmp_path)

    @pytest.mark.parametrize("name", ["in_01.txt", "out_01", "out_01.json"])
    def test_a_missing_or_changed_file(self, shard, tmp_path, name):
        state = (tmp_path / name).stat()
        text = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(text[::-1])
        os.utime(tmp_path / name, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
        assert not is_finished(shard, tmp_path)
        (tmp_path / name).unlink()
        assert not is_finished(shard, tmp_path)

    def test_an_output_without_a_status(self, shard, tmp_path):
        shard.status.unlink()
        assert not is_finished(shard, tmp_path)

    def test_another_command_or_directory(self, shard, tmp_path):
        assert not is_finished(Shard("01", (*shard.command, "--dupe_factor=5"), shard.log), tmp_path)
        assert not is_finished(shard, tmp_path.parent)

    def test_a_damaged_status(self, shard, tmp_path):
        shard.status.write_text('{"command": [', encoding="utf-8")
        assert not is_finished(shard, tmp_path)

    def test_files_of_the_shards_own_directory_count(self, tmp_path):
        shard = make_shards(["01"], ["stage", "--output_dir", "out/{}", "out"], tmp_path / "logs")[0]
        (tmp_path / "out" / "01").mkdir(parents=True)
        (tmp_path / "out" / "01" / "data").touch()
        (tmp_path / "logs").mkdir()
        write_status(shard, tmp_path, {})
        (tmp_path / "out" / "02").mkdir()
        assert is_finished(shard, tmp_path)
        (tmp_path / "out" / "01" / "data").unlink()
        assert not is_finished(shard, tmp_path)

    def test_the_files_of_a_dictionary_count(self, tmp_path):
        (tmp_path / "neologd").mkdir()
        (tmp_path / "neologd" / "sys.dic").write_bytes(b"words")
        shard = make_shards(["01"], ["stage", "--mecab_dic_type", "neologd", "{}"], tmp_path / "logs")[0]
        (tmp_path / "logs").mkdir()
        write_status(shard, tmp_path, {})
        (tmp_path / "neologd" / "other").touch()
        assert is_finished(shard, tmp_path)
        (tmp_path / "neologd" / "sys.dic").write_bytes(b"more words")
        assert not is_finished(shard, tmp_path)

    def test_globs_count(self, tmp_path):
        shard = make_shards(["01"], ["stage", "--input_file", "in_{}_*.txt"], tmp_path)[0]
        (tmp_path / "in_01_a.txt").touch()
        write_status(shard, tmp_path, {})
        assert is_finished(shard, tmp_path)
        (tmp_path / "in_01_b.txt").touch()
        assert not is_finished(shard, tmp_path)


def test_last_lines_are_those_that_a_terminal_shows(tmp_path):
    log = tmp_path / "log"
    log.write_bytes("one\n10%\r50%\r100%\n\nlast 末尾\n=== end\n".encode())
    assert last_lines(log, 3) == ["100%", "last 末尾", "=== end"]
    assert last_output(log, 2) == ["100%", "last 末尾"]
    assert last_lines(tmp_path / "none", 2) == []

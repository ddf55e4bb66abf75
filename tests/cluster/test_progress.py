"""What is printed of shards as they run."""

import time
from pathlib import Path

import pytest

from japanese_bert.cluster.progress import QUIET_SECONDS, ProgressLines, ProgressTable, describe_shard, print_failures
from japanese_bert.cluster.runs import ShardRun
from japanese_bert.cluster.shards import make_shards


@pytest.fixture
def runs(tmp_path) -> dict[str, ShardRun]:
    """Four shards. All but the first run since 100 seconds."""
    shards = make_shards(["01", "02", "03", "04"], ["stage", "{}"], tmp_path)
    runs = {shard.name: ShardRun(shard) for shard in shards}
    for number, run in enumerate(runs.values()):
        run.shard.log.write_text(f"reading\r{number}0%", encoding="utf-8")
        run.state, run.worker, run.since = "running", f"node{number}:7", time.monotonic() - 100 + number
    runs["01"].state = "finished"
    return runs


def test_the_table_shows_the_oldest_shards_and_their_last_lines(runs):
    lines = ProgressTable(runs, skipped=3).lines(4)
    assert [line.split()[0] for line in lines[1:3]] == ["02", "03"]
    assert lines[1].split()[1:] == ["1", "0:01:39", "node1:7", "10%"]
    assert lines[3].endswith("1 finished, 3 running, 3 skipped")


def test_the_table_is_drawn_over_itself_and_cleared(runs, capsys):
    table = ProgressTable(runs, skipped=0)
    table.tick()
    table.tick()  # too early
    assert capsys.readouterr().err.count("\n") == 5
    table.drawn = 0.0
    table.tick()
    assert capsys.readouterr().err.startswith("\x1b[5F\x1b[J")
    runs["02"].state, runs["02"].reason = "failed", "exit code 1"
    table.changed(runs["02"])
    text = capsys.readouterr().err
    assert text.startswith("\x1b[5F\x1b[J0:00:00 shard 02: FAILED: exit code 1; log")
    table.close()
    assert capsys.readouterr().err == ""


def test_a_line_for_every_change_and_a_sign_of_life(runs, capsys):
    lines = ProgressLines(runs, skipped=0)
    lines.changed(runs["02"])
    lines.tick()
    assert capsys.readouterr().err == "0:00:00 shard 02: runs on node1:7 (1 finished, 3 running)\n"
    lines.printed -= QUIET_SECONDS + 1
    lines.tick()
    assert capsys.readouterr().err == "0:00:00 1 finished, 3 running\n"


@pytest.mark.parametrize(
    ("state", "more", "text"),
    [
        ("running", {"failures": 1, "starts": 3}, "runs on node:1, attempt 2, its worker was lost (1)"),
        ("waiting", {"failures": 1}, "failed on node:1, is tried again: error: bad"),
        ("waiting", {}, "waits for another worker"),
        ("finished", {"ran": True}, "finished"),
        ("finished", {}, "finished before"),
        ("failed", {"reason": "exit code 1"}, "FAILED: exit code 1; log LOG"),
    ],
)
def test_each_state_in_words(tmp_path, state, more, text):
    (shard,) = make_shards(["01"], ["stage", "{}"], tmp_path)
    shard.log.write_text("error: bad\n=== end\n", encoding="utf-8")
    run = ShardRun(shard, state=state, worker="node:1", **more)
    assert describe_shard(run) == f"shard 01: {text.replace('LOG', str(shard.log))}"


def test_failures_are_printed_with_log_and_last_lines(tmp_path: Path, capsys):
    runs = {shard.name: ShardRun(shard) for shard in make_shards(["01", "02"], ["stage", "{}"], tmp_path)}
    runs["02"].state, runs["02"].reason, runs["02"].failures = "failed", "exit code 1", 2
    runs["02"].shard.log.write_text("=== start\nerror: bad line\n=== end\n", encoding="utf-8")
    print_failures(runs)
    log = tmp_path / "02.log"
    expected = f"shard 02 failed after 2 attempts: exit code 1\n  log: {log}\n  | error: bad line\n"
    assert capsys.readouterr().err == expected
    assert ProgressLines(runs, 0).totals() == "1 waiting, 1 failed"

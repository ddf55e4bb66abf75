"""One attempt at a shard, started as a Dask worker starts it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from japanese_bert.cluster.attempt import arguments_for
from japanese_bert.cluster.shards import Shard, is_finished, last_output, make_shards


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_shard(*command: str) -> Shard:
    return make_shards(["01"], [*command, "{}"], Path.cwd())[0]


def start_attempt(shard: Shard) -> subprocess.Popen[bytes]:
    arguments = [*arguments_for(shard, 1), "node:1", *shard.command]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def outcome_of(process: subprocess.Popen[bytes]) -> str:
    with process:
        process.wait(30)
        return process.stdout.read().decode()


def wait_for(path: Path) -> str:
    for _ in range(300):
        if path.is_file() and (text := path.read_text(encoding="utf-8")).endswith("\n"):
            return text
        time.sleep(0.05)
    raise TimeoutError(path)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_dead(pid: int) -> bool:
    for _ in range(100):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_a_shard_runs_once():
    shard = make_shard("sh", "-c", "echo ran >> runs_$0; echo printed; echo problem >&2")
    assert [outcome_of(start_attempt(shard)) for _ in range(2)] == ["ran", "finished"]
    assert Path("runs_01").read_text(encoding="utf-8") == "ran\n"
    assert is_finished(shard, Path.cwd())
    lines = shard.log.read_text(encoding="utf-8").split("\n")
    assert "shard 01, attempt 1 on node:1: sh -c" in lines[0]
    assert lines[1:3] == ["printed", "problem"]
    assert "shard 01, attempt 1: exit code 0 after" in lines[3]


def test_a_failure_is_not_finished():
    shard = make_shard("sh", "-c", "echo one; echo two; exit 3")
    assert outcome_of(start_attempt(shard)) == "exit code 3"
    assert last_output(shard.log, 2) == ["one", "two"]
    assert not is_finished(shard, Path.cwd())


def test_a_missing_program():
    shard = make_shard("no-such-program")
    assert outcome_of(start_attempt(shard)) == "exit code 127"
    assert last_output(shard.log, 2) == ["no-such-program: No such file or directory"]


@pytest.mark.parametrize("how", ["killed", "gone"])
def test_nothing_goes_on_without_the_worker(how):
    """The attempt is killed, or its worker is. The command dies at once, and so does what it started."""
    process = start_attempt(make_shard("sh", "-c", "trap '' TERM; sleep 60 & echo $! $$ > pids; wait"))
    child, command = map(int, wait_for(Path("pids")).split())
    if how == "gone":
        process.stdin.close()
        assert wait_until_dead(child)
    else:
        process.kill()
    assert wait_until_dead(command)
    process.wait(10)
    process.stdout.close()
    if how == "killed":
        process.stdin.close()
        os.kill(child, signal.SIGKILL)


def test_a_stopped_command_can_clean_up():
    script = "trap 'echo cleaned > cleaned; exit 1' TERM; echo > started; while :; do sleep 0.1; done"
    shard = make_shard("sh", "-c", script)
    process = start_attempt(shard)
    wait_for(Path("started"))
    process.terminate()
    assert outcome_of(process) == "stopped"
    assert Path("cleaned").is_file()
    assert "stopped: the worker closes" in shard.log.read_text(encoding="utf-8")


def test_a_command_that_succeeds_on_sigterm_is_finished():
    shard = make_shard("sh", "-c", "trap 'exit 0' TERM; echo > started; while :; do sleep 0.1; done")
    process = start_attempt(shard)
    wait_for(Path("started"))
    process.terminate()
    assert outcome_of(process) == "ran"
    assert is_finished(shard, Path.cwd())


def test_two_attempts_at_a_shard_do_not_run_at_once():
    shard = make_shard("sh", "-c", "echo start >> runs; sleep 1; echo end >> runs")
    both = [start_attempt(shard) for _ in range(2)]
    assert sorted(outcome_of(process) for process in both) == ["finished", "ran"]
    assert Path("runs").read_text(encoding="utf-8") == "start\nend\n"
    assert shard.log.read_text(encoding="utf-8").count("waiting: another process is running this shard") == 1


def test_an_attempt_that_waits_can_be_stopped():
    shard = make_shard("sh", "-c", "echo > started; sleep 60")
    first = start_attempt(shard)
    wait_for(Path("started"))
    second = start_attempt(shard)
    while "waiting: another process" not in shard.log.read_text(encoding="utf-8"):
        time.sleep(0.05)
    second.terminate()
    assert outcome_of(second) == "stopped"
    first.terminate()
    assert outcome_of(first) == "stopped"


def test_a_command_leaves_no_process_behind():
    shard = make_shard("sh", "-c", "sleep 60 & echo $! > pid")
    assert outcome_of(start_attempt(shard)) == "ran"
    assert wait_until_dead(int(wait_for(Path("pid"))))

"""run_shards.py without a cluster: records, attempts, retries, jobs that are lost, messages; one run with Dask."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from japanese_bert.cluster import workers
from japanese_bert.cluster.progress import Table, describe, describe_totals, print_failures
from japanese_bert.cluster.records import (
    Shard,
    command_log_dir,
    file_name,
    is_finished,
    last_lines,
    make_shards,
    read_names,
    write_record,
)
from japanese_bert.cluster.runs import MAX_LOST_RUNS, Run, ShardRuns, make_attempt, make_runs
from japanese_bert.cluster.workers import ClusterSettings, Jobs
from tests.helpers.places import ROOT
from tools import run_shards


def make_shard(directory: Path, *command: str, name: str = "01") -> Shard:
    return make_shards([name], [*command, "{}"], directory)[0]


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
            ([""], ["gzip", "{}"], "no shards: give their names one a line"),
            (["1", "2", "1"], ["gzip", "{}"], "shard 1: is there twice"),
            (["1"], ["gzip", "a"], "gzip a: has no {}"),
            (["1"], [], "no command: write it after --"),
        ],
    )
    def test_what_cannot_run(self, tmp_path, lines, template, message):
        with pytest.raises(ValueError, match=message):
            make_shards(read_names(lines), template, tmp_path)

    def test_names_that_are_no_file_names_get_different_logs(self):
        names = ["a/b", "a_b", "a b", "..", "あ", "x" * 300, "x" * 301]
        files = [file_name(name) for name in names]
        assert len(set(files)) == len(names)
        assert all("/" not in name and len(name.encode()) < 255 and name.strip(".") for name in files)
        assert file_name("01") == "01"

    def test_each_command_has_its_own_logs(self):
        one, other = (["python", "stage.py", "--dupe_factor", number, "{}"] for number in ("5", "30"))
        assert command_log_dir(Path("logs"), one) != command_log_dir(Path("logs"), other)
        assert command_log_dir(Path("logs"), one).name.startswith("stage-")


class TestRecords:
    @pytest.fixture
    def shard(self, tmp_path) -> Shard:
        (tmp_path / "in_01.txt").write_text("text", encoding="utf-8")
        (tmp_path / "out_01").write_text("data", encoding="utf-8")
        (tmp_path / "out_01.json").write_text("{}", encoding="utf-8")
        shard = make_shards(["01"], ["stage", "--input_file=in_{}.txt", "--output_file", "x,out_{}"], tmp_path)[0]
        write_record(shard, tmp_path, {"seconds": 1})
        return shard

    def test_finished_is_what_ended_well_and_is_as_it_was(self, shard, tmp_path):
        assert is_finished(shard, tmp_path)
        files = json.loads(shard.record.read_text(encoding="utf-8"))["files"]
        assert sorted(Path(name).name for name in files) == ["in_01.txt", "out_01", "out_01.json"]

    @pytest.mark.parametrize("name", ["in_01.txt", "out_01", "out_01.json"])
    def test_a_file_that_is_gone_or_other_runs_again(self, shard, tmp_path, name):
        state = (tmp_path / name).stat()
        text = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(text[::-1])
        os.utime(tmp_path / name, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
        assert not is_finished(shard, tmp_path)
        (tmp_path / name).unlink()
        assert not is_finished(shard, tmp_path)

    def test_existing_output_without_a_record_is_not_finished(self, shard, tmp_path):
        shard.record.unlink()
        assert not is_finished(shard, tmp_path)

    def test_another_command_or_directory_is_not_finished(self, shard, tmp_path):
        assert not is_finished(Shard("01", (*shard.command, "--dupe_factor=5"), shard.log), tmp_path)
        assert not is_finished(shard, tmp_path.parent)

    def test_damaged_record_is_not_finished(self, shard, tmp_path):
        shard.record.write_text('{"command": [', encoding="utf-8")
        assert not is_finished(shard, tmp_path)

    def test_the_files_of_a_shards_own_directory_count(self, tmp_path):
        shard = make_shards(["01"], ["stage", "--output_dir", "out/{}"], tmp_path / "logs")[0]
        (tmp_path / "out" / "01").mkdir(parents=True)
        (tmp_path / "out" / "01" / "data").touch()
        (tmp_path / "logs").mkdir()
        write_record(shard, tmp_path, {})
        (tmp_path / "out" / "02").mkdir()
        assert is_finished(shard, tmp_path)
        (tmp_path / "out" / "01" / "data").unlink()
        assert not is_finished(shard, tmp_path)

    def test_last_lines_are_those_a_terminal_would_show(self, tmp_path):
        log = tmp_path / "log"
        log.write_bytes("one\n10%\r50%\r100%\n\nlast 末尾\n".encode())
        assert last_lines(log, 2) == ["100%", "last 末尾"]
        assert last_lines(tmp_path / "none", 2) == []


def start_attempt(shard: Shard, directory: Path, **more) -> subprocess.Popen:
    """As a worker does."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-m", "japanese_bert.cluster.attempt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SLURM_JOB_ID": "of the worker"},
        start_new_session=True,
    )
    attempt = make_attempt(shard, 1, "topic") | {"directory": str(directory), "worker": "node:1", **more}
    process.stdin.write(json.dumps(attempt).encode() + b"\n")
    process.stdin.flush()
    return process


def report_of(process: subprocess.Popen) -> dict:
    with process:
        process.wait(30)
        return json.loads(process.stdout.read())


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


class TestAttempt:
    def test_runs_once_and_is_recorded(self, tmp_path):
        shard = make_shard(tmp_path, "sh", "-c", "echo ran >> runs_$0; echo printed; echo problem >&2")
        first, second = (report_of(start_attempt(shard, tmp_path)) for _ in range(2))
        assert [(report["outcome"], report["ran"]) for report in (first, second)] == [
            ("finished", True),
            ("finished", False),
        ]
        assert (tmp_path / "runs_01").read_text(encoding="utf-8") == "ran\n"
        assert is_finished(shard, tmp_path)
        lines = shard.log.read_text(encoding="utf-8").split("\n")
        assert lines[1:3] == ["printed", "problem"]
        assert "exit code 0" in lines[3]

    def test_failure_is_told_with_its_last_lines_and_not_recorded(self, tmp_path):
        shard = make_shard(tmp_path, "sh", "-c", "echo one; echo two; exit 3")
        report = report_of(start_attempt(shard, tmp_path))
        assert (report["outcome"], report["code"], report["lines"]) == ("failed", 3, ["one", "two"])
        assert not is_finished(shard, tmp_path)

    def test_command_that_is_not_there(self, tmp_path):
        report = report_of(start_attempt(make_shard(tmp_path, "no-such-program"), tmp_path))
        assert (report["code"], report["lines"]) == (127, ["no-such-program: No such file or directory"])

    def test_has_the_callers_environment_python_and_directory(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SLURM_JOB_ID", "of the caller")
        monkeypatch.setenv("SLURM_NODELIST", "of the caller's job")
        monkeypatch.setenv("OF_THE_CALLER", "yes")
        script = 'echo $OF_THE_CALLER "$SLURM_JOB_ID$SLURM_NODELIST" $PWD; python -c "import sys; print(sys.prefix)"'
        shard = make_shard(tmp_path, "sh", "-c", script)
        report_of(start_attempt(shard, tmp_path))
        lines = shard.log.read_text(encoding="utf-8").split("\n")
        assert lines[1:3] == [f"yes of the worker {tmp_path}", sys.prefix]

    @pytest.mark.parametrize("how", ["killed", "gone"])
    def test_nothing_goes_on_without_the_worker(self, tmp_path, how):
        """Killed with the worker, or left alone by it: the command and what it started die at once."""
        script = "trap '' TERM; sleep 60 & echo $! $$ > pids; wait"
        process = start_attempt(make_shard(tmp_path, "sh", "-c", script), tmp_path)
        child, command = map(int, wait_for(tmp_path / "pids").split())
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

    def test_asked_to_stop_it_lets_the_command_clean_up(self, tmp_path):
        script = "trap 'echo cleaned > cleaned; exit 1' TERM; echo > started; while :; do sleep 0.1; done"
        process = start_attempt(make_shard(tmp_path, "sh", "-c", script), tmp_path)
        wait_for(tmp_path / "started")
        process.terminate()
        assert report_of(process) == {"outcome": "stopped"}
        assert (tmp_path / "cleaned").is_file()

    def test_two_attempts_at_a_shard_do_not_run_at_once(self, tmp_path):
        shard = make_shard(tmp_path, "sh", "-c", "echo start >> runs; sleep 1; echo end >> runs")
        both = [start_attempt(shard, tmp_path) for _ in range(2)]
        reports = [report_of(process) for process in both]
        assert (tmp_path / "runs").read_text(encoding="utf-8") == "start\nend\n"
        assert sorted(report["ran"] for report in reports) == [False, True]

    def test_no_stray_process_is_left_by_a_command_that_ended(self, tmp_path):
        shard = make_shard(tmp_path, "sh", "-c", "sleep 60 & echo $! > pid")
        assert report_of(start_attempt(shard, tmp_path))["outcome"] == "finished"
        assert wait_until_dead(int(wait_for(tmp_path / "pid")))


class FakeFuture:
    def __init__(self, key: str) -> None:
        self.key = key
        self.report: dict | BaseException | None = None
        self.cancelled = False

    def add_done_callback(self, function) -> None:
        self.done = function

    def result(self) -> dict:
        if isinstance(self.report, BaseException):
            raise self.report
        return self.report

    def cancel(self) -> None:
        self.cancelled = True


class FakeWorkers:
    """A cluster of two workers on which a script of reports plays, one list for each shard."""

    def __init__(self, reports: dict[str, list]) -> None:
        self.client = self
        self.status = "running"
        self.reports = reports
        self.submitted: list[tuple[str, list[str] | None]] = []
        self.kept: list[int] = []

    def subscribe_topic(self, topic, handler) -> None:
        self.handler = handler

    def addresses(self) -> dict[str, str]:
        return {"tcp://a": "0", "tcp://b": "1"}

    def keep(self, unfinished: int) -> None:
        self.kept.append(unfinished)

    def cancel(self, futures, force: bool) -> None:
        assert force

    def submit(self, function, attempt, key, workers, allow_other_workers, pure) -> FakeFuture:
        future = FakeFuture(key)
        self.submitted.append((attempt["name"], workers))
        worker = (workers or ["tcp://a"])[0]
        report = self.reports[attempt["name"]].pop(0)
        starts = report.pop("starts", 1) if isinstance(report, dict) else 1
        place = {"shard": attempt["name"], "key": key, "place": "node:1", "address": worker}
        self.messages = [(0, {"event": "started", **place})] * starts
        future.report = report if isinstance(report, BaseException) else {"address": worker, **report}
        future.add_done_callback = lambda function: self.play(function, future)
        return future

    def play(self, function, future) -> None:
        for message in self.messages:
            self.handler(message)
        if future.report.get("outcome") if isinstance(future.report, dict) else True:
            function(future)


class NoProgress:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def changed(self, run: Run) -> None:
        self.lines.append(describe(run))

    def tick(self) -> None:
        pass


FINISHED = {"outcome": "finished", "ran": True}
FAILED = {"outcome": "failed", "code": 1, "lines": ["error: bad"], "worker": "node:1"}


def run_script(tmp_path, reports: dict[str, list], retries: int = 2) -> tuple[dict[str, Run], FakeWorkers]:
    runs = make_runs(make_shards(list(reports), ["stage", "{}"], tmp_path))
    workers = FakeWorkers(
        {name: [dict(r) if isinstance(r, dict) else r for r in list_] for name, list_ in reports.items()}
    )
    ShardRuns(workers, runs, retries, NoProgress()).run()
    return runs, workers


class TestRuns:
    def test_each_shard_runs_once(self, tmp_path):
        runs, workers = run_script(tmp_path, {"01": [FINISHED], "02": [FINISHED]})
        assert [run.state for run in runs.values()] == ["finished"] * 2
        assert workers.submitted == [("01", None), ("02", None)]

    def test_a_failed_shard_goes_to_another_worker(self, tmp_path):
        runs, workers = run_script(tmp_path, {"01": [FAILED, FINISHED]})
        assert (runs["01"].state, len(runs["01"].failures)) == ("finished", 1)
        assert workers.submitted == [("01", None), ("01", ["tcp://b"])]

    @pytest.mark.parametrize("retries", [0, 2])
    def test_it_is_given_up_after_the_stated_retries(self, tmp_path, retries):
        runs, workers = run_script(tmp_path, {"01": [FAILED] * 9, "02": [FINISHED]}, retries)
        assert (runs["01"].state, runs["01"].reason) == ("failed", "exit code 1")
        assert runs["02"].state == "finished"
        assert len(workers.submitted) == retries + 2

    def test_a_lost_worker_is_no_failure(self, tmp_path):
        """Dask starts the task again: it is seen to start twice."""
        runs, _ = run_script(tmp_path, {"01": [{**FINISHED, "starts": 2}]}, retries=0)
        assert (runs["01"].state, runs["01"].lost, runs["01"].failures) == ("finished", 1, [])

    def test_stopped_with_its_worker_is_no_failure(self, tmp_path):
        runs, workers = run_script(tmp_path, {"01": [{"outcome": "stopped"}, FINISHED]}, retries=0)
        assert (runs["01"].state, runs["01"].lost) == ("finished", 1)
        assert len(workers.submitted) == 2

    def test_a_shard_that_loses_all_its_workers_is_given_up(self, tmp_path):
        runs, _ = run_script(tmp_path, {"01": [{"outcome": "", "starts": MAX_LOST_RUNS + 2}]})
        assert runs["01"].state == "failed"
        assert runs["01"].reason.startswith(f"its worker went away {MAX_LOST_RUNS + 1} times")

    def test_killed_worker_of_a_foreign_scheduler_is_a_failure(self, tmp_path):
        class KilledWorker(Exception):
            pass

        runs, _ = run_script(tmp_path, {"01": [KilledWorker("...")]}, retries=0)
        assert (runs["01"].state, runs["01"].reason) == ("failed", "its workers died")

    def test_lost_scheduler_ends_the_run(self, tmp_path):
        runs = make_runs(make_shards(["01"], ["stage", "{}"], tmp_path))
        workers = FakeWorkers({"01": [{"outcome": "", "starts": 1}]})
        shard_runs = ShardRuns(workers, runs, 0, NoProgress())
        workers.keep = lambda unfinished: setattr(workers, "status", "closed")
        with pytest.raises(ConnectionError, match="run the same command again"):
            shard_runs.run()

    def test_interrupted_runs_are_waited_for(self, tmp_path):
        runs = make_runs(make_shards(["01", "02"], ["stage", "{}"], tmp_path))
        shard_runs = ShardRuns(FakeWorkers({}), runs, 0, NoProgress())
        runs["02"].state = "running"
        shard_runs.messages = queue.SimpleQueue()
        shard_runs.messages.put({"event": "over", "shard": "02"})
        start = time.monotonic()
        shard_runs.stop()
        assert (time.monotonic() - start < 5, runs["02"].state) == (True, "waiting")


def settings(tmp_path, scheduler: str = "slurm", options: dict | None = None, **more) -> ClusterSettings:
    values = {"workers": 4, "workers_per_job": 1, "cores": 1, "memory": "1GB", "walltime": "02:00:00"} | more
    return ClusterSettings(scheduler, **values, dashboard_address=":0", options=options or {}, log_dir=tmp_path)


class FakeCluster:
    def __init__(self, jobs: dict[str, str | None]) -> None:
        self.workers = {name: type("Job", (), {"job_id": number})() for name, number in jobs.items()}
        self.worker_spec = dict.fromkeys(jobs)
        self.scaled: list[int] = []
        self.closed: list[str] = []

    def sync(self, function, names) -> None:
        self.closed += names
        for name in names:
            self.workers.pop(name, None)
            del self.worker_spec[name]

    scale_down = None

    def scale(self, jobs: int) -> None:
        self.scaled.append(jobs)


class FakeClient:
    def __init__(self, processing: dict[str, tuple]) -> None:
        self.names = processing

    def scheduler_info(self) -> dict:
        return {"workers": {f"tcp://{name}": {"name": name} for name in self.names}}

    def processing(self) -> dict[str, tuple]:
        return {f"tcp://{name}": keys for name, keys in self.names.items()}


def keep(tmp_path, monkeypatch, jobs, processing, queued, unfinished=9, problems=(), in_vain=0, **more) -> FakeCluster:
    monkeypatch.setattr(workers, "queued_jobs", lambda scheduler: queued)
    cluster = FakeCluster(jobs)
    Jobs(FakeClient(processing), cluster, settings(tmp_path, **more), list(problems), in_vain).keep(unfinished)
    return cluster


class TestJobs:
    def test_cancelled_job_is_replaced(self, tmp_path, monkeypatch):
        jobs = {"j-0": "10", "j-1": "11", "j-2": "12", "j-3": "13"}
        processing = {"j-0": ("shard",), "j-2": ("shard",)}  # 11 was cancelled, 13 waits in the queue
        cluster = keep(tmp_path, monkeypatch, jobs, processing, {"10", "12", "13"})
        assert (cluster.closed, cluster.scaled) == (["j-1"], [])
        jobs = {"j-0": "10", "j-2": "12", "j-3": "13"}
        assert keep(tmp_path, monkeypatch, jobs, processing, {"10", "12", "13"}).scaled == [4]

    def test_job_of_several_workers_lives_as_long_as_one(self, tmp_path, monkeypatch):
        jobs = {"j-0": "10", "j-1": "11"}
        cluster = keep(tmp_path, monkeypatch, jobs, {"j-0-0": ("shard",)}, {"99"}, workers_per_job=2)
        assert (cluster.closed, cluster.scaled) == (["j-1"], [])

    def test_job_that_dask_took_for_lost_is_submitted_again(self, tmp_path, monkeypatch):
        cluster = FakeCluster({"j-0": "10"})
        cluster.worker_spec["j-1"] = None  # as Dask leaves it
        jobs = Jobs(FakeClient({"j-0": ("shard",)}), cluster, settings(tmp_path, workers=2), [])
        monkeypatch.setattr(workers, "queued_jobs", lambda scheduler: {"10"})
        jobs.keep(9)
        assert (cluster.closed, cluster.scaled) == ([], [2])
        jobs._kept_at = 0.0
        jobs.keep(1)
        assert (cluster.closed, cluster.scaled) == (["j-1"], [2])

    def test_nothing_is_taken_for_lost_when_the_queue_does_not_answer(self, tmp_path, monkeypatch):
        cluster = keep(tmp_path, monkeypatch, {"j-0": "10", "j-1": "11"}, {"j-0": ()}, None, workers=2)
        assert (cluster.closed, cluster.scaled) == ([], [])

    def test_lost_job_is_replaced_at_once_and_one_that_never_worked_after_a_pause(self, tmp_path, monkeypatch):
        cluster = FakeCluster({"j-0": "10", "j-1": "11"})
        client = FakeClient({"j-0": (), "j-1": ()})
        jobs = Jobs(client, cluster, settings(tmp_path, workers=2), [])
        monkeypatch.setattr(workers, "queued_jobs", lambda scheduler: {"10"})
        jobs.keep(9)
        del client.names["j-1"]
        jobs._kept_at = jobs._queue_seen_at = 0.0
        jobs.keep(9)
        assert (cluster.closed, cluster.scaled) == (["j-1"], [2])
        cluster.workers["j-2"] = type("Job", (), {"job_id": None})()  # refused: a limit on the number of jobs
        cluster.worker_spec["j-2"] = None
        jobs._kept_at = 0.0
        jobs.keep(9)
        assert (cluster.closed, cluster.scaled) == (["j-1", "j-2"], [2])
        jobs._kept_at = jobs._paused_until = 0.0
        jobs.keep(9)
        assert cluster.scaled == [2, 2]

    def test_some_refused_jobs_do_not_end_the_run(self, tmp_path, monkeypatch):
        jobs = {"j-0": "10", "j-1": None, "j-2": None, "j-3": None}
        cluster = keep(tmp_path, monkeypatch, jobs, {}, {"10"}, problems=["sbatch: error: QOSMaxSubmitJobPerUserLimit"])
        assert (sorted(cluster.closed), cluster.scaled) == (["j-1", "j-2", "j-3"], [])

    def test_waiting_jobs_are_cancelled_before_idle_ones(self, tmp_path, monkeypatch):
        jobs = {"j-0": "10", "j-1": "11", "j-2": "12"}
        cluster = keep(tmp_path, monkeypatch, jobs, {"j-0": (), "j-1": ("shard",)}, {"10", "11", "12"}, unfinished=2)
        assert cluster.closed == ["j-2"]

    def test_idle_jobs_are_given_back_when_few_shards_are_left(self, tmp_path, monkeypatch):
        jobs = {"j-0": "10", "j-1": "11", "j-2": "12"}
        processing = {"j-0": (), "j-1": ("shard",), "j-2": ()}
        cluster = keep(tmp_path, monkeypatch, jobs, processing, {"10", "11", "12"}, unfinished=1)
        assert (cluster.closed, cluster.scaled) == (["j-0", "j-2"], [])

    def test_jobs_that_end_at_once_end_the_run(self, tmp_path, monkeypatch):
        with pytest.raises(ConnectionError, match=r"3 jobs ended before their worker had connected; .*jobs"):
            keep(tmp_path, monkeypatch, {"j-0": "10"}, {}, set(), in_vain=2)

    def test_refused_jobs_end_the_run_with_the_schedulers_words(self, tmp_path, monkeypatch):
        with pytest.raises(ConnectionError, match="no job could be submitted: sbatch: error: invalid partition"):
            problems = ["sbatch: error: invalid partition"]
            keep(tmp_path, monkeypatch, {"j-0": None}, {}, set(), problems=problems)

    @pytest.mark.parametrize(
        ("scheduler", "output"),
        [
            ("slurm", "123\n45\n"),
            ("pbs", "\npbs1:\n  Req'd\nJob ID  User\n--- ---\n123.pbs1 me Q 0:0\n45.pbs1* me R 0:1\n7.pbs1 me C 0:2\n"),
            ("sge", "job-ID  prior name\n------\n    123 0.55 run_shards me r\n     45 0.00 x me qw\n"),
        ],
    )
    def test_numbers_in_the_queue(self, tmp_path, monkeypatch, scheduler, output):
        program = tmp_path / workers.JOB_SCHEDULERS[scheduler][1][0]
        program.write_text(f"#!/bin/sh\ncat << 'END'\n{output}END\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert workers.queued_jobs(scheduler) == {"123", "45"}
        program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        assert workers.queued_jobs(scheduler) is None


def directives(script: str, prefix: str) -> list[str]:
    return [line.removeprefix(prefix).strip() for line in script.split("\n") if line.startswith(prefix)]


class TestJobScripts:
    def test_slurm(self, tmp_path):
        options = {"queue": "cpu", "account": "llm", "job_extra_directives": ["--exclude=node3"]}
        script = workers.job_script(settings(tmp_path, "slurm", options, cores=4))
        expected = ["-p cpu", "-A llm", "-n 1", "--cpus-per-task=4", "--mem=954M", "-t 02:00:00", "--exclude=node3"]
        assert [line for line in directives(script, "#SBATCH") if line[:2] not in ("-J", "-e", "-o")] == expected
        worker = script.strip().split("\n")[-1]
        assert worker.startswith(f"exec {sys.executable} -m distributed.cli.dask_worker ")
        assert "--nthreads 4" in worker and worker.index("--nthreads 1") > worker.index("--nthreads 4")
        assert "--memory-limit 0" in worker and "--no-nanny" in worker

    def test_pbs_of_abci(self, tmp_path):
        """qsub -P group -q rt_HF -l select=1 -l walltime=..., a node for 32 shards at a time."""
        options = {"queue": "rt_HF", "resource_spec": "select=1", "job_extra_directives": ["-P gaa12345"]}
        script = workers.job_script(settings(tmp_path, "pbs", options, workers_per_job=32))
        expected = ["-q rt_HF", "-l select=1", "-l walltime=02:00:00", "-P gaa12345"]
        assert [line for line in directives(script, "#PBS") if line[:2] not in ("-N", "-e", "-o")] == expected
        assert "--nworkers 32 --nanny" in script

    def test_pbs_by_default(self, tmp_path):
        script = workers.job_script(settings(tmp_path, "pbs", cores=2, memory="2GiB"))
        assert "-l select=1:ncpus=2:mem=2048MB" in directives(script, "#PBS")

    def test_grid_engine_of_tsubame(self, tmp_path):
        """qsub -g group with -l cpu_4=1 -l h_rt=..."""
        options = {"submit_command": "qsub -g tga-group", "resource_spec": "cpu_4=1"}
        script = workers.job_script(settings(tmp_path, "sge", options, workers_per_job=4))
        expected = ["-l cpu_4=1", "-l h_rt=02:00:00", "-cwd", "-j y"]
        assert [line for line in directives(script, "#$") if line[:2] not in ("-N", "-e", "-o")] == expected
        assert script.startswith("# qsub -g tga-group\n")

    def test_options_of_the_page(self, tmp_path):
        page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```yaml\n# (slurm|pbs|sge)\.yaml(.*?)^```", page, re.DOTALL | re.MULTILINE)
        scripts = {}
        for scheduler, text in blocks:
            (tmp_path / "options.yaml").write_text(f"# {text}", encoding="utf-8")
            options = workers.read_options(tmp_path / "options.yaml")
            scripts[scheduler] = workers.job_script(settings(tmp_path, scheduler, options))
        assert {"-p cpu", "-A my-account", "--exclude=node3"} <= set(directives(scripts["slurm"], "#SBATCH"))
        assert "\nmodule load python/3.11\n" in scripts["slurm"] and "--interface ib0" in scripts["slurm"]
        assert {"-q rt_HF", "-l select=1", "-P gaa12345"} <= set(directives(scripts["pbs"], "#PBS"))
        assert scripts["sge"].startswith("# qsub -g tga-mygroup\n")
        assert "-l cpu_4=1" in directives(scripts["sge"], "#$")

    def test_grid_engine_must_be_told_how_to_ask_for_cores(self, tmp_path):
        with pytest.raises(ValueError, match=r"--scheduler sge with 4 cores a job: .*resource_spec"):
            workers.job_script(settings(tmp_path, "sge", cores=4))

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"queeue": "cpu"}, "--scheduler_options: .*queeue"), ({}, "--memory lots: expected a number with a unit")],
    )
    def test_what_cannot_be(self, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            workers.job_script(settings(tmp_path, "slurm", options, memory="1GB" if options else "lots"))


def run_main(*arguments: str, **more) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tools.run_shards", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", **{"stdin": subprocess.DEVNULL, **more})


class TestMessages:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--", "gzip", "{}"], "no shards: give their names one a line (seq -f %02g 1 64 | ...) or with --shards"),
            (["--shards", "1", "--", "gzip"], "gzip: has no {}; write {} where the shard's name goes"),
            (["--shards", "1", "--workers", "0", "--", "gzip", "{}"], "--workers 0: expected a positive number"),
            (["--shards", "1", "--retries", "-1", "--", "gzip", "{}"], "--retries -1: expected 0 or more"),
            (["--shards", "1", "--scheduler_options", "no.yaml", "--", "gzip", "{}"], "no.yaml: no such file"),
        ],
    )
    def test_one_line(self, tmp_path, arguments, message):
        process = run_main(*arguments, cwd=tmp_path)
        assert process.returncode == 1
        assert process.stderr.count("\n") == 1 and message in process.stderr
        assert list(tmp_path.iterdir()) == []

    def test_unknown_scheduler(self):
        process = run_main("--scheduler", "htcondor", "--", "gzip", "{}")
        assert process.returncode == 2
        assert "htcondor: expected local, slurm, pbs, sge or tcp://HOST:PORT" in process.stderr

    @pytest.mark.parametrize("package", ["dask", "distributed"])
    def test_missing_package(self, tmp_path, monkeypatch, package):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=f"{package} is not installed.*pip install -r requirements/cluster.txt"):
            workers.import_dask()

    def test_options_must_be_a_mapping(self, tmp_path):
        (tmp_path / "list.yaml").write_text("- queue", encoding="utf-8")
        with pytest.raises(ValueError, match=r"list\.yaml: expected lines such as"):
            workers.read_options(tmp_path / "list.yaml")

    def test_missing_program(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(FileNotFoundError, match="sbatch: no such command; --scheduler slurm needs it here"):
            workers.make_job_cluster(settings(tmp_path), [])


class TestProgress:
    def test_table_shows_the_oldest_runs_and_their_last_lines(self, tmp_path):
        runs = make_runs(make_shards(["01", "02", "03", "04"], ["stage", "{}"], tmp_path))
        for number, run in enumerate(runs.values()):
            run.shard.log.write_text(f"reading\r{number}0%", encoding="utf-8")
            run.state, run.worker, run.since = "running", f"node{number}:7", time.monotonic() - 100 + number
        runs["01"].state = "finished"
        lines = Table(runs, skipped=3).lines(4)
        assert [line.split()[0] for line in lines[1:3]] == ["02", "03"]
        assert lines[1].split()[1:] == ["1", "0:01:39", "node1:7", "10%"]
        assert lines[3].endswith("1 finished, 3 running, 3 skipped")

    def test_failures_are_told_with_last_lines_and_log(self, tmp_path, capsys):
        runs = make_runs(make_shards(["01", "02"], ["stage", "{}"], tmp_path))
        runs["02"].state, runs["02"].reason, runs["02"].failures = "failed", "exit code 1", [FAILED, FAILED]
        runs["02"].shard.log.write_text("=== start\nerror: bad line\n=== end\n", encoding="utf-8")
        print_failures(runs)
        log = tmp_path / "02.log"
        expected = f"shard 02 failed after 2 attempts: exit code 1\n  log: {log}\n  | error: bad line\n"
        assert capsys.readouterr().err == expected
        assert describe_totals(runs, 0) == "1 waiting, 1 failed"


def test_local_run_retries_skips_and_fails(tmp_path):
    """With Dask, from names on standard input to the exit code; the second run does only what is left."""
    script = (
        'echo ran >> runs_$0; [ $0 != 02 ] || [ -e allowed ] || { echo "error: not yet" >&2; exit 4; }; echo > out_$0'
    )
    arguments = ["--workers", "2", "--retries", "1", "--dashboard_address", ":0", "--", "sh", "-c", script, "{}"]
    first = run_main(*arguments, cwd=tmp_path, stdin=None, input="01\n02\n03\n")
    assert first.returncode == 1, first.stderr
    assert "dashboard: http://127.0.0.1:" in first.stdout
    assert "shards: 2 finished, 1 failed" in first.stdout
    assert "shard 02 failed after 2 attempts: exit code 4" in first.stderr
    assert "  | error: not yet" in first.stderr
    (tmp_path / "allowed").touch()
    second = run_main(*arguments, cwd=tmp_path, stdin=None, input="01\n02\n03\n")
    assert second.returncode == 0, second.stderr
    assert "shards: 1 finished, 2 skipped" in second.stdout
    third = run_main(*arguments, cwd=tmp_path, stdin=None, input="01\n02\n03\n")
    assert "complete already: 3 shards" in third.stdout
    counts = [(tmp_path / f"runs_{name}").read_text(encoding="utf-8").count("ran") for name in ("01", "02", "03")]
    assert counts == [1, 3, 1]


def test_dry_run_shows_and_writes_nothing(tmp_path):
    process = run_main("--shards", "01", "--scheduler", "slurm", "--dry_run", "--", "gzip", "a_{}", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "  01: gzip a_01\n" in process.stdout
    assert "#SBATCH -t 02:00:00" in process.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_dask():
    code = (
        "import sys, tools.run_shards as s; s.get_parser(); print({'dask', 'distributed', 'yaml'} & set(sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert process.stdout == "set()\n"


def test_command_after_dashes_is_taken_as_it_is():
    arguments = ["--workers", "2", "--", "python", "stage.py", "--workers", "3", "--input_file", "{}"]
    args = run_shards.get_parser().parse_args(arguments)
    assert args.workers == 2
    assert args.command[1:] == ["python", "stage.py", "--workers", "3", "--input_file", "{}"]

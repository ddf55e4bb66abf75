"""Shards as Dask tasks, without Dask: retries, lost workers, interrupts."""

import queue
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from japanese_bert.cluster.progress import describe_shard
from japanese_bert.cluster.runs import MAX_LOST_WORKERS, ShardRuns
from japanese_bert.cluster.shards import ShardRun, make_shards


class KilledWorker(Exception):
    """Stands for the exception of Dask."""


class FakeFuture:
    def __init__(self, key: str, outcome: str | Exception) -> None:
        self.key = key
        self.outcome = outcome
        self.cancelled = False

    def result(self) -> str:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def cancel(self) -> None:
        self.cancelled = True


class FakeWorkers:
    """Two workers and their client. Each shard has a list of outcomes; "" is an attempt that never ends.

    `starts` says how often Dask starts the first attempt.
    """

    def __init__(self, outcomes: dict[str, list[str | Exception]], starts: int = 1) -> None:
        self.client = self
        self.status = "running"
        self.scheduler_comm = self.scheduler = self.comm = self
        self.get_task_status = None
        self.known = "processing"
        self.outcomes = {name: list(given) for name, given in outcomes.items()}
        self.starts = starts
        self.submitted: list[tuple[str, list[str] | None]] = []
        self.futures: list[FakeFuture] = []
        self.cancelled: list[FakeFuture] = []

    def subscribe_topic(self, topic, handler) -> None:
        self.handler = handler

    def sync(self, _, keys, callback_timeout) -> dict[str, str | None]:
        return dict.fromkeys(keys, self.known)

    def abort(self) -> None:
        """Break the connection, as an aborted one does, and connect again."""
        self.scheduler_comm, self.known = FakeFuture("connection", ""), "processing"

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a": 1, "tcp://b": 1}

    def keep(self, unfinished: int) -> None:
        pass

    def cancel(self, futures, force: bool) -> None:
        self.cancelled = futures

    def submit(self, function, shard, *arguments, key, workers, allow_other_workers) -> FakeFuture:
        assert allow_other_workers == bool(workers)
        self.submitted.append((shard, workers))
        future = FakeFuture(key, self.outcomes[shard].pop(0))
        address = (workers or ["tcp://a"])[0]
        message = {"event": "started", "shard": shard, "key": key, "worker_name": "node:1", "address": address}
        starts, self.starts = self.starts, 1

        def play(function) -> None:
            for _ in range(starts):
                self.handler((0.0, message))
            self.handler((0.0, {**message, "event": "over"}))
            if future.outcome:
                function(future)

        future.add_done_callback = play
        self.futures.append(future)
        return future


class NoProgress:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def changed(self, run: ShardRun) -> None:
        self.lines.append(describe_shard(run))

    def tick(self) -> None:
        pass


def make_runs(tmp_path: Path, *names: str) -> dict[str, ShardRun]:
    return {shard.name: ShardRun(shard) for shard in make_shards(names, ["stage", "{}"], tmp_path)}


def play(tmp_path: Path, outcomes: dict[str, list], retries: int = 2, starts: int = 1):
    runs, workers, progress = make_runs(tmp_path, *outcomes), FakeWorkers(outcomes, starts), NoProgress()
    ShardRuns(workers, runs, retries, progress).run()
    return runs, workers, progress.lines


class TestRuns:
    def test_each_shard_runs_once(self, tmp_path):
        runs, workers, lines = play(tmp_path, {"01": ["ran"], "02": ["finished"]})
        assert [(run.state, run.ran) for run in runs.values()] == [("finished", True), ("finished", False)]
        assert workers.submitted == [("01", None), ("02", None)]
        assert sorted(lines) == [
            "shard 01: finished",
            "shard 01: runs on node:1",
            "shard 02: finished before",
            "shard 02: runs on node:1",
        ]

    def test_a_failed_shard_goes_to_another_worker(self, tmp_path):
        runs, workers, _ = play(tmp_path, {"01": ["exit code 1", "ran"]})
        assert (runs["01"].state, runs["01"].failures) == ("finished", 1)
        assert workers.submitted == [("01", None), ("01", ["tcp://b"])]

    def test_a_shard_that_failed_everywhere_goes_anywhere(self, tmp_path):
        runs, workers, _ = play(tmp_path, {"01": ["exit code 1", "exit code 1", "ran"]})
        assert (runs["01"].state, runs["01"].failures) == ("finished", 2)
        assert workers.submitted[2] == ("01", None)

    @pytest.mark.parametrize("retries", [0, 2])
    def test_a_shard_fails_after_the_retries(self, tmp_path, retries):
        runs, workers, _ = play(tmp_path, {"01": ["exit code 1"] * 9, "02": ["ran"]}, retries)
        assert (runs["01"].state, runs["01"].reason) == ("failed", "exit code 1")
        assert runs["02"].state == "finished"
        assert len(workers.submitted) == retries + 2

    def test_a_lost_worker_is_no_failure(self, tmp_path):
        """Dask runs the task again, which is seen to start twice."""
        runs, _, lines = play(tmp_path, {"01": ["ran"]}, retries=0, starts=2)
        assert (runs["01"].state, runs["01"].lost, runs["01"].failures) == ("finished", 1, 0)
        assert lines[1] == "shard 01: runs on node:1, its worker was lost (1)"

    @pytest.mark.parametrize("outcome", ["stopped", CancelledError("client disconnected")])
    def test_a_stopped_or_cancelled_attempt_is_no_failure(self, tmp_path, outcome):
        runs, workers, _ = play(tmp_path, {"01": [outcome, "ran"]}, retries=0)
        assert (runs["01"].state, runs["01"].lost) == ("finished", 1)
        assert len(workers.submitted) == 2

    def test_a_shard_that_loses_all_its_workers_fails(self, tmp_path):
        runs, workers, _ = play(tmp_path, {"01": [""]}, starts=MAX_LOST_WORKERS + 2)
        assert runs["01"].state == "failed"
        assert runs["01"].reason.startswith("its worker went away 4 times: killed")
        assert workers.futures[0].cancelled

    @pytest.mark.parametrize(
        ("error", "reason"),
        [(KilledWorker("..."), "its workers died"), (RuntimeError("a\nb"), "RuntimeError: a b")],
    )
    def test_an_error_of_dask_is_a_failure(self, tmp_path, error, reason):
        runs, _, _ = play(tmp_path, {"01": [error]}, retries=0)
        assert (runs["01"].state, runs["01"].reason) == ("failed", reason)

    def test_a_lost_scheduler_ends_the_run(self, tmp_path):
        workers = FakeWorkers({"01": [""]})
        workers.keep = lambda unfinished: setattr(workers, "status", "closed")
        with pytest.raises(ConnectionError, match="Run the same command again"):
            ShardRuns(workers, make_runs(tmp_path, "01"), 0, NoProgress()).run()

    def test_an_interrupt_cancels_and_waits_for_running_commands(self, tmp_path):
        runs, workers = make_runs(tmp_path, "01", "02"), FakeWorkers({"01": [""], "02": ["ran"]})
        shard_runs = ShardRuns(workers, runs, 0, NoProgress())

        def interrupt() -> None:
            if (runs["01"].state, runs["02"].state) == ("running", "finished"):
                over = {"event": "over", "shard": "01"}
                threading.Timer(0.5, lambda: shard_runs.messages.put(over)).start()
                raise KeyboardInterrupt

        shard_runs.progress.tick = interrupt
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            shard_runs.run()
        assert 0.5 <= time.monotonic() - start < 5
        assert (runs["01"].state, runs["02"].state) == ("waiting", "finished")
        assert [future.key for future in workers.cancelled] == [workers.futures[0].key]


def test_a_break_of_the_connection_submits_all_again(tmp_path):
    """Dask cancels what runs and forgets the topic. This is no failure, and no lost worker, of any shard."""
    workers = FakeWorkers({"01": ["", "", "", "", "", "ran"], "02": ["ran"]})
    runs, progress, topics = make_runs(tmp_path, "01", "02"), NoProgress(), []
    subscribe = workers.subscribe_topic
    workers.subscribe_topic = lambda *arguments: (topics.append(arguments), subscribe(*arguments))
    progress.tick = lambda: runs["01"].state == "running" and workers.abort()
    ShardRuns(workers, runs, 0, progress).run()
    assert [(run.state, run.lost, run.failures) for run in runs.values()] == [("finished", 0, 0)] * 2
    assert len(workers.submitted) == 7
    assert len(topics) == 6


def test_no_shard_waits_for_a_connection(tmp_path):
    """A cancelled shard is submitted as soon as there is a connection, whatever happened in between."""
    workers, progress = FakeWorkers({"01": ["stopped", "ran"]}), NoProgress()
    states = iter(["connecting", "connecting", "running"])
    workers.keep = lambda _: setattr(workers, "status", next(states, "running") if workers.submitted else "running")
    runs = make_runs(tmp_path, "01")
    ShardRuns(workers, runs, 0, progress).run()
    assert runs["01"].state == "finished"


def test_a_connection_whose_shards_the_scheduler_lost_is_left(tmp_path, monkeypatch):
    """The scheduler noticed the break of an earlier connection late, and dropped the client of the new one."""
    monkeypatch.setattr("japanese_bert.cluster.runs.SILENT_SECONDS", 0.0)
    workers, progress = FakeWorkers({"01": ["", "ran"]}), NoProgress()
    progress.tick = lambda: setattr(workers, "known", None if len(workers.submitted) == 1 else "processing")
    runs = make_runs(tmp_path, "01")
    ShardRuns(workers, runs, 0, progress).run()
    assert (runs["01"].state, runs["01"].lost, len(workers.submitted)) == ("finished", 0, 2)


def test_ten_thousand_shards(tmp_path):
    names = [f"{number:05}" for number in range(10_000)]
    runs, workers, lines = play(tmp_path, {name: ["ran"] for name in names})
    assert {run.state for run in runs.values()} == {"finished"}
    assert (len(workers.submitted), len(lines)) == (10_000, 20_000)


def test_a_shard_that_runs_is_not_submitted_again(tmp_path):
    runs, workers, progress = make_runs(tmp_path, "01"), FakeWorkers({"01": [""]}), NoProgress()
    shard_runs = ShardRuns(workers, runs, 0, progress)

    def tick() -> None:
        workers.futures[0].outcome = "ran"
        shard_runs.messages.put({"event": "ended", "shard": "01", "key": workers.futures[0].key})

    progress.tick = tick
    shard_runs.run()
    assert (runs["01"].state, len(workers.submitted)) == ("finished", 1)


def test_messages_of_an_earlier_attempt_are_ignored(tmp_path):
    runs = make_runs(tmp_path, "01")
    shard_runs = ShardRuns(FakeWorkers({}), runs, 0, NoProgress(), messages=queue.SimpleQueue())
    runs["01"].future = FakeFuture("new", "ran")
    shard_runs.messages.put({"event": "ended", "shard": "01", "key": "old"})
    shard_runs.receive()
    assert runs["01"].state == "waiting"

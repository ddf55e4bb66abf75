"""Shards on Dask workers: each is a task; a failed one is tried again on another worker, one of a lost worker anywhere.

Dask reruns a task whose worker died. That it reruns no shard that was finished, when only its result was lost, is the
part of the shard's own process (japanese_bert/cluster/attempt.py), which looks at the shard's record first.
"""

import os
import queue
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from japanese_bert.cluster.attempt import describe_exit
from japanese_bert.cluster.records import Shard
from japanese_bert.cluster.workers import Workers

MAX_LOST_RUNS = 3
STOP_SECONDS = 15.0
TICK_SECONDS = 0.5
PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What became of a shard so far. `started`: runs that began; `failures`: those that ended badly."""

    shard: Shard
    state: str = "waiting"
    worker: str = ""
    address: str = ""
    since: float = 0.0
    started: int = 0
    failures: list[dict] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    ran: bool = False
    reason: str = ""

    @property
    def lost(self) -> int:
        """Runs that ended without a word, with their worker."""
        return max(0, self.started - len(self.failures) - (self.state in ("running", "finished")))


class Progress(Protocol):
    """Told of every change, and now and then without one."""

    def changed(self, run: Run) -> None: ...

    def tick(self) -> None: ...


class ShardRuns:
    """All shards of a command on some workers, from the first submission to the last result."""

    def __init__(self, workers: Workers, runs: Mapping[str, Run], retries: int, progress: Progress) -> None:
        self.workers = workers
        self.runs = runs
        self.retries = retries
        self.progress = progress
        self.futures: dict[str, object] = {}
        self.messages: queue.SimpleQueue = queue.SimpleQueue()
        self.topic = f"run_shards-{os.getpid()}-{time.time_ns()}"

    def run(self) -> None:
        """Run all shards to their end, be it a bad one.

        Raises:
            ConnectionError: the Dask scheduler is gone, or jobs do not start.
        """
        self.workers.client.subscribe_topic(self.topic, lambda event: self.messages.put(event[1]))
        self.workers.keep(len(self.unfinished()))
        for run in self.runs.values():
            self.submit(run)
        try:
            while self.unfinished():
                self.receive(TICK_SECONDS)
                self.progress.tick()
                self.check_connection()
                self.workers.keep(len(self.unfinished()))
        except BaseException:
            self.stop()
            raise

    def unfinished(self) -> list[Run]:
        return [run for run in self.runs.values() if run.state in ("waiting", "running")]

    def submit(self, run: Run) -> None:
        """Hand a shard to Dask; after a failure to workers that it did not fail on, if there are others."""
        attempt = make_attempt(run.shard, len(run.failures) + 1, self.topic)
        others = [address for address in self.workers.addresses() if address not in run.tried] if run.tried else []
        future = self.workers.client.submit(
            by_value(run_attempt),
            attempt,
            key=f"shard-{run.shard.name}-{time.time_ns()}",
            workers=others or None,
            allow_other_workers=bool(others),
            pure=False,
        )
        run.state = "waiting"
        self.futures[run.shard.name] = future
        ended = {"event": "ended", "shard": run.shard.name, "key": future.key}
        future.add_done_callback(lambda _: self.messages.put(ended))

    def receive(self, seconds: float) -> None:
        """Handle what has happened, waiting some seconds for the first message."""
        try:
            self.handle(self.messages.get(timeout=seconds))
            while True:
                self.handle(self.messages.get_nowait())
        except queue.Empty:
            return

    def handle(self, message: Mapping[str, str]) -> None:
        run, future = self.runs[message["shard"]], self.futures.get(message["shard"])
        if future is None or future.key != message["key"]:
            return  # of a run that was given up
        if message["event"] == "started":
            self.on_start(run, message)
        elif message["event"] == "ended":
            self.on_end(run, future)

    def on_start(self, run: Run, message: Mapping[str, str]) -> None:
        run.started += 1
        run.state, run.since = "running", time.monotonic()
        run.worker, run.address = message["place"], message["address"]
        if run.lost > MAX_LOST_RUNS:
            self.give_up(run, f"its worker went away {run.lost} times: killed, out of memory, or --walltime too short?")
        self.progress.changed(run)

    def on_end(self, run: Run, future) -> None:
        report = result_of(future)
        del self.futures[run.shard.name]
        if report["outcome"] == "finished":
            run.state, run.ran = "finished", report["ran"]
        elif report["outcome"] == "failed":
            self.on_failure(run, report)
        elif self.workers.client.status == "running":  # stopped with its worker: as if the worker had been killed
            run.state = "waiting"
            self.submit(run)
        self.progress.changed(run)

    def on_failure(self, run: Run, report: dict) -> None:
        run.failures.append(report)
        run.tried.add(report.get("address", run.address))
        if len(run.failures) > self.retries:
            run.state, run.reason = "failed", report.get("reason") or describe_exit(report["code"])
        else:
            self.submit(run)

    def give_up(self, run: Run, reason: str) -> None:
        self.futures.pop(run.shard.name).cancel()
        run.state, run.reason = "failed", reason

    def check_connection(self) -> None:
        if self.workers.client.status not in ("running", "connecting"):
            raise ConnectionError("the Dask scheduler is gone; run the same command again for the rest")

    def stop(self) -> None:
        """Cancel what is not finished and wait until the commands on the workers have ended."""
        running = {run.shard.name for run in self.runs.values() if run.state == "running"}
        for name in running:
            self.runs[name].state = "waiting"
        futures, self.futures = list(self.futures.values()), {}
        if self.workers.client.status == "running":
            self.workers.client.cancel(futures, force=True)
        deadline = time.monotonic() + STOP_SECONDS
        while running and time.monotonic() < deadline and self.workers.client.status == "running":
            try:
                message = self.messages.get(timeout=0.2)
            except queue.Empty:
                continue
            if message["event"] == "over":
                running.discard(message["shard"])


def result_of(future) -> dict[str, object]:
    """The report of an attempt, or what stands for one where Dask has none."""
    try:
        return future.result()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        kind = type(error).__name__
        if "Cancelled" in kind:
            return {"outcome": "stopped"}
        reason = "its workers died" if kind == "KilledWorker" else f"{kind}: {' '.join(str(error).split())}"
        return {"outcome": "failed", "code": -1, "reason": reason, "lines": []}


def make_attempt(shard: Shard, number: int, topic: str) -> dict[str, object]:
    """All that a worker needs, which may share nothing with us but files."""
    environment = dict(os.environ)
    path = environment.get("PATH", os.defpath)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    return {
        "name": shard.name,
        "command": list(shard.command),
        "log": str(shard.log),
        "directory": os.getcwd(),
        "environment": environment,
        "attempt": number,
        "topic": topic,
        "python": sys.executable,
        "project": str(PROJECT),
    }


def by_value(function):
    """A copy that is pickled with its code, for workers that cannot import this module."""
    import cloudpickle

    module = sys.modules[function.__module__]
    cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.loads(cloudpickle.dumps(function))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def run_attempt(attempt: dict) -> dict:
    """Runs on a Dask worker: one attempt in a process of its own, ended if the worker goes or nobody waits any more."""
    import json
    import os
    import socket
    import subprocess
    import time

    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status.name in ("running", "paused") and task is not None and task.state != "cancelled"

    def tell(event: str) -> None:
        message = {"event": event, "shard": attempt["name"], "key": key, "place": name, "address": worker.address}
        worker.log_event(attempt["topic"], message)

    name = f"{socket.gethostname()}:{os.getpid()}"
    process = subprocess.Popen(
        [attempt["python"], "-S", "-m", "japanese_bert.cluster.attempt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": attempt["project"]},
        start_new_session=True,
    )
    with process:
        tell("started")
        process.stdin.write(json.dumps({**attempt, "worker": name}).encode() + b"\n")
        process.stdin.flush()
        while True:
            try:
                process.wait(0.5)
                break
            except subprocess.TimeoutExpired:
                if not is_wanted():
                    process.terminate()
        line = process.stdout.read()
        process.stdin.close()
    tell("over")
    report = json.loads(line) if line else {"outcome": "failed", "code": process.returncode, "lines": []}
    terminated = report["outcome"] == "stopped" or report.get("code") in (-15, 143)
    deadline = time.monotonic() + 5
    while terminated and is_wanted() and time.monotonic() < deadline:
        time.sleep(0.1)  # a cancelled job's processes get SIGTERM all at once; the worker goes down after the command
    if terminated and not is_wanted():
        report = {"outcome": "stopped"}
    return {**report, "worker": name, "address": worker.address}


def make_runs(shards: Sequence[Shard]) -> dict[str, Run]:
    return {shard.name: Run(shard) for shard in shards}

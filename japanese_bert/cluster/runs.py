"""Shards as Dask tasks, from the first submission to the last result.

Dask runs a task again if its worker dies. This module adds three rules:

- A failed shard is tried again on another worker. Dask's `retries` may choose the same one.
- A shard that loses four workers fails. Dask's `allowed-failures` also counts shards that only waited for a worker.
- After a break of the connection to the scheduler all unfinished shards are submitted again. Dask cancels them.
"""

import os
import queue
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from japanese_bert.cluster.attempt import arguments_for
from japanese_bert.cluster.jobs import JobWorkers
from japanese_bert.cluster.progress import ProgressLines
from japanese_bert.cluster.shards import ShardRun
from japanese_bert.cluster.task import by_value, run_attempt
from japanese_bert.cluster.workers import CONNECT_SECONDS, Workers

if TYPE_CHECKING:
    from distributed import Future

MAX_LOST_WORKERS = 3
STOP_SECONDS = 15.0
TICK_SECONDS = 0.5
SILENT_SECONDS = 30.0  # after which the scheduler is asked whether it still knows the shards


@dataclass
class ShardRuns:
    """All shards of one command on the workers."""

    workers: Workers | JobWorkers
    runs: Mapping[str, ShardRun]
    retries: int
    progress: ProgressLines
    messages: queue.SimpleQueue[Mapping[str, str]] = field(default_factory=queue.SimpleQueue)
    topic: str = field(default_factory=lambda: f"run_shards-{os.getpid()}-{time.time_ns()}")
    connection: object = None  # a new one after each break
    heard: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Run each shard until it is finished or failed.

        Raises:
            ConnectionError: the Dask scheduler is gone, or jobs do not start.
        """
        try:
            while unfinished := [run for run in self.runs.values() if run.state in ("waiting", "running")]:
                self.follow_connection(unfinished)
                self.workers.keep(len(unfinished))
                for run in unfinished:
                    if run.future is None and self.workers.client.status == "running":
                        self.submit(run)
                self.receive()
                self.progress.tick()
        except BaseException:
            self.stop()
            raise

    def follow_connection(self, unfinished: Sequence[ShardRun]) -> None:
        """Give all shards to a new connection. Leave a connection whose shards the scheduler does not know.

        Raises:
            ConnectionError: the client gave up to connect again.
        """
        client: Any = self.workers.client
        if client.status not in ("running", "connecting"):
            raise ConnectionError(
                f"the Dask scheduler is gone: no connection for {CONNECT_SECONDS} s. "
                "Run the same command again for the rest"
            )
        if client.status == "running" and client.scheduler_comm is not self.connection:
            self.connection = client.scheduler_comm
            client.subscribe_topic(self.topic, lambda event: self.messages.put(event[1]))
            for run in unfinished:
                run.future, run.state, run.starts = None, "waiting", run.failures
        elif client.status == "running" and time.monotonic() - self.heard > SILENT_SECONDS:
            self.heard = time.monotonic()
            if not self.scheduler_knows([str(run.future.key) for run in unfinished if run.future is not None]):
                client.scheduler_comm.comm.abort()

    def scheduler_knows(self, keys: Sequence[str]) -> bool:
        """Return False if the scheduler has no such tasks: it noticed a break of the connection later than we did."""
        client: Any = self.workers.client
        try:
            states = client.sync(client.scheduler.get_task_status, keys=keys, callback_timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError):
            return True  # the client sees a break by itself
        return None not in states.values()

    def submit(self, run: ShardRun) -> None:
        """Hand a shard to Dask. A worker that it failed on gets it only if there is no other worker."""
        key = f"shard-{run.shard.name}-{time.time_ns()}"
        others = set(self.workers.client.nthreads()) - run.failed_on if run.failed_on else set()
        run.future = self.workers.client.submit(
            by_value(run_attempt),
            run.shard.name,
            self.topic,
            arguments_for(run.shard, run.failures + 1),
            list(run.shard.command),
            os.getcwd(),
            caller_environment(),
            key=key,
            workers=list(others) or None,
            allow_other_workers=bool(others),
        )
        ended = {"event": "ended", "shard": run.shard.name, "key": key}
        run.future.add_done_callback(lambda _: self.messages.put(ended))

    def receive(self) -> None:
        """Handle the messages that have come. Wait some time for the first."""
        with suppress(queue.Empty):
            message = self.messages.get(timeout=TICK_SECONDS)
            while True:
                self.handle(message)
                message = self.messages.get_nowait()

    def handle(self, message: Mapping[str, str]) -> None:
        self.heard = time.monotonic()
        run = self.runs[message["shard"]]
        if message["event"] == "over" or run.future is None or run.future.key != message["key"]:
            return  # `stop` handles "over", and an attempt with another key was given up
        if message["event"] == "started":
            self.on_start(run, run.future, message)
        else:
            self.on_end(run, outcome_of(run.future))
        self.progress.changed(run)

    def on_start(self, run: ShardRun, future: "Future[str]", message: Mapping[str, str]) -> None:
        run.starts += 1
        run.state, run.since = "running", time.monotonic()
        run.worker, run.address = message["worker_name"], message["address"]
        if run.lost > MAX_LOST_WORKERS:
            future.cancel()
            run.reason = f"its worker went away {run.lost} times: killed, out of memory, or --walltime too short?"
            run.state, run.future = "failed", None

    def on_end(self, run: ShardRun, outcome: str) -> None:
        run.future = None
        if outcome in ("ran", "finished"):
            run.state, run.ran = "finished", outcome == "ran"
        elif outcome == "stopped":
            run.state = "waiting"
        else:
            run.failures += 1
            run.failed_on.add(run.address)
            run.state, run.reason = "failed" if run.failures > self.retries else "waiting", outcome

    def stop(self) -> None:
        """Cancel all unfinished shards. Wait until their commands have ended."""
        client, deadline = self.workers.client, time.monotonic() + STOP_SECONDS
        running = {run.shard.name for run in self.runs.values() if run.state == "running"}
        for name in running:
            self.runs[name].state = "waiting"
        if client.status == "running":
            client.cancel([run.future for run in self.runs.values() if run.future is not None], force=True)
        while running and time.monotonic() < deadline and client.status == "running":
            with suppress(queue.Empty):
                message = self.messages.get(timeout=0.2)
                if message["event"] == "over":
                    running.discard(message["shard"])


def outcome_of(future: "Future[str]") -> str:
    """Return how an attempt ended, as it reported it or as Dask's error says."""
    try:
        return future.result()
    except CancelledError:
        return "stopped"
    except Exception as error:
        kind = type(error).__name__
        return "its workers died" if kind == "KilledWorker" else f"{kind}: {' '.join(str(error).split())}"


def caller_environment() -> dict[str, str]:
    """Return this environment, with this Python first in PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

"""Shards as tasks of Dask, from the first submission to the last result.

Dask runs a task again if its worker dies. Two rules are added to that:

- A shard that fails is tried again on another worker, which Dask's `retries` does not promise.
- A shard that loses four workers fails. Dask's `allowed-failures` also counts shards that only waited for a worker.
"""

import os
import queue
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from japanese_bert.cluster.attempt import arguments_for
from japanese_bert.cluster.shards import Shard
from japanese_bert.cluster.workers import Workers

if TYPE_CHECKING:
    from distributed import Future

    from japanese_bert.cluster.progress import ProgressLines

MAX_LOST_WORKERS = 3
STOP_SECONDS = 15.0
TICK_SECONDS = 0.5


@dataclass
class ShardRun:
    """One shard and what became of it so far. `state` is waiting, running, finished or failed."""

    shard: Shard
    state: str = "waiting"
    future: "Future[str] | None" = None
    worker: str = ""  # host:process
    address: str = ""
    since: float = 0.0
    starts: int = 0
    failures: int = 0
    failed_on: set[str] = field(default_factory=set)  # addresses of workers
    ran: bool = False
    reason: str = ""

    @property
    def lost(self) -> int:
        """Count the attempts that ended with their worker."""
        return max(0, self.starts - self.failures - (self.state in ("running", "finished")))


@dataclass
class ShardRuns:
    """All shards of a command on some workers."""

    workers: Workers
    runs: Mapping[str, ShardRun]
    retries: int
    progress: "ProgressLines"
    messages: queue.SimpleQueue[Mapping[str, str]] = field(default_factory=queue.SimpleQueue)
    topic: str = field(default_factory=lambda: f"run_shards-{os.getpid()}-{time.time_ns()}")

    def run(self) -> None:
        """Run each shard until it is finished or failed.

        Raises:
            ConnectionError: the Dask scheduler is gone, or jobs do not start.
        """
        self.workers.client.subscribe_topic(self.topic, lambda event: self.messages.put(event[1]))
        try:
            while unfinished := [run for run in self.runs.values() if run.state in ("waiting", "running")]:
                if self.workers.client.status not in ("running", "connecting"):
                    raise ConnectionError("the Dask scheduler is gone. Run the same command again for the rest.")
                self.workers.keep(len(unfinished))
                for run in unfinished:
                    if run.future is None and self.workers.client.status == "running":
                        self.submit(run)
                self.receive()
                self.progress.tick()
        except BaseException:
            self.stop()
            raise

    def submit(self, run: ShardRun) -> None:
        """Hand a shard to Dask. A worker that it failed on gets it only if there is no other."""
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
        """Handle one message, if one comes soon."""
        with suppress(queue.Empty):
            message = self.messages.get(timeout=TICK_SECONDS)
            run = self.runs[message["shard"]]
            if message["event"] == "over" or run.future is None or run.future.key != message["key"]:
                return  # only `stop` waits for "over", and nobody waits for an attempt that was given up
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
        """Cancel what is not finished, and wait until the commands on the workers have ended."""
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
    """Return how an attempt ended, in its own words or in those of Dask's error."""
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


def by_value(function: Callable[..., str]) -> Callable[..., str]:
    """Return a copy of a function that is pickled with its code, for workers that cannot import this module."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return cloudpickle.loads(cloudpickle.dumps(function))


def run_attempt(
    shard: str, topic: str, arguments: list[str], command: list[str], directory: str, environment: dict[str, str]
) -> str:
    """Run one attempt on a Dask worker. End it if the worker closes or if nobody waits for the shard any more."""
    import os
    import socket
    import subprocess
    import time

    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    name = f"{socket.gethostname()}:{os.getpid()}"
    # The command gets these variables from the job that it runs in, and all others from the caller.
    own = ("SLURM", "PBS_", "SGE_", "JOB_", "TMPDIR", "HOSTNAME", "XDG_RUNTIME_DIR", "CUDA_VISIBLE_DEVICES")
    variables = {variable: value for variable, value in environment.items() if not variable.startswith(own)}
    variables |= {variable: value for variable, value in os.environ.items() if variable.startswith(own)}

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status.name in ("running", "paused") and task is not None and task.state != "cancelled"

    def send(event: str) -> None:
        message = {"event": event, "shard": shard, "key": key, "worker_name": name, "address": worker.address}
        worker.log_event(topic, message)

    with subprocess.Popen(
        [*arguments, name, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=directory,
        env=variables,
        start_new_session=True,
    ) as process:
        send("started")
        while process.poll() is None:
            time.sleep(0.1)
            if not is_wanted():
                process.terminate()
        outcome = process.communicate()[0].decode() or f"exit code {process.returncode}"
    send("over")
    terminated = outcome in ("stopped", "killed by SIGTERM", "exit code 143", "exit code -15")
    deadline = time.monotonic() + 5
    # All processes of a cancelled job get SIGTERM at once, but its worker closes after the command has ended.
    while terminated and is_wanted() and time.monotonic() < deadline:
        time.sleep(0.1)
    return "stopped" if terminated and not is_wanted() else outcome

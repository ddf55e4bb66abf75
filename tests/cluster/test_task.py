"""The Dask task of an attempt, without Dask: the worker is a fake."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import pytest

from japanese_bert.cluster.attempt import arguments_for
from japanese_bert.cluster.runs import caller_environment
from japanese_bert.cluster.shards import make_shards
from japanese_bert.cluster.task import by_value, run_attempt


class FakeDaskWorker:
    """The worker that a task runs on, as `distributed.get_worker` returns it."""

    address = "tcp://a"

    def __init__(self) -> None:
        self.status = SimpleNamespace(name="running")
        self.task = SimpleNamespace(state="executing")
        self.state = SimpleNamespace(tasks={"key": self.task})
        self.events: list[tuple[str, str, str]] = []

    def get_current_task(self) -> str:
        return "key"

    def log_event(self, topic: str, message: dict) -> None:
        assert message["address"] == self.address and message["worker_name"].endswith(f":{os.getpid()}")
        self.events.append((topic, message["event"], message["shard"]))


class TestTask:
    @pytest.fixture
    def worker(self, tmp_path, monkeypatch) -> FakeDaskWorker:
        worker = FakeDaskWorker()
        monkeypatch.setattr("distributed.get_worker", lambda: worker)
        monkeypatch.chdir(tmp_path)
        return worker

    def run(self, *command: str, environment: dict[str, str] | None = None) -> tuple[str, list[str]]:
        """Run a shard. Return how it ended and what it printed."""
        (shard,) = make_shards(["01"], [*command, "{}"], Path.cwd())
        arguments, environment = arguments_for(shard, 1), environment or caller_environment()
        outcome = run_attempt("01", "topic", arguments, list(shard.command), str(Path.cwd()), environment)
        return outcome, [line for line in shard.log.read_text().split("\n") if line and not line.startswith("=== ")]

    def test_it_says_when_the_command_starts_and_ends(self, worker):
        assert self.run("echo") == ("ran", ["01"])
        assert worker.events == [("topic", "started", "01"), ("topic", "over", "01")]

    def test_the_command_has_the_callers_environment_python_and_directory(self, worker, monkeypatch):
        monkeypatch.setenv("SLURM_JOB_ID", "of the caller")
        monkeypatch.setenv("SLURM_NODELIST", "of the caller's job")
        monkeypatch.setenv("OF_THE_CALLER", "yes")
        environment = caller_environment()
        monkeypatch.setenv("SLURM_JOB_ID", "of the worker")
        monkeypatch.delenv("SLURM_NODELIST")
        monkeypatch.delenv("OF_THE_CALLER")
        script = 'echo $OF_THE_CALLER "$SLURM_JOB_ID$SLURM_NODELIST" $PWD; python -c "import sys; print(sys.prefix)"'
        _, lines = self.run("sh", "-c", script, environment=environment)
        assert lines == [f"yes of the worker {Path.cwd()}", sys.prefix]

    @pytest.mark.parametrize("how", ["closing", "cancelled"])
    def test_it_ends_with_its_worker_or_when_nobody_waits(self, worker, how):
        def end() -> None:
            if how == "closing":
                worker.status.name = "closing"
            else:
                worker.task.state = "cancelled"

        threading.Timer(0.3, end).start()
        assert self.run("sh", "-c", "echo started; sleep 60") == ("stopped", ["started"])
        assert worker.events[-1] == ("topic", "over", "01")

    def test_sigterm_to_all_processes_of_a_job_is_no_failure(self, worker):
        """The command of a cancelled job ends before its worker closes."""
        threading.Timer(1.5, lambda: setattr(worker.status, "name", "closing")).start()
        assert self.run("sh", "-c", "kill $$; sleep 1")[0] == "stopped"

    def test_sigterm_to_the_command_alone_is_a_failure(self, worker):
        start = time.monotonic()
        assert self.run("sh", "-c", f"kill -{signal.SIGTERM} $$; sleep 1")[0] == "killed by SIGTERM"
        assert time.monotonic() - start < 20

    def test_an_attempt_that_dies_is_a_failure(self, worker):
        arguments = ["sh", "-c", "exit 7"]
        assert run_attempt("01", "topic", arguments, [], str(Path.cwd()), caller_environment()) == "exit code 7"


def test_a_function_by_value_needs_no_module():
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).__name__, 'japanese_bert' in sys.modules)"
    data = cloudpickle.dumps(by_value(run_attempt))
    process = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True, cwd="/")
    assert process.stdout == b"run_attempt False\n"

"""The Dask task that runs one attempt at a shard on a worker.

The task is sent with its code and imports nothing from this package, because a worker may not have it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

# The command gets these variables from the worker's machine, and all others from the caller.
OWN_VARIABLES = ("SLURM", "PBS_", "SGE_", "JOB_", "TMPDIR", "HOSTNAME", "XDG_RUNTIME_DIR", "CUDA_VISIBLE_DEVICES")
WATCH_SECONDS = 0.1
CLOSE_SECONDS = 5.0


def by_value(function: Callable[..., str]) -> Callable[..., str]:
    """Return a copy of a function of this module that is pickled with its code."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return cloudpickle.loads(cloudpickle.dumps(function))


def run_attempt(
    shard: str, topic: str, arguments: list[str], command: list[str], directory: str, environment: Mapping[str, str]
) -> str:
    """Run one attempt and return how it ended. Stop it if the worker closes or if nobody waits for the shard.

    `arguments` start the attempt's process (`arguments_for` in attempt.py).
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    name = f"{socket.gethostname()}:{os.getpid()}"

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status.name in ("running", "paused") and task is not None and task.state != "cancelled"

    def send(event: str) -> None:
        message = {"event": event, "shard": shard, "key": key, "worker_name": name, "address": worker.address}
        worker.log_event(topic, message)

    pipe, variables = subprocess.PIPE, command_environment(environment)
    arguments = [*arguments, name, *command]
    with subprocess.Popen(
        arguments, stdin=pipe, stdout=pipe, cwd=directory, env=variables, start_new_session=True
    ) as process:
        send("started")
        while process.poll() is None:
            time.sleep(WATCH_SECONDS)
            if not is_wanted():
                process.terminate()
        outcome = process.communicate()[0].decode() or f"exit code {process.returncode}"
    send("over")
    terminated = outcome in ("stopped", "killed by SIGTERM", "exit code 143", "exit code -15")
    deadline = time.monotonic() + CLOSE_SECONDS
    # All processes of a cancelled job get SIGTERM at once, but its worker closes after the command has ended.
    while terminated and is_wanted() and time.monotonic() < deadline:
        time.sleep(WATCH_SECONDS)
    return "stopped" if terminated and not is_wanted() else outcome


def command_environment(caller: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment, with OWN_VARIABLES from this machine."""
    inherited = {name: value for name, value in caller.items() if not name.startswith(OWN_VARIABLES)}
    return inherited | {name: value for name, value in os.environ.items() if name.startswith(OWN_VARIABLES)}

"""The Dask workers that run shards: a process on this machine, jobs of a queue, or a running cluster.

A worker runs one shard at a time on each of its threads. The workers of jobs have one thread. A shard is a process of
its own, which Dask's memory limits do not see. They are off.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from japanese_bert.cluster.jobs import JOB_SCHEDULERS, JobWorkers, job_options
from japanese_bert.cluster.settings import ClusterSettings, construct, load_package

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 60  # a network may break for so long
CALLERS_SIGNALS = (signal.SIGINT, signal.SIGHUP)  # Ctrl-C, and a terminal that closes

DASK_SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,  # a shard waits at the scheduler, not behind another shard
    "distributed.scheduler.allowed-failures": 1000,  # runs.py gives up earlier
    "distributed.scheduler.http.routes": ["distributed.http.health", "distributed.http.statics"],  # what is shown
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
}


@dataclass
class Workers:
    """The workers of this machine, which Dask restarts if they die, or of a running cluster."""

    client: "Client"

    def keep(self, unfinished: int) -> None:
        """Do nothing. JobWorkers replaces lost jobs here."""


@contextmanager
def open_workers(settings: ClusterSettings) -> Iterator[Workers | JobWorkers]:
    """Start or find the workers of `--scheduler`. End jobs and processes with the block.

    Raises:
        ImportError: Dask is not installed.
        ConnectionError: no scheduler answers at a `tcp://` address.
    """
    dask = load_package("dask")
    load_package("distributed")  # sets up the loggers
    log = log_to_file(settings.log_dir / "dask.log")
    with dask.config.set(DASK_SETTINGS), ExitStack() as stack:
        # Workers inherit this: only the caller handles these signals. One that comes now waits until they have started.
        handler, before = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, CALLERS_SIGNALS)
        try:
            resource_tracker.ensure_running()  # multiprocessing's, which unblocks SIGINT here when it is started
            signal.pthread_sigmask(signal.SIG_BLOCK, CALLERS_SIGNALS)
            workers = start_workers(settings, stack)
        finally:
            signal.signal(signal.SIGINT, handler)  # the import of dask_jobqueue sets another one
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        log.setLevel(logging.NOTSET)  # silence_logs also changed this handler
        yield workers


def start_workers(settings: ClusterSettings, stack: ExitStack) -> Workers | JobWorkers:
    distributed = load_package("distributed")
    if settings.scheduler in JOB_SCHEDULERS:
        cluster = construct(load_package("dask_jobqueue.core").JobQueueCluster, job_options(settings))
    elif settings.scheduler == "local":
        cluster = construct(distributed.LocalCluster, local_options(settings))
    else:
        return Workers(stack.enter_context(patient(running_cluster(settings))))
    stack.enter_context(cluster)
    client = stack.enter_context(patient(distributed.Client(cluster)))
    if settings.scheduler == "local":
        return Workers(client)
    jobs = JobWorkers(client, cluster, cluster.scheduler, settings)
    stack.callback(lambda: jobs.cancel(list(jobs.jobs)))
    return jobs


def local_options(settings: ClusterSettings) -> dict[str, Any]:
    """Return the arguments for a cluster of one process with a thread for each shard at a time."""
    return {
        "n_workers": 1,
        "threads_per_worker": settings.workers,
        "memory_limit": None,
        "dashboard_address": settings.dashboard_address,
        "silence_logs": logging.CRITICAL,
        **settings.options,
        "security": settings.options.get("security", True) or None,
    }


def running_cluster(settings: ClusterSettings) -> "Client":
    try:
        return construct(
            load_package("distributed").Client, {"address": settings.scheduler, "timeout": 10, **settings.options}
        )
    except OSError:
        raise ConnectionError(
            f"{settings.scheduler}: no Dask scheduler answers. Start one with 'dask scheduler', "
            f"and workers with 'dask worker {settings.scheduler} --nthreads 1'"
        ) from None


def patient(client: "Client") -> "Client":
    """Return a client that tries to connect again for CONNECT_SECONDS, and not only as long as at the beginning."""
    client._timeout = CONNECT_SECONDS
    return client


def log_to_file(path: Path) -> logging.Handler:
    """Send what Dask logs to a file, because the terminal shows the shards."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in ("distributed", "distributed.client", "tornado", "tornado.application", "bokeh", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    return handler

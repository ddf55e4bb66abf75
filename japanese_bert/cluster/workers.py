"""The Dask workers that run shards: a process here, jobs of Slurm, PBS or Grid Engine, or a running cluster.

Dask hands out the shards, and dask-jobqueue writes the job scripts. This module submits the jobs and replaces the lost
ones itself, because Dask's `adapt` does not see a job that the queue refused or that ended before its worker connected,
and because it closes a job of several workers while one of them is busy.

A worker runs one shard on each of its threads, as a process of its own. The workers of jobs have one thread. Dask's
limits of memory are off, because they see only the worker.
"""

import asyncio
import getpass
import importlib
import logging
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dask_jobqueue.core import Job, JobQueueCluster
    from distributed import Client, Scheduler

Made = TypeVar("Made")
JOB_SCHEDULERS = {  # the commands that list this user's jobs
    "slurm": "squeue --me --noheader --format=%A",
    "pbs": "qstat -u {user}",
    "sge": "qstat -u {user}",
}
ENDED_JOB = re.compile(r" [CF] +\S+\s*$")  # Torque lists jobs for some minutes after their end
CHECK_SECONDS = 10.0
PAUSE_SECONDS = 30.0
MAX_JOBS_IN_VAIN = 3
DASK_SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,  # a shard waits at the scheduler, not behind another shard
    "distributed.scheduler.allowed-failures": 1000,  # runs.py gives up much earlier
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
}


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The workers to start. `cores` and `memory` are for one worker, `options` for the class of Dask."""

    scheduler: str
    workers: int
    workers_per_job: int
    cores: int
    memory: str
    walltime: str
    dashboard_address: str
    options: Mapping[str, Any]
    log_dir: Path


@dataclass
class Workers:
    """The workers of a running cluster or of this machine. Dask starts those of this machine again if they die."""

    client: "Client"

    def keep(self, unfinished: int) -> None:
        """Replace lost workers and give back idle ones. Called again and again."""


@dataclass
class JobWorkers(Workers):
    """The workers of jobs in a queue."""

    cluster: "JobQueueCluster"
    scheduler: "Scheduler"
    settings: ClusterSettings
    jobs: "dict[str, Job]" = field(default_factory=dict)
    submitted: int = 0
    connected_once: set[str] = field(default_factory=set)
    in_vain: int = 0  # jobs that ended before their worker connected, since the last time a worker was connected
    next_check: float = 0.0
    next_submission: float = 0.0

    def keep(self, unfinished: int) -> None:
        """Replace lost jobs and cancel idle ones.

        Raises:
            ConnectionError: no job can be submitted, or jobs end before their worker connects.
        """
        now, busy = time.monotonic(), self.connected_jobs()
        if now < self.next_check:
            return
        self.next_check = now + CHECK_SECONDS
        lost = self.lost_jobs(busy)
        if in_vain := set(lost) - self.connected_once:
            self.next_submission = now + PAUSE_SECONDS
        self.in_vain = 0 if busy else self.in_vain + len(in_vain)
        if self.in_vain >= MAX_JOBS_IN_VAIN:
            raise ConnectionError(
                f"{self.in_vain} jobs ended before their worker connected. "
                f"See what they printed in {self.settings.log_dir / 'jobs'}"
            )
        wanted = -(-min(self.settings.workers, unfinished) // self.settings.workers_per_job)
        idle = sorted((name for name in self.jobs if not busy.get(name) and name not in lost), key=busy.__contains__)
        self.cancel([*lost, *idle[: max(0, len(self.jobs) - len(lost) - wanted)]])
        if now >= self.next_submission:
            self.submit(wanted - len(self.jobs))

    def connected_jobs(self) -> dict[str, bool]:
        """Return the jobs with a connected worker, and whether any of their workers is busy."""
        busy: dict[str, bool] = {}
        for worker in list(self.scheduler.workers.values()):
            name = str(worker.name) if worker.name in self.jobs else str(worker.name).rpartition("-")[0]
            busy[name] = busy.get(name, False) or bool(worker.processing)
        self.connected_once |= busy.keys()
        return busy

    def lost_jobs(self, connected: Collection[str]) -> list[str]:
        """Return the jobs that have no connected worker and that the queue does not know any more."""
        silent = [name for name in self.jobs if name not in connected]
        queued = queued_jobs(self.settings.scheduler) if silent else None
        return [name for name in silent if queued is not None and self.jobs[name].job_id not in queued]

    def submit(self, count: int) -> None:
        """Submit jobs. After a refusal, submit no more for some time."""
        spec, address = self.cluster.new_spec, self.scheduler.contact_address or self.scheduler.address
        names = [f"{self.cluster.name}-{self.submitted + number}" for number in range(count)]
        self.jobs |= {name: spec["cls"](address, name=name, **spec["options"]) for name in names}
        self.submitted += len(names)
        results = self.cluster.sync(gather, [self.jobs[name] for name in names])
        for name, error in zip(names, results, strict=True):
            if isinstance(error, Exception):
                del self.jobs[name]
                self.next_submission = time.monotonic() + PAUSE_SECONDS
                if not self.jobs:
                    reason = str(error).rpartition("stderr:")[2].strip() or str(error)
                    raise ConnectionError(f"no job could be submitted: {' '.join(reason.split())}")

    def cancel(self, names: Iterable[str]) -> None:
        self.cluster.sync(gather, [cancel_job(self.jobs.pop(name)) for name in names])


async def gather(awaitables: Iterable[Awaitable[object]]) -> list[object]:
    """Return results, or exceptions in their place."""
    return await asyncio.gather(*awaitables, return_exceptions=True)


async def cancel_job(job: "Job") -> None:
    async with job.lock:  # its submission may not have ended
        await job.close()


@contextmanager
def open_workers(settings: ClusterSettings) -> Iterator[Workers]:
    """Start or find the workers of `--scheduler`. Jobs and processes end with the block.

    Raises:
        ImportError: Dask is not installed.
        ConnectionError: no scheduler answers at a `tcp://` address.
    """
    dask = load("dask")
    load("distributed")  # it sets up the logs of Dask
    log = log_to_file(settings.log_dir / "dask.log")
    with dask.config.set(DASK_SETTINGS), ExitStack() as stack:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # workers inherit this: only the caller handles Ctrl-C
        try:
            workers = start_workers(settings, stack)
        finally:
            signal.signal(signal.SIGINT, handler)  # the import of dask_jobqueue sets another one
        log.setLevel(logging.NOTSET)  # silence_logs is for the workers, which share the terminal
        yield workers


def start_workers(settings: ClusterSettings, stack: ExitStack) -> Workers:
    distributed = load("distributed")
    if settings.scheduler in JOB_SCHEDULERS:
        cluster = construct(load("dask_jobqueue.core").JobQueueCluster, job_options(settings))
    elif settings.scheduler == "local":
        cluster = construct(distributed.LocalCluster, local_options(settings))
    else:
        return Workers(stack.enter_context(running_cluster(settings)))
    stack.enter_context(cluster)
    client = stack.enter_context(distributed.Client(cluster))
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
        return construct(load("distributed").Client, {"address": settings.scheduler, "timeout": 10, **settings.options})
    except OSError:
        raise ConnectionError(
            f"{settings.scheduler}: no Dask scheduler answers. Start one with 'dask scheduler', "
            f"and workers with 'dask worker {settings.scheduler} --nthreads 1'"
        ) from None


def job_script(settings: ClusterSettings) -> str:
    """Return the script of every job, without the address of Dask's scheduler."""
    options = job_options(settings)
    log_dir, job_class = options["log_directory"], options["job_cls"]
    for name in ("job_cls", "scheduler_options", "shared_temp_directory", "security"):
        del options[name]
    with tempfile.TemporaryDirectory() as made_instead:  # a job makes its directory at once
        options |= {"log_directory": made_instead, "scheduler": "tls://HOST:PORT", "name": "NAME"}
        job = construct(job_class, options)
    return f"# {job.submit_command}\n{job.job_script().replace(made_instead, log_dir)}"


def job_options(settings: ClusterSettings) -> dict[str, Any]:
    """Return the arguments for dask-jobqueue's class. Those in `--scheduler_options` replace ours.

    A job has `workers_per_job` workers, and asks for the cores and memory of all of them.
    """
    given, count = dict(settings.options), settings.workers_per_job
    if (
        settings.scheduler == "sge"
        and settings.cores * count > 1
        and not {"resource_spec", "job_extra_directives"} & set(given)
    ):
        raise ValueError(
            f"--scheduler sge with {settings.cores * count} cores a job: every Grid Engine has its own names for cores "
            "and memory. Give resource_spec or job_extra_directives (such as '-pe smp 4') in --scheduler_options"
        )
    job_class = getattr(load(f"dask_jobqueue.{settings.scheduler}"), f"{settings.scheduler.upper()}Job")
    if "submit_command" in given:
        job_class = type("SubmittedJob", (job_class,), {"submit_command": given.pop("submit_command")})
    extra = ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", *given.pop("worker_extra_args", [])]
    return {
        "cores": settings.cores * count,
        "memory": times(settings.memory, count),
        "processes": count,
        "walltime": settings.walltime,
        "nanny": count > 1,
        "job_name": "run_shards",
        "log_directory": str((settings.log_dir / "jobs").resolve()),
        "shared_temp_directory": str(settings.log_dir.resolve()),
        **given,
        "job_cls": job_class,
        "python": f"exec {given.get('python', sys.executable)}",  # so that signals for the job reach the worker
        "security": given.get("security", True) or None,
        "worker_extra_args": extra,
        "scheduler_options": {"dashboard_address": settings.dashboard_address, **given.get("scheduler_options", {})},
    }


def times(memory: str, count: int) -> str:
    """Return the memory of several workers, in bytes."""
    try:
        return f"{load('dask.utils').parse_bytes(memory) * count}B"
    except ValueError:
        raise ValueError(f"--memory {memory}: expected a number with a unit, such as 1GB or 500MiB") from None


def read_options(path: Path | None) -> dict[str, object]:
    """Read the YAML file of `--scheduler_options`.

    Raises:
        ValueError: the file is no mapping of names to values.
    """
    if path is None:
        return {}
    yaml = load("yaml")
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected lines such as 'queue: gpu', found {options!r}")
    return options


def queued_jobs(scheduler: str) -> set[str] | None:
    """Return the numbers of this user's jobs, waiting or running. Return None if the queue does not answer."""
    command = JOB_SCHEDULERS[scheduler].format(user=getpass.getuser()).split()
    try:
        text = subprocess.run(command, capture_output=True, timeout=60, check=True, encoding="utf-8").stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line for line in text.split("\n") if not ENDED_JOB.search(line)]
    return {found[1] for line in lines if (found := re.match(r"\s*(\d+)", line))}


def construct(make: Callable[..., Made], options: Mapping[str, object]) -> Made:
    """Raise ValueError if one of `--scheduler_options` is unknown or wrong."""
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"--scheduler_options: {' '.join(str(error).split())}") from None


def load(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed. Run `pip install -r requirements/cluster.txt`") from None


def log_to_file(path: Path) -> logging.Handler:
    """Send what Dask logs to a file, because the terminal shows the shards."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in ("distributed", "distributed.client", "tornado", "tornado.application", "bokeh", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    return handler

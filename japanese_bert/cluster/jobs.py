"""Jobs of Slurm, PBS or Grid Engine, whose Dask workers run shards.

dask-jobqueue writes the job scripts. This module submits the jobs and replaces lost ones. Dask's `adapt` cannot:

- It does not see that the queue refused a job, or that a job ended before its worker connected.
- It cancels a job of several workers while one of them is still busy.
"""

import asyncio
import getpass
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from japanese_bert.cluster.settings import ClusterSettings, construct, load_package

if TYPE_CHECKING:
    from dask_jobqueue.core import Job, JobQueueCluster
    from distributed import Client, Scheduler

JOB_SCHEDULERS = {  # the commands that list this user's jobs
    "slurm": "squeue --me --noheader --format=%A",
    "pbs": "qstat -u {user}",
    "sge": "qstat -u {user}",
}
ENDED_JOB = re.compile(r" [CF] +\S+\s*$")  # Torque lists jobs for some minutes after their end
CHECK_SECONDS = 10.0
PAUSE_SECONDS = 30.0
MAX_JOBS_IN_VAIN = 3


@dataclass
class JobWorkers:
    """The jobs of one run and their workers: as many as the shards need, up to `--workers`."""

    client: "Client"
    cluster: "JobQueueCluster"
    scheduler: "Scheduler"
    settings: ClusterSettings
    jobs: "dict[str, Job]" = field(default_factory=dict)
    submitted: int = 0
    connected_once: set[str] = field(default_factory=set)
    in_vain: int = 0  # jobs that ended before their worker connected, since a worker was connected
    next_check: float = 0.0
    next_submission: float = 0.0

    def keep(self, unfinished: int) -> None:
        """Replace lost jobs and cancel idle ones.

        Raises:
            ConnectionError: the queue refuses all jobs, or jobs end before their workers connect.
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
                f"{self.in_vain} jobs ended before their workers connected. "
                f"See what they printed in {self.settings.log_dir / 'jobs'}"
            )
        wanted = -(-min(self.settings.workers, unfinished) // self.settings.workers_per_job)
        idle = sorted((name for name in self.jobs if not busy.get(name) and name not in lost), key=busy.__contains__)
        self.cancel([*lost, *idle[: max(0, len(self.jobs) - len(lost) - wanted)]])
        if now >= self.next_submission:
            self.submit(wanted - len(self.jobs))

    def connected_jobs(self) -> dict[str, bool]:
        """Return each job that has a connected worker, and whether any of its workers is busy."""
        busy: dict[str, bool] = {}
        for worker in list(self.scheduler.workers.values()):
            name = str(worker.name) if worker.name in self.jobs else str(worker.name).rpartition("-")[0]
            busy[name] = busy.get(name, False) or bool(worker.processing)
        self.connected_once |= busy.keys()
        return busy

    def lost_jobs(self, connected: Collection[str]) -> list[str]:
        """Return the jobs that have no connected worker and are no longer in the queue."""
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


def queued_jobs(scheduler: str) -> set[str] | None:
    """Return the numbers of this user's jobs, waiting or running. Return None if the queue does not answer."""
    command = JOB_SCHEDULERS[scheduler].format(user=getpass.getuser()).split()
    try:
        text = subprocess.run(command, capture_output=True, timeout=60, check=True, encoding="utf-8").stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line for line in text.split("\n") if not ENDED_JOB.search(line)]
    return {found[1] for line in lines if (found := re.match(r"\s*(\d+)", line))}


def job_script(settings: ClusterSettings) -> str:
    """Return the script of every job, with placeholders for the address of Dask's scheduler and the name."""
    options = job_options(settings)
    log_dir, job_class = options["log_directory"], options["job_cls"]
    for name in ("job_cls", "scheduler_options", "shared_temp_directory", "security"):
        del options[name]
    with tempfile.TemporaryDirectory() as made_instead:  # the job's class creates its directory at once
        options |= {"log_directory": made_instead, "scheduler": "tls://HOST:PORT", "name": "NAME"}
        job = construct(job_class, options)
    return f"# {job.submit_command}\n{job.job_script().replace(made_instead, log_dir)}"


def job_options(settings: ClusterSettings) -> dict[str, Any]:
    """Return the arguments for the class of dask-jobqueue. Those in `--scheduler_options` replace the others.

    A job has `workers_per_job` workers. It asks for the cores and memory of all of them.
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
    job_class = getattr(load_package(f"dask_jobqueue.{settings.scheduler}"), f"{settings.scheduler.upper()}Job")
    if "submit_command" in given:
        job_class = type("SubmittedJob", (job_class,), {"submit_command": given.pop("submit_command")})
    extra = ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", *given.pop("worker_extra_args", [])]
    return {
        "cores": settings.cores * count,
        "memory": total_memory(settings.memory, count),
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


def total_memory(memory: str, count: int) -> str:
    """Return the memory of several workers in bytes, such as 2000000000B."""
    try:
        return f"{load_package('dask.utils').parse_bytes(memory) * count}B"
    except ValueError:
        raise ValueError(f"--memory {memory}: expected a number with a unit, such as 1GB or 500MiB") from None

"""The Dask workers that shards run on: processes here, jobs of Slurm, PBS or Grid Engine, or a running cluster.

Dask and dask-jobqueue start workers and hand out shards; what is added here is that jobs are replaced. dask-jobqueue
by itself never notices a job that was cancelled in the queue, or that held several workers. A worker runs a shard at a
time on each of its threads, of which jobs have one, as a process of its own: Dask's limits of memory, which only see
the worker, are off.
"""

import getpass
import logging
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

JOB_SCHEDULERS = {  # the commands that must be there, and the one that lists this user's jobs
    "slurm": (("sbatch", "scancel"), ("squeue", "--me", "--noheader", "--format=%A")),
    "pbs": (("qsub", "qdel"), ("qstat", "-u", "USER")),
    "sge": (("qsub", "qdel"), ("qstat", "-u", "USER")),
}
ENDED_JOB = re.compile(r" [CF] +\S+\s*$")  # of Torque, which lists jobs for some minutes after their end
INSTALL = "pip install -r requirements/cluster.txt"
KEEP_SECONDS = 2.0
QUEUE_SECONDS = 10.0
MAX_PAUSE_SECONDS = 600.0
MAX_JOBS_IN_VAIN = 3
MAX_LOST_WORKERS = 1000  # of one shard, for Dask: japanese_bert/cluster/runs.py gives up much earlier


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """`cores` and `memory` are those of one worker; `options` go to the class of Dask's that makes the workers."""

    scheduler: str
    workers: int
    workers_per_job: int
    cores: int
    memory: str
    walltime: str
    dashboard_address: str
    options: Mapping[str, object]
    log_dir: Path


class Workers:
    """A client, and as many workers as there are: of a running cluster, or processes that Dask starts again."""

    def __init__(self, client) -> None:
        self.client = client

    def addresses(self) -> dict[str, str]:
        """Address -> name of every worker that is connected."""
        return {address: str(worker["name"]) for address, worker in self.client.scheduler_info()["workers"].items()}

    def keep(self, unfinished: int) -> None:
        """To be called again and again: replace what is lost, give back what is no longer needed."""

    def close(self) -> None:
        self.client.close()


@dataclass
class Jobs(Workers):
    """Workers that are jobs of a queue."""

    client: object
    cluster: object
    settings: ClusterSettings
    problems: list[str]  # of submissions
    in_vain: int = 0  # jobs that ended before any worker of theirs had connected, since one had
    _setbacks: int = 0
    _paused_until: float = 0.0
    _connected_once: set[str] = field(default_factory=set)
    _kept_at: float = 0.0
    _queue_seen_at: float = 0.0

    def keep(self, unfinished: int) -> None:
        """
        Raises:
            ConnectionError: jobs cannot be submitted, or end at once.
        """
        if time.monotonic() - self._kept_at < KEEP_SECONDS:
            return
        self._kept_at = time.monotonic()
        needed = min(self.settings.workers, unfinished)
        wanted = -(-needed // self.settings.workers_per_job)
        connected = self._connected_jobs()
        lost = self._lost_jobs(connected)
        self._check(lost, connected)
        self._release([*lost, *self._superfluous(lost, connected, wanted)])
        spec = self.cluster.worker_spec
        # Of a job that Dask took for lost the spec is still there, and submitted again by the same call.
        missing = len(spec) < wanted or (len(spec) == wanted and set(spec) - set(self.cluster.workers))
        if missing and time.monotonic() >= self._paused_until:
            self.cluster.scale(jobs=wanted)

    def _superfluous(self, lost: list[str], connected: Mapping[str, bool], wanted: int) -> list[str]:
        """Jobs above what is wanted: those that are gone already, that wait in the queue, that have nothing to do."""
        spec = [name for name in self.cluster.worker_spec if name not in lost]
        order = sorted(spec, key=lambda name: (name in self.cluster.workers, name in connected))
        idle = [name for name in order if not connected.get(name)]
        return idle[: max(0, len(spec) - wanted)]

    def _release(self, names: list[str]) -> None:
        if names:
            self.cluster.sync(self.cluster.scale_down, names)

    def close(self) -> None:
        self.client.close()
        with suppress(AssertionError):  # Dask's, if a job could not be submitted
            self.cluster.close()

    def _connected_jobs(self) -> dict[str, bool]:
        """Name of every job that has a worker connected -> is any of them at work?"""
        processing = self.client.processing()
        jobs: dict[str, bool] = {}
        for address, name in self.addresses().items():
            job = name if name in self.cluster.worker_spec else name.rpartition("-")[0]
            jobs[job] = jobs.get(job, False) or bool(processing.get(address))
        return jobs

    def _lost_jobs(self, connected: Mapping[str, bool]) -> dict[str, str | None]:
        """Name -> number of the jobs that were refused (no number), or that the queue does not know any more."""
        jobs = {name: job.job_id for name, job in self.cluster.workers.items() if name not in connected}
        refused = {name: number for name, number in jobs.items() if number is None}
        if len(refused) == len(jobs) or time.monotonic() - self._queue_seen_at < QUEUE_SECONDS:
            return refused
        self._queue_seen_at = time.monotonic()
        queued = queued_jobs(self.settings.scheduler)
        return {
            name: number
            for name, number in jobs.items()
            if number is None or (queued is not None and number not in queued)
        }

    def _check(self, lost: Mapping[str, str | None], connected: Mapping[str, bool]) -> None:
        """Submit more slowly after jobs that were refused or ended in vain; end the run if there are only such."""
        if set(connected) - self._connected_once:
            self.in_vain = self._setbacks = 0
        self._connected_once |= set(connected)
        failed = {name: number for name, number in lost.items() if name not in self._connected_once}
        if failed:
            self._setbacks += 1
            self._paused_until = time.monotonic() + min(MAX_PAUSE_SECONDS, KEEP_SECONDS * 2**self._setbacks)
        self.in_vain += sum(number is not None for number in failed.values())
        if connected:
            return
        if self.problems and len(failed) == len(self.cluster.workers) and None in failed.values():
            raise ConnectionError(f"no job could be submitted: {self.problems[-1]}")
        if self.in_vain >= MAX_JOBS_IN_VAIN:
            raise ConnectionError(
                f"{self.in_vain} jobs ended before their worker had connected; "
                f"see what they printed in {self.settings.log_dir / 'jobs'}"
            )


@contextmanager
def open_workers(settings: ClusterSettings) -> Iterator[Workers]:
    """The workers of `--scheduler`; jobs and processes end with the block.

    Raises:
        ImportError: Dask is not installed.
        ConnectionError: no scheduler answers at a `tcp://` address.
    """
    dask, distributed = import_dask()
    log = _log_to_file(settings.log_dir / "dask.log")
    with dask.config.set(dask_settings()):
        if settings.scheduler == "local":
            workers = open_local(settings, distributed)
        elif settings.scheduler in JOB_SCHEDULERS:
            workers = open_jobs(settings, distributed)
        else:
            workers = open_running(settings, distributed)
        log.setLevel(logging.NOTSET)  # silence_logs of a cluster is for its workers, which have the terminal
        try:
            yield workers
        finally:
            workers.close()


def read_options(path: Path | None) -> dict[str, object]:
    """The YAML file of `--scheduler_options`.

    Raises:
        ValueError: it is no mapping of names to values.
    """
    if path is None:
        return {}
    try:
        import yaml
    except ImportError:
        raise ImportError(f"yaml is not installed, which --scheduler_options needs; {INSTALL}") from None
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected lines such as 'queue: gpu', found {options!r}")
    return options


def job_script(settings: ClusterSettings) -> str:
    """The script that is submitted for every job, but for the address of Dask's scheduler."""
    import_dask()
    cluster_class = cluster_class_of(settings.scheduler)
    options = job_options(settings)
    job_class = reporting_job(cluster_class.job_cls, options.pop("submit_command", None), [])
    for name in ("scheduler_options", "shared_temp_directory", "security", "protocol"):
        del options[name]
    log_dir = options["log_directory"]
    with tempfile.TemporaryDirectory() as made_instead:  # a job makes its directory at once
        job = _construct(job_class, {**options, "log_directory": made_instead}, "tls://HOST:PORT", "NAME")
    return f"# {job.submit_command}\n{job.job_script().replace(made_instead, log_dir)}"


def import_dask():
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed, which run_shards.py needs; {INSTALL}") from None
    return dask, distributed


def dask_settings() -> dict[str, object]:
    return {
        "distributed.scheduler.worker-saturation": 1.0,  # a shard waits with the scheduler, not behind another shard
        "distributed.scheduler.allowed-failures": MAX_LOST_WORKERS,
        "distributed.worker.profile.enabled": False,
        "distributed.admin.system-monitor.gil.enabled": False,
    }


def open_local(settings: ClusterSettings, distributed) -> Workers:
    """One process of Dask for all shards, which are processes of their own; Dask starts it again if it is killed."""
    security = settings.options.get("security", True)
    options = {
        "n_workers": 1,
        "threads_per_worker": settings.workers,
        "memory_limit": None,
        "dashboard_address": settings.dashboard_address,
        "protocol": "tls://" if security else None,
        "silence_logs": logging.CRITICAL,
        **settings.options,
        "security": security or None,
    }
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which workers inherit: Ctrl-C is ours to handle
    try:
        cluster = _construct(distributed.LocalCluster, options)
    finally:
        signal.signal(signal.SIGINT, handler)
    workers = Workers(distributed.Client(cluster))
    workers.close = lambda: (Workers.close(workers), cluster.close())
    return workers


def open_jobs(settings: ClusterSettings, distributed) -> Jobs:
    problems: list[str] = []
    cluster = make_job_cluster(settings, problems)
    jobs = Jobs(distributed.Client(cluster), cluster, settings, problems)
    return jobs


def open_running(settings: ClusterSettings, distributed) -> Workers:
    try:
        return Workers(_construct(distributed.Client, {"timeout": 10, **settings.options}, settings.scheduler))
    except (OSError, TimeoutError):
        raise ConnectionError(
            f"{settings.scheduler}: no Dask scheduler answers there; start one with 'dask scheduler', "
            f"and workers with 'dask worker {settings.scheduler} --nthreads 1'"
        ) from None


def make_job_cluster(settings: ClusterSettings, problems: list[str]):
    """The dask-jobqueue cluster of Slurm, PBS or Grid Engine, which has no job yet."""
    cluster_class = cluster_class_of(settings.scheduler)
    options = job_options(settings)
    job_class = reporting_job(cluster_class.job_cls, options.pop("submit_command", None), problems)
    for program in (job_class.submit_command.split()[0], JOB_SCHEDULERS[settings.scheduler][0][1]):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program}: no such command; --scheduler {settings.scheduler} needs it here")
    return _construct(cluster_class, {**options, "job_cls": job_class})


def cluster_class_of(scheduler: str):
    try:
        import dask_jobqueue
    except ImportError:
        raise ImportError(f"dask_jobqueue is not installed, which --scheduler {scheduler} needs; {INSTALL}") from None
    names = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster"}
    return getattr(dask_jobqueue, names[scheduler])


def job_options(settings: ClusterSettings) -> dict[str, object]:
    """Arguments for dask-jobqueue: ours, and over them those of `--scheduler_options`.

    A job holds `workers_per_job` workers, and asks for cores and memory of all of them.
    """
    count = settings.workers_per_job
    given = dict(settings.options)
    if (
        settings.scheduler == "sge"
        and settings.cores * count > 1
        and not {"resource_spec", "job_extra_directives"} & set(given)
    ):
        raise ValueError(
            f"--scheduler sge with {settings.cores * count} cores a job: every Grid Engine names cores and memory in "
            "its own way; give resource_spec or job_extra_directives (such as '-pe smp 4') in --scheduler_options"
        )
    extra = ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", *given.pop("worker_extra_args", [])]
    return {
        "cores": settings.cores * count,
        "memory": _times(settings.memory, count),
        "processes": count,
        "walltime": settings.walltime,
        "nanny": count > 1,
        "job_name": "run_shards",
        "log_directory": str((settings.log_dir / "jobs").resolve()),
        "protocol": "tls://" if given.get("security", True) else None,
        "shared_temp_directory": str(settings.log_dir.resolve()),
        **given,
        "python": f"exec {given.get('python', sys.executable)}",  # so that signals for the job reach the worker
        "security": given.get("security", True) or None,
        "worker_extra_args": extra,
        "scheduler_options": {"dashboard_address": settings.dashboard_address, **given.get("scheduler_options", {})},
    }


def reporting_job(job_class, submit_command: str | None, problems: list[str]):
    """A job class that notes why a job could not be submitted, which dask-jobqueue only logs."""

    class ReportingJob(job_class):
        async def _submit_job(self, script_filename):
            try:
                return await super()._submit_job(script_filename)
            except (OSError, RuntimeError) as error:
                problems.append(" ".join((str(error).rpartition("stderr:")[2].strip() or str(error)).split()))
                raise

    if submit_command is not None:
        ReportingJob.submit_command = submit_command
    return ReportingJob


def queued_jobs(scheduler: str) -> set[str] | None:
    """Numbers of this user's jobs, waiting or running; None where the queue does not answer."""
    command = [part.replace("USER", getpass.getuser()) for part in JOB_SCHEDULERS[scheduler][1]]
    try:
        process = subprocess.run(command, capture_output=True, timeout=60, check=True, encoding="utf-8")
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line for line in process.stdout.split("\n") if not ENDED_JOB.search(line)]
    return {found[1] for line in lines if (found := re.match(r"\s*(\d+)", line))}


def _construct(make, options: Mapping[str, object], *arguments):
    """Raises ValueError where one of `--scheduler_options` is unknown or wrong."""
    try:
        return make(*arguments, **options)
    except TypeError as error:
        raise ValueError(f"--scheduler_options: {' '.join(str(error).split())}") from None


def _times(memory: str, count: int) -> str:
    """Memory of several workers, in bytes."""
    from dask.utils import parse_bytes

    try:
        return f"{parse_bytes(memory) * count}B"
    except ValueError:
        raise ValueError(f"--memory {memory}: expected a number with a unit, such as 1GB or 500MiB") from None


def _log_to_file(path: Path) -> logging.Handler:
    """What Dask has to say goes to a file; the table of shards has the terminal."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in ("distributed", "distributed.client", "tornado", "tornado.application", "bokeh", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    return handler

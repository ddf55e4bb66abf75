"""Jobs that are lost, refused or idle, and the scripts of jobs."""

import asyncio
import os
import re
import sys
from types import SimpleNamespace

import pytest

from japanese_bert.cluster import jobs
from japanese_bert.cluster.jobs import PAUSE_SECONDS, JobWorkers
from japanese_bert.cluster.settings import ClusterSettings, read_options
from tests.helpers.places import ROOT


def make_settings(tmp_path, scheduler: str = "slurm", options: dict | None = None, **more) -> ClusterSettings:
    values = {"workers": 4, "workers_per_job": 1, "cores": 1, "memory": "1GB", "walltime": "02:00:00"} | more
    return ClusterSettings(scheduler, **values, dashboard_address=":0", options=options or {}, log_dir=tmp_path)


class FakeJob:
    """A job as dask-jobqueue has it: awaiting it submits it."""

    def __init__(self, address: str, name: str, queue: "FakeQueue") -> None:
        assert address == "tls://scheduler"
        self.name = name
        self.queue = queue
        self.lock = asyncio.Lock()
        self.job_id = None

    def __await__(self):
        return self.start().__await__()

    async def start(self) -> None:
        async with self.lock:
            await asyncio.sleep(0)
            if self.queue.refuses_after is not None and len(self.queue.submitted) >= self.queue.refuses_after:
                raise RuntimeError(self.queue.refusal)
            self.queue.submitted.append(self.name)
            self.job_id = str(len(self.queue.submitted))

    async def close(self) -> None:
        if self.job_id is not None:
            self.queue.cancelled.append(self.name)


class FakeQueue:
    """A queue of jobs, its Dask cluster and its clock. Jobs are c-0, c-1, ... with the numbers 1, 2, ..."""

    name = "c"
    contact_address = None
    address = "tls://scheduler"

    def __init__(self) -> None:
        self.new_spec = {"cls": FakeJob, "options": {"queue": self}}
        self.submitted: list[str] = []
        self.cancelled: list[str] = []
        self.workers: dict[str, SimpleNamespace] = {}
        self.queued: set[str] | None = set()
        self.refuses_after: int | None = None
        self.refusal = "Command exited with non-zero exit code.\nstderr:\nsbatch: error: QOSMaxSubmitJobPerUserLimit\n"
        self.time = 1000.0

    def sync(self, function, *arguments):
        return asyncio.run(function(*arguments))

    def connect(self, **processing: str) -> None:
        """Connect workers, named without the hyphens of their jobs, and set what each processes."""
        names = {name: name.replace("_", "-") for name in processing}
        self.workers = {
            name: SimpleNamespace(name=names[name], processing=keys.split()) for name, keys in processing.items()
        }


@pytest.fixture
def queue(monkeypatch) -> FakeQueue:
    queue = FakeQueue()
    monkeypatch.setattr(jobs, "queued_jobs", lambda scheduler: queue.queued)
    monkeypatch.setattr(jobs.time, "monotonic", lambda: queue.time)
    return queue


def start(tmp_path, queue: FakeQueue, unfinished: int = 9, **more) -> JobWorkers:
    """Submit the first jobs, which wait in the queue."""
    jobs = JobWorkers(queue, queue, queue, make_settings(tmp_path, **more))
    jobs.keep(unfinished)
    queue.queued = {str(number + 1) for number in range(len(queue.submitted))}
    return jobs


def keep(jobs: JobWorkers, queue: FakeQueue, unfinished: int = 9, seconds: float = 11) -> None:
    queue.time += seconds
    jobs.keep(unfinished)


class TestJobs:
    @pytest.mark.parametrize(("unfinished", "per_job", "count"), [(9, 1, 4), (2, 1, 2), (9, 2, 2), (3, 2, 2)])
    def test_as_many_jobs_as_are_needed(self, tmp_path, queue, unfinished, per_job, count):
        start(tmp_path, queue, unfinished, workers_per_job=per_job)
        assert queue.submitted == [f"c-{number}" for number in range(count)]

    def test_a_cancelled_job_is_replaced(self, tmp_path, queue):
        jobs = start(tmp_path, queue)
        queue.connect(c_0="shard", c_1="shard", c_2="shard")  # c-3 waits in the queue
        keep(jobs, queue)
        assert (queue.cancelled, len(queue.submitted)) == ([], 4)
        queue.connect(c_0="shard", c_2="shard")
        queue.queued.remove("2")
        keep(jobs, queue, seconds=5)  # the queue is not asked too often
        assert queue.cancelled == []
        keep(jobs, queue)
        assert (queue.cancelled, queue.submitted[4:]) == (["c-1"], ["c-4"])

    def test_a_job_of_several_workers_lives_as_long_as_one(self, tmp_path, queue):
        jobs = start(tmp_path, queue, workers_per_job=2)
        queue.connect(c_0_0="shard")
        queue.queued = set()
        keep(jobs, queue)
        assert queue.cancelled == ["c-1"]

    def test_no_job_is_lost_while_the_queue_does_not_answer(self, tmp_path, queue):
        jobs = start(tmp_path, queue)
        queue.queued = None
        keep(jobs, queue)
        assert (queue.cancelled, len(queue.submitted)) == ([], 4)

    def test_a_job_that_ended_in_vain_is_replaced_after_a_pause(self, tmp_path, queue):
        jobs = start(tmp_path, queue, workers=2)
        queue.connect(c_0="shard")
        queue.queued.remove("2")
        keep(jobs, queue)
        assert (queue.cancelled, len(queue.submitted)) == (["c-1"], 2)
        keep(jobs, queue, seconds=PAUSE_SECONDS + 1)
        assert queue.submitted[2:] == ["c-2"]

    def test_a_job_that_was_lost_soon_is_replaced_at_once(self, tmp_path, queue):
        jobs = start(tmp_path, queue, workers=1)
        queue.connect(c_0="shard")
        keep(jobs, queue, seconds=1)
        queue.connect()
        queue.queued = set()
        keep(jobs, queue)
        assert (queue.cancelled, queue.submitted) == (["c-0"], ["c-0", "c-1"])

    def test_some_refused_jobs_do_not_end_the_run(self, tmp_path, queue):
        queue.refuses_after = 1
        jobs = start(tmp_path, queue)
        assert (queue.submitted, list(jobs.jobs)) == (["c-0"], ["c-0"])
        queue.refuses_after = None
        keep(jobs, queue)
        assert len(queue.submitted) == 1
        keep(jobs, queue, seconds=PAUSE_SECONDS)
        assert queue.submitted == ["c-0", "c-4", "c-5", "c-6"]

    def test_waiting_jobs_are_cancelled_before_idle_ones(self, tmp_path, queue):
        jobs = start(tmp_path, queue, workers=3)
        queue.connect(c_0="", c_1="shard")
        keep(jobs, queue, unfinished=2)
        assert queue.cancelled == ["c-2"]

    def test_idle_jobs_are_cancelled_when_few_shards_are_left(self, tmp_path, queue):
        jobs = start(tmp_path, queue, workers=3)
        queue.connect(c_0="", c_1="shard", c_2="")
        keep(jobs, queue, unfinished=1)
        assert (queue.cancelled, list(jobs.jobs)) == (["c-0", "c-2"], ["c-1"])

    def test_a_job_with_one_busy_worker_is_not_cancelled(self, tmp_path, queue):
        jobs = start(tmp_path, queue, workers=4, workers_per_job=2)
        queue.connect(c_0_0="", c_0_1="shard", c_1_0="shard", c_1_1="")
        keep(jobs, queue, unfinished=2)
        assert queue.cancelled == []

    def test_jobs_that_end_at_once_end_the_run(self, tmp_path, queue):
        jobs = start(tmp_path, queue, workers=2)
        queue.queued = set()
        keep(jobs, queue)
        keep(jobs, queue, seconds=PAUSE_SECONDS)
        with pytest.raises(ConnectionError, match=r"4 jobs ended before their workers connected\. .*jobs"):
            keep(jobs, queue)

    def test_jobs_that_worked_before_do_not_end_the_run(self, tmp_path, queue):
        jobs = start(tmp_path, queue)
        queue.connect(c_0="shard", c_1="shard", c_2="shard", c_3="shard")
        keep(jobs, queue)
        queue.connect()
        queue.queued = set()
        keep(jobs, queue)
        assert queue.submitted[4:] == ["c-4", "c-5", "c-6", "c-7"]

    def test_refused_jobs_end_the_run_with_the_schedulers_words(self, tmp_path, queue):
        queue.refuses_after = 0
        with pytest.raises(ConnectionError, match="no job could be submitted: sbatch: error: QOSMaxSubmit"):
            start(tmp_path, queue)

    def test_a_job_is_cancelled_after_its_submission(self, queue):
        """Ctrl-C can come while jobs are submitted."""

        async def submit_and_cancel() -> None:
            job = FakeJob("tls://scheduler", "c-0", queue)
            await asyncio.gather(job, jobs.cancel_job(job))
            assert job.job_id == "1"

        asyncio.run(submit_and_cancel())
        assert queue.cancelled == ["c-0"]

    @pytest.mark.parametrize(
        ("scheduler", "output"),
        [
            ("slurm", "123\n45\n"),
            ("pbs", "\npbs1:\n  Req'd\nJob ID  User\n--- ---\n123.pbs1 me Q 0:0\n45.pbs1* me R 0:1\n7.pbs1 me C 0:2\n"),
            ("sge", "job-ID  prior name\n------\n    123 0.55 run_shards me r\n     45 0.00 x me qw\n"),
        ],
    )
    def test_numbers_in_the_queue(self, tmp_path, monkeypatch, scheduler, output):
        program = tmp_path / jobs.JOB_SCHEDULERS[scheduler].split()[0]
        program.write_text(f"#!/bin/sh\ncat << 'END'\n{output}END\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert jobs.queued_jobs(scheduler) == {"123", "45"}
        program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        assert jobs.queued_jobs(scheduler) is None


def directives(script: str, prefix: str) -> list[str]:
    return [line.removeprefix(prefix).strip() for line in script.split("\n") if line.startswith(prefix)]


class TestJobScripts:
    def test_slurm(self, tmp_path):
        options = {"queue": "cpu", "account": "llm", "job_extra_directives": ["--exclude=node3"]}
        script = jobs.job_script(make_settings(tmp_path, "slurm", options, cores=4))
        expected = ["-p cpu", "-A llm", "-n 1", "--cpus-per-task=4", "--mem=954M", "-t 02:00:00", "--exclude=node3"]
        assert [line for line in directives(script, "#SBATCH") if line[:2] not in ("-J", "-e", "-o")] == expected
        worker = script.strip().split("\n")[-1]
        assert worker.startswith(f"exec {sys.executable} -m distributed.cli.dask_worker ")
        assert "--nthreads 4" in worker and worker.index("--nthreads 1") > worker.index("--nthreads 4")
        assert "--memory-limit 0" in worker and "--no-nanny" in worker

    def test_pbs_of_abci(self, tmp_path):
        """qsub -P group -q rt_HF -l select=1 -l walltime=..., a node for 32 shards at a time."""
        options = {"queue": "rt_HF", "resource_spec": "select=1", "job_extra_directives": ["-P gaa12345"]}
        script = jobs.job_script(make_settings(tmp_path, "pbs", options, workers_per_job=32))
        expected = ["-q rt_HF", "-l select=1", "-l walltime=02:00:00", "-P gaa12345"]
        assert [line for line in directives(script, "#PBS") if line[:2] not in ("-N", "-e", "-o")] == expected
        assert "--nworkers 32 --nanny" in script

    def test_pbs_by_default(self, tmp_path):
        script = jobs.job_script(make_settings(tmp_path, "pbs", cores=2, memory="2GiB"))
        assert "-l select=1:ncpus=2:mem=2048MB" in directives(script, "#PBS")

    def test_grid_engine_of_tsubame(self, tmp_path):
        """qsub -g group with -l cpu_4=1 -l h_rt=..."""
        options = {"submit_command": "qsub -g tga-group", "resource_spec": "cpu_4=1"}
        script = jobs.job_script(make_settings(tmp_path, "sge", options, workers_per_job=4))
        expected = ["-l cpu_4=1", "-l h_rt=02:00:00", "-cwd", "-j y"]
        assert [line for line in directives(script, "#$") if line[:2] not in ("-N", "-e", "-o")] == expected
        assert script.startswith("# qsub -g tga-group\n")

    def test_options_of_the_page(self, tmp_path):
        page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```yaml\n# (slurm|pbs|sge)\.yaml(.*?)^```", page, re.DOTALL | re.MULTILINE)
        scripts = {}
        for scheduler, text in blocks:
            (tmp_path / "options.yaml").write_text(f"# {text}", encoding="utf-8")
            options = read_options(tmp_path / "options.yaml")
            scripts[scheduler] = jobs.job_script(make_settings(tmp_path, scheduler, options))
        assert {"-p cpu", "-A my-account", "--exclude=node3"} <= set(directives(scripts["slurm"], "#SBATCH"))
        assert "\nmodule load python/3.11\n" in scripts["slurm"] and "--interface ib0" in scripts["slurm"]
        assert {"-q rt_HF", "-l select=1", "-P gaa12345"} <= set(directives(scripts["pbs"], "#PBS"))
        assert scripts["sge"].startswith("# qsub -g tga-mygroup\n")
        assert "-l cpu_4=1" in directives(scripts["sge"], "#$")

    def test_grid_engine_needs_the_names_of_cores(self, tmp_path):
        with pytest.raises(ValueError, match=r"--scheduler sge with 4 cores a job: .*resource_spec"):
            jobs.job_script(make_settings(tmp_path, "sge", cores=4))

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"queeue": "cpu"}, "--scheduler_options: .*queeue"), ({}, "--memory lots: expected a number with a unit")],
    )
    def test_wrong_values(self, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            jobs.job_script(make_settings(tmp_path, "slurm", options, memory="1GB" if options else "lots"))

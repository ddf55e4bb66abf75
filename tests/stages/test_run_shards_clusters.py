"""run_shards.py on real clusters that lose a worker: the bytes are those of a serial run, and no shard runs twice.

The shards are real text and the command is create_pretraining_data.py. The tests start Slurm and Grid Engine, and are
skipped if Debian's packages of these are not installed.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.small_grid_engine import small_grid_engine
from tests.helpers.small_slurm import small_slurm

pytestmark = pytest.mark.slow
NAMES = [f"{number:02}" for number in range(1, 9)]
SHARD_BYTES = 600_000
# The first three shards wait for the file `killed`. So all old workers are busy, and the first shard needs a new one.
COMMAND = (
    'while [ "$0" -le 3 ] && [ ! -e "$2"/killed ]; do sleep 0.1; done; '
    'exec python "$1"/create_pretraining_data.py --input_file corpus_"$0".txt '
    '--output_file "$2"/data_"$0".tfrecord.gz --vocab_file vocab.txt --subword_tokenizer_type wordpiece '
    "--do_whole_word_mask --gzip_compress --use_v2_feature_names --dupe_factor 2"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory, aozora_bytes) -> Path:
    """Make eight shards, a vocabulary, and `serial/` with the outputs of one process after another."""
    from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, unused_tokens, vocab_bytes

    place = tmp_path_factory.mktemp("place")
    start, characters = 0, set()
    for name in NAMES:
        end = aozora_bytes.index(b"\n\n", start + SHARD_BYTES) + 2
        (place / f"corpus_{name}.txt").write_bytes(aozora_bytes[start:end])
        characters |= set(aozora_bytes[start:end].decode("utf-8")) - set("\n 　")
        start = end
    characters = sorted(character for character in characters if character.isprintable())
    tokens = [*SPECIAL_TOKENS, *unused_tokens(10), *characters, *(f"##{character}" for character in characters)]
    (place / "vocab.txt").write_bytes(vocab_bytes(tokens))
    (place / "serial").mkdir()
    (place / "serial" / "killed").touch()
    for name in NAMES:
        arguments = [argument.replace("{}", name) for argument in command("serial")]
        subprocess.run(arguments, cwd=place, env=environment_of(os.environ), check=True, capture_output=True)
    return place


def command(output_dir: str) -> list[str]:
    return ["sh", "-c", COMMAND, "{}", str(ROOT), output_dir]


def environment_of(environment) -> dict[str, str]:
    return dict(environment) | {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}


class Caller:
    """One run_shards.py on the shards of `place`."""

    def __init__(self, place: Path, name: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.directory = place / name
        self.directory.mkdir(exist_ok=True)
        self.place = place
        flags = ["--dashboard_address", ":0", "--workers", "3", "--shards", *NAMES, "--", *command(name)]
        with open(self.directory / "stderr", "w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.run_shards", "--log_dir", self.directory / "logs", *arguments, *flags],
                cwd=place,
                env=environment or os.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def said(self) -> str:
        return (self.directory / "stderr").read_text(encoding="utf-8")

    def wait_for(self, pattern: str) -> re.Match:
        """Return the first match in its stderr, as soon as there is one."""
        for _ in range(1200):
            if found := re.search(pattern, self.said()):
                return found
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)
        raise TimeoutError(f"{pattern} in {self.said()}")

    def finish(self) -> int:
        return self.process.wait(400)

    def logs(self) -> dict[str, str]:
        (logs,) = (self.directory / "logs").iterdir()
        return {name: (logs / f"{name}.log").read_text(encoding="utf-8") for name in NAMES}

    def check(self, made_before: int = 0) -> None:
        """Check the bytes, and that one attempt finished each shard.

        `made_before`: at most so many shards were interrupted between their last byte and the end of their process.
        """
        assert sorted(path.name for path in self.directory.glob("data_*")) == sorted(
            path.name for path in (self.place / "serial").glob("data_*")
        )
        for name in NAMES:
            data = f"data_{name}.tfrecord.gz"
            assert (self.directory / data).read_bytes() == (self.place / "serial" / data).read_bytes()
            assert self.logs()[name].count(": exit code 0 after") == 1, self.logs()[name]
        assert sum(log.count("skipped: ") for log in self.logs().values()) <= made_before


def attempts(log: str) -> int:
    return len(re.findall(r"attempt \d+ on ", log))


@contextmanager
def dask_cluster(directory: Path) -> Iterator[str]:
    """Start a Dask scheduler and three workers, as by hand. Yield the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    commands = [scheduler, *[["dask_worker", address, "--nthreads", "1"]] * 3]
    with ExitStack() as stack:
        for number, (program, *arguments) in enumerate(commands):
            log = stack.enter_context(open(directory / f"dask_{number}.log", "w"))
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"],
                cwd=directory,
                stdout=log,
                stderr=log,
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        yield address


def worker_of_first_shard(run: Caller) -> int:
    """Return the process number of the first shard's Dask worker, once the command runs."""
    pid = int(run.wait_for(r"shard 01: runs on \S+:(\d+)")[1])
    while not any(attempts(path.read_text(encoding="utf-8")) for path in run.directory.glob("logs/*/01.log")):
        time.sleep(0.1)
    return pid


def finish_after_kill(run: Caller) -> None:
    """Let the shards continue once the first one runs again. Check the result."""
    run.wait_for(r"shard 01: runs on .* its worker was lost \(1\)")
    (run.directory / "killed").touch()
    assert run.finish() == 0, run.said()
    run.check()
    assert attempts(run.logs()["01"]) == 2


def test_local_with_a_worker_killed(place):
    run = Caller(place, "local", "--scheduler", "local")
    os.kill(worker_of_first_shard(run), signal.SIGKILL)
    finish_after_kill(run)


def test_running_cluster_with_a_worker_killed(place, tmp_path):
    with dask_cluster(tmp_path) as address:
        run = Caller(place, "tcp", "--scheduler", address)
        os.kill(worker_of_first_shard(run), signal.SIGKILL)
        finish_after_kill(run)
        assert sorted(map(attempts, run.logs().values())) == [1] * 7 + [2]


def test_no_scheduler_at_the_address(place):
    run = Caller(place, "nobody", "--scheduler", "tcp://127.0.0.1:1")
    assert run.finish() == 1
    assert run.said().count("\n") == 1
    assert "tcp://127.0.0.1:1: no Dask scheduler answers. Start one with 'dask scheduler'" in run.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_continued(place, number):
    name = f"interrupted_{number}"
    (place / name).mkdir()
    (place / name / "killed").touch()
    run = Caller(place, name)
    run.wait_for(r"shard 0\d: finished")
    run.process.send_signal(number)
    assert run.finish() == 128 + number
    assert run.said().endswith("interrupted. Run the same command again for the rest\n")
    assert subprocess.run(["pgrep", "-f", f"{name}/data_"], capture_output=True).stdout == b""
    finished = sorted(path.name for path in run.directory.glob("*.gz"))
    assert finished and len(finished) < len(NAMES)
    for data in finished:
        assert (run.directory / data).read_bytes() == (place / "serial" / data).read_bytes()
    rerun = Caller(place, name)
    assert rerun.finish() == 0, rerun.said()
    rerun.check(made_before=3)


def run_with_job_cancelled(place: Path, scheduler: str, options: str, environment: dict, cancel: str) -> Caller:
    """Cancel the job of the first shard, and wait for the end of the run."""
    (place / f"{scheduler}.yaml").write_text(options, encoding="utf-8")
    arguments = ["--scheduler", scheduler, "--scheduler_options", f"{scheduler}.yaml", "--memory", "500MB"]
    run = Caller(place, scheduler, *arguments, environment=environment)
    variables = Path(f"/proc/{worker_of_first_shard(run)}/environ").read_text(encoding="utf-8")
    job = re.search(r"\b(?:SLURM_JOB_ID|JOB_ID)=(\d+)", variables)[1]
    subprocess.run([cancel, job], env=environment, check=True, capture_output=True)
    finish_after_kill(run)
    return run


def test_slurm_with_a_job_cancelled(place, tmp_path_factory):
    with small_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        options = "queue: debug\nscheduler_options: {host: 127.0.0.1}\n"
        run = run_with_job_cancelled(place, "slurm", options, environment, "scancel")
        assert sum(map(attempts, run.logs().values())) == len(NAMES) + 1
        (log_dir,) = (run.directory / "logs").iterdir()
        jobs = list(
            log_dir.glob("jobs/*.err")
        )  # three, and one in place of the cancelled one if shards were left for it
        assert len(jobs) in (3, 4)
        assert wait_until_empty(["squeue", "--noheader"], environment)


def wait_until_empty(command: list[str], environment: dict[str, str]) -> bool:
    """Return True as soon as the queue lists no job."""
    for _ in range(100):
        if not subprocess.run(command, env=environment, capture_output=True, check=True).stdout.strip():
            return True
        time.sleep(0.2)
    return False


def test_slurm_interrupted(place, tmp_path_factory):
    """Ctrl-C ends the commands and cancels the jobs."""
    with small_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        (place / "interrupted.yaml").write_text(
            "queue: debug\nscheduler_options: {host: 127.0.0.1}\n", encoding="utf-8"
        )
        arguments = ["--scheduler", "slurm", "--scheduler_options", "interrupted.yaml", "--memory", "500MB"]
        run = Caller(place, "interrupted_jobs", *arguments, environment=environment)
        run.wait_for(r"shard 03: runs on")
        run.process.send_signal(signal.SIGINT)
        assert run.finish() == 128 + signal.SIGINT
        assert run.said().endswith("interrupted. Run the same command again for the rest\n")
        assert wait_until_empty(["squeue", "--noheader"], environment)
        assert subprocess.run(["pgrep", "-f", "interrupted_jobs"], capture_output=True).stdout == b""


def test_slurm_refuses(place, tmp_path_factory):
    with small_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        (place / "wrong.yaml").write_text("queue: nowhere\nscheduler_options: {host: 127.0.0.1}\n", encoding="utf-8")
        arguments = ["--scheduler", "slurm", "--scheduler_options", "wrong.yaml", "--memory", "500MB"]
        run = Caller(place, "refused", *arguments, environment=environment)
        assert run.finish() == 1
        assert run.said().count("\n") == 1
        assert "no job could be submitted: sbatch: error: invalid partition specified: nowhere" in run.said()


def test_grid_engine_with_a_job_deleted(place, tmp_path_factory):
    with small_grid_engine(tmp_path_factory.mktemp("grid_engine")) as environment:
        options = "queue: all.q\nscheduler_options: {host: 127.0.0.1}\n"
        run = run_with_job_cancelled(place, "sge", options, environment, "qdel")
        assert sum(map(attempts, run.logs().values())) == len(NAMES) + 1
        (log_dir,) = (run.directory / "logs").iterdir()
        assert len(list(log_dir.glob("jobs/*.o*"))) == 4
        assert wait_until_empty(["qstat", "-u", "root"], environment)

"""run_shards.py on real clusters, each with a worker killed in the middle: bytes of the serial run, no shard twice.

Shards are real text, the command is create_pretraining_data.py. Slurm and Grid Engine are started by the test, where
Debian's packages are installed; the test is skipped where they are not.
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
# The first three wait until the worker of the first was killed and that one has found another, which must be a new one.
COMMAND = (
    'while [ "$0" -le 3 ] && [ ! -e "$2"/killed ]; do sleep 0.1; done; '
    'exec python "$1"/create_pretraining_data.py --input_file corpus_"$0".txt '
    '--output_file "$2"/data_"$0".tfrecord.gz --vocab_file vocab.txt --subword_tokenizer_type wordpiece '
    "--do_whole_word_mask --gzip_compress --use_v2_feature_names --dupe_factor 2"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory, aozora_bytes) -> Path:
    """Eight shards, a vocabulary and `serial/`, what one process after another makes of them."""
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


class Run:
    """run_shards.py on the shards of `place`, and what it has said on stderr so far."""

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
        """The first match in what it says."""
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
        """The bytes of the serial run, each shard completed by one attempt, and made by it.

        `made_before`: shards at most that were interrupted between the last byte and the end of the process.
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
    """A scheduler and three workers, started elsewhere by hand; its address."""
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


def worker_of_first_shard(run: Run) -> int:
    """Process number of the Dask worker that the first shard runs on, once its command does."""
    pid = int(run.wait_for(r"shard 01: runs on \S+:(\d+)")[1])
    while not any(attempts(path.read_text(encoding="utf-8")) for path in run.directory.glob("logs/*/01.log")):
        time.sleep(0.1)
    return pid


def finish_after_kill(run: Run) -> None:
    """Let the first shard go on once it runs again, and check what came of it."""
    run.wait_for(r"shard 01: runs on .* its worker was lost \(1\)")
    (run.directory / "killed").touch()
    assert run.finish() == 0, run.said()
    run.check()
    assert attempts(run.logs()["01"]) == 2


def test_local_with_a_worker_killed(place):
    run = Run(place, "local", "--scheduler", "local")
    os.kill(worker_of_first_shard(run), signal.SIGKILL)
    finish_after_kill(run)


def test_running_cluster_with_a_worker_killed(place, tmp_path):
    with dask_cluster(tmp_path) as address:
        run = Run(place, "tcp", "--scheduler", address)
        os.kill(worker_of_first_shard(run), signal.SIGKILL)
        finish_after_kill(run)
        assert sorted(map(attempts, run.logs().values())) == [1] * 7 + [2]


def test_no_scheduler_at_the_address(place):
    run = Run(place, "nobody", "--scheduler", "tcp://127.0.0.1:1")
    assert run.finish() == 1
    assert run.said().count("\n") == 1
    assert "tcp://127.0.0.1:1: no Dask scheduler answers. Start one with 'dask scheduler'" in run.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_continued(place, number):
    name = f"interrupted_{number}"
    (place / name).mkdir()
    (place / name / "killed").touch()
    run = Run(place, name)
    run.wait_for(r"shard 0\d: finished")
    run.process.send_signal(number)
    assert run.finish() == 128 + number
    assert run.said().endswith("interrupted. Run the same command again for the rest\n")
    assert subprocess.run(["pgrep", "-f", f"{name}/data_"], capture_output=True).stdout == b""
    finished = sorted(path.name for path in run.directory.glob("*.gz"))
    assert finished and len(finished) < len(NAMES)
    for data in finished:
        assert (run.directory / data).read_bytes() == (place / "serial" / data).read_bytes()
    rerun = Run(place, name)
    assert rerun.finish() == 0, rerun.said()
    rerun.check(made_before=3)


def run_with_job_cancelled(place: Path, scheduler: str, options: str, environment: dict, cancel: str) -> Run:
    """A run to its end, with the job cancelled that has the first shard."""
    (place / f"{scheduler}.yaml").write_text(options, encoding="utf-8")
    arguments = ["--scheduler", scheduler, "--scheduler_options", f"{scheduler}.yaml", "--memory", "500MB"]
    run = Run(place, scheduler, *arguments, environment=environment)
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
        jobs = list(log_dir.glob("jobs/*.err"))  # three workers, and one for the cancelled one if work was left for it
        assert len(jobs) in (3, 4)
        assert wait_until_empty(["squeue", "--noheader"], environment)


def wait_until_empty(command: list[str], environment: dict[str, str]) -> bool:
    """True once the queue lists no job any more."""
    for _ in range(100):
        if not subprocess.run(command, env=environment, capture_output=True, check=True).stdout.strip():
            return True
        time.sleep(0.2)
    return False


def test_slurm_refuses(place, tmp_path_factory):
    with small_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        (place / "wrong.yaml").write_text("queue: nowhere\nscheduler_options: {host: 127.0.0.1}\n", encoding="utf-8")
        arguments = ["--scheduler", "slurm", "--scheduler_options", "wrong.yaml", "--memory", "500MB"]
        run = Run(place, "refused", *arguments, environment=environment)
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

"""Runs of a stage that a fault strikes: start them, stop them at a moment or a step, look at what they leave.

A run works in a *place*: a directory with the inputs, `in`, and the outputs, `out`.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults import warm_start
from tests.faults.stage_table import Stage
from tests.faults.tree import sources_hash, tree
from tests.faults.warm_start import ForkedProcess
from tests.helpers.places import ROOT

HOOK = Path(__file__).with_name("hook")
PATIENCE = 180  # seconds after which a run hangs
TIMES = ("seconds", "cpu_seconds", "peak_memory_mb")
# Bars, lines of a progress in a log, and TensorFlow's line where it finds no GPU.
PROGRESS = re.compile(r"\d+%\|| \[\d\d:\d\d|it/s\]|^step [\d,]+ of|^\d{4}-\S+ \S+: E external/")

Files = dict[str, bytes]  # what has a final name below `out`


@dataclass
class Run:
    """A process and what it said so far; `token` is in the environment of all that it starts."""

    process: subprocess.Popen | ForkedProcess
    token: str
    place: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def read(self, stream: str) -> str:
        return (self.place / f"{stream}.{self.token}").read_text(encoding="utf-8", errors="replace")

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def kill(self, kill: int, group: bool = False) -> None:
        os.killpg(self.pid, kill) if group else os.kill(self.pid, kill)

    def go_on(self, group: bool = False) -> int:
        """Until it ends: a process that is being forked while its group is stopped and let go may stay stopped."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, "hangs"
            self.kill(signal.SIGCONT, group)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
        return self.process.returncode

    def wait_until_started(self) -> None:
        """It prints its arguments when it is ready for signals."""
        while not self.read("stdout") and self.process.poll() is None:
            time.sleep(0.002)

    def wait_until_stopped(self) -> bool:
        """False if it ended before the step at which it was to stop."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if _state(self.pid) in "ZX":
                return False
            with suppress(ChildProcessError):  # which it is called for a process that ended
                if os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG):
                    return True
            time.sleep(0.002)
        raise TimeoutError("neither stopped nor ended")

    def living(self) -> list[int]:
        """The processes of this run that are alive."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                session = int((path / "stat").read_text(errors="replace").rpartition(")")[2].split()[3])
                if session == self.pid or f"FAULT_TOKEN={self.token}".encode() in (path / "environ").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
        return [pid for pid in found if _state(pid) not in "ZX"]

    def children(self) -> list[int]:
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "X"


class Subject:
    """A stage with inputs on disk, and what undisturbed runs of it give."""

    def __init__(self, stage: Stage, directory: Path) -> None:
        self.stage = stage
        self._directory, self.inputs = directory, directory / "inputs"
        self._whole: dict[object, tuple[Files, float]] = {}
        self._places: dict[tuple[str, ...], Path] = {}
        self.cold_seconds = 0.0
        self.inputs.mkdir(parents=True)
        if stage.is_data:
            stage.make_inputs(self.inputs)
        else:  # TensorFlow's threads stay out of this process, which forks
            script = f"import pathlib, sys; {stage.make_inputs.__name__}(pathlib.Path(sys.argv[1]))"
            script = f"from tests.faults.stage_table import {stage.make_inputs.__name__}; {script}"
            done = subprocess.run([sys.executable, "-c", script, self.inputs], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-3000:]

    def place(self, change: Callable[[Path], None] | None = None) -> Path:
        """A new place; `change` is done to its inputs."""
        place = self._directory / uuid.uuid4().hex
        shutil.copytree(self.inputs, place / "in")
        if change:
            change(place)
        return place

    def command(self, *flags: str) -> list[str]:
        return [sys.executable, *self.stage.script, *self.stage.arguments, *flags]

    def start(
        self,
        place: Path,
        *flags: str,
        step: int | None = None,
        read: str = "",
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        cold: bool = False,
    ) -> Run:
        """Start a run; with `step` it stops itself before that step (0: never, but all are logged).

        `read` is an input, the opening of which is a step too. A `cold` run imports its libraries itself, and so does
        one with another command or environment.
        """
        token = uuid.uuid4().hex
        variables = os.environ | {"FAULT_TOKEN": token, "PYTHONPATH": f"{HOOK}:{tree()}"} | dict(environment or {})
        if step is not None:
            variables |= {"FAULT_BELOW": str(place / "out"), "FAULT_STEP": str(step)}
            variables |= {"FAULT_READ": str(place / read) if read else "", "FAULT_LOG": str(place / f"steps.{token}")}
        with open(place / f"stdout.{token}", "wb") as out, open(place / f"stderr.{token}", "wb") as errors:
            streams = [
                stdout if stdout is not None else out.fileno(),
                stderr if stderr is not None else errors.fileno(),
            ]
            if cold or command or environment:
                process = subprocess.Popen(
                    list(command) or self.command(*flags),
                    cwd=place,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=streams[0],
                    stderr=streams[1],
                    start_new_session=True,
                    preexec_fn=_heed_signals,
                )
            else:
                arguments = self.command(*flags)[1:]
                process = warm_start.start(self.stage.libraries, arguments, place, variables, streams)
        return Run(process, token, place)

    def run(self, place: Path, *flags: str, **how: object) -> Run:
        run = self.start(place, *flags, **how)
        run.wait()
        return run

    def undisturbed(self, *flags: str, change: partial | None = None) -> tuple[Files, float]:
        """What a run leaves that nothing disturbs, and its seconds.

        The first run of all fills caches. A cold one sets `cold_seconds`.
        """
        key = flags, change and change.func
        if key not in self._whole:
            for cold in (False,) if self._whole else (False, True, False) if self.stage.is_data else (True, False):
                place, begin = self.place(change), time.monotonic()
                run = self.run(place, *flags, cold=cold)
                seconds = time.monotonic() - begin
                self.cold_seconds = seconds if cold else self.cold_seconds
                assert run.process.returncode == 0, run.read("stderr")
            self._whole[key] = final_files(place), seconds
            if change is None:
                self._places[flags] = place / "out"
        return self._whole[key]

    def steps(self, *flags: str, read: str = "") -> list[str]:
        """What happens to names in an undisturbed run, in order."""
        key = "steps", flags, read
        if key not in self._whole:
            place = self.place()
            run = self.run(place, *flags, step=0, read=read)
            assert run.process.returncode == 0, run.read("stderr")
            self._whole[key] = (place / f"steps.{run.token}").read_text().split("\n")[:-1], 0.0
        return self._whole[key][0]

    def step_numbers(self, *flags: str, read: str = "") -> list[int]:
        """All steps, from 1; of equal ones in a row (work files without names) the first and the last."""
        steps = ["", *self.steps(*flags, read=read), ""]
        return [number for number in range(1, len(steps) - 1) if steps[number - 1 : number + 2] != [steps[number]] * 3]

    def assert_run(self, place: Path, expected: Files, *flags: str) -> None:
        """A run gives the bytes of an undisturbed run, and nothing else."""
        run = self.run(place, *flags)
        assert run.process.returncode == 0, f"rerun: {run.read('stderr')}"
        assert_equal(final_files(place), expected)
        assert temporary_files(place) == [], f"a rerun leaves {temporary_files(place)}"

    def assert_rerun(self, place: Path, expected: Files, *flags: str) -> None:
        """The same for the next run after a fault; where that left nothing at all it would be a first run."""
        if any(path.is_file() for path in (place / "out").rglob("*")) or not self.stage.has_output:
            self.assert_run(place, expected, *flags)

    def put_output(self, place: Path, *flags: str) -> None:
        """The output of a whole run, as if it had been made here."""
        self.undisturbed(*flags)
        shutil.copytree(self._places[flags], place / "out", dirs_exist_ok=True)


def _heed_signals() -> None:
    """Also where the tests themselves run under nohup or in the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def final_files(place: Path) -> Files:
    """Contents by name; of records without what differs between runs: time, memory, arguments that decide no byte."""
    files = {}
    for path in sorted((place / "out").rglob("*")):
        if path.is_file() and not _is_temporary(path, place) and not _is_kept_part(path):
            name = str(path.relative_to(place / "out"))
            files[name] = plain_record(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()
    return files


def temporary_files(place: Path) -> list[str]:
    return [str(path) for path in (place / "out").rglob("*") if _is_temporary(path, place)]


def _is_temporary(path: Path, place: Path) -> bool:
    return any(part.endswith(".tmp") for part in path.relative_to(place).parts)


def _is_kept_part(path: Path) -> bool:
    """Return whether a file is of a part of make_corpus.py, which the next run takes instead of reading again."""
    return any(part.endswith(".parts") for part in path.parts)


def plain_record(content: bytes) -> bytes:
    record = json.loads(content)  # a record that is cut fails here
    if isinstance(record, dict):
        for name in (*TIMES, "arguments"):
            record.pop(name, None)
    return json.dumps(record, sort_keys=True).encode()


def assert_equal(found: Files, expected: Files) -> None:
    assert sorted(found) == sorted(expected)
    others = [name for name in found if found[name] != expected[name]]
    assert not others, f"other bytes: {others}, kept in {keep(found, expected, others)}"


def keep(found: Files, expected: Files, names: Sequence[str]) -> Path:
    """Keep both versions of differing files, with a hash of the sources that made them and of those of now."""
    directory = Path(tempfile.mkdtemp(prefix="faults-differ-"))
    for name in names:
        for kind, files in (("found", found), ("expected", expected)):
            path = directory / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
    (directory / "sources.txt").write_text(f"ran {sources_hash(tree())}, now {sources_hash(ROOT)}\n", encoding="utf-8")
    return directory


def assert_whole(place: Path, stage: Stage, *states: Files) -> None:
    """What has a final name is the whole content of one of `states`, and a record is that of the file beside it."""
    found = final_files(place)
    for name, content in found.items():
        known = [state[name] for state in states if name in state]
        if content not in known:
            kept = keep(found, {name: known[-1] if known else b""}, [name])
            raise AssertionError(f"{name}: neither old nor new content, kept in {kept}")
    if stage.directory:
        if f"{stage.directory}/provenance.json" in found:
            assert found in states, "a record in a directory that is not its own"
        return
    for name in found.keys() & {name.removesuffix(".json") for name in found if name.endswith(".json")}:
        pairs = [(state.get(name), state.get(f"{name}.json")) for state in states]
        assert (found[name], found[f"{name}.json"]) in pairs, f"{name}: has the record of another file"


def message(run: Run, *kinds: str) -> str:
    """The one line that a run which failed left on stderr, and which says one of `kinds`."""
    text = run.read("stderr")
    lines = [line.strip() for line in re.split(r"[\r\n]", text) if line.strip() and not PROGRESS.search(line)]
    lines = [line for line in lines if not line.startswith("warning: ")]
    assert "Traceback" not in text and "Exception ignored" not in text, text[-3000:]
    assert len(lines) == 1, f"exit code {run.process.returncode}, expected one line: {text[-3000:]}"
    assert not kinds or any(kind in lines[0] for kind in kinds), lines[0]
    return lines[0]


def assert_all_dead(run: Run) -> None:
    """No process of the run lives on: two seconds are for the system to end them."""
    end = time.monotonic() + 2
    while living := run.living():
        assert time.monotonic() < end, f"live on: {[Path(f'/proc/{pid}/cmdline').read_bytes() for pid in living]}"
        time.sleep(0.02)


@dataclass
class Faults:
    """Attempts of one fault on one stage, counted for the summary."""

    fault: str
    stage: str
    seed: int
    tried: int = 0
    survived: int = 0
    failures: list[str] = field(default_factory=list)

    def random(self, salt: object) -> random.Random:
        return random.Random(f"{self.seed} {self.fault} {self.stage} {salt}")

    def attempt(self, name: str, action: Callable[[], object]) -> bool:
        """Try one; `action` returns False if the fault came too late to strike. Return whether it struck."""
        try:
            struck = action() is not False
            self.survived += struck
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
            struck = True
            self.failures.append(f"{name}: {type(error).__name__}: {str(error)[:2000]}")
        self.tried += struck
        return struck

    def attempt_all(self, attempts: Sequence[tuple[str, Callable[[], object]]]) -> None:
        self.run_all([partial(self.attempt, *attempt) for attempt in attempts])

    def run_all(self, actions: Sequence[Callable[[], object]]) -> None:
        """Three at once, for each waits for its process; fails if an attempt did, or if no fault struck."""
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda action: action(), actions))
        assert not self.failures, f"FAULT_SEED={self.seed}\n" + "\n\n".join(self.failures)
        assert self.tried, "no fault struck"

"""A few faults of each kind for the default run of the tests, and those of the cache of compiled code."""

import errno
import os
import signal
from functools import partial

import pytest

from tests.faults.conftest import ELSEWHERE
from tests.faults.disturbed_runs import assert_equal, final_files, message
from tests.faults.stage_table import DATA_STAGES
from tests.faults.stage_table import STAGES as ALL_STAGES
from tests.faults.test_clusters import SHARDS
from tests.faults.test_crowds import kill_decompressor, kill_worker, overtake
from tests.faults.test_disks import fill, mounted, run_on_small_disk
from tests.faults.test_inputs import append, change_at_step, run_on_cut_stream
from tests.faults.test_kills import kill_twice_at_steps, replace_and_kill, terminate_at_step
from tests.faults.test_system import (
    appear_at_step,
    die_in_message,
    overlap_without_locks,
    run_with_failing,
    run_with_few,
)
from tests.faults.test_trainings import LAST as TRAININGS
from tests.helpers.places import ROOT


def test_every_script_is_in_the_matrix():
    """Or it says why not, and where its faults are."""
    tried = {stage.name for stage in (*ALL_STAGES, *TRAININGS, SHARDS)}
    elsewhere = {line.partition(".py: ")[0] for line in ELSEWHERE}
    scripts = {path.stem for folder in (ROOT, ROOT / "tools") for path in folder.glob("*.py")} - {"__init__"}
    assert scripts <= tried | elsewhere
    assert not tried & elsewhere


STAGES = {stage.short: stage for stage in DATA_STAGES}
for_stages = partial(pytest.mark.parametrize, "stage", ids=str)


@for_stages([STAGES["merge"], STAGES["data"]])
def test_kills(subject):
    """Between the names of the last record and of its file, in this run and the next; while an output is replaced."""
    last = subject.steps().index(f"os.rename {list(subject.undisturbed()[0])[-2].rpartition('/')[2]}.tmp") + 1
    kill_twice_at_steps(subject, last, last - 1)
    replace_and_kill(subject, last)
    assert terminate_at_step(subject, signal.SIGTERM, last - 2)


@for_stages([STAGES["merge"], STAGES["data"]])
def test_full_disk(subject):
    assert run_on_small_disk(subject, 40)


@for_stages([STAGES["data"]])
def test_crowds(subject):
    assert overtake(subject, 3, subject.stage.other, ())
    assert any(kill_worker(subject, delay) for delay in (0.0, 0.02, 0.1))


@for_stages([STAGES["merge"]])
def test_cut_input(subject):
    run_on_cut_stream(subject, ".xz", "last byte")
    assert any(kill_decompressor(subject, ".xz", 0) for _ in range(3))


@for_stages([STAGES["data"]])
def test_changing_input(subject):
    """It is hashed, grows, and is read."""
    steps = subject.steps(read=subject.stage.input)
    reading = len(steps) - steps[::-1].index("open corpus.txt")
    assert change_at_step(subject, partial(append, subject.stage), reading)


@for_stages([STAGES["merge"]])
def test_failing_system(subject):
    last = 1 + subject.steps().index(f"os.rename {list(subject.undisturbed()[0])[-2]}.tmp")
    assert run_with_failing(subject, f"write:{errno.EIO}@1")
    assert run_with_failing(subject, "shortread")
    assert overlap_without_locks(subject, last - 3)
    assert appear_at_step(subject, list(subject.undisturbed()[0])[-2], last)


OVER_INPUTS = {  # arguments whose outputs are inputs, and the names that the input gets
    "merge": (("--output_dir", "in"), "corpus_01.txt"),
    "wiki": (("--output_file", "in/wiki.json"), ""),
    "alphabet": (("--output_file", "in/../in/lex.csv"), ""),
    "tokenizer": (("--output_dir", "in"), "vocab.txt"),
    "data": (("--output_file", "out/a.gz,in/vocab.gz", "--vocab_file", "in/vocab.gz"), ""),
    "labels": (("--output_file", "in/vocab.gz", "--vocab_file", "in/vocab.gz"), ""),
    "curves": (("--output_file", "in/model/train/events.out.tfevents.1.v2"), ""),
}


@for_stages([stage for stage in ALL_STAGES if stage.short in OVER_INPUTS])
def test_no_output_replaces_an_input(subject, stage):
    flags, name = OVER_INPUTS[stage.short]
    place = subject.place()
    if "in/vocab.gz" in flags:
        os.link(place / "in" / "vocab.txt", place / "in" / "vocab.gz")
    command = subject.command(*flags, *["--overwrite"] * stage.overwrite)
    if name:
        (place / stage.input).rename(place / "in" / name)
        command = [f"in/{name}" if part == stage.input else part for part in command]
    before = {path: path.read_bytes() for path in (place / "in").rglob("*") if path.is_file()}
    run = subject.run(place, command=command)
    assert run.process.returncode == 1
    message(run, "is also an input", "is an input and also a shard", "is no picture")
    assert {path: path.read_bytes() for path in (place / "in").rglob("*") if path.is_file()} == before


@for_stages([STAGES["tokenizer"]])
def test_workers(subject):
    assert die_in_message(subject, 2)
    assert run_with_few(subject, ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh"])


@pytest.mark.slow
@for_stages([STAGES["data"]])
def test_full_disk_for_the_cache_of_compiled_code(subject):
    """It costs the next process its time to compile, but stops none."""
    place = subject.place()
    with mounted(place / "cache", 1 << 20) as cache:
        fill(cache)
        run = subject.run(place, "--num_workers", "1", environment={"NUMBA_CACHE_DIR": str(cache)})
    assert run.process.returncode == 0, run.read("stderr")
    assert_equal(final_files(place), subject.undisturbed()[0])


@pytest.mark.slow
@for_stages([STAGES["data"]])
def test_runs_that_start_at_once_with_a_cold_cache_of_compiled_code(subject, tmp_path):
    """xargs -P: all compile, all write the cache, all give the same bytes."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    places = [subject.place() for _ in range(3)]
    runs = [subject.start(place, "--num_workers", "1", environment=environment) for place in places[:2]]
    assert [run.wait() for run in runs] == [0, 0], [run.read("stderr") for run in runs]
    assert any(files for _, _, files in os.walk(tmp_path)), "nothing in the cache"
    subject.run(places[2], environment=environment)
    for place in places:
        assert_equal(final_files(place), subject.undisturbed()[0])

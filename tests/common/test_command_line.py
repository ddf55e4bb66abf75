"""One line for an error, and the exit code."""

import argparse
import doctest
import errno
import importlib
import os
import re
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

import create_pretraining_data
from japanese_bert.common import command_line, process
from japanese_bert.common.command_line import check_files_exist, check_positive, describe_error, run_stage
from tests.helpers.places import ROOT


def run(main, *argv: str) -> None:
    parser = argparse.ArgumentParser(prog="stage.py")
    parser.add_argument("--value", default="1")
    run_stage(parser, main, list(argv))


@pytest.fixture(autouse=True)
def _keep_signal_handlers():
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


def test_examples_in_docstrings():
    assert doctest.testmod(command_line).attempted > 0
    assert doctest.testmod(command_line).failed == 0


def test_arguments_that_are_given_are_one_line_and_the_first(capsys):
    run(lambda args: print("work"), "--value", "2")
    assert capsys.readouterr().out == "arguments: value=2\nwork\n"
    run(lambda args: print("work"))
    assert capsys.readouterr().out == "arguments: defaults\nwork\n"


def test_the_arguments_of_a_shard_are_one_line():
    parser = create_pretraining_data.get_parser()
    args = parser.parse_args(["--input_file=a.txt", "--output_file=b.gz", "--vocab_file=c", "--gzip_compress"])
    expected = "arguments: gzip_compress=True, input_file=a.txt, output_file=b.gz, vocab_file=c"
    assert command_line.describe_arguments(parser, args) == expected


def test_a_long_list_of_arguments_is_shortened():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", nargs="+", default=[])
    args = parser.parse_args(["--files", *"abcdef"])
    assert command_line.describe_arguments(parser, args) == "arguments: files=a b c and 3 more"


@pytest.mark.parametrize(
    "stage",
    [
        "create_pretraining_data",
        "make_corpus_wiki",
        "train_tokenizer",
        "run_pretraining",
        "convert_hf_checkpoint_to_tf2",
        "tools.create_classification_data",
        "tools.run_finetuning",
    ],
)
def test_help_has_no_default_of_a_flag_without_one(stage):
    text = " ".join(importlib.import_module(stage).get_parser().format_help().split())
    assert "(default: None)" not in text and "(default: [])" not in text
    assert "(default: " in text


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("x.tfrecord.gz", [], "ends in .gz. Expected --gzip_compress, or a name such as x.tfrecord"),
        (
            "x.tfrecord",
            ["--gzip_compress"],
            "--gzip_compress needs a name that ends in .gz, such as x.tfrecord.gz",
        ),
    ],
)
def test_names_that_say_another_compression(name, flags, message):
    with pytest.raises(ValueError, match=f"^--output_file {re.escape(name)}: {re.escape(message)}$"):
        command_line.check_compression([Path("x"), Path(name)], bool(flags))
    command_line.check_compression([Path("x"), Path(name)], not flags)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("a.txt:3: not UTF-8\n (0xff)"), 1, "a.txt:3: not UTF-8 (0xff)"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.txt"), 1, "a.txt: No such file or directory"),
        (KeyboardInterrupt(), 130, "interrupted. Run the same command again to start over"),
        (process.TerminatedError(signal.SIGTERM), 143, "terminated. Run the same command again to start over"),
    ],
)
def test_an_expected_failure_is_one_line_and_an_exit_code(capsys, error, code, line):
    def fail(args):
        raise error

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == code
    assert capsys.readouterr().err == f"stage.py: error: {line}\n"


def test_an_unexpected_failure_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda args: 1 / 0)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (BrokenProcessPool(), "a worker process died"),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "out.txt"), "out.txt: No space left on device. Make room"),
        (OSError(errno.ENOSPC, "No space left on device"), "output or work directory: No space"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), "a/b: is a file, expected a directory"),
        (OSError("HDF5:\n  several\n  lines"), "HDF5: several lines"),
        (ValueError(), "ValueError"),
    ],
)
def test_errors_of_the_system_say_what_to_do(error, part):
    assert part in describe_error(error)
    assert "\n" not in describe_error(error)


def test_a_link_to_nothing_is_no_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "not_mounted")
    with pytest.raises(FileExistsError) as error:
        (tmp_path / "link").mkdir(exist_ok=True)
    assert describe_error(error.value).endswith("link: is a link to nothing. Is its disk mounted? Expected a directory")


def test_checks_of_arguments():
    check_positive({"num_workers": 1})
    with pytest.raises(ValueError, match="--num_workers 0: expected a positive number"):
        check_positive({"dupe_factor": 1, "num_workers": 0})
    check_files_exist([Path(__file__)], "make.py")
    with pytest.raises(FileNotFoundError, match=r"nothing: no such file\. Make it with make\.py"):
        check_files_exist([Path(__file__), Path("nothing")], "make.py")


def test_an_argument_that_is_not_utf8_is_one_line(capsys):
    with pytest.raises(SystemExit):
        run(lambda args: print("work"), "--value", "corpus_\udcff.txt")
    assert capsys.readouterr().err == (
        "stage.py: error: 'value=corpus_\\udcff.txt': is not UTF-8. Rename the file or the directory\n"
    )


CTRL_C_AT_THE_END = """
import argparse, atexit, os, signal
from japanese_bert.common.command_line import run_stage

atexit.register(os.kill, os.getpid(), signal.SIGINT)
run_stage(argparse.ArgumentParser("stage"), print)
"""


def test_ctrl_c_after_the_work_prints_nothing():
    """As while TensorFlow's libraries end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", CTRL_C_AT_THE_END], env=environment, capture_output=True, text=True)
    assert run.returncode == -signal.SIGINT
    assert run.stderr == ""

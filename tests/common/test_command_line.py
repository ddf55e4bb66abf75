"""One line for an error, and the exit code."""

import argparse
import doctest
import errno
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from japanese_bert.common import command_line, process
from japanese_bert.common.command_line import check_files_exist, check_positive, describe_error, run_stage


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


def test_arguments_are_printed_first(capsys):
    run(lambda args: print("work"), "--value", "2")
    assert capsys.readouterr().out == "  value: 2\nwork\n"


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


def test_checks_of_arguments():
    check_positive({"num_workers": 1})
    with pytest.raises(ValueError, match="--num_workers 0: expected a positive number"):
        check_positive({"dupe_factor": 1, "num_workers": 0})
    check_files_exist([Path(__file__)], "make.py")
    with pytest.raises(FileNotFoundError, match=r"nothing: no such file\. Make it with make\.py"):
        check_files_exist([Path(__file__), Path("nothing")], "make.py")

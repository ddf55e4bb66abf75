"""Signals as exceptions, and streams that nobody reads. Real closed streams and signals: tests/faults/."""

import ctypes
import errno
import gc
import io
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator

import pytest
from tqdm import tqdm

from japanese_bert.common.process import LastingStream, TerminatedError, default_signals, signals_as_exceptions
from japanese_bert.common.report import progress_bar
from tests.helpers.places import ROOT


@pytest.fixture(autouse=True)
def _hangup_arrives():
    """Also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def strike(signum: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_becomes_an_exception_with_its_exit_code(kind):
    before = signal.getsignal(kind)
    with pytest.raises(TerminatedError) as ended, signals_as_exceptions():
        strike(kind)
    assert ended.value.exit_code == 128 + kind
    assert signal.getsignal(kind) == before


def test_nohup_is_respected():
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with signals_as_exceptions():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            default_signals()
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


class FinalizedObject:
    """It meets a signal when it ends, as the pipe of a worker did."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __del__(self) -> None:
        strike(self.signum)


def generator(signum: int) -> None:
    def wait() -> Iterator[None]:
        try:
            yield
        finally:
            strike(signum)

    next(wait())


def weak_reference(signum: int) -> None:
    value = io.StringIO()
    reference = weakref.ref(value, lambda _: strike(signum))
    del value
    assert reference() is None


def garbage_collection(signum: int) -> None:
    def callback(phase: str, _: dict) -> None:
        gc.callbacks.remove(callback)
        strike(signum)

    gc.callbacks.append(callback)
    gc.collect()


def callback_from_c(signum: int) -> None:
    ctypes.CFUNCTYPE(ctypes.c_int)(lambda: strike(signum) or 0)()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize(
    "moment",
    [FinalizedObject, generator, weak_reference, garbage_collection, callback_from_c],
    ids=lambda x: x.__name__,
)
def test_no_signal_is_lost_where_python_drops_exceptions(moment, signum, capfd):
    with pytest.raises(BaseException) as ended, signals_as_exceptions():
        moment(signum)
        time.sleep(10)
    assert isinstance(ended.value, KeyboardInterrupt if signum == signal.SIGINT else TerminatedError)
    assert getattr(ended.value, "signum", signal.SIGINT) == signum
    assert capfd.readouterr() == ("", "")


def test_a_signal_while_a_bar_is_made_prints_nothing_of_it(monkeypatch, capfd):
    first_free = tqdm._get_free_pos

    def strike_and_find(instance: tqdm) -> int:
        strike()
        time.sleep(0.05)
        return first_free(instance)

    monkeypatch.setattr(tqdm, "_get_free_pos", staticmethod(strike_and_find))
    with pytest.raises(TerminatedError), signals_as_exceptions(), progress_bar("Reading", 9, "B"):
        time.sleep(10)
    assert "Traceback" not in capfd.readouterr().err


def test_other_exceptions_that_python_drops_are_shown_as_before(monkeypatch):
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: shown.append(dropped.exc_type))
    with signals_as_exceptions():
        weak_reference(-1)  # which is no signal
    assert shown == [OSError]


WHILE_C_CODE_IS_LOADED = """
import argparse, os, pathlib, signal, sys
from japanese_bert.common.command_line import run_stage

def hook(event, arguments):
    if event == "import" and arguments[0] == "numba._devicearray" and arguments[1]:  # the name of the library
        os.kill(os.getpid(), signal.SIGTERM)

def main(_):
    try:
        import numba
    finally:
        pathlib.Path("cleaned up").touch()

sys.addaudithook(hook)
run_stage(argparse.ArgumentParser("stage"), main)
"""


def test_a_signal_while_c_code_is_loaded_ends_the_stage_as_any_other(tmp_path):
    """NumPy's start in C prints exceptions, and SystemExit ends the process there, without any clean-up."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", WHILE_C_CODE_IS_LOADED], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 143
    assert run.stderr == "stage: error: terminated. Run the same command again to start over\n"
    assert (tmp_path / "cleaned up").exists()


class Failing(io.StringIO):
    """A text stream whose writes fail."""

    def __init__(self, error: OSError, number: int) -> None:
        super().__init__()
        self._error, self._number = error, number

    def write(self, text: str) -> int:
        raise self._error

    def fileno(self) -> int:
        return self._number


@pytest.mark.parametrize(
    ("number", "message"), [(errno.EPIPE, ""), (errno.EIO, ""), (errno.ENOSPC, "No space left on device")]
)
def test_only_a_reader_that_left_is_no_error(tmp_path, number, message):
    with open(tmp_path / "log", "w") as file:
        stream = LastingStream(Failing(OSError(number, os.strerror(number)), file.fileno()))
        assert stream.write("text") == 4
        assert stream.error == message
        os.write(file.fileno(), b"of a child process")
    assert (tmp_path / "log").read_text() == ""

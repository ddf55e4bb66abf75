"""Signals as exceptions, and streams that nobody reads. Real closed streams and signals: tests/faults/."""

import errno
import io
import os
import signal

import pytest

from japanese_bert.common.process import LastingStream, TerminatedError, default_signals, handle_signals


@pytest.fixture(autouse=True)
def _keep_signal_handlers():
    before = {kind: signal.signal(kind, signal.SIG_DFL) for kind in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_becomes_an_exception_with_its_exit_code(kind):
    handle_signals()
    with pytest.raises(TerminatedError) as ended:
        os.kill(os.getpid(), kind)
    assert ended.value.exit_code == 128 + kind


def test_nohup_is_respected():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handle_signals()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    default_signals()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


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

"""What ends a stage from outside, or disturbs it: signals, and standard streams that are closed or full."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ExtensionFileLoader
from types import CodeType, FrameType
from typing import Any, TextIO, TypeVar

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
RETRY_SECONDS = 0.01
Function = TypeVar("Function", bound=Callable)
# The first two load C code, which would print or drop an exception.
_uninterrupted: set[CodeType] = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


class TerminatedError(SystemExit):
    """SIGTERM or SIGHUP as an exception: the stage removes its temporary files on the way out."""

    def __init__(self, signum: int) -> None:
        self.signum, self.exit_code = signum, 128 + signum
        super().__init__(self.exit_code)


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise TerminatedError at SIGTERM, and at SIGHUP of a closed terminal unless `nohup` had it ignored.

    Neither this exception nor KeyboardInterrupt gets lost in `__del__`, in a callback or in C code that is loaded.
    """
    hook = sys.unraisablehook
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    for signum in before:
        if before[signum] != signal.SIG_IGN:
            signal.signal(signum, _raise_signal)
    sys.unraisablehook = partial(_raise_again, hook)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for signum, handler in before.items():
            signal.signal(signum, handler)


def uninterrupted(function: Function) -> Function:
    """Let exceptions of signals wait while the function runs. A generator runs until it yields.

    Use it for what makes and removes files or processes. Otherwise an exception could come between the two lines that
    make one and remember it, and nothing would remove it. A blocked signal would not do: another thread can get it.
    """
    _uninterrupted.add(function.__code__)
    return function


def _raise_signal(signum: int, frame: FrameType | None) -> None:
    """Raise the exception of a signal, but later in an uninterrupted function."""
    while frame:
        if frame.f_code in _uninterrupted:
            return _raise_later(signum)
        frame = frame.f_back
    raise KeyboardInterrupt if signum == signal.SIGINT else TerminatedError(signum)


def _raise_later(signum: int) -> None:
    signal.signal(signal.SIGALRM, lambda _, frame: _raise_signal(signum, frame))
    signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)


def _raise_again(hook: Callable[[Any], object], dropped: "sys.UnraisableHookArgs") -> None:
    """Raise the exception of a signal a moment later, because Python drops what `__del__` or a callback raises."""
    error = dropped.exc_value
    if isinstance(error, TerminatedError | KeyboardInterrupt):
        _raise_later(error.signum if isinstance(error, TerminatedError) else signal.SIGINT)
    else:
        hook(dropped)


def default_signals() -> None:
    """Let SIGTERM and SIGHUP end this process at once: a worker, or a training, which continues from checkpoints."""
    for kind in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(kind) != signal.SIG_IGN:
            signal.signal(kind, signal.SIG_DFL)


def end_with_parent(parent: int) -> None:
    """Let the system kill this process when `parent` dies, even by SIGKILL."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that call
            os._exit(1)


def open_missing_streams() -> None:
    """Open a standard stream that the caller closed (`>&-`). An output file must not get its number and its text."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


class LastingStream:
    """A text stream that drops everything after the first failed write. `error` says why, unless the reader left."""

    def __init__(self, stream: TextIO) -> None:
        self.error = ""
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _drop(self, error: OSError) -> None:
        """Send the stream to /dev/null, with what is in buffers and what child processes print."""
        if error.errno not in (errno.EPIPE, errno.EIO):  # a pipe or a terminal that nobody reads any more
            self.error = error.strerror or str(error)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

"""A stage as a process of its system: signals that end it, and standard streams that are closed or full."""

import errno
import os
import signal
import sys
from types import FrameType
from typing import TextIO


class TerminatedError(SystemExit):
    """SIGTERM or SIGHUP as an exception, so that temporary files are removed on the way out."""


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise TerminatedError(128 + signum)


def handle_signals() -> None:
    """SIGHUP comes when a terminal closes, unless `nohup` had it ignored."""
    signal.signal(signal.SIGTERM, _raise_terminated)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _raise_terminated)


def default_signals() -> None:
    """SIGTERM and SIGHUP end this process at once again: a worker, or training, which goes on from checkpoints."""
    for kind in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(kind) != signal.SIG_IGN:
            signal.signal(kind, signal.SIG_DFL)


def open_missing_streams() -> None:
    """Where the caller closed a standard stream (`>&-`), an output must not get its number, and what others print."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


class LastingStream:
    """A text stream that drops what cannot be written, from then on; `error` tells why, unless the reader left."""

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
        """What is in buffers, and what child processes print, goes the same way."""
        if error.errno not in (errno.EPIPE, errno.EIO):  # a pipe or a terminal at whose other end nobody is
            self.error = error.strerror
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

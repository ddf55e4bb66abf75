"""The shape that every stage shares: effective arguments first, one line per error, totals last."""

import argparse
import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import TextIO

HelpFormatter = argparse.ArgumentDefaultsHelpFormatter


def add_tokenization_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that decide how text becomes ids, the same for pretraining and fine-tuning."""
    switch = argparse.BooleanOptionalAction
    words = parser.add_argument_group("tokenization")
    words.add_argument("--word_tokenizer_type", choices=["mecab", "basic"], default="mecab", help="sentence -> words")
    words.add_argument("--mecab_dic_type", default="unidic_lite", help="unidic_lite, unidic, ipadic or a directory")
    words.add_argument(
        "--subword_tokenizer_type", choices=["wordpiece", "character"], default="wordpiece", help="word -> tokens"
    )
    words.add_argument(
        "--vocab_has_no_subword_prefix",
        action=switch,
        default=False,
        help="entries inside words have no ## (character)",
    )
    words.add_argument("--do_lower_case", action=switch, default=False, help="as the tokenizer_config.json says")


def add_run_arguments(parser: argparse.ArgumentParser, num_workers: bool = True) -> None:
    """Add the flags that decide how a stage runs, never which bytes it writes."""
    run = parser.add_argument_group("run")
    if num_workers:
        run.add_argument("--num_workers", type=int, default=1, help="processes; the output does not depend on it")
    run.add_argument(
        "--overwrite",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="replace existing outputs that were made from other inputs or arguments",
    )


def run_stage(
    parser: argparse.ArgumentParser, main: Callable[[argparse.Namespace], None], argv: list[str] | None = None
) -> None:
    """Parse, print the effective arguments, run; an expected failure is one line on stderr and exit code 1.

    Output that nobody reads any more (`| head`, a log on a full disk, a terminal that closed) does not end the work.
    """
    args = parser.parse_args(argv)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no stage multiplies matrices; idle threads cost 0.15 CPU s
    _handle_signals()
    _open_missing_streams()
    with redirect_stdout(_LastingStream(sys.stdout)) as stdout, redirect_stderr(_LastingStream(sys.stderr)):
        message, code = _run(main, args)
        stdout.flush()
        if not code and stdout.error:
            message, code = f"standard output: {stdout.error}; files are written whatever is printed", 1
        if code:
            print(f"{parser.prog}: error: {message}", file=sys.stderr, flush=True)
    if code:
        sys.exit(code)


def _run(main: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> tuple[str, int]:
    """An error message and the exit code."""
    try:
        for name, value in sorted(vars(args).items()):
            print(f"  {name}: {value}")
        sys.stdout.flush()
        main(args)
    except KeyboardInterrupt:
        return "interrupted; run the same command again to start over", 130
    except _TerminatedError as terminated:
        return "terminated; run the same command again to start over", terminated.code
    except (ValueError, OSError, EOFError, ImportError, MemoryError, BrokenExecutor) as error:
        return describe_error(error), 1
    return "", 0


def describe_error(error: BaseException) -> str:
    """One line that says what was wrong with which file.

    >>> describe_error(FileNotFoundError(2, "No such file or directory", "corpus.txt"))
    'corpus.txt: No such file or directory'
    """
    if isinstance(error, BrokenExecutor):
        return "a worker process died (killed, or out of memory); run again, with a smaller --num_workers if it recurs"
    if isinstance(error, MemoryError):
        return "out of memory; run again with a smaller --num_workers, or with smaller shards"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{error.filename or 'output or work directory'}: {os.strerror(errno.ENOSPC)}; make room and run again"
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename}: is a file, expected a directory"
    if isinstance(error, OSError) and error.strerror:
        text = " ".join(error.strerror.split())  # HDF5's has several lines
        return f"{error.filename}: {text}" if error.filename else text
    return " ".join(str(error).split()) or type(error).__name__


def check_positive(arguments: Mapping[str, float]) -> None:
    """Raise ValueError naming the first argument that is not positive."""
    for name, value in arguments.items():
        if value <= 0:
            raise ValueError(f"--{name} {value}: expected a positive number")


def check_files_exist(paths: Iterable[Path], made_by: str) -> None:
    """Raise FileNotFoundError naming the first missing file and the stage that makes such files."""
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; make it with {made_by}")


class Stopwatch:
    """Wall seconds since construction; CPU seconds of this process and its finished children; peak memory of one."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()

    def measurements(self) -> dict[str, float]:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        return {
            "seconds": round(time.perf_counter() - self._wall, 2),
            "cpu_seconds": round(cpu, 2),
            "peak_memory_mb": round(max(_own_peak_memory(own.ru_maxrss), children.ru_maxrss) / 1024, 1),
        }


def progress_bar(description: str, total: int | None, unit: str):
    """A tqdm bar on stderr; bytes are scaled to k, M, G."""
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no monitor thread: worker processes are forked
    return tqdm(desc=description, total=total, unit=unit, unit_scale=True, mininterval=0.5, dynamic_ncols=True)


def print_summary(title: str, summary: Mapping[str, object]) -> None:
    """Counts with thousands separators, shares with four digits; one level of grouping."""
    print(title)
    for name, value in summary.items():
        if isinstance(value, Mapping):
            print(f"  {name}: " + (", ".join(f"{key} {_readable(item)}" for key, item in value.items()) or "none"))
        else:
            print(f"  {name}: {_readable(value)}")
    sys.stdout.flush()


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _own_peak_memory(fallback: int) -> int:
    """Peak resident KiB of this process. getrusage starts at the size of the process that started this one."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.split("\n") if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return fallback


class _TerminatedError(SystemExit):
    """SIGTERM or SIGHUP as an exception, so that temporary files are removed on the way out."""


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise _TerminatedError(128 + signum)


def _handle_signals() -> None:
    """SIGHUP comes when a terminal closes, unless `nohup` had it ignored."""
    signal.signal(signal.SIGTERM, _raise_terminated)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _raise_terminated)


def default_signals() -> None:
    """SIGTERM and SIGHUP end this process at once again: a worker, or training, which goes on from checkpoints."""
    for kind in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(kind) != signal.SIG_IGN:
            signal.signal(kind, signal.SIG_DFL)


def _open_missing_streams() -> None:
    """Where the caller closed a standard stream (`>&-`), an output must not get its number, and what others print."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


class _LastingStream:
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

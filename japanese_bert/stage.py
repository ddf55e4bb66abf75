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
from pathlib import Path
from types import FrameType

HelpFormatter = argparse.ArgumentDefaultsHelpFormatter


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
    """Parse, print the effective arguments, run; an expected failure is one line on stderr and exit code 1."""
    args = parser.parse_args(argv)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no stage multiplies matrices; idle threads cost 0.15 CPU s
    signal.signal(signal.SIGTERM, _exit_on_signal)
    for name, value in sorted(vars(args).items()):
        print(f"  {name}: {value}")
    sys.stdout.flush()
    try:
        main(args)
    except KeyboardInterrupt:
        sys.exit(_error(parser.prog, "interrupted; run the same command again to start over", 130))
    except (ValueError, OSError, EOFError, ImportError, MemoryError, BrokenExecutor) as error:
        sys.exit(_error(parser.prog, describe_error(error), 1))


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
        return f"{error.filename or 'output or work directory'}: {error.strerror}; make room and run again"
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename}: is a file, expected a directory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
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


def _error(prog: str, message: str, code: int) -> int:
    sys.stdout.flush()
    print(f"{prog}: error: {message}", file=sys.stderr)
    return code


def _exit_on_signal(signum: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into an exception, so that temporary files are removed on the way out."""
    print("terminated; run the same command again to start over", file=sys.stderr)
    sys.exit(128 + signum)

"""The shape that every stage shares: it prints its arguments first, and an error is one line."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from japanese_bert.common.process import LastingStream, TerminatedError, open_missing_streams, signals_as_exceptions

MAX_LISTED = 3


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """One formatter of --help. It adds the default of a flag that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = not action.required and action.default not in (None, [], "")
        return super()._get_help_string(action) if has_default else action.help


def add_run_arguments(parser: argparse.ArgumentParser, num_workers: bool = True) -> None:
    """Add the flags that decide how a stage runs. They never decide which bytes it writes."""
    run = parser.add_argument_group("run")
    if num_workers:
        run.add_argument(
            "--num_workers", type=int, default=1, help="processes. Their number does not change the output"
        )
    run.add_argument(
        "--overwrite",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="replace existing outputs that were made from other inputs or arguments",
    )


def run_stage(
    parser: argparse.ArgumentParser, main: Callable[[argparse.Namespace], None], argv: list[str] | None = None
) -> None:
    """Parse and print the arguments, and run the stage. An expected failure is one line on stderr and exit code 1.

    A stage goes on when nobody reads its output any more: `| head`, a log on a full disk, a closed terminal.
    """
    args = parser.parse_args(argv)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no stage multiplies matrices, and threads cost 0.15 CPU s
    open_missing_streams()
    with redirect_stdout(LastingStream(sys.stdout)) as stdout, redirect_stderr(LastingStream(sys.stderr)):
        with signals_as_exceptions():
            message, code = _run(main, args, describe_arguments(parser, args))
        if argv is None and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the rest of a script is its end: Ctrl-C prints nothing there
        stdout.flush()
        if not code and stdout.error:
            message, code = f"standard output: {stdout.error}. The output files are complete", 1
        if code:
            print(f"{parser.prog}: error: {message}", file=sys.stderr, flush=True)
    if code:
        sys.exit(code)


def describe_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """Return the arguments that differ from their defaults, in one line. A long list is shortened."""
    given = {name: value for name, value in sorted(vars(args).items()) if value != parser.get_default(name)}
    for name, value in given.items():
        if isinstance(value, list):
            more = [f"and {len(value) - MAX_LISTED} more"] if len(value) > MAX_LISTED else []
            given[name] = " ".join(map(str, value[:MAX_LISTED] + more))
    return "arguments: " + (", ".join(f"{name}={value}" for name, value in given.items()) or "defaults")


def _run(main: Callable[[argparse.Namespace], None], args: argparse.Namespace, title: str) -> tuple[str, int]:
    """Return an error message and the exit code."""
    try:
        _check_is_unicode(title)
        print(title, flush=True)
        main(args)
    except KeyboardInterrupt:
        return "interrupted. Run the same command again to start over", 130
    except TerminatedError as terminated:
        return "terminated. Run the same command again to start over", terminated.exit_code
    except (ValueError, OSError, EOFError, ImportError, MemoryError, BrokenExecutor) as error:
        return describe_error(error), 1
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        return "the system allows no more threads. Run again with a smaller --num_workers, or raise `ulimit -u`", 1
    return "", 0


def _check_is_unicode(title: str) -> None:
    """Raise ValueError for an argument that is not UTF-8. No output could hold it."""
    for word in title.removeprefix("arguments: ").split(", "):
        if any("\udc80" <= character <= "\udcff" for character in word):
            raise ValueError(f"{word!a}: is not UTF-8. Rename the file or the directory")


def describe_error(error: BaseException) -> str:
    """Return one line that says what was wrong with which file.

    >>> describe_error(FileNotFoundError(2, "No such file or directory", "corpus.txt"))
    'corpus.txt: No such file or directory'
    """
    if isinstance(error, BrokenExecutor):
        return "a worker process died: killed, or out of memory. Run again, if need be with a smaller --num_workers"
    if isinstance(error, MemoryError):
        return "out of memory. Run again with a smaller --num_workers, or with smaller shards"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{error.filename or 'output or work directory'}: {os.strerror(errno.ENOSPC)}. Make room and run again"
    if isinstance(error, FileExistsError) and error.filename and is_dangling(error.filename):
        return f"{error.filename}: is a link to nothing. Is its disk mounted? Expected a directory"
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename}: is a file, expected a directory"
    if isinstance(error, OSError) and error.strerror:
        text = " ".join(error.strerror.split())  # HDF5 gives several lines
        return f"{error.filename}: {text}" if error.filename else text
    return " ".join(str(error).split()) or type(error).__name__


def is_dangling(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)


def check_positive(arguments: Mapping[str, float]) -> None:
    """Raise ValueError with the first argument that is not positive."""
    for name, value in arguments.items():
        if value <= 0:
            raise ValueError(f"--{name} {value}: expected a positive number")


def check_not_negative(arguments: Mapping[str, float]) -> None:
    """Raise ValueError with the first argument that is negative."""
    for name, value in arguments.items():
        if value < 0:
            raise ValueError(f"--{name} {value}: expected 0 or a positive number")


def check_compression(outputs: Iterable[Path], gzip_compress: bool) -> None:
    """Raise ValueError for the first TFRecord file whose name ends as if it were compressed otherwise."""
    for path in outputs:
        if path.suffix == ".gz" and not gzip_compress:
            plain = path.with_suffix("")
            raise ValueError(f"--output_file {path}: ends in .gz. Expected --gzip_compress, or a name such as {plain}")
        if path.suffix == ".tfrecord" and gzip_compress:
            raise ValueError(f"--output_file {path}: --gzip_compress needs a name that ends in .gz, such as {path}.gz")


def check_files_exist(paths: Iterable[Path], made_by: str) -> None:
    """Raise FileNotFoundError with the first missing file and the stage that makes such files."""
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file. Make it with {made_by}")

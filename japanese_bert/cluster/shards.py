"""The shards of a command and their two files: the log `NN.log` and the status `NN.json`.

The log holds what every attempt printed. The status is written when the shard is finished. It holds the command, and
the size and modification time of every file that the command names. While all of these are unchanged, the shard is
skipped. Otherwise its command runs again. A stage of this project then skips an output that is complete. A file alone
never counts as finished, so any command can be continued.
"""

import glob
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from japanese_bert.tokenization.mecab import COMPILED_FILES

if TYPE_CHECKING:
    from distributed import Future

PLACEHOLDER = "{}"
OWN_LINE = "=== "  # begins the lines of a log that the command did not print


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard. `command` has its name in place of `{}`. `log` is an absolute path."""

    name: str
    command: tuple[str, ...]
    log: Path

    @property
    def status(self) -> Path:
        return self.log.with_suffix(".json")


@dataclass
class ShardRun:
    """The state of one shard in this run: waiting, running, finished or failed."""

    shard: Shard
    state: str = "waiting"
    future: "Future[str] | None" = None
    worker: str = ""  # host:process
    address: str = ""
    since: float = 0.0
    starts: int = 0
    failures: int = 0
    failed_on: set[str] = field(default_factory=set)  # addresses of workers
    ran: bool = False
    reason: str = ""

    @property
    def lost(self) -> int:
        """Return how many attempts ended because their worker was lost."""
        return max(0, self.starts - self.failures - (self.state in ("running", "finished")))


def read_names(lines: Sequence[str]) -> list[str]:
    """Return the names of shards, one a line, as `seq -f %02g 1 64` prints them.

    Raises:
        ValueError: there is no name, or one comes twice.
    """
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ValueError("no shards. Give their names one a line (seq -f %02g 1 64 | ...) or with --shards")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"shard {twice[0]}: the name is there twice. Expected each name once")
    return names


def make_shards(names: Sequence[str], template: Sequence[str], log_dir: Path) -> list[Shard]:
    """Return a shard for each name.

    >>> [shard.command for shard in make_shards(["01"], ["gzip", "corpus_{}.txt"], Path("logs"))]
    [('gzip', 'corpus_01.txt')]
    """
    if not template:
        raise ValueError("no command. Write it after --, with {} in place of the shard's name")
    if not any(PLACEHOLDER in argument for argument in template):
        raise ValueError(f"{' '.join(template)}: the command has no {{}}. Write {{}} in place of the shard's name")
    return [
        Shard(
            name,
            tuple(argument.replace(PLACEHOLDER, name) for argument in template),
            log_dir.resolve() / f"{file_name(name)}.log",
        )
        for name in names
    ]


def command_log_dir(log_dir: Path, template: Sequence[str]) -> Path:
    """Return a directory of its own for each command: `log_dir/create_pretraining_data-1a2b3c4d`."""
    scripts = [argument for argument in template if argument.endswith((".py", ".sh"))]
    digest = hashlib.sha256("\0".join(template).encode()).hexdigest()[:8]
    return log_dir / f"{Path([*scripts, *template, 'none'][0]).stem}-{digest}"


def file_name(shard: str) -> str:
    """Return the shard's name if it can be a file name. Otherwise return one with a hash, which makes it unique."""
    if re.fullmatch(r"\w[\w.-]{0,99}", shard):
        return shard
    readable = re.sub(r"[^\w-]+", "_", shard)[:80]
    return f"{readable}-{hashlib.sha256(shard.encode()).hexdigest()[:8]}"


def named_files(command: Sequence[str], directory: Path, own: str) -> dict[str, list[int] | None]:
    """Return the size and modification time of every file that an argument names, and of its provenance file.

    An argument can be `--flag=name`, a comma-separated list or a glob. A directory counts with all files below it if
    the argument contains the shard's name (`own`). Of a MeCab dictionary the compiled files count. Any other directory
    only has to exist.
    """
    values = [value for argument in command for value in (argument, argument.partition("=")[2])]
    found: dict[str, list[int] | None] = {}
    for part in dict.fromkeys(part for value in values for part in (value, *value.split(","))):
        for path in _paths(part, directory):
            if not path.is_dir():
                files = [path, Path(f"{path}.json")]
            elif own in part:
                files = sorted(path.rglob("*"))
            else:
                found[str(path)] = None
                files = [path / name for name in COMPILED_FILES]
            states = [(file, file.stat()) for file in files if file.is_file()]
            found |= {str(file): [state.st_size, state.st_mtime_ns] for file, state in states}
    return found


def write_status(shard: Shard, directory: Path, report: Mapping[str, object]) -> None:
    """Write the status of a finished shard. Readers never see half of the file."""
    status = {
        "shard": shard.name,
        "command": list(shard.command),
        "directory": str(directory),
        **report,
        "files": named_files(shard.command, directory, shard.name),
    }
    temporary = shard.status.with_name(f"{shard.status.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(status, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, shard.status)


def is_finished(shard: Shard, directory: Path) -> bool:
    """Return True if this command succeeded in this directory and the files that it names are unchanged since."""
    try:
        status = json.loads(shard.status.read_text(encoding="utf-8"))
        same = status["command"] == list(shard.command) and status["directory"] == str(directory)
        return same and status["files"] == named_files(shard.command, directory, shard.name)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last non-empty lines of a log. Of a progress bar, return what it showed last."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-count:]


def last_output(log: Path, count: int) -> list[str]:
    """Return the last lines that a command printed."""
    return [line for line in last_lines(log, 50) if not line.startswith(OWN_LINE)][-count:]


def _paths(part: str, directory: Path) -> list[Path]:
    try:
        path = directory / part
        if path.exists():
            return [path] if part else []
        return [Path(name) for name in sorted(glob.glob(str(path)))] if glob.has_magic(part) else []
    except (OSError, ValueError):  # too long for a file name, or NUL
        return []

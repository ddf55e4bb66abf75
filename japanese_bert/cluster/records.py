"""What is known of each shard of a command: `NN.log`, what every attempt printed, and `NN.json`, once it is finished.

The record of a finished shard holds its command and, of every file that the command names, size and time of change.
A shard counts as finished as long as all of that is as it was; where anything differs its command runs again, and a
stage of this project then tells by its own record (japanese_bert/common/provenance.py) whether its output is
complete. The mere existence of a file is never taken for completion, so that any command can be continued, not only
ours.
"""

import glob
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PLACEHOLDER = "{}"


@dataclass(frozen=True, slots=True)
class Shard:
    """`command` has the shard's name in place of `{}`; `log` is an absolute path."""

    name: str
    command: tuple[str, ...]
    log: Path

    @property
    def record(self) -> Path:
        return self.log.with_suffix(".json")


def read_names(lines: Sequence[str]) -> list[str]:
    """Names of shards, one a line, as they come from `seq -f %02g 1 64`.

    Raises:
        ValueError: there is none, or one comes twice.
    """
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ValueError("no shards: give their names one a line (seq -f %02g 1 64 | ...) or with --shards")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"shard {twice[0]}: is there twice, but no shard may run twice at once")
    return names


def make_shards(names: Sequence[str], template: Sequence[str], log_dir: Path) -> list[Shard]:
    """A shard for each name.

    >>> [shard.command for shard in make_shards(["01"], ["gzip", "corpus_{}.txt"], Path("logs"))]
    [('gzip', 'corpus_01.txt')]
    """
    if not template:
        raise ValueError("no command: write it after --, with {} where the shard's name goes")
    if not any(PLACEHOLDER in argument for argument in template):
        raise ValueError(f"{' '.join(template)}: has no {{}}; write {{}} where the shard's name goes")
    logs = [log_dir.resolve() / f"{file_name(name)}.log" for name in names]
    commands = [tuple(argument.replace(PLACEHOLDER, name) for argument in template) for name in names]
    return [Shard(*fields) for fields in zip(names, commands, logs, strict=True)]


def command_log_dir(log_dir: Path, template: Sequence[str]) -> Path:
    """A directory of its own for each command: `log_dir/create_pretraining_data-1a2b3c4d`."""
    scripts = [argument for argument in template if argument.endswith((".py", ".sh"))]
    digest = hashlib.sha256("\0".join(template).encode()).hexdigest()[:8]
    return log_dir / f"{Path((scripts or list(template) or ['none'])[0]).stem}-{digest}"


def file_name(shard: str) -> str:
    """`shard` itself if it can be the name of a file; else with a hash, so that no two are the same."""
    if re.fullmatch(r"\w[\w.-]{0,99}", shard):
        return shard
    readable = re.sub(r"[^\w-]+", "_", shard)[:80]
    return f"{readable}-{hashlib.sha256(shard.encode()).hexdigest()[:8]}"


def named_files(command: Sequence[str], directory: Path, own: str) -> dict[str, list[int] | None]:
    """Size and time of change of every file that an argument names, and of the record beside it.

    `--flag=name`, comma lists and globs are followed. A directory whose argument has the shard's name (`own`) in it is
    taken with all files below; of any other it is only noted that it is there.
    """
    found: dict[str, list[int] | None] = {}
    for argument in command:
        for part in {piece for value in (argument, argument.partition("=")[2]) for piece in [value, *value.split(",")]}:
            for path in _paths(part, directory):
                if not path.is_dir():
                    found |= {str(name): _state(name) for name in (path, Path(f"{path}.json")) if name.is_file()}
                elif own in part:
                    found |= {str(name): _state(name) for name in sorted(path.rglob("*")) if name.is_file()}
                else:
                    found[str(path)] = None
    return found


def write_record(shard: Shard, directory: Path, report: dict[str, object]) -> None:
    """Write down that a shard is finished; the record appears whole or not at all."""
    record = {
        "shard": shard.name,
        "command": list(shard.command),
        "directory": str(directory),
        **report,
        "files": named_files(shard.command, directory, shard.name),
    }
    temporary = shard.record.with_name(f"{shard.record.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, shard.record)


def is_finished(shard: Shard, directory: Path) -> bool:
    """True if this very command ended well in this directory, and all files that it names are as they were then."""
    try:
        record = json.loads(shard.record.read_text(encoding="utf-8"))
        same = record["command"] == list(shard.command) and record["directory"] == str(directory)
        files = record["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return same and files == named_files(shard.command, directory, shard.name)


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log that hold anything; a progress bar counts as the line it shows at the end."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-count:]


def _paths(part: str, directory: Path) -> list[Path]:
    try:
        path = directory / part
        if part and path.exists():
            return [path]
        return [Path(name) for name in sorted(glob.glob(str(path)))] if glob.has_magic(part) else []
    except (OSError, ValueError):  # too long for a name, or NUL: no file
        return []


def _state(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]

"""Corpus text on disk: plain or compressed UTF-8, one sentence per line, a blank line between documents.

Everything is read in blocks of bytes and split on `\\n` only: `str.splitlines` would also cut at
U+2028, U+0085 and others, which occur inside sentences.
"""

import bz2
import fcntl
import glob
import lzma
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 26  # bounds the memory; the longest row of a dump has some megabytes
TEXT_BLOCK_BYTES = 1 << 18  # fits the second-level cache
STANDARD_INPUT = Path("-")

# Programs that decompress in processes of their own, beside ours and on all cores if they can; the first that is
# installed. Python's bz2 gives 50 MB/s of text, which takes 25 minutes for a dump of Japanese Wikipedia (2026).
DECOMPRESSORS = {".xz": (("xz", "--threads=0", "--quiet"),), ".bz2": (("lbzip2",), ("bzip2",))}
PIPE_BYTES = 1 << 20  # the most that Linux allows everybody: a program works on while we write


def expand_paths(patterns: str | list[str]) -> list[Path]:
    """Comma-separated names and globs -> existing files, each pattern's matches sorted.

    Raises:
        FileNotFoundError: a pattern matches nothing.
    """
    names = [name for entry in ([patterns] if isinstance(patterns, str) else patterns) for name in entry.split(",")]
    paths: list[Path] = []
    for name in filter(None, names):
        matches = [name] if name == "-" or os.path.isfile(name) else _glob(name)
        if not matches:
            raise FileNotFoundError(f"{name}: no file matches; check the path, or run the stage that makes it")
        paths.extend(Path(match) for match in matches)
    if not paths:
        raise FileNotFoundError("no input file given")
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path}: is a directory, expected a file or a glob such as '{path}/*.txt'")
    if len(set(paths)) < len(paths):
        raise ValueError(f"an input file is named twice: {', '.join(map(str, paths))}")
    return paths


def _glob(pattern: str) -> list[str]:
    """Matches in order, without what stages write beside their outputs: records and temporary files."""
    matches = set(glob.glob(pattern))
    beside = {name for name in matches if name.endswith(".tmp") or (name.endswith(".json") and name[:-5] in matches)}
    return sorted(matches - beside)


def read_blocks(
    path: Path, progress: Callable[[int], object] | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Decompressed bytes of one file (.xz, .gz, .bz2 or plain by its name; `-` is standard input).

    `progress` is called with the number of bytes consumed from disk (compressed bytes) since its last call.

    Raises:
        ValueError: the compressed stream is truncated or corrupt.
    """
    with _open_raw(path) as raw, _decompressed(path, raw) as stream:
        consumed = 0
        while True:
            try:
                block = stream.read(block_bytes)
            except (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
                raise ValueError(f"{path}: truncated or corrupt ({error}); fetch or make it again") from error
            if progress is not None and raw.seekable():
                # The offset is shared with a decompressing child process, whose input the file is.
                position = os.lseek(raw.fileno(), 0, os.SEEK_CUR)
                progress(position - consumed)
                consumed = position
            if not block:
                return
            yield block


def read_line_blocks(
    path: Path, progress: Callable[[int], object] | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Blocks of whole lines, each ending in `\\n`; a missing newline at the end of the file is added."""
    pending: list[bytes] = []
    for block in read_blocks(path, progress, block_bytes):
        end = block.rfind(b"\n") + 1
        if not end:
            pending.append(block)
            if len(pending) * block_bytes > MAX_LINE_BYTES:
                raise ValueError(f"{path}: a line of more than {MAX_LINE_BYTES:,} bytes; expected line ends '\\n'")
            continue
        yield b"".join([*pending, block[:end]])
        pending = [block[end:]]
    rest = b"".join(pending)
    if rest:
        yield rest + b"\n"


def size_on_disk(paths: list[Path]) -> int | None:
    """Total bytes of the files as stored, or None if standard input is among them."""
    return None if STANDARD_INPUT in paths else sum(path.stat().st_size for path in paths)


@contextmanager
def compressed_writer(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    """A writer onto `raw` that compresses as the name of `path` says; the caller owns `raw`.

    The same text gives the same bytes, however it is cut into writes: gzip headers carry no time and no name.
    """
    if path.suffix == ".gz":
        from isal import igzip

        with igzip.IGzipFile(filename="", fileobj=raw, mode="wb", compresslevel=2, mtime=0) as stream:
            even = _EvenWrites(stream)
            yield even
            even.finish()
    elif path.suffix == ".bz2":
        with bz2.BZ2File(raw, "wb") as stream:
            yield stream
    elif path.suffix == ".xz":
        with lzma.LZMAFile(raw, "wb") as stream:
            yield stream
    else:
        yield raw


class _EvenWrites:
    """Passes on blocks of one size, for a compressor whose output depends on the size of writes, as isal's does."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        while len(self._held) >= TEXT_BLOCK_BYTES:
            self._stream.write(bytes(self._held[:TEXT_BLOCK_BYTES]))
            del self._held[:TEXT_BLOCK_BYTES]
        return len(data)

    def finish(self) -> None:
        self._stream.write(bytes(self._held))


@contextmanager
def _open_raw(path: Path) -> Iterator[BinaryIO]:
    if path == STANDARD_INPUT:
        stream = sys.stdin.buffer.raw if hasattr(sys.stdin.buffer, "raw") else sys.stdin.buffer
        _widen_pipe(stream)
        yield stream
        return
    with open(path, "rb", buffering=0) as raw:
        yield raw


@contextmanager
def _decompressed(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    programs = [program for program in DECOMPRESSORS.get(path.suffix, ()) if shutil.which(program[0])]
    if programs:
        with _program_stream([*programs[0], "--decompress", "--stdout"], raw) as stream:
            yield stream
    elif path.suffix == ".gz":
        from isal import igzip

        with igzip.IGzipFile(fileobj=raw, mode="rb") as stream:
            yield stream
    elif path.suffix == ".bz2":
        with bz2.BZ2File(raw, "rb") as stream:
            yield stream
    elif path.suffix == ".xz":
        with lzma.LZMAFile(raw, "rb") as stream:
            yield stream
    else:
        yield raw


class _ProgramStream:
    """Output of a decompressing process; end of file with a failed process, or one with a complaint, is an error.

    bzip2 ignores what is behind the last stream, but says so.
    """

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def read(self, size: int) -> bytes:
        block = self._process.stdout.read(size)
        if not block:
            code, complaint = (
                self._process.wait(),
                self._process.stderr.read().decode("utf-8", errors="replace").strip(),
            )
            if code or complaint:
                raise ValueError(complaint.split("\n")[0] or f"{self._process.args[0]} ended with exit code {code}")
        return block


@contextmanager
def _program_stream(command: list[str], raw: BinaryIO) -> Iterator[_ProgramStream]:
    process = subprocess.Popen(command, stdin=raw, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _widen_pipe(process.stdout)
    try:
        yield _ProgramStream(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def _widen_pipe(stream: BinaryIO) -> None:
    with suppress(OSError):  # no pipe, or the user has many
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)

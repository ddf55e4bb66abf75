"""Text on disk: plain or compressed UTF-8, one sentence per line, a blank line between documents.

Text is read in blocks of bytes and split on `\\n` only. `str.splitlines` would also cut at U+2028, U+0085 and other
characters that occur inside sentences.
"""

import bz2
import fcntl
import glob
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

from japanese_bert.common.encodings import check_is_utf8_text

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 26  # limits the memory. The longest row of a dump has some megabytes
TEXT_BLOCK_BYTES = 1 << 18  # fits the second-level cache
STANDARD_INPUT = Path("-")

# Programs that decompress in a process of their own, the first that is installed. `lbzip2` and `xz` use all cores.
# Python's bz2 gives 50 MB/s of text: 25 minutes for a dump of Japanese Wikipedia (2026).
DECOMPRESSORS = {
    ".xz": (("xz", "--threads=0", "--quiet"),),
    ".bz2": (("lbzip2",), ("bzip2",)),
    ".zst": (("zstd", "--quiet"),),
}
PYTHON_CODECS: dict[str, Callable[..., bz2.BZ2File | lzma.LZMAFile]] = {".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}
PIPE_BYTES = 1 << 20  # the most that Linux allows a user. The program works on while we write


class Readable(Protocol):
    """A stream of bytes to read from, maybe a decompressing one."""

    def read(self, size: int, /) -> bytes: ...


class Writable(Protocol):
    """A stream of bytes to write to, maybe a compressing one."""

    def write(self, data: bytes | memoryview, /) -> int: ...


def split_names(entries: list[str]) -> list[str]:
    """Return the names of comma-separated lists. What exists under a name with a comma is one name."""
    return [name for entry in entries for name in ([entry] if os.path.exists(entry) else entry.split(",")) if name]


def expand_paths(patterns: str | list[str]) -> list[Path]:
    """Return the files that comma-separated names and globs match, the matches of each pattern sorted.

    Raises:
        FileNotFoundError: a pattern matches nothing.
    """
    paths: list[Path] = []
    for name in split_names([patterns] if isinstance(patterns, str) else patterns):
        matches = [name] if name == "-" or os.path.isfile(name) else _glob(name)
        if not matches:
            raise FileNotFoundError(f"{name}: no file matches. Check the path, or run the stage that makes it")
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
    """Return matches in order, without the `.json` and `.tmp` files that stages write beside their outputs."""
    matches = set(glob.glob(pattern))
    return sorted(name for name in without_records(matches) if not name.endswith(".tmp"))


def without_records(names: set[str]) -> set[str]:
    """Leave out the `.json` that a stage writes beside each output."""
    return names - {f"{name}.json" for name in names}


def gzip_error_type() -> type[Exception]:
    """Return what isal raises for damaged blocks. It is no OSError."""
    from isal import igzip_lib

    return cast(type[Exception], igzip_lib.error)


def read_blocks(
    path: Path, progress: Callable[[int], object] | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file: .xz, .gz, .bz2, .zst or plain by its name. `-` is standard input.

    `progress` gets the number of bytes read from disk (compressed bytes) since its last call.

    Raises:
        ValueError: the compressed stream is truncated or corrupt.
    """
    gzip_error = gzip_error_type()
    with _open_raw(path) as raw, _decompressed(path, raw) as stream:
        consumed = 0
        while True:
            try:
                block = stream.read(block_bytes)
            except (EOFError, gzip_error, lzma.LZMAError, OSError, ValueError) as error:
                raise ValueError(f"{path}: truncated or corrupt ({error}). Download or make it again") from error
            if progress is not None and raw.seekable():
                # A decompressing child process reads from the same offset.
                position = os.lseek(raw.fileno(), 0, os.SEEK_CUR)
                progress(position - consumed)
                consumed = position
            if not block:
                return
            yield block


def read_line_blocks(
    path: Path,
    progress: Callable[[int], object] | None = None,
    block_bytes: int = BLOCK_BYTES,
    check: Callable[[Path, bytes], object] = check_is_utf8_text,
) -> Iterator[bytes]:
    """Yield blocks of complete lines, each ending in `\\n`. A missing newline at the end of the file is added.

    Lines may end in `\\r` if the first block with an end of a line has no `\\n`.

    Raises:
        ValueError: the file is not text, by `check` of its first block.
    """
    blocks = read_blocks(path, progress, block_bytes)
    first = next(blocks, b"")
    check(path, first)
    yield from complete_lines(path, chain([first], blocks))


def complete_lines(path: Path, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of `blocks` as blocks of complete lines. `path` is for messages."""
    pending: list[bytes] = []
    is_old_mac = None
    for block in blocks:
        if is_old_mac is None and (b"\n" in block or b"\r" in block[:-1]):  # the last one may be half of \r\n
            is_old_mac = b"\n" not in block
        if is_old_mac:
            block = block.replace(b"\r", b"\n")
        end = block.rfind(b"\n") + 1
        if not end:
            pending.append(block)
            if sum(map(len, pending)) > MAX_LINE_BYTES:
                raise ValueError(f"{path}: a line of more than {MAX_LINE_BYTES:,} bytes. Expected line ends '\\n'")
            continue
        yield b"".join([*pending, block[:end]])
        pending = [block[end:]]
    rest = b"".join(pending)
    if rest:
        yield rest + b"\n"


def size_on_disk(paths: list[Path]) -> int | None:
    """Return the bytes that all files take on disk, or None if standard input is among them."""
    return None if STANDARD_INPUT in paths else sum(path.stat().st_size for path in paths)


@contextmanager
def compressed_writer(path: Path, raw: BinaryIO) -> Iterator[Writable]:
    """Yield a writer onto `raw` that compresses as the name of `path` says. The caller closes `raw`.

    The same text gives the same bytes for any sizes of writes. The gzip header has no time and no name.

    Raises:
        ValueError: `path` is `.zst`, which is only read.
    """
    if path.suffix == ".zst":
        raise ValueError(f"{path}: .zst is only read. Expected .gz, .bz2, .xz or another name for the output")
    if path.suffix == ".gz":
        from isal import igzip

        with igzip.IGzipFile(filename="", fileobj=raw, mode="wb", compresslevel=2, mtime=0) as gzip_file:
            even = _EvenWrites(gzip_file)
            yield even
            even.finish()
    elif path.suffix in PYTHON_CODECS:
        with PYTHON_CODECS[path.suffix](raw, "wb") as file:
            yield file
    else:
        yield raw


class _EvenWrites:
    """A writer that passes on blocks of one size. The output of isal depends on the sizes of writes."""

    def __init__(self, stream: Writable) -> None:
        self._stream = stream
        self._held = bytearray()

    def write(self, data: bytes | memoryview) -> int:
        self._held += data
        while len(self._held) >= TEXT_BLOCK_BYTES:
            self._stream.write(bytes(self._held[:TEXT_BLOCK_BYTES]))
            del self._held[:TEXT_BLOCK_BYTES]
        return len(data)

    def finish(self) -> None:
        self._stream.write(bytes(self._held))


@contextmanager
def _open_raw(path: Path) -> Iterator[IO[bytes]]:
    if path == STANDARD_INPUT:
        stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        _widen_pipe(stream)
        yield stream
        return
    with open(path, "rb", buffering=0) as raw:
        yield raw


@contextmanager
def _decompressed(path: Path, raw: IO[bytes]) -> Iterator[Readable]:
    programs = [program for program in DECOMPRESSORS.get(path.suffix, ()) if shutil.which(program[0])]
    if programs:
        with _program_stream([*programs[0], "--decompress", "--stdout"], raw) as stream:
            yield stream
    elif path.suffix == ".gz":
        from isal import igzip

        with igzip.IGzipFile(fileobj=raw, mode="rb") as gzip_file:
            yield gzip_file
    elif path.suffix in PYTHON_CODECS:
        with PYTHON_CODECS[path.suffix](raw, "rb") as file:
            yield file
    elif path.suffix == ".zst":
        raise ValueError(f"{path}: no program zstd. Install it (apt install zstd), or decompress the file first")
    else:
        yield raw


class _ProgramStream:
    """The output of a decompressing process. A failed process raises ValueError at its end, and so does a warning.

    bzip2 ignores bytes after the last stream, but prints a warning.
    """

    def __init__(self, program: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None and process.stderr is not None  # both are pipes
        self._program, self._process = program, process
        self.output, self.errors = process.stdout, process.stderr

    def read(self, size: int, /) -> bytes:
        block = self.output.read(size)
        if not block:
            code = self._process.wait()
            warning = self.errors.read().decode("utf-8", errors="replace").strip()
            if code or warning:
                raise ValueError(warning.split("\n")[0] or f"{self._program} ended with exit code {code}")
        return block


@contextmanager
def _program_stream(command: list[str], raw: IO[bytes]) -> Iterator[_ProgramStream]:
    process = subprocess.Popen(command, stdin=raw, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stream = _ProgramStream(command[0], process)
    _widen_pipe(stream.output)
    try:
        yield stream
    finally:
        process.kill()
        process.wait()
        stream.output.close()
        stream.errors.close()


def _widen_pipe(stream: IO[bytes]) -> None:
    with suppress(OSError):  # not a pipe, or the user has too many
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)

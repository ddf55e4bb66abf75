"""Measure processes: CPU, wall time and memory. Describe the machine."""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

SAMPLE_SECONDS = 0.05
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """CPU is user + system of the process and its children. Memory is in MB, of the process alone, every 50 ms."""

    cpu_seconds: float
    wall_seconds: float
    peak_rss: float
    anonymous: float


def measure(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> Measurement:
    """Run a command to its end and return the measurement.

    Raises:
        RuntimeError: it failed. The message has the end of its output.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        # Sampled, because the ru_maxrss of a child starts at the size of the process that forked it.
        peak_rss = anonymous = 0.0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak_rss = max(peak_rss, _memory(process.pid, "VmHWM"))
            anonymous = max(anonymous, _memory(process.pid, "RssAnon"))
            time.sleep(SAMPLE_SECONDS)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{command}: exit code {process.returncode}\n{output.read()[-2000:].decode()}")
    return Measurement(usage.ru_utime + usage.ru_stime, wall, peak_rss, anonymous)


def median_of(measurements: Sequence[Measurement]) -> Measurement:
    """Return the median of each figure by itself."""
    return Measurement(*(median(getattr(m, name) for m in measurements) for name in Measurement.__slots__))


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f}-{max(values):.2f}"


def machine(*packages: str) -> dict[str, object]:
    """Return the machine and the versions behind the numbers."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }


def print_json(result: dict[str, object]) -> None:
    """Print the last line of a benchmark."""
    sys.stdout.flush()
    print(json.dumps(result, ensure_ascii=False))


def cut_corpus(source: Path, size: int, target: Path, skip: int = 0) -> Path:
    """Write about `size` bytes of complete documents of a corpus, from the first document after `skip` bytes on."""
    from japanese_bert.common.text_files import read_blocks

    needed, blocks = skip + size + (1 << 22), []
    for block in read_blocks(source):
        blocks.append(block)
        needed -= len(block)
        if needed < 0:
            break
    text = b"".join(blocks)
    start = text.index(b"\n\n", skip) + 2 if skip else 0
    end = text.find(b"\n\n", start + size)
    target.write_bytes(text[start : end + 2 if end >= 0 else len(text)])
    return target


def _memory(pid: int, field: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = re.search(rf"{field}:\s+(\d+)", status)
    return int(found[1]) * 1024 / MEGABYTE if found else 0.0

"""What a stage prints about its work: a progress bar, counts, seconds and memory."""

import re
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from japanese_bert.common.process import uninterrupted


class Stopwatch:
    """Wall and CPU seconds of a stage, and the peak memory of its largest process."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()

    def measurements(self) -> dict[str, float]:
        """Return wall seconds since construction, CPU seconds with those of finished children, peak MiB."""
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        return {
            "seconds": round(time.perf_counter() - self._wall, 2),
            "cpu_seconds": round(cpu, 2),
            "peak_memory_mb": round(max(_own_peak_memory(own.ru_maxrss), children.ru_maxrss) / 1024, 1),
        }


@uninterrupted  # the end of half a bar is an error, which Python prints
def progress_bar(description: str, total: int | None, unit: str):
    """Return a tqdm bar on stderr. It scales counts to k, M, G."""
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # a monitor thread is unsafe: worker processes are forked
    return tqdm(desc=description, total=total, unit=unit, unit_scale=True, mininterval=0.5, dynamic_ncols=True)


def print_summary(title: str, summary: Mapping[str, object]) -> None:
    """Print counts with thousands separators and shares with four digits, a group of them in one line."""
    print(title)
    for name, value in summary.items():
        if isinstance(value, Mapping):
            print(f"  {name}: " + (", ".join(f"{key} {_readable(item)}" for key, item in value.items()) or "none"))
        else:
            print(f"  {name}: {_readable(value)}")
    sys.stdout.flush()


def markdown_text(text: str) -> str:
    r"""Return text that came from outside as one line, which Markdown shows as it is: no link, HTML or table cell.

    >>> print(markdown_text("<b>|a_b"))
    \<b>\|a_b
    """
    return re.sub(r"([\\|<\[\]])", r"\\\1", " ".join(text.split()).replace("`", "'"))


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _own_peak_memory(fallback: int) -> int:
    """Return peak resident KiB of this process. `getrusage` would start at the size of its parent."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.split("\n") if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return fallback

"""What a stage prints of its work: a progress bar, counts, seconds and memory."""

import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path


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

"""What a stage prints about its work."""

import time

from japanese_bert.common.report import Stopwatch, print_summary


def test_summary(capsys):
    print_summary(
        "done", {"lines": 1234567, "share": 0.12345, "rate": 1234.56, "dropped": {"nul": 2, "long": 0}, "no": {}}
    )
    lines = [
        "done",
        "  lines: 1,234,567",
        "  share: 0.1235",
        "  rate: 1,234.6",
        "  dropped: nul 2, long 0",
        "  no: none",
    ]
    assert capsys.readouterr().out.split("\n")[:-1] == lines


def test_measurements():
    watch = Stopwatch()
    block = bytearray(80 << 20)
    time.sleep(0.05)
    found = watch.measurements()
    assert 0.05 <= found["seconds"] < 60
    assert found["peak_memory_mb"] > len(block) >> 20
    assert found["cpu_seconds"] > 0

"""A Grid Engine of one host on this machine, with the test's own configuration, job database and ports.

It needs Debian's packages: apt-get install gridengine-master gridengine-exec gridengine-client. It only reads
/var/lib/gridengine.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path("/var/lib/gridengine")
DEFAULTS = Path("/usr/share/gridengine")
TOOLS = Path("/usr/lib/gridengine")
BOOTSTRAP = """
admin_user              root
default_domain          none
ignore_fqdn             false
spooling_method         berkeleydb
spooling_lib            libspoolb
spooling_params         {directory}/spooldb
binary_path             /usr/sbin
qmaster_spool_dir       {directory}/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
"""
HOST_LISTS = "load_scaling complex_values user_lists xuser_lists projects xprojects usage_scaling report_variables"
QUEUE = {
    "qname": "all.q",
    "hostlist": "localhost",
    "seq_no": "0",
    "nsuspend": "1",
    "suspend_interval": "00:05:00",
    "priority": "0",
    "min_cpu_interval": "00:05:00",
    "processors": "UNDEFINED",
    "qtype": "BATCH",
    "rerun": "FALSE",
    "slots": "4",
    "tmpdir": "/tmp",
    "shell": "/bin/bash",
    "shell_start_mode": "unix_behavior",
    "notify": "00:00:60",
    "initial_state": "default",
}
QUEUE_LISTS = (
    "load_thresholds suspend_thresholds ckpt_list pe_list prolog epilog starter_method suspend_method resume_method "
    "terminate_method owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar"
)
LIMITS = ("rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem")


@contextmanager
def small_grid_engine(directory: Path) -> Iterator[dict[str, str]]:
    """Start Grid Engine and yield the environment for qsub. Skip the test if Grid Engine is not installed."""
    if not all(map(shutil.which, ("qsub", "qconf", "/usr/sbin/sge_qmaster", "/usr/sbin/sge_execd"))):
        pytest.skip("no Grid Engine here: apt-get install gridengine-master gridengine-exec gridengine-client")
    if os.getuid() != 0:
        pytest.skip("only root can start a Grid Engine")
    environment = os.environ | {
        "SGE_ROOT": str(directory),
        "SGE_CELL": "default",
        "SGE_QMASTER_PORT": str(free_port()),
        "SGE_EXECD_PORT": str(free_port()),
    }

    def call(*command: str | Path) -> str:
        return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True).stdout

    _write_files(directory)
    call(TOOLS / "spoolinit", "berkeleydb", "libspoolb", directory / "spooldb", "init")
    resources = DEFAULTS / "util" / "resources"
    for kind, value in (
        ("configuration", directory / "configuration"),
        ("complexes", resources / "centry"),
        ("usersets", resources / "usersets"),
        ("managers", "root"),
    ):
        call(TOOLS / "spooldefaults", kind, value)
    try:
        call("/usr/sbin/sge_qmaster")
        _wait_until(lambda: "localhost" in call("qconf", "-sh"))
        call("qconf", "-as", "localhost")
        call("qconf", "-Ae", directory / "host")
        call("/usr/sbin/sge_execd")
        call("qconf", "-Aq", directory / "queue")
        _wait_until(lambda: "lx-amd64" in call("qhost").partition("localhost")[2] and "-NA-" not in call("qstat", "-f"))
        yield environment
    finally:
        subprocess.run(["qdel", "-u", "root"], env=environment, capture_output=True)
        time.sleep(1)
        for pid_file in (*directory.glob("execd/*/execd.pid"), directory / "qmaster" / "qmaster.pid"):
            stop_daemon(pid_file)


def stop_daemon(pid_file: Path) -> None:
    """Send SIGTERM, and SIGKILL after ten seconds, to the process whose number is in a file."""
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)


def _write_files(directory: Path) -> None:
    for name in ("default/common", "qmaster/job_scripts", "execd", "spooldb"):
        (directory / name).mkdir(parents=True)
    for name in ("bin", "lib", "util", "utilbin"):
        (directory / name).symlink_to(ROOT / name)
    common = directory / "default" / "common"
    (common / "bootstrap").write_text(BOOTSTRAP.format(directory=directory), encoding="utf-8")
    (common / "act_qmaster").write_text("localhost\n", encoding="utf-8")
    (common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n", encoding="utf-8")
    own = {"execd_spool_dir": directory / "execd", "min_uid": 0, "min_gid": 0}
    text = (DEFAULTS / "default-configuration").read_text(encoding="utf-8")
    for name, value in own.items():
        text = re.sub(rf"^{name} .*$", f"{name} {value}", text, flags=re.MULTILINE)
    (directory / "configuration").write_text(text, encoding="utf-8")
    host = {"hostname": "localhost"} | dict.fromkeys(HOST_LISTS.split(), "NONE")
    limits = {f"{kind}_{name}": "INFINITY" for kind in "sh" for name in LIMITS}
    queue = QUEUE | dict.fromkeys(QUEUE_LISTS.split(), "NONE") | limits
    for name, settings in (("host", host), ("queue", queue)):
        (directory / name).write_text("".join(f"{k} {v}\n" for k, v in settings.items()), encoding="utf-8")


def _wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(120):
        with suppress(subprocess.CalledProcessError):
            if condition():
                return
        time.sleep(0.5)
    raise TimeoutError("Grid Engine does not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

"""A Slurm of one node on this machine. It needs Debian's packages: apt-get install slurm-wlm munge."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.small_grid_engine import free_port, stop_daemon

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
# Slurm believes in four cores on any machine. The shards of the tests are small.
CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge/socket
CredType=cred/munge
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=2
NodeName=localhost NodeHostname={hostname} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def small_slurm(directory: Path) -> Iterator[dict[str, str]]:
    """Start Slurm and yield the environment for its commands. Skip the test if Slurm is not installed."""
    if missing := [program for program in PROGRAMS if shutil.which(program, path=_path()) is None]:
        pytest.skip(f"no {missing[0]} here: apt-get install slurm-wlm munge")
    if os.getuid() != 0:
        pytest.skip("only root can start a Slurm")
    directory.chmod(0o711)
    for name in ("munge", "state", "spool"):
        (directory / name).mkdir(mode=0o711)
    (directory / "munge" / "key").write_bytes(os.urandom(64))
    (directory / "munge" / "key").chmod(0o400)
    ports = {"ctld_port": free_port(), "slurmd_port": free_port()}
    text = CONFIGURATION.format(directory=directory, hostname=socket.gethostname(), **ports)
    (directory / "slurm.conf").write_text(text, encoding="utf-8")
    environment = os.environ | {"SLURM_CONF": str(directory / "slurm.conf"), "PATH": _path()}
    munge = directory / "munge"
    files = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
    flags = [f"--{flag}={munge / name}" for flag, name in files.items()]
    try:
        for command in (["munged", "--force", *flags], ["slurmctld", "-i"], ["slurmd", "-N", "localhost"]):
            subprocess.run(command, env=environment, check=True, capture_output=True)
        _wait_until_idle(environment)
        yield environment
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True)
        for _ in range(60):  # Slurm kills processes that ignore SIGTERM a little later
            if not subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True).stdout.strip():
                break
            time.sleep(0.5)
        for pid_file in (directory / "slurmd.pid", directory / "slurmctld.pid", munge / "pid"):
            stop_daemon(pid_file)


def _wait_until_idle(environment: dict[str, str]) -> None:
    for _ in range(60):
        process = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, encoding="utf-8")
        if process.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    raise TimeoutError(f"Slurm's node is not idle: {process.stdout}{process.stderr}")


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"

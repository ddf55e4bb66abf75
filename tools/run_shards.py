"""Run one command for each of many shards on a Dask cluster, as xargs does on one machine.

    seq -f %02g 1 64 | python -m tools.run_shards --scheduler slurm --workers 16 --memory 1GB --walltime 02:00:00 -- \
        python create_pretraining_data.py --input_file corpus_{}.txt --output_file data_{}.tfrecord.gz ...

The names of the shards come from standard input, one a line. They replace {} in the command. The command runs in this
directory, with this environment and this Python, on machines that share the file system. It writes the same files and
bytes as under xargs. Run the same command again after any interruption: finished shards are skipped.
"""

import argparse
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from japanese_bert.cluster.shards import Shard, ShardRun, command_log_dir, is_finished, make_shards, read_names
from japanese_bert.common.command_line import HelpFormatter, check_positive, run_stage
from japanese_bert.common.process import TerminatedError
from japanese_bert.common.report import print_summary

if TYPE_CHECKING:
    from japanese_bert.cluster.settings import ClusterSettings

SCHEDULERS = ("local", "slurm", "pbs", "sge")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        usage="... | %(prog)s [options] -- command with {} in place of the shard's name",
        epilog="--workers 16 --cores 4 asks for 16 jobs of 4 cores, which work on 16 shards at a time. The command "
        "needs its own --num_workers 4. With local and tcp://, nothing limits cores and memory.",
        formatter_class=HelpFormatter,
    )
    what = parser.add_argument_group("shards")
    what.add_argument("command", nargs=argparse.REMAINDER, help="command after --, with {} for the shard's name")
    what.add_argument("--shards", nargs="+", help="names of shards, instead of lines on standard input")
    where = parser.add_argument_group("cluster")
    where.add_argument(
        "--scheduler", type=scheduler, default="local", help="local, slurm, pbs, sge, or tcp://HOST:PORT of Dask"
    )
    where.add_argument("--workers", type=int, default=1, help="shards at a time (tcp:// uses all of its workers)")
    where.add_argument("--cores", type=int, default=1, help="cores that a job asks for, for each of its workers")
    where.add_argument("--memory", default="1GB", help="memory that a job asks for, for each of its workers")
    where.add_argument("--walltime", default="02:00:00", help="time limit of a job, which runs many shards")
    where.add_argument("--workers_per_job", type=int, default=1, help="more than one for queues that give whole nodes")
    where.add_argument("--scheduler_options", type=Path, help="YAML file with arguments for Dask's cluster class")
    where.add_argument(
        "--dashboard_address",
        type=address,
        default="127.0.0.1:8787",
        help="of Dask's dashboard, which has no password. Dask takes another port if this one is in use",
    )
    run = parser.add_argument_group("run")
    run.add_argument("--retries", type=int, default=2, help="more attempts for a failed shard, on another worker")
    run.add_argument("--log_dir", type=Path, default=Path("shard_logs"), help="has a directory for each command")
    run.add_argument("--rerun", action=argparse.BooleanOptionalAction, default=False, help="run finished shards, too")
    run.add_argument(
        "--dry_run",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="print what would run, and the job script, without a run",
    )
    return parser


def scheduler(value: str) -> str:
    if value in SCHEDULERS or value.startswith(("tcp://", "tls://")):
        return value
    raise argparse.ArgumentTypeError(f"{value}: expected local, slurm, pbs, sge or tcp://HOST:PORT")


def address(value: str) -> str:
    """Return HOST:PORT. Without a host only this machine can connect."""
    return f"127.0.0.1{value}" if value.startswith(":") else value


def main(args: argparse.Namespace) -> None:
    from japanese_bert.cluster.settings import ClusterSettings, read_options

    check_arguments(args)
    template = args.command[1:] if args.command[:1] == ["--"] else args.command
    log_dir = command_log_dir(args.log_dir, template)
    shards = make_shards(read_names(args.shards or read_lines()), template, log_dir)
    waiting = [shard for shard in shards if args.rerun or not is_finished(shard, Path.cwd())]
    settings = ClusterSettings(
        scheduler=args.scheduler,
        workers=max(1, min(args.workers, len(waiting))),
        workers_per_job=min(args.workers_per_job, args.workers),
        cores=args.cores,
        memory=args.memory,
        walltime=args.walltime,
        dashboard_address=args.dashboard_address,
        options=read_options(args.scheduler_options),
        log_dir=log_dir,
    )
    if args.dry_run:
        show(settings, len(shards) - len(waiting), waiting)
        return
    for shard in waiting:
        shard.status.unlink(missing_ok=True)
    if not waiting:
        print(f"skipped: all {len(shards)} shards are finished, see {log_dir}")
        return
    log_dir.mkdir(parents=True, exist_ok=True)
    sys.exit(run_all(settings, waiting, len(shards) - len(waiting), args.retries))


def check_arguments(args: argparse.Namespace) -> None:
    check_positive({name: vars(args)[name] for name in ("workers", "cores", "workers_per_job")})
    if args.retries < 0:
        raise ValueError(f"--retries {args.retries}: expected 0 or more")
    if not re.fullmatch(r"[0-9.]+ ?[kKMGTP]i?B", args.memory):
        raise ValueError(f"--memory {args.memory}: expected a number with a unit, such as 1GB or 500MiB")
    if args.scheduler_options and not args.scheduler_options.is_file():
        raise FileNotFoundError(f"--scheduler_options {args.scheduler_options}: no such file")


def read_lines() -> list[str]:
    return [] if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read().split("\n")


def show(settings: "ClusterSettings", num_skipped: int, waiting: Sequence[Shard]) -> None:
    """Print what a run would do."""
    from japanese_bert.cluster.jobs import JOB_SCHEDULERS, job_script

    print(f"{num_skipped} shards are finished, {len(waiting)} would run:")
    for shard in waiting:
        print(f"  {shard.name}: {' '.join(shard.command)}")
    if settings.scheduler in JOB_SCHEDULERS:
        print(f"as jobs of {settings.scheduler}, {settings.workers} shards at a time:\n{job_script(settings)}")


def run_all(settings: "ClusterSettings", waiting: Sequence[Shard], num_skipped: int, retries: int) -> int:
    """Return the exit code: 0 if all shards are finished, 1 if any failed, 128 and the signal after an interrupt."""
    from japanese_bert.cluster.progress import ProgressLines, ProgressTable, print_failures
    from japanese_bert.cluster.runs import ShardRuns
    from japanese_bert.cluster.workers import open_workers

    interrupted = 0
    runs = {shard.name: ShardRun(shard) for shard in waiting}
    progress = (ProgressTable if sys.stderr.isatty() else ProgressLines)(runs, num_skipped)
    try:
        with open_workers(settings) as workers:
            print(f"dashboard: {workers.client.dashboard_link}\nlogs: {settings.log_dir}", flush=True)
            ShardRuns(workers, runs, retries, progress).run()
    except KeyboardInterrupt:
        interrupted = 128 + signal.SIGINT
    except TerminatedError as terminated:  # SIGTERM, or SIGHUP of a terminal that closes
        interrupted = terminated.exit_code
    finally:
        progress.close()
    print_failures(runs)
    print_summary("ran shards", {"shards": progress.totals(), "logs": str(settings.log_dir)})
    if interrupted:
        print("interrupted. Run the same command again for the rest", file=sys.stderr)
    return interrupted or int(any(run.state == "failed" for run in runs.values()))


if __name__ == "__main__":
    run_stage(get_parser(), main)

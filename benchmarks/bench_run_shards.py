"""Compare run_shards.py with xargs: the time that the cluster costs, with 16 shards of 20 seconds each.

A shard is a process that sleeps, so that few cores suffice. The ideal time is the number of rounds times the seconds.
With --input_file, xargs and run_shards.py first run create_pretraining_data.py on shards of real text. Their outputs
must be equal before any time is printed.

    python benchmarks/bench_run_shards.py --input_file ja.txt.xz --vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import MEGABYTE, cut_corpus, machine, print_json

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
DATA_SHARDS = 4
DATA_COMMAND = [
    *("python", str(ROOT / "create_pretraining_data.py"), "--input_file", "corpus_{}.txt", "--dupe_factor", "2"),
    *("--do_whole_word_mask", "--gzip_compress", "--use_v2_feature_names"),
]


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, help="a large corpus, such as CC-100, to compare outputs")
    parser.add_argument("--vocab_file", type=Path, help="a WordPiece vocabulary")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of each shard")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--scheduler", default="local")
    parser.add_argument("--scheduler_options", type=Path, help="as for run_shards.py")
    return parser


def main(args: argparse.Namespace) -> None:
    names = [f"{number:02}" for number in range(1, args.shards + 1)]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        if args.input_file:
            compare_bytes(args, place)
        wait = ["sleep", str(args.seconds), "#{}"]
        command = ["sh", "-c", " ".join(wait)]
        xargs = run_xargs(names, command, args.workers, place)
        ours = run_shards(args, names, command, place)
    ideal = math.ceil(args.shards / args.workers) * args.seconds
    print(f"\n{args.shards} shards of {args.seconds:g} s, {args.workers} at a time")
    print("\n| | seconds | above ideal |\n|---|---|---|")
    for name, seconds in (("ideal", ideal), ("xargs -P", xargs), (f"run_shards.py, {args.scheduler}", ours)):
        print(f"| {name} | {seconds:.2f} | {100 * (seconds / ideal - 1):.1f} % |")
    print_json(
        {
            "machine": machine("distributed", "dask-jobqueue"),
            "scheduler": args.scheduler,
            "shards": args.shards,
            "shard_seconds": args.seconds,
            "workers": args.workers,
            "ideal_seconds": ideal,
            "xargs_seconds": round(xargs, 2),
            "run_shards_seconds": round(ours, 2),
            "overhead": round(ours / ideal - 1, 4),
        }
    )


def compare_bytes(args: argparse.Namespace, place: Path) -> None:
    """Raise ValueError if run_shards.py and xargs write different files for the same shards."""
    names = [f"{number:02}" for number in range(1, DATA_SHARDS + 1)]
    for number, name in enumerate(names):
        cut_corpus(args.input_file, MEGABYTE, place / f"corpus_{name}.txt", skip=(number + 1) * 2 * MEGABYTE)
    command = [*DATA_COMMAND, "--vocab_file", str(args.vocab_file.resolve()), "--output_file"]
    run_xargs(names, [*command, "xargs_{}.tfrecord.gz"], 2, place)
    run_shards(args, names, [*command, "ours_{}.tfrecord.gz"], place)
    for name in names:
        files = [(place / f"{kind}_{name}.tfrecord.gz").read_bytes() for kind in ("xargs", "ours")]
        if not files[0] or files[0] != files[1]:
            raise ValueError(f"shard {name}: run_shards.py and xargs wrote different files")
    print(f"{DATA_SHARDS} shards through create_pretraining_data.py: the same bytes as with xargs", flush=True)


def run_xargs(names: list[str], command: list[str], workers: int, place: Path) -> float:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    start = time.perf_counter()
    subprocess.run(
        ["xargs", "-I", "{}", "-P", str(workers), *command],
        input="".join(f"{name}\n" for name in names),
        encoding="utf-8",
        cwd=place,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def run_shards(args: argparse.Namespace, names: list[str], command: list[str], place: Path) -> float:
    flags = ["--scheduler", args.scheduler, "--workers", str(args.workers), "--dashboard_address", ":0"]
    if args.scheduler_options:
        flags += ["--scheduler_options", str(args.scheduler_options.resolve())]
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "tools.run_shards", *flags, "--", *command],
        input="".join(f"{name}\n" for name in names),
        encoding="utf-8",
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"run_shards.py: exit code {process.returncode}\n{process.stderr}")
    return seconds


if __name__ == "__main__":
    main(get_parser().parse_args())

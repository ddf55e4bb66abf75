"""merge_split_corpora.py against a loop over lines, and against `xz --decompress`, which an .xz corpus cannot beat.

Before it prints a figure, all ways of splitting must give the same documents. The corpus is the beginning of a real
one, repeated, with one .xz stream for each time. By default it is 2 GB, and temporary files take 6 GB.

    python benchmarks/bench_corpus.py --input_file ja.txt.xz
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import MEGABYTE, Measurement, cut_corpus, machine, measure, median_of, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
NUM_FILES = 64


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus, e.g. CC-100")
    parser.add_argument("--megabytes", type=int, default=200, help="text to take from it")
    parser.add_argument("--repeat", type=int, default=10, help="times that it is repeated in the corpus to split")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each, after a warm-up")
    return parser


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        results = bench_merge_split(args, Path(name))
    print_json({"machine": machine("numpy", "numba", "isal"), **results})


def bench_merge_split(args: argparse.Namespace, directory: Path) -> dict[str, object]:
    text = cut_corpus(args.input_file, args.megabytes * MEGABYTE, directory / "part.txt")
    subprocess.run(["xz", "-1", "--threads=1", "--keep", text], check=True)
    corpus = repeat_file(text, args.repeat, directory / "corpus.txt")
    packed = repeat_file(directory / "part.txt.xz", args.repeat, directory / "corpus.txt.xz")
    merge_split, loop = ROOT / "merge_split_corpora.py", ROOT / "benchmarks" / "reference_merge_split_corpora.py"
    commands = {"ours": (merge_split, corpus), "loop": (loop, corpus), "ours, .xz": (merge_split, packed)}
    xz = ["sh", "-c", 'exec xz --decompress --stdout "$0" > /dev/null', packed]
    runs = {"xz": [measure(xz) for _ in range(args.runs + 1)]}
    digests = set()
    for name, (script, source) in commands.items():
        runs[name] = []
        for _ in range(args.runs + 1):
            output = directory / "output"
            command = [sys.executable, script, "--input_files", source, "--output_dir", output]
            runs[name].append(measure([*command, "--num_files", str(NUM_FILES)]))
            digests.add(digest_documents(output))
            shutil.rmtree(output)
    if len(digests) > 1:
        raise ValueError("the ways of splitting gave different documents")
    size = corpus.stat().st_size / MEGABYTE
    results = {name: print_row(name, measurements[-args.runs :], size) for name, measurements in runs.items()}
    ratio = results["ours, .xz"]["wall_seconds"] / results["xz"]["wall_seconds"]
    print(f"{size:.0f} MB; from .xz, wall time is {ratio:.2f} of xz alone")
    return {"megabytes": round(size), **results, "xz_ratio": round(ratio, 3)}


def repeat_file(source: Path, times: int, target: Path) -> Path:
    with open(target, "wb") as output:
        for _ in range(times):
            output.write(source.read_bytes())
    return target


def digest_documents(directory: Path) -> str:
    """Return a hash that is equal for shards with the same documents in any order."""
    hashes = []
    for path in directory.glob("*.txt"):
        documents = path.read_bytes().removesuffix(b"\n\n").split(b"\n\n")
        hashes += [hashlib.blake2b(document, digest_size=16).digest() for document in documents]
    return hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def print_row(name: str, measurements: list[Measurement], size: float) -> dict[str, object]:
    median = median_of(measurements)
    speed = size / median.cpu_seconds
    walls = spread([measurement.wall_seconds for measurement in measurements])
    cpus = spread([measurement.cpu_seconds for measurement in measurements])
    print(
        f"{name:10} {median.wall_seconds:7.2f} s ({walls}) {median.cpu_seconds:7.2f} CPU s ({cpus}) "
        f"{speed:6.0f} MB/CPU s {median.peak_rss:6.0f} MB"
    )
    return {
        "wall_seconds": round(median.wall_seconds, 2),
        "wall_spread": walls,
        "cpu_seconds": round(median.cpu_seconds, 2),
        "cpu_spread": cpus,
        "megabytes_per_cpu_second": round(speed),
        "memory_mb": round(median.peak_rss),
    }


if __name__ == "__main__":
    main(get_parser().parse_args())

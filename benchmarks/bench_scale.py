"""create_pretraining_data.py with growing shards: memory at several sizes, and the rate of two workers against one.

python benchmarks/bench_scale.py --input_file ja.txt.xz --vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt
"""

import argparse
import sys
import tempfile
from pathlib import Path

from measure import MEGABYTE, Measurement, cut_corpus, machine, measure, print_json

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SETTINGS = {"128": (128, 19, 5), "512": (512, 76, 30)}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus, e.g. CC-100")
    parser.add_argument("--vocab_file", type=Path, required=True, help="a WordPiece vocabulary")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 100, 200], help="sizes of the shard")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--worker_megabytes", type=int, default=50, help="shard for one and two workers (0: leave out)")
    parser.add_argument("--work_dir", type=Path, help="for text and outputs")
    return parser


def main(args: argparse.Namespace) -> None:
    curves, rates = {}, {}
    with tempfile.TemporaryDirectory(dir=args.work_dir) as directory:
        for setting in args.settings:
            curves[setting] = memory_curve(args, setting, Path(directory))
        if args.worker_megabytes:
            rates = {setting: two_workers(args, setting, Path(directory)) for setting in args.settings}
    print("\n| setting | shard MB | CPU s | wall s | peak RSS MB | anonymous MB |\n|---|---|---|---|---|---|")
    for setting, curve in curves.items():
        for size, m in curve.items():
            figures = f"{m.cpu_seconds:.1f} | {m.wall_seconds:.1f} | {m.peak_rss:.0f} | {m.anonymous:.0f}"
            print(f"| {setting} | {size} | {figures} |")
    for setting, rate in rates.items():
        print(f"{setting}: two workers have {rate:.2f} times the rate of one")
    memory = {name: {size: [m.peak_rss, m.anonymous] for size, m in curve.items()} for name, curve in curves.items()}
    print_json({"machine": machine("numba", "isal"), "memory": memory, "two_workers": rates})


def memory_curve(args: argparse.Namespace, setting: str, directory: Path) -> dict[int, Measurement]:
    """Return measurements by megabytes of input."""
    return {size: run(args, setting, size, 1, directory)[0] for size in args.megabytes}


def two_workers(args: argparse.Namespace, setting: str, directory: Path) -> float:
    """Return the ratio of wall times of one worker and two, after a check that both wrote the same bytes."""
    one, first = run(args, setting, args.worker_megabytes, 1, directory)
    two, second = run(args, setting, args.worker_megabytes, 2, directory)
    if first != second:
        raise AssertionError("two workers wrote other bytes than one")
    return one.wall_seconds / two.wall_seconds


def run(args: argparse.Namespace, setting: str, size: int, workers: int, directory: Path) -> tuple[Measurement, str]:
    """Return the measurement of one run, and the hash of its output."""
    import hashlib

    corpus, output = directory / f"corpus_{size}.txt", directory / "data.tfrecord.gz"
    if not corpus.exists():
        cut_corpus(args.input_file, size * MEGABYTE, corpus)
    max_seq_length, max_predictions_per_seq, dupe_factor = SETTINGS[setting]
    command = [sys.executable, ROOT / "create_pretraining_data.py", "--input_file", corpus, "--output_file", output]
    command += ["--vocab_file", args.vocab_file, "--max_seq_length", max_seq_length, "--num_workers", workers]
    command += ["--max_predictions_per_seq", max_predictions_per_seq, "--dupe_factor", dupe_factor]
    print(f"{setting}: {size} MB, workers: {workers}", flush=True)
    measurement = measure([*command, "--do_whole_word_mask", "--gzip_compress", "--use_v2_feature_names"])
    with open(output, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    output.unlink()
    return measurement, digest


if __name__ == "__main__":
    main(get_parser().parse_args())

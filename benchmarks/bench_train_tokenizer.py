"""train_tokenizer.py against plain training with `tokenizers` and a Python pre-tokenizer, on the same text.

The plain one runs twice: as it is (its threads wait for each other in Python), and with
`TOKENIZERS_PARALLELISM=false`, which helps it. All take turns, round by round, because a shared machine changes its
speed by the minute. Before it prints a ratio, our runs with one and two processes must give the same bytes. On average
they must share as many entries with the plain runs as these share with each other (they differ in every run).

    python make_alphabet_from_unidic.py --mecab_dic_type unidic_lite --output_file alphabet.txt
    python benchmarks/bench_train_tokenizer.py --input_file ja.txt.xz --initial_alphabet_file alphabet.txt
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import mean, median

from measure import MEGABYTE, Measurement, cut_corpus, machine, measure, median_of, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PLAIN, ONE_THREAD = "plain", "plain, one thread"
OURS = {"one process": 1, "two processes": 2}


@dataclass
class Runs:
    """All runs of one way: measurements and vocabularies."""

    measurements: list[Measurement] = field(default_factory=list)
    vocabularies: list[list[str]] = field(default_factory=list)

    def walls(self) -> list[float]:
        return [measurement.wall_seconds for measurement in self.measurements]


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus, e.g. CC-100")
    parser.add_argument("--initial_alphabet_file", type=Path, required=True)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--skip_megabytes", type=int, default=120, help="text of the corpus to skip first")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, at least 2")
    return parser


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        corpus = Path(directory, "corpus.txt")
        cut_corpus(args.input_file, args.megabytes * MEGABYTE, corpus, args.skip_megabytes * MEGABYTE)
        text = corpus.read_text(encoding="utf-8")
        corpus.write_text("".join(f"{line}\n" for line in text.split("\n") if line.strip()), encoding="utf-8")
        runs = run_rounds(corpus, args.initial_alphabet_file, args.rounds)
    differences = check_agreement(
        runs[PLAIN].vocabularies + runs[ONE_THREAD].vocabularies,
        [vocabulary for name in OURS for vocabulary in runs[name].vocabularies],
    )
    rows = {name: figures(run) | ratios(runs, run) for name, run in runs.items()}
    print_table(rows, differences)
    print_json(
        {"machine": machine("tokenizers", "fugashi", "unidic-lite"), "megabytes": args.megabytes, **rows, **differences}
    )


def run_rounds(corpus: Path, alphabet: Path, rounds: int) -> dict[str, Runs]:
    """Run every way once per round. A run of ours before them reads the dictionary from disk and does not count."""
    run_once("two processes", corpus, alphabet, "warm-up")
    runs: dict[str, Runs] = {name: Runs() for name in (PLAIN, ONE_THREAD, *OURS)}
    for number in range(1, rounds + 1):
        for name, run in runs.items():
            measurement, vocabulary = run_once(name, corpus, alphabet, f"round {number}")
            run.measurements.append(measurement)
            run.vocabularies.append(vocabulary)
    return runs


def run_once(name: str, corpus: Path, alphabet: Path, label: str) -> tuple[Measurement, list[str]]:
    output = corpus.with_name(f"{name} {label}")
    if name in OURS:
        command = [ROOT / "train_tokenizer.py", "--input_files", corpus, "--num_workers", str(OURS[name])]
    else:
        command = [ROOT / "benchmarks" / "reference_train_tokenizer.py", "--input_file", corpus]
    measurement = measure(
        [sys.executable, *command, "--output_dir", output, "--initial_alphabet_file", alphabet],
        {"TOKENIZERS_PARALLELISM": "false"} if name == ONE_THREAD else {},
    )
    print(f"{label}: {name}: {measurement.wall_seconds:.2f} s", flush=True)
    return measurement, (output / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]


def check_agreement(plain: Sequence[list[str]], ours: Sequence[list[str]]) -> dict[str, object]:
    """Return how many entries of one vocabulary are not in another, and how many have another id.

    Raises:
        ValueError: our runs differ, or ours is on average further from the plain runs than any two of these.
    """
    if any(vocabulary != ours[0] for vocabulary in ours):
        raise ValueError("our runs gave different vocabularies")
    among_plain = [len(set(a) - set(b)) for a, b in combinations(plain, 2)]
    ours_to_plain = [len(set(ours[0]) - set(vocabulary)) for vocabulary in plain]
    differences = {
        "entries": len(ours[0]),
        "ours_not_in_plain": describe(ours_to_plain),
        "plain_not_in_other_plain": describe(among_plain),
        "plain_other_id_than_other_plain": describe(
            [sum(token != other for token, other in zip(a, b, strict=True)) for a, b in combinations(plain, 2)]
        ),
    }
    if mean(ours_to_plain) > max(among_plain):
        raise ValueError(f"our vocabulary differs too much from the plain ones: {differences}")
    return differences


def describe(counts: Sequence[int]) -> str:
    return f"{mean(counts):.1f} ({min(counts)}-{max(counts)})"


def figures(run: Runs) -> dict[str, object]:
    middle = median_of(run.measurements)
    return {
        "wall_seconds": round(middle.wall_seconds, 2),
        "wall_spread": spread(run.walls()),
        "cpu_seconds": round(middle.cpu_seconds, 2),
        "peak_rss_mb": round(middle.peak_rss),
    }


def ratios(runs: dict[str, Runs], run: Runs) -> dict[str, float]:
    """Return the wall times of the plain ways over the one of `run`: medians over rounds."""
    return {
        f"faster_than_{name.replace(', ', '_').replace(' ', '_')}": round(
            median(plain / ours for plain, ours in zip(runs[name].walls(), run.walls(), strict=True)), 2
        )
        for name in (PLAIN, ONE_THREAD)
    }


def print_table(rows: dict[str, dict], differences: dict[str, object]) -> None:
    print(f"{'':18} {'wall s':>8} {'spread':>12} {'CPU s':>8} {'MB':>6} {'x plain':>8} {'x one thread':>13}")
    for name, row in rows.items():
        print(
            f"{name:18} {row['wall_seconds']:8.2f} {row['wall_spread']:>12} {row['cpu_seconds']:8.2f} "
            f"{row['peak_rss_mb']:6} {row['faster_than_plain']:8.1f} {row['faster_than_plain_one_thread']:13.1f}"
        )
    for name, value in differences.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main(get_parser().parse_args())

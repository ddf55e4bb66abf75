"""train_tokenizer.py against plain training with `tokenizers` and a Python pre-tokenizer, on the same text.

Before any ratio is printed: our runs, on one and on two processes, must give the same bytes, and all but
`--tolerance` of the entries must be those of the plain runs, which differ from each other as well (also shown).

    python make_alphabet_from_unidic.py --mecab_dic_type unidic_lite --output_file alphabet.txt
    python benchmarks/bench_train_tokenizer.py --input_file ja.txt.xz --initial_alphabet_file alphabet.txt
"""

import argparse
import sys
import tempfile
from itertools import combinations
from pathlib import Path

from measure import MEGABYTE, Measurement, cut_corpus, machine, measure, median_of, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus, e.g. CC-100")
    parser.add_argument("--initial_alphabet_file", type=Path, required=True)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--skip_megabytes", type=int, default=120, help="where in the corpus the text is taken")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each")
    parser.add_argument(
        "--tolerance", type=float, default=0.01, help="share of entries that may differ from plain runs"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        corpus = Path(directory, "corpus.txt")
        cut_corpus(args.input_file, args.megabytes * MEGABYTE, corpus, args.skip_megabytes * MEGABYTE)
        text = corpus.read_text(encoding="utf-8")
        corpus.write_text("".join(f"{line}\n" for line in text.split("\n") if line.strip()), encoding="utf-8")
        script = ROOT / "benchmarks" / "reference_train_tokenizer.py"
        plain = run_several([script], corpus, args, "plain", args.runs)
        ours = run_several([ROOT / "train_tokenizer.py"], corpus, args, "one process", args.runs)
        flags = [ROOT / "train_tokenizer.py", "--num_workers", "2"]
        parallel = run_several(flags, corpus, args, "two processes", args.runs)
    differences = check_agreement(plain[1], ours[1] + parallel[1], args.tolerance)
    rows = {
        name: figures(run[0]) for name, run in (("plain", plain), ("one process", ours), ("two processes", parallel))
    }
    print_table(rows, differences)
    print_json({"machine": machine("tokenizers", "fugashi", "unidic-lite"), **rows, **differences})


def run_several(
    script: list[str | Path], corpus: Path, args: argparse.Namespace, name: str, runs: int
) -> tuple[list[Measurement], list[list[str]]]:
    """Measurements and vocabularies; one run before them is not counted."""
    print(f"{name}: warm-up and {runs} runs", flush=True)
    measurements, vocabularies = [], []
    for run in range(runs + 1):
        output = corpus.with_name(f"{name} {run}")
        files = ["--input_file" if "reference" in str(script[0]) else "--input_files", corpus, "--output_dir", output]
        measurements.append(
            measure([sys.executable, *script, *files, "--initial_alphabet_file", args.initial_alphabet_file])
        )
        vocabularies.append((output / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1])
    return measurements[1:], vocabularies[1:]


def check_agreement(plain: list[list[str]], ours: list[list[str]], tolerance: float) -> dict[str, object]:
    """How many entries two vocabularies do not share, and how many have another id; the largest over all pairs.

    Raises:
        ValueError: our runs differ, or ours differ too much from the plain ones.
    """
    if any(vocabulary != ours[0] for vocabulary in ours):
        raise ValueError("our runs gave different vocabularies")
    differences = {
        "entries": len(ours[0]),
        "ours_not_in_plain": max(len(set(ours[0]) - set(vocabulary)) for vocabulary in plain),
        "plain_not_in_other_plain": max(len(set(a) - set(b)) for a, b in combinations(plain, 2)),
        "plain_other_id_than_other_plain": max(
            sum(token != other for token, other in zip(a, b, strict=True)) for a, b in combinations(plain, 2)
        ),
    }
    if differences["ours_not_in_plain"] > tolerance * len(ours[0]):
        raise ValueError(f"our vocabulary is another than the plain one: {differences}")
    return differences


def figures(measurements: list[Measurement]) -> dict[str, object]:
    median = median_of(measurements)
    return {
        "wall_seconds": round(median.wall_seconds, 2),
        "wall_spread": spread([measurement.wall_seconds for measurement in measurements]),
        "cpu_seconds": round(median.cpu_seconds, 2),
        "cpu_spread": spread([measurement.cpu_seconds for measurement in measurements]),
    }


def print_table(rows: dict[str, dict], differences: dict[str, object]) -> None:
    print(f"{'':14} {'wall s':>8} {'spread':>12} {'CPU s':>8} {'spread':>12} {'CPU ratio':>10}")
    for name, row in rows.items():
        ratio = rows["plain"]["cpu_seconds"] / row["cpu_seconds"]
        print(
            f"{name:14} {row['wall_seconds']:8.2f} {row['wall_spread']:>12} {row['cpu_seconds']:8.2f} "
            f"{row['cpu_spread']:>12} {ratio:10.1f}"
        )
    for name, value in differences.items():
        print(f"{name}: {value:,}")


if __name__ == "__main__":
    main(get_parser().parse_args())

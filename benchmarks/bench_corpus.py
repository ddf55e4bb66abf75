"""merge_split_corpora.py against a loop over lines, and make_corpus_wiki.py against MeCab's own time.

Both ways of splitting must give the same documents before any ratio is printed; the corpus of the dump must be the
same on one process and on two. `xz --decompress` is shown beside: an .xz corpus cannot be split faster.

    python benchmarks/bench_corpus.py --input_file ja.txt.xz --dump_file jawiki-cirrussearch-content.json.gz
"""

import argparse
import gzip
import lzma
import sys
import tempfile
import time
from pathlib import Path

from measure import MEGABYTE, Measurement, cut_corpus, machine, measure, median_of, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
NUM_FILES = 64


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus, e.g. CC-100")
    parser.add_argument("--dump_file", type=Path, required=True, help="a CirrusSearch dump in one file")
    parser.add_argument("--megabytes", type=int, default=200, help="text to split")
    parser.add_argument("--pages", type=int, default=20000, help="pages to convert; those of a small dump are repeated")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each, after one that is not")
    return parser


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        split = bench_merge_split(args, directory)
        wiki = bench_make_corpus_wiki(args, directory)
    print_json({"machine": machine("numpy", "fugashi", "unidic-lite", "isal"), **split, **wiki})


def bench_merge_split(args: argparse.Namespace, directory: Path) -> dict[str, object]:
    corpus = cut_corpus(args.input_file, args.megabytes * MEGABYTE, directory / "corpus.txt")
    packed = directory / "corpus.txt.xz"
    packed.write_bytes(lzma.compress(corpus.read_bytes(), preset=0))
    commands = {
        "ours": [sys.executable, ROOT / "merge_split_corpora.py", "--input_files", corpus],
        "loop": [sys.executable, ROOT / "benchmarks" / "reference_merge_split_corpora.py", "--input_files", corpus],
        "ours, .xz": [sys.executable, ROOT / "merge_split_corpora.py", "--input_files", packed],
    }
    runs = {"xz": [measure(["xz", "--decompress", "--stdout", packed]) for _ in range(args.runs + 1)][1:]}
    documents = {}
    for name, command in commands.items():
        runs[name] = []
        for run in range(args.runs + 1):
            output = directory / f"{name} {run}"
            runs[name].append(measure([*command, "--output_dir", output, "--num_files", str(NUM_FILES)]))
        documents[name] = sorted(
            text for path in output.glob("*.txt") for text in path.read_text("utf-8").split("\n\n")
        )
    if not documents["ours"] == documents["loop"] == documents["ours, .xz"]:
        raise ValueError("the two ways of splitting gave different documents")
    size = corpus.stat().st_size / MEGABYTE
    return {name: print_row(name, measurements[-args.runs :], size, "MB") for name, measurements in runs.items()}


def bench_make_corpus_wiki(args: argparse.Namespace, directory: Path) -> dict[str, object]:
    dump, texts = repeat_dump(args.dump_file, directory / "dump.json.gz", args.pages)
    size = sum(map(len, texts)) / 1000
    results, outputs = {"MeCab alone": bench_mecab(texts, args.runs, size)}, set()
    for workers in ("1", "2"):
        name = f"wiki, {workers} process(es)"
        command = [sys.executable, ROOT / "make_corpus_wiki.py", "--input_file", dump, "--num_workers", workers]
        paths = [directory / f"{name} {run}.txt" for run in range(args.runs + 1)]
        results[name] = print_row(
            name, [measure([*command, "--output_file", path]) for path in paths][1:], size, "kchar"
        )
        outputs |= {path.read_bytes() for path in paths}
    if len(outputs) > 1:
        raise ValueError("runs of make_corpus_wiki.py gave different corpora")
    return results


def repeat_dump(source: Path, target: Path, pages: int) -> tuple[Path, list[str]]:
    """A dump of `pages` pages and their texts."""
    from japanese_bert.cirrussearch import Page, parse_row
    from japanese_bert.corpus import read_line_blocks

    rows = [row for block in read_line_blocks(source) for row in block.split(b"\n") if row]
    found = [(row, page) for row in rows if isinstance(page := parse_row(row), Page)]
    found = (found * (pages // len(found) + 1))[:pages]
    target.write_bytes(gzip.compress(b"".join(row + b"\n" for row, _ in found), compresslevel=1))
    return target, [page.text for _, page in found]


def bench_mecab(texts: list[str], runs: int, size: float) -> dict[str, object]:
    from japanese_bert.mecab import find_dictionary, make_tagger
    from japanese_bert.sentences import MECAB_FORMAT, normalize

    tagger = make_tagger(find_dictionary("unidic_lite"), MECAB_FORMAT)
    texts = [normalize(text) for text in texts]
    measurements = []
    for _ in range(runs + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        for text in texts:
            tagger.parse(text)
        measurements.append(Measurement(time.process_time() - cpu, time.perf_counter() - wall, 0.0, 0.0))
    return print_row("MeCab alone", measurements[1:], size, "kchar")


def print_row(name: str, measurements: list[Measurement], size: float, unit: str) -> dict[str, object]:
    median = median_of(measurements)
    speed = size / median.cpu_seconds
    cpu_spread = spread([measurement.cpu_seconds for measurement in measurements])
    print(
        f"{name:22} {median.wall_seconds:8.2f} s {median.cpu_seconds:8.2f} CPU s ({cpu_spread}) "
        f"{speed:8.0f} {unit}/CPU s"
    )
    return {
        "wall_seconds": round(median.wall_seconds, 2),
        "cpu_seconds": round(median.cpu_seconds, 2),
        "cpu_spread": cpu_spread,
        "speed": f"{speed:.0f} {unit} per CPU second",
    }


if __name__ == "__main__":
    main(get_parser().parse_args())

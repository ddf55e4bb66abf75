"""make_corpus.py against MeCab's own time on the same lines, with one process and with two, and the cost of each rule.

Documents are 12 lines of a real corpus, as JSON Lines. MeCab's own time is that of reference_mecab.py on all lines.
Corpora of one and of two workers must be the same. `--documents 1000000` also drops near duplicates of short documents
and reports the memory.

    python benchmarks/bench_own_corpus.py --input_file ja.txt.xz
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from measure import MEGABYTE, Measurement, machine, measure, median_of, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
STAGE = ROOT / "make_corpus.py"
CC100 = {"documents": 65.6e6, "megabytes": 74_000}
CLEANING = ["--quality", "web", "--near_duplicates", "0.8"]


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus in UTF-8")
    parser.add_argument("--megabytes", type=int, default=190, help="text to take from it. The start weighs in less")
    parser.add_argument("--documents", type=int, default=0, help="short documents for the memory of near duplicates")
    parser.add_argument("--paragraphs", action="store_true", help="join the lines: MeCab has to find all ends")
    parser.add_argument("--characters", type=int, default=220, help="of each of these documents")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each, after a warm-up")
    return parser


def main(args: argparse.Namespace) -> None:
    lines = list(read_lines(args.input_file, args.megabytes * MEGABYTE))
    between = "" if args.paragraphs else "\n"
    documents = [between.join(lines[start : start + 12]) for start in range(0, len(lines), 12)]
    results: dict[str, object] = {"machine": machine("fugashi", "numba", "orjson")}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if args.runs:
            results |= bench_stage(args.runs, documents, directory)
            results["megabytes_per_second"] = bench_rules(documents)
        if args.documents:
            results["near"] = bench_near_duplicates(args, directory)
    print_json(results)


def read_lines(source: Path, size: int) -> Iterator[str]:
    """Yield lines of about `size` bytes together."""
    from japanese_bert.common.text_files import read_line_blocks

    for block in read_line_blocks(source):
        for line in block.decode("utf-8", errors="ignore").split("\n"):
            if line.strip():
                yield line.strip()
                size -= len(line.encode())
        if size < 0:
            return


def write_jsonl(path: Path, documents: Iterator[str] | list[str]) -> Path:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in documents)
    return path


def bench_stage(runs: int, documents: list[str], directory: Path) -> dict[str, object]:
    """Return CPU and wall seconds. The commands take turns."""
    (directory / "lines.txt").write_text("\n".join(documents) + "\n", encoding="utf-8")
    rows = write_jsonl(directory / "a.jsonl", documents)
    mecab = [sys.executable, ROOT / "benchmarks" / "reference_mecab.py", "--input_file", directory / "lines.txt"]
    stage = [sys.executable, STAGE, "--overwrite", "--input_files", rows, "--output_file"]
    commands: dict[str, list] = {"MeCab": [*mecab, "--format", "contexts"]}
    for workers in (1, 2):
        commands[f"sentences, {workers}"] = [*stage, directory / "sentences.txt", "--num_workers", str(workers)]
        commands[f"cleaned, {workers}"] = [*stage, directory / "cleaned.txt", "--num_workers", str(workers), *CLEANING]
    runs_of: dict[str, list[Measurement]] = {name: [] for name in commands}
    corpora = set()
    for _ in range(runs + 1):
        for name, command in commands.items():
            for path in directory.glob("[cs]*.txt*"):
                path.unlink()
            runs_of[name].append(measure(command))
            corpora |= {(path.name, path.read_bytes()) for path in directory.glob("[cs]*.txt")}
    if len(corpora) != 2:
        raise ValueError("runs of make_corpus.py gave different corpora")
    medians = {name: median_of(counted[1:]) for name, counted in runs_of.items()}
    for name, counted in runs_of.items():
        cpu, wall = ([getattr(run, field) for run in counted[1:]] for field in ("cpu_seconds", "wall_seconds"))
        print(f"{name:14} CPU {medians[name].cpu_seconds:6.2f} s ({spread(cpu)}), wall {spread(wall)} s")
    ratio = medians["sentences, 1"].cpu_seconds / medians["MeCab"].cpu_seconds
    speedups = {
        kind: medians[f"{kind}, 1"].wall_seconds / medians[f"{kind}, 2"].wall_seconds
        for kind in ("sentences", "cleaned")
    }
    print(f"CPU, sentences to MeCab: {ratio:.2f}; wall, one worker to two: {speedups}")
    return {"cpu_ratio": round(ratio, 2), "speedup": {kind: round(value, 2) for kind, value in speedups.items()}}


def bench_rules(documents: list[str]) -> dict[str, float]:
    """Return the megabytes a second of each step alone, on one core."""
    import numpy as np

    from japanese_bert.corpus.own_text.conversion import ConversionOptions, TextConverter
    from japanese_bert.corpus.own_text.markup import MARKUP_RULES, drop_markup
    from japanese_bert.corpus.own_text.quality import broken_rules, measure_documents, word_pattern
    from japanese_bert.corpus.own_text.signatures import sign_documents
    from japanese_bert.corpus.own_text.sources import SourceBlock, SourceOptions

    size = sum(len(text.encode()) for text in documents) / MEGABYTE
    texts = [text + "\n" for text in documents]
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    ends = np.cumsum([len(text) for text in texts])
    lines = SourceBlock(Path("a"), 1, "parquet", [{"text": text} for text in documents])
    words = word_pattern([text[5:9] for text in documents[:2000:20]])

    def keep_lines(preset: str, signs: bool) -> Callable[[], object]:
        converter = TextConverter(SourceOptions(), ConversionOptions(10, 200, preset=preset), None, signs)
        return lambda: converter(lines)

    steps: dict[str, Callable[[], object]] = {
        "keep_lines": keep_lines("none", False),
        "keep_lines, web": keep_lines("web", False),
        "keep_lines, signatures": keep_lines("none", True),
        "quality rules": lambda: broken_rules(measure_documents(codes, ends), "web"),
        "signatures": lambda: sign_documents(codes, ends),
        "100 listed words": lambda: [words.findall(text) for text in texts],
    }
    for rule in MARKUP_RULES:
        steps[rule] = lambda rule=rule: [drop_markup(text, [rule], Counter()) for text in documents]  # type: ignore[misc]
    rates = {}
    for name, step in steps.items():
        step()
        times = []
        for _ in range(3):
            start = time.process_time()
            step()
            times.append(time.process_time() - start)
        rates[name] = round(size / sorted(times)[1], 1)
        print(f"{name:24} {rates[name]:8.1f} MB/s {1000 / rates[name]:8.1f} s/GB")
    return rates


def bench_near_duplicates(args: argparse.Namespace, directory: Path) -> dict[str, float]:
    """Return seconds and memory of reading and of choosing, and what CC-100 would take by these rates."""
    lines = read_lines(args.input_file, 10**12)
    documents = islice(cut(lines, args.characters), args.documents)
    rows = write_jsonl(directory / "many.jsonl", documents)
    part, output = directory / "part", directory / "many.txt"
    flags = ["--keep_lines", "--max_sentence_length", "1000", "--near_duplicates", "0.8"]
    reading = measure([sys.executable, STAGE, "--input_files", rows, "--output_part", part, *flags])
    choosing = measure(
        [sys.executable, STAGE, "--input_parts", part, "--output_file", output, "--near_duplicates", "0.8"]
    )
    report = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
    megabytes, number = (part / "text").stat().st_size / MEGABYTE, report["documents_in"]
    print(f"{number:,} documents, {megabytes:.0f} MB, dropped: {report['dropped_documents']}")
    for name, run in (("reading", reading), ("choosing", choosing)):
        print(f"{name:9} {run.cpu_seconds:7.1f} CPU s, {run.peak_rss:5.0f} MB ({run.anonymous:.0f} of it anonymous)")
    hours = choosing.cpu_seconds / number * CC100["documents"] / 3600
    disk = CC100["documents"] * (160 + 12 + 20 * 20) / 1e9
    print(f"CC-100: choosing takes {hours:.1f} core-hours, and {disk:.0f} GB of disk beside the text")
    return {
        "documents": number,
        "reading_cpu_seconds": round(reading.cpu_seconds, 1),
        "choosing_cpu_seconds": round(choosing.cpu_seconds, 1),
        "choosing_megabytes_per_second": round(megabytes / choosing.cpu_seconds, 1),
        "peak_memory_mb": round(choosing.peak_rss),
        "reading_memory_mb": round(reading.peak_rss),
        "cc100_core_hours": round(hours, 1),
        "cc100_disk_gb": round(disk),
    }


def cut(lines: Iterator[str], size: int) -> Iterator[str]:
    """Yield documents of `size` characters, without regard to lines."""
    held = ""
    for line in lines:
        held += line
        while len(held) >= size:
            yield held[:size]
            held = held[size:]


if __name__ == "__main__":
    main(get_parser().parse_args())

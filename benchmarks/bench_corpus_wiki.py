"""make_corpus_wiki.py against MeCab's own time on the same text, on one process and on two, for both layouts.

The pages of a dump are repeated under new ids. MeCab's own time is the time of a process (reference_mecab.py) that
reads the cleaned texts, exactly the strings of the stage, and passes them to MeCab. It runs with MeCab's default
output, with the part of speech that marks full stops, and with the short output of the stage. Two of these processes
together show the best that two processes can reach on this machine. Before it prints a number, all corpora, of both
layouts and any number of workers, must be the same.

    python benchmarks/bench_corpus_wiki.py --dump_file jawiki-cirrussearch-content.json.gz

A row of the dumps of 2026 has 44 kB, and a tenth of it is text. `--row_kilobytes 44` fills the rows up to that size
with other fields (source_text, outgoing_link).
"""

import argparse
import bz2
import gzip
import json
import shlex
import sys
import tempfile
from pathlib import Path

from measure import MEGABYTE, Measurement, machine, measure, median_of, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
FORMATS = ("default", "kinds", "contexts")
TWICE = "MeCab, contexts, twice"


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump_file", type=Path, required=True, help="a CirrusSearch dump in one file")
    parser.add_argument("--megabytes", type=int, default=60, help="size of the dump to convert, decompressed")
    parser.add_argument("--row_kilobytes", type=int, default=0, help="fill rows up to this size; 0 leaves them")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each, after a warm-up")
    return parser


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        pages = read_pages(args.dump_file)
        dumps = write_dumps(pages, args.megabytes * MEGABYTE, args.row_kilobytes * 1000, directory)
        half = write_dumps(pages, args.megabytes * MEGABYTE // 2, args.row_kilobytes * 1000, directory / "half")
        texts = directory / "texts.txt"
        characters = write_texts(dumps[".json.gz"], texts)
        results = bench(args.runs, texts, dumps, directory)
        memory = {
            name: peak_memory(path, directory)
            for name, path in (("half", half[".json.gz"]), ("whole", dumps[".json.gz"]))
        }
    print_table(results, characters)
    ours = results["1 process, .json.gz"].cpu_seconds
    ratios = {name: round(ours / results[f"MeCab, {name}"].cpu_seconds, 2) for name in FORMATS}
    speedups = {
        suffix: round(results[f"1 process, {suffix}"].wall_seconds / results[f"2 processes, {suffix}"].wall_seconds, 2)
        for suffix in dumps
    }
    speedups["MeCab alone"] = round(2 * results["MeCab, contexts"].wall_seconds / results[TWICE].wall_seconds, 2)
    print(f"CPU, ours to MeCab alone: {ratios}; wall, one process to two: {speedups}; peak memory, MB: {memory}")
    print_json(
        {
            "machine": machine("fugashi", "unidic-lite", "isal", "orjson"),
            "characters": characters,
            "cpu_ratio": ratios,
            "speedup_of_two": speedups,
            "peak_memory_mb": memory,
            **{name: {"wall": round(m.wall_seconds, 2), "cpu": round(m.cpu_seconds, 2)} for name, m in results.items()},
        }
    )


def read_pages(source: Path) -> list[dict]:
    from japanese_bert.common.encodings import check_format
    from japanese_bert.common.text_files import read_line_blocks

    blocks = read_line_blocks(source, check=check_format)
    rows = [json.loads(row) for block in blocks for row in block.split(b"\n") if row]
    return [row for row in rows if row.get("text")]


def write_dumps(pages: list[dict], size: int, row_bytes: int, directory: Path) -> dict[str, Path]:
    """Write a dump of about `size` bytes, compressed in two ways, and return the paths by suffix."""
    directory.mkdir(exist_ok=True)
    rows: list[bytes] = []
    while size > 0:
        page = fill_up(pages[len(rows) % len(pages)] | {"page_id": len(rows)}, row_bytes)
        rows.append(f'{{"index": {{"_id": {len(rows)}}}}}\n{json.dumps(page, ensure_ascii=False)}\n'.encode())
        size -= len(rows[-1])
    paths = {suffix: directory / f"dump{suffix}" for suffix in (".json.gz", ".json.bz2")}
    paths[".json.gz"].write_bytes(gzip.compress(b"".join(rows), compresslevel=6))
    paths[".json.bz2"].write_bytes(bz2.compress(b"".join(rows)))
    return paths


def fill_up(page: dict, size: int) -> dict:
    missing = size - len(page["text"].encode())
    if missing <= 0:
        return page
    source = f"'''{page['title']}'''は、[[{page['title']}]]。{page['text']}"
    source *= missing // (2 * len(source.encode())) + 1
    return page | {
        "source_text": source,
        "outgoing_link": [page["title"]] * (missing // 2 // (3 * len(page["title"]) + 4)),
    }


def write_texts(dump: Path, target: Path) -> int:
    """Write the strings that the stage passes to MeCab, one per line, and return the number of characters."""
    from collections import Counter

    from japanese_bert.corpus.wikipedia.cirrussearch import Page, parse_row, read_row_blocks
    from japanese_bert.corpus.wikipedia.full_stops import text_pieces
    from japanese_bert.corpus.wikipedia.sentences import clean_text, normalize

    characters = 0
    with open(target, "w", encoding="utf-8", newline="\n") as file:
        for block in read_row_blocks([dump]):
            for page in map(parse_row, block.lines.split(b"\n")[:-1]):
                if isinstance(page, Page):
                    text = clean_text(normalize(page.text), page.title, Counter())
                    characters += len(text)
                    file.writelines(text[start:end] + "\n" for start, end in text_pieces(text))
    return characters


def bench(runs: int, texts: Path, dumps: dict[str, Path], directory: Path) -> dict[str, Measurement]:
    """Return the medians. The commands take turns, so that a change of the machine's speed affects all of them."""
    mecab = [sys.executable, ROOT / "benchmarks" / "reference_mecab.py", "--input_file", texts, "--format"]
    stage = [sys.executable, ROOT / "make_corpus_wiki.py", "--overwrite", "--output_file", directory / "corpus.txt.gz"]
    commands = {f"MeCab, {name}": [*mecab, name] for name in FORMATS}
    once = shlex.join(map(str, commands["MeCab, contexts"]))
    commands[TWICE] = ["sh", "-c", f"{once} & {once}; wait"]
    for workers, name in ((1, "1 process"), (2, "2 processes")):
        for suffix, dump in dumps.items():
            commands[f"{name}, {suffix}"] = [*stage, "--input_file", dump, "--num_workers", str(workers)]
    measurements: dict[str, list[Measurement]] = {name: [] for name in commands}
    corpora = set()
    for _ in range(runs + 1):
        for name, command in commands.items():
            for path in directory.glob("corpus.txt.gz*"):
                path.unlink()
            measurements[name].append(measure(command))
            corpora |= {path.read_bytes() for path in directory.glob("corpus.txt.gz")}
    if len(corpora) != 1:
        raise ValueError("runs of make_corpus_wiki.py gave different corpora")
    for name, counted in measurements.items():
        cpu, wall = ([getattr(m, field) for m in counted[1:]] for field in ("cpu_seconds", "wall_seconds"))
        print(f"{name:24} CPU {spread(cpu)}, wall {spread(wall)}")
    return {name: median_of(counted[1:]) for name, counted in measurements.items()}


def peak_memory(dump: Path, directory: Path) -> float:
    """Return the peak memory of the largest process, which the stage reports."""
    output = directory / "memory.txt.gz"
    command = [sys.executable, ROOT / "make_corpus_wiki.py", "--overwrite", "--num_workers", "2"]
    measure([*command, "--input_file", dump, "--output_file", output])
    return json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))["peak_memory_mb"]


def print_table(results: dict[str, Measurement], characters: int) -> None:
    for name, median in results.items():
        rate = characters / 1e6 / median.cpu_seconds
        print(f"{name:24} {median.wall_seconds:8.2f} s {median.cpu_seconds:8.2f} CPU s {rate:8.2f} M characters/CPU s")


if __name__ == "__main__":
    main(get_parser().parse_args())

"""How much time, memory and disk the whole recipe takes on 8, 32 and 256 cores: the tables of docs/sizing.md.

All figures are computed from `measurements/sizing.json`, which `--measure` writes: every stage runs on a slice of real
text, and CPU time, memory, instances and bytes are scaled to the size of the corpora. What else goes in are facts
(sizes of the corpora, configurations of training) and assumptions, which the tables name.

    python benchmarks/sizing_table.py                  # prints the tables
    python benchmarks/sizing_table.py --measure --input_file ja.txt.xz --dump_file jawiki-cirrussearch-content.json.gz \
        --wordpiece_vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt \
        --character_vocab_file tokenizers/character_unidic_lite/vocab.txt \
        --alphabet_file tokenizers/alphabet/unidic_lite.txt
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
MEASUREMENTS = ROOT / "benchmarks" / "measurements" / "sizing.json"
CORES = (8, 32, 256)
GB = 1e9

# Facts of the corpora: megabytes of text, shards of recipes/settings.sh.
CORPORA = {"CC-100": (74_300, 64), "Wikipedia": (4_900, 8)}
SENTENCES_FOR_TOKENIZER = 10_000_000
DUMP_MEGABYTES = 9_000  # .bz2
# max_seq_length, max_predictions_per_seq, dupe_factor
RECIPES = {"CC-100": (128, 19, 5), "Wikipedia": (512, 76, 30)}
SUBWORDS = {"WordPiece": "wordpiece", "character": "character"}

# Training: bfloat16 matrix products a second, as the makers state them for dense matrices, and the share of them that
# a training of BERT is assumed to sustain.
ACCELERATORS = {"8 A100": 8 * 312e12, "8 H100": 8 * 989e12}
ASSUMED_SHARE = 0.35
MODELS = {"base, WordPiece": "bert_base_wordpiece", "base, character": "bert_base_character"}
MODELS |= {"large, WordPiece": "bert_large_wordpiece", "large, character": "bert_large_character"}
STAGES = {"128 tokens, CC-100": "cc-100", "512 tokens, Wikipedia": "wikipedia"}
REPORTED_DAYS = {"base": (6, 10), "large": (23, 33)}  # of the released models, on a TPU v3-8
BYTES_PER_PARAMETER = 12  # of a checkpoint: weight and two moments of AdamW
KEPT_CHECKPOINTS = 5


MEASURED = ("data", "corpus", "wikipedia")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measurements", type=Path, default=MEASUREMENTS, help="file to read, or to write")
    parser.add_argument(
        "--measure",
        nargs="*",
        choices=MEASURED,
        help="run the stages on slices and write the file; default: all of them",
    )
    parser.add_argument("--input_file", type=Path, help="a large corpus, e.g. CC-100")
    parser.add_argument("--dump_file", type=Path, help="a CirrusSearch dump")
    parser.add_argument("--wordpiece_vocab_file", type=Path)
    parser.add_argument("--character_vocab_file", type=Path)
    parser.add_argument("--alphabet_file", type=Path)
    parser.add_argument("--megabytes", type=int, default=50, help="slice for data at 128 tokens; half of it at 512")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median counts")
    return parser


def main(args: argparse.Namespace) -> None:
    if args.measure is not None:
        old = json.loads(args.measurements.read_text(encoding="utf-8")) if args.measure else {}
        args.measurements.parent.mkdir(exist_ok=True)
        text = json.dumps(old | measure_stages(args), indent=1) + "\n"
        args.measurements.write_text(text, encoding="utf-8")
    print(tables(json.loads(args.measurements.read_text(encoding="utf-8"))))


def measure_stages(args: argparse.Namespace) -> dict[str, object]:
    from measure import MEGABYTE, cut_corpus, machine

    packages = ("fugashi", "unidic-lite", "numpy", "numba", "isal", "tokenizers", "orjson")
    result: dict[str, object] = {"date": date.today().isoformat(), "machine": machine(*packages)}
    functions = {"data": measure_data, "corpus": measure_corpus, "wikipedia": measure_wikipedia}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for corpus, megabytes in (("CC-100", args.megabytes), ("Wikipedia", args.megabytes // 2)):
            cut_corpus(args.input_file, megabytes * MEGABYTE, directory / f"{corpus}.txt")
        for part in args.measure or MEASURED:
            result |= functions[part](args, directory)
    return result


def measure_data(args: argparse.Namespace, directory: Path) -> dict[str, object]:
    result = {}
    for corpus in RECIPES:
        for subword, short in SUBWORDS.items():
            text, output = directory / f"{corpus}.txt", directory / "data.tfrecord.gz"
            command = data_command(corpus, short, text, vars(args)[f"{short}_vocab_file"])
            result[f"data, {corpus}, {subword}"] = measure_stage(command, output, output, text, args.runs)
    return result


def measure_corpus(args: argparse.Namespace, directory: Path) -> dict[str, object]:
    shards, plain, tokenizer = directory / "shards", directory / "CC-100.txt", directory / "tokenizer"
    split = ["merge_split_corpora.py", "--output_dir", shards, "--num_files", "64", "--overwrite", "--input_files"]
    train = ["train_tokenizer.py", "--input_files", plain, "--output_dir", tokenizer]
    train += ["--initial_alphabet_file", args.alphabet_file]
    first = shards / "corpus_01.txt"
    return {
        "merge_split_corpora, .xz": measure_stage([*split, args.input_file], shards, first, None, 1),
        "merge_split_corpora": measure_stage([*split, plain], shards, first, plain, args.runs),
        "train_tokenizer": measure_stage(train, tokenizer, tokenizer / "vocab.txt", plain, 1),
    }


def measure_wikipedia(args: argparse.Namespace, directory: Path) -> dict[str, object]:
    """The stage on rows that are text, and bzip2 by itself."""
    from bench_corpus_wiki import read_pages, write_dumps
    from measure import MEGABYTE, measure

    dumps = write_dumps(read_pages(args.dump_file), 60 * MEGABYTE, 0, directory / "dump")
    corpus = directory / "wiki.txt"
    stage = ["make_corpus_wiki.py", "--input_file", dumps[".json.gz"], "--output_file", corpus]
    unpack = measure(["bzip2", "-dc", dumps[".json.bz2"]])
    return {
        "make_corpus_wiki": measure_stage(stage, corpus, corpus, None, args.runs),
        "bzip2": {
            "cpu_seconds": round(unpack.cpu_seconds, 3),
            "wall_seconds": round(unpack.wall_seconds, 3),
            "input_megabytes": round(dumps[".json.bz2"].stat().st_size / MEGABYTE, 3),
        },
    }


def data_command(corpus: str, subword: str, text: Path, vocab_file: Path) -> list:
    max_seq_length, max_predictions_per_seq, dupe_factor = RECIPES[corpus]
    command = ["create_pretraining_data.py", "--input_file", text, "--output_file", text.parent / "data.tfrecord.gz"]
    command += ["--vocab_file", vocab_file, "--subword_tokenizer_type", subword, "--do_whole_word_mask"]
    command += ["--gzip_compress", "--use_v2_feature_names", "--max_seq_length", max_seq_length]
    command += ["--max_predictions_per_seq", max_predictions_per_seq, "--dupe_factor", dupe_factor, "--overwrite"]
    return command + (["--vocab_has_no_subword_prefix"] if subword == "character" else [])


def measure_stage(command: list, output: Path, recorded: Path, text: Path | None, runs: int) -> dict[str, object]:
    """Medians of a stage, what it counted, and the bytes that it wrote."""
    from measure import MEGABYTE, measure, median_of, spread

    measurements = []
    for _ in range(runs):
        for path in [*recorded.parent.glob(f"{recorded.name}*")]:
            path.unlink()
        measurements.append(measure([sys.executable, ROOT / command[0], *command[1:]]))
    print(f"{Path(command[0]).stem}: {spread([one.cpu_seconds for one in measurements])} CPU s", flush=True)
    median = median_of(measurements)
    files = [output] if output.is_file() else [path for path in output.iterdir() if path.suffix != ".json"]
    record = json.loads(Path(f"{recorded}.json").read_text(encoding="utf-8"))
    return {
        "cpu_seconds": round(median.cpu_seconds, 3),
        "wall_seconds": round(median.wall_seconds, 3),
        "peak_rss_megabytes": round(median.peak_rss, 1),
        "input_megabytes": round(text.stat().st_size / MEGABYTE, 3) if text else None,
        "output_megabytes": round(sum(path.stat().st_size for path in files) / MEGABYTE, 3),
        "counts": {k: v for k, v in record.get("counts", {}).items() if isinstance(v, int)},
    }


@dataclass(frozen=True, slots=True)
class DataSet:
    """A pretraining set, scaled from a slice to a whole corpus."""

    name: str
    megabytes: float
    shards: int
    cpu_seconds: float
    memory: float
    output_megabytes: float
    instances: float
    tokens: float

    def busy(self, cores: int, shards: int) -> int:
        return min(cores, shards)

    def wall_seconds(self, cores: int, shards: int) -> float:
        """One process a shard: as many rounds as it takes, each as long as a shard."""
        return math.ceil(shards / cores) * self.cpu_seconds / shards

    def work_megabytes(self, cores: int, shards: int) -> float:
        """Temporary files of the shards at work: 2 bytes a token, 32 an instance."""
        return (2 * self.tokens + 32 * self.instances) / 1e6 / shards * self.busy(cores, shards)


def data_sets(measured: Mapping[str, dict]) -> Iterator[DataSet]:
    for corpus, (megabytes, shards) in CORPORA.items():
        for subword in SUBWORDS:
            row = measured[f"data, {corpus}, {subword}"]
            factor = megabytes / row["input_megabytes"]
            yield DataSet(
                name=f"{subword}, {corpus}, {RECIPES[corpus][0]} tokens",
                megabytes=megabytes,
                shards=shards,
                cpu_seconds=row["cpu_seconds"] * factor,
                memory=row["peak_rss_megabytes"],
                output_megabytes=row["output_megabytes"] * factor,
                instances=row["counts"]["instances"] * factor,
                tokens=row["counts"]["tokens"] * factor,
            )


def tables(measured: Mapping[str, dict]) -> str:
    sets = list(data_sets(measured))
    blocks = [data_table(sets), wall_table(sets), corpus_table(measured), training_table(sets)]
    place = measured["machine"]
    source = (
        f"Measured on {measured['date']}: {place['cpu']}, {place['cores']} virtual cores, Python {place['python']}."
    )
    return "\n\n".join([source, *blocks])


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def data_table(sets: list[DataSet]) -> str:
    header = ["pretraining data", "core-hours", "instances", "bytes an instance", "disk", "memory a process"]
    rows = [
        [
            data.name,
            number(data.cpu_seconds / 3600),
            f"{data.instances / 1e6:,.0f} M",
            f"{data.output_megabytes * 1e6 / data.instances:.0f}",
            size(data.output_megabytes),
            f"{data.memory / 1000:.2f} GB",
        ]
        for data in sets
    ]
    return table(header, rows)


def wall_table(sets: list[DataSet]) -> str:
    """Wall time, and what goes with it: cores that have work, memory of all processes, writing, temporary files."""
    header = ["pretraining data", "shards", *[f"{cores} cores" for cores in CORES]]
    rows = []
    for data in sets:
        for shards in (data.shards, None):
            counts = [shards or max(cores, data.shards) for cores in CORES]
            label = str(shards) if shards else "one a core"
            cells = [
                cell(data, cores, count) if shards or count != data.shards else "the same"
                for cores, count in zip(CORES, counts, strict=True)
            ]
            rows.append([data.name, label, *cells])
    return table(header, rows)


def cell(data: DataSet, cores: int, shards: int) -> str:
    wall = data.wall_seconds(cores, shards)
    busy = data.busy(cores, shards)
    used = "" if busy == cores else f" ({busy} busy)"
    rate = data.output_megabytes / wall
    memory = data.memory * busy / 1000
    work = data.work_megabytes(cores, shards) / 1000
    return f"{duration(wall)}{used}, {memory:.1f} GB, {work:.1f} GB, {rate:,.0f} MB/s"


def corpus_table(measured: Mapping[str, dict]) -> str:
    """Stages that run in one process, or that one process decompresses for."""
    packed, plain = measured["merge_split_corpora, .xz"], measured["merge_split_corpora"]
    wiki, tokenizer = measured["make_corpus_wiki"], measured["train_tokenizer"]
    cc100, wikipedia = CORPORA["CC-100"][0], CORPORA["Wikipedia"][0]
    rows = [
        corpus_row("merge_split_corpora.py, CC-100 from .xz", packed, cc100 / packed["output_megabytes"], size(cc100)),
        wikipedia_row(wiki, measured["bzip2"]),
        corpus_row("merge_split_corpora.py, Wikipedia", plain, wikipedia / plain["output_megabytes"], size(wikipedia)),
        corpus_row("train_tokenizer.py", tokenizer, SENTENCES_FOR_TOKENIZER / tokenizer["counts"]["sentences"], ""),
    ]
    return table(["corpus and tokenizer, one process", "core-hours", "wall time", "memory", "disk"], rows)


def corpus_row(name: str, row: Mapping, factor: float, disk: str) -> list[str]:
    hours = number(row["cpu_seconds"] * factor / 3600)
    return [name, hours, duration(row["wall_seconds"] * factor), f"{row['peak_rss_megabytes'] / 1000:.2f} GB", disk]


def wikipedia_row(wiki: Mapping, bzip2: Mapping) -> list[str]:
    """The stage and, beside it in a process of its own, bzip2."""
    factors = CORPORA["Wikipedia"][0] / wiki["output_megabytes"], DUMP_MEGABYTES / bzip2["input_megabytes"]
    core_hours = (wiki["cpu_seconds"] * factors[0] + bzip2["cpu_seconds"] * factors[1]) / 3600
    wall = max(wiki["wall_seconds"] * factors[0], bzip2["wall_seconds"] * factors[1])
    memory = f"{wiki['peak_rss_megabytes'] / 1000:.2f} GB"
    text = size(CORPORA["Wikipedia"][0])
    return ["make_corpus_wiki.py, from .bz2", number(core_hours), duration(wall), memory, text]


def training_table(sets: list[DataSet]) -> str:
    """Floating-point operations from the configurations; times from them, and from what is reported of TPUs."""
    header = ["training", "operations", *[f"{name}, computed" for name in ACCELERATORS], "TPU v3-8, reported"]
    header += ["passes over the data", "checkpoints"]
    rows = []
    for model, file in MODELS.items():
        for index, (stage, data_file) in enumerate(STAGES.items()):
            settings = training_settings(file, data_file)
            total = settings["steps"] * settings["batch"] * training_operations(settings)
            times = [f"{total / (peak * ASSUMED_SHARE) / 86400:.1f} days" for peak in ACCELERATORS.values()]
            days = REPORTED_DAYS[model.split(",")[0]][index]
            data = next(
                one for one in sets if one.name.startswith(model.split(", ")[1]) and stage.split(", ")[1] in one.name
            )
            passes = settings["steps"] * settings["batch"] / data.instances
            disk = parameters(settings) * BYTES_PER_PARAMETER * KEPT_CHECKPOINTS / GB
            rows.append(
                [f"{model}, {stage}", f"{total:.1e}", *times, f"{days} days", f"{passes:.1f}", f"{disk:.1f} GB"]
            )
    return table(header, rows)


def training_settings(model_file: str, data_file: str) -> dict[str, int]:
    """What decides the cost of a training step, from configs/."""
    import yaml

    model = yaml.safe_load((ROOT / "configs" / "model" / f"{model_file}.yaml").read_text(encoding="utf-8"))
    data = yaml.safe_load((ROOT / "configs" / "data" / f"{data_file}.yaml").read_text(encoding="utf-8"))
    encoder, train = model["task"]["model"]["encoder"]["bert"], data["task"]["train_data"]
    names = (
        "vocab_size",
        "hidden_size",
        "num_layers",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
    )
    return {name: encoder[name] for name in names} | {
        "seq_length": train["seq_length"],
        "predictions": train["max_predictions_per_seq"],
        "batch": train["global_batch_size"],
        "steps": data["trainer"]["train_steps"],
    }


def training_operations(settings: Mapping[str, int]) -> float:
    """Of one instance, forward and backward: the matrix products, two operations a product, times three."""
    hidden, length = settings["hidden_size"], settings["seq_length"]
    layer = 4 * hidden**2 + 2 * hidden * settings["intermediate_size"] + 2 * length * hidden
    head = settings["predictions"] * (hidden**2 + hidden * settings["vocab_size"])
    return 3 * 2 * (settings["num_layers"] * length * layer + head)


def parameters(settings: Mapping[str, int]) -> int:
    """Of the pretraining model, with both heads; the output layer shares the embeddings."""
    hidden, intermediate, vocab = settings["hidden_size"], settings["intermediate_size"], settings["vocab_size"]
    embeddings = (vocab + settings["max_position_embeddings"] + settings["type_vocab_size"] + 2) * hidden
    layer = 4 * (hidden**2 + hidden) + 2 * hidden * intermediate + intermediate + hidden + 4 * hidden
    masked_lm = hidden**2 + hidden + 2 * hidden + vocab
    next_sentence = 2 * (hidden**2 + hidden) + 2 * hidden + 2  # the encoder's pooler, and the head's own
    return embeddings + settings["num_layers"] * layer + masked_lm + next_sentence


def duration(seconds: float) -> str:
    """
    >>> [duration(value) for value in (45.4, 300, 5_400, 40_000)]
    ['45 s', '5 min', '1.5 h', '11 h']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{number(seconds / 3600)} h"


def size(megabytes: float) -> str:
    return f"{megabytes / 1000:,.0f} GB" if megabytes >= 10_000 else f"{megabytes / 1000:.1f} GB"


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.095 else f"{value:.2f}"


if __name__ == "__main__":
    main(get_parser().parse_args())

"""What records of several lengths save, on text with documents as long as those of Wikipedia, and what they cost.

    python benchmarks/bench_buckets.py data --input_file ja.txt.xz --vocab_file vocab.txt --work_dir DIRECTORY
    python benchmarks/bench_buckets.py steps --work_dir DIRECTORY
    python benchmarks/bench_buckets.py learning --input_file ja.txt.xz --work_dir ANOTHER

data: padding of each form of the data, and CPU and memory of creating static data and buckets, in turn. steps: seconds
of a step of a base BERT, for static data and for each bucket, in turn. The seconds of the buckets are weighted by their
instances. learning: held-out masked LM loss of a 2 x 128 BERT in a second stage of the same instances, several seeds.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median

import numpy as np
from measure import MEGABYTE, Measurement, machine, measure, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
BUCKETS = [128, 192, 256, 320, 384, 448, 512]
SHORT_BUCKETS = [32, 48, 64, 80, 96, 112, 128]
DYNAMIC = "bert/pretraining_dynamic"


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("data", "steps", "learning"))
    parser.add_argument("--input_file", type=Path, help="real text, long documents: CC-100 or a file in its form")
    parser.add_argument("--vocab_file", type=Path, help="for data")
    parser.add_argument("--work_dir", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=10, help="of text")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each form, in turn")
    parser.add_argument("--batch_size", type=int, default=8, help="instances of a base-size step")
    parser.add_argument("--steps", type=int, default=1000, help="of each training of a small model")
    return parser


def main(args: argparse.Namespace) -> None:
    args.work_dir.mkdir(parents=True, exist_ok=True)
    found = {"data": measure_data, "steps": measure_steps, "learning": measure_learning}[args.part](args)
    print_json({"machine": machine("numba", "tensorflow"), args.part: found})


def write_texts(source: Path, paths: list[Path], megabytes: float, mean_ratio: float = 1.0) -> None:
    """Write texts of real sentences in documents of 200 to 20,000 characters, 1,360 in the mean, times `mean_ratio`."""
    from japanese_bert.common.text_files import read_line_blocks

    random = np.random.default_rng(12345)
    texts = (block.decode("utf-8", "ignore") for block in read_line_blocks(source))
    lines = (line.strip() for text in texts for line in text.split("\n") if line.strip())
    for path in paths:
        size = 0
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            while size < megabytes * MEGABYTE:
                left = mean_ratio * np.clip(random.lognormal(6.69, 1.0), 200, 20_000)
                while left > 0:
                    line = next(lines)
                    left -= file.write(f"{line}\n")
                    size += len(line.encode())
                file.write("\n")


def create(text: Path, vocab: Path, output: Path, *flags: object, length: int = 512) -> Measurement:
    """Make data, also where it is, and return what that took."""
    command = [
        sys.executable, ROOT / "create_pretraining_data.py", "--input_file", text, "--vocab_file", vocab,
        "--output_file", output, "--do_whole_word_mask", "--gzip_compress", "--use_v2_feature_names", "--overwrite",
        "--word_tokenizer_type", "mecab", "--subword_tokenizer_type", "wordpiece", "--mecab_dic_type", "unidic_lite",
        "--max_seq_length", length, *flags,
    ]  # fmt: skip
    Path(f"{output}.json").unlink(missing_ok=True)
    return measure([str(part) for part in command])


def measure_data(args: argparse.Namespace) -> dict:
    """Make all forms of the data, and return their padding, CPU seconds and memory in MB."""
    from japanese_bert.common.provenance import read_provenance

    text = args.work_dir / "text.txt"
    write_texts(args.input_file, [text], args.megabytes)
    segments = ["--no-next_sentence", "--dupe_factor", 30]
    forms: dict[str, list] = {
        "static": ["--dupe_factor", 30],
        "buckets": ["--dupe_factor", 30, "--seq_bucket_lengths", *BUCKETS],
        "doc_sentences": segments,
        "full_sentences": [*segments, "--packing", "full_sentences"],
    }
    found: dict[str, list[Measurement]] = {name: [] for name in forms}
    for _ in range(1 + args.rounds):
        for name, flags in forms.items():
            found[name].append(create(text, args.vocab_file, args.work_dir / f"{name}.tfrecord.gz", *flags))
    found = {name: runs[1:] for name, runs in found.items()}  # the first one compiles
    results = {}
    for name, runs in found.items():
        made = read_provenance(args.work_dir / f"{name}.tfrecord.gz")
        padding = made.get("buckets", {}).get("padding", 1 - made["rates"]["mean_length"] / 512)
        cpu, memory = [run.cpu_seconds for run in runs], max(run.anonymous for run in runs)
        results[name] = {"padding": padding, "cpu_seconds": cpu, "anonymous_mb": memory, **made["counts"]}
        print(f"{name}: padding {padding:.1%}, CPU {median(cpu):.2f} s ({spread(cpu)}), {memory:.0f} MB anonymous")
    pairs = zip(results["buckets"]["cpu_seconds"], results["static"]["cpu_seconds"], strict=True)
    ratios = [ours / static for ours, static in pairs]
    print(f"CPU of buckets / static: median {median(ratios):.3f} ({spread(ratios)})")
    return results


def measure_steps(args: argparse.Namespace) -> dict:
    """Return the seconds of steps of a base BERT, round by round, and what the operations let expect."""
    from japanese_bert.common.provenance import read_provenance
    from japanese_bert.pretraining_data.rendering import bucket_predictions

    instances = read_provenance(args.work_dir / "buckets.tfrecord.gz")["buckets"]
    counts = {length: instances[f"instances_up_to_{length}"] for length in BUCKETS}
    shares = {length: count / sum(counts.values()) for length, count in counts.items()}
    needed = {length: operations(length, bucket_predictions(length, 0.15, 76)) for length in BUCKETS}
    expected = needed[512] / sum(shares[length] * needed[length] for length in BUCKETS)
    static, buckets = base_steps(args)
    rounds = []
    for number in range(1 + args.rounds):  # the first one is the warm-up
        times = static([512] * (4 if number else 1)), buckets(BUCKETS * (2 if number else 1))
        if number:
            seconds = mean(times[0][512]), sum(shares[length] * mean(times[1][length]) for length in BUCKETS)
            rounds.append({"static": seconds[0], "buckets": seconds[1], "ratio": seconds[0] / seconds[1]})
            print("static {static:.2f} s, buckets {buckets:.2f} s, ratio {ratio:.3f}".format(**rounds[-1]), flush=True)
    print(f"expected by operations {expected:.3f}: {mean(r['ratio'] for r in rounds) / expected:.1%} of it")
    return {"expected": expected, "rounds": rounds, "shares": shares}


def operations(tokens: int, predictions: int, layers: int = 12, width: int = 768, vocab: int = 32768) -> float:
    """Return the operations of a sequence, padding included (FORMULA of bench_training.py)."""
    encoder = 72 * layers * width**2 * tokens + 12 * layers * width * tokens**2
    return encoder + 6 * predictions * (width**2 + width * vocab) + 6 * width**2


def base_steps(args: argparse.Namespace) -> list[Callable[[list[int]], dict[int, list[float]]]]:
    """Return two functions, for static data and buckets. Each trains on batches of these lengths, and returns seconds.

    Both train one model, on records that Model Garden's loaders read.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import run_pretraining
    from japanese_bert.training import command

    command.import_model_garden()
    import tensorflow as tf
    from official.core import task_factory
    from official.nlp.data import data_loader_factory

    functions, model, optimizer = [], None, None
    forms = {"static": ("wikipedia", "bert/pretraining"), "buckets": ("wikipedia_buckets", DYNAMIC)}
    for name, (data, experiment) in forms.items():
        files = [f"--config_file={ROOT}/configs/{file}.yaml" for file in (f"data/{data}", "model/bert_base_wordpiece")]
        override = f"task.train_data.input_path={args.work_dir}/{name}.tfrecord.gz"
        override += f",task.train_data.global_batch_size={args.batch_size},task.train_data.shuffle_buffer_size=1000"
        flags = [f"--experiment={experiment}", "--model_dir=none", *files, f"--params_override={override}"]
        params = command.read_training(run_pretraining.get_parser().parse_args(flags)).params
        task = task_factory.get_task(params.task)
        model = model or task.build_model()
        optimizer = optimizer or task.create_optimizer(params.trainer.optimizer_config)
        batches = data_loader_factory.get_data_loader(params.task.train_data).load()
        step = make_step(task, model, optimizer)
        functions.append(Timed(tf.function(step, input_signature=[batches.element_spec]), iter(batches)))
    return functions


def make_step(task, model, optimizer) -> Callable:
    metrics = task.build_metrics()
    return lambda batch: task.train_step(batch, model, optimizer, metrics)


class Timed:
    """Steps on batches of wanted lengths. Other batches are passed over."""

    def __init__(self, step: Callable, batches: Iterator) -> None:
        self._step, self._batches = step, batches

    def __call__(self, lengths: list[int]) -> dict[int, list[float]]:
        found: dict[int, list[float]] = {length: [] for length in lengths}
        while any(len(found[length]) < lengths.count(length) for length in found):
            start = time.perf_counter()
            batch = next(self._batches)
            length = batch["input_mask"].shape[1]
            if len(found[length]) < lengths.count(length):
                float(self._step(batch)["loss"])
                found[length].append(time.perf_counter() - start)
        return found


def measure_learning(args: argparse.Namespace) -> dict:
    """Train second stages of the same instances from one first stage, and return their held-out losses."""
    place = args.work_dir
    texts = [place / "train.txt", place / "held_out.txt"]
    write_texts(args.input_file, texts, args.megabytes / 2, mean_ratio=0.25)
    words = ["--pre_tokenizer_type", "mecab", "--mecab_dic_type", "unidic_lite", "--vocab_size", 10_000]
    run("train_tokenizer.py", "--input_files", texts[0], "--output_dir", place, *words, "--limit_alphabet", 5000)
    data = {"static": (texts[0], []), "buckets": (texts[0], ["--seq_bucket_lengths", *SHORT_BUCKETS])}
    for name, (text, flags) in {**data, "held_out": (texts[1], [])}.items():
        create(text, place / "vocab.txt", place / f"{name}.tfrecord.gz", "--dupe_factor", 5, *flags, length=128)
    first = f"first_{args.steps}"
    train(place, first, "static", args.steps, seed=0)
    losses: dict[str, list[float]] = {name: [] for name in data}
    start = place / first / f"ckpt-{args.steps}"
    for seed in range(1, args.rounds + 1):
        for name in losses:
            losses[name].append(train(place, f"{name}_{args.steps}_{seed}", name, args.steps, seed, start))
            print(f"{name}, seed {seed}: held-out masked LM loss {losses[name][-1]:.4f}", flush=True)
    print(f"buckets / static: {mean(losses['buckets']) / mean(losses['static']):.4f}")
    return losses


def train(place: Path, model_dir: str, data: str, steps: int, seed: int, start: Path | None = None) -> float:
    """Train a tiny BERT, and return its held-out masked LM loss."""
    from japanese_bert.training.curves import read_run

    override = f"trainer.validation_steps=200,trainer.validation_interval={steps},trainer.checkpoint_interval={steps}"
    override += f",trainer.max_to_keep=1,task.train_data.seed={seed}"
    if data == "buckets":
        override += f",task.train_data.seq_bucket_lengths={SHORT_BUCKETS}"
    configs = [f"--config_file={ROOT}/configs/{name}.yaml" for name in ("data/demo_128", "model/bert_tiny_wordpiece")]
    run(
        "run_pretraining.py", "--model_dir", place / model_dir, *configs, "--params_override", override,
        "--experiment", DYNAMIC if data == "buckets" else "bert/pretraining", "--train_steps", steps, "--num_gpus", 0,
        "--train_files", place / f"{data}.tfrecord.gz", "--validation_files", place / "held_out.tfrecord.gz",
        *(["--init_checkpoint", start] if start else []),
    )  # fmt: skip
    return read_run([place / model_dir])["validation", "lm_example_loss"][-1][1]


def run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, ROOT / script, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(get_parser().parse_args())

"""Model Garden's trainer against the one in PyTorch, by the same flags on the same records: what they learn, how fast.

    python benchmarks/bench_trainers.py learning --input_file ja.txt.xz --work_dir DIRECTORY
    python benchmarks/bench_trainers.py speed --work_dir DIRECTORY

learning: held-out masked LM loss of a 2 x 128 BERT, several seeds. It makes shards, a vocabulary of 10,000 entries and
data first. speed: sequences a second of a BERT base, several runs in turn, on random words in documents as long as
Wikipedia's. In both, what is complete is skipped.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import mean, median

from measure import machine, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
TRAINERS = {"Model Garden": "run_pretraining.py", "PyTorch": "run_pretraining_torch.py"}
PREDICTIONS = {128: 19, 512: 76}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    learning = kinds.add_parser("learning")
    learning.add_argument("--input_file", type=Path, required=True, help="real text: CC-100 or a file in its form")
    learning.add_argument("--steps", type=int, default=2000, help="of 32 x 128")
    learning.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    speed = kinds.add_parser("speed")
    speed.add_argument("--lengths", type=int, nargs="+", choices=PREDICTIONS, default=list(PREDICTIONS))
    speed.add_argument("--steps", type=int, default=8, help="of a run. The first two are not counted")
    speed.add_argument("--batch_size", type=int, default=8)
    speed.add_argument("--runs", type=int, default=3, help="of each trainer, in turn")
    for kind in (learning, speed):
        kind.add_argument("--work_dir", type=Path, required=True, help="for data and models")
    return parser


def main(args: argparse.Namespace) -> None:
    if args.kind == "learning":
        compare_learning(args)
    else:
        compare_speed(args)


def compare_learning(args: argparse.Namespace) -> None:
    """Print the held-out loss of each trainer and seed."""
    make_data(args.input_file, args.work_dir)
    losses: dict[str, list[float]] = {name: [] for name in TRAINERS}
    for seed in args.seeds:
        for name, script in TRAINERS.items():
            model_dir = args.work_dir / f"{script.removesuffix('.py')}_{args.steps}_{seed}"
            override = f"trainer.validation_steps=100,trainer.max_to_keep=1,task.train_data.seed={seed}"
            train(script, model_dir, "bert_tiny_wordpiece", args.work_dir, args.steps, override)
            losses[name].append(read_curve(model_dir, "validation", "lm_example_loss")[-1])
            print(f"{name}, seed {seed}: held-out masked LM loss {losses[name][-1]:.4f}", flush=True)
    means = {name: mean(found) for name, found in losses.items()}
    print("\n| trainer | seeds | mean |\n|---|---|---|")
    for name, found in losses.items():
        print(f"| {name} | {', '.join(f'{loss:.4f}' for loss in found)} | {means[name]:.4f} |")
    print(f"PyTorch / Model Garden: {means['PyTorch'] / means['Model Garden']:.4f}")
    print_json({"machine": machine("torch", "tensorflow"), "steps": args.steps, "losses": losses})


def compare_speed(args: argparse.Namespace) -> None:
    """Print the rate of each trainer. Each length has records of its own."""
    from bench_training import make_records

    found: dict[str, dict[str, list[float]]] = {}
    for length in args.lengths:
        place = args.work_dir / str(length)
        for name in ("data_1", "validation/data"):
            records = place / f"{name}.tfrecord.gz"
            records.parent.mkdir(parents=True, exist_ok=True)
            if not records.exists():
                make_records(records, length, 32768, 400)
        rates: dict[str, list[float]] = {name: [] for name in TRAINERS}
        for run_number in range(args.runs):
            for name, script in TRAINERS.items():
                model_dir = place / f"{script.removesuffix('.py')}_{args.batch_size}_{args.steps}_{run_number}"
                override = (
                    f"trainer.steps_per_loop=1,trainer.summary_interval=1,trainer.validation_interval={args.steps},"
                    f"trainer.checkpoint_interval={args.steps},trainer.validation_steps=1,"
                    f"task.validation_data.global_batch_size=2,task.train_data.global_batch_size={args.batch_size}"
                )
                for split in ("train", "validation"):
                    override += f",task.{split}_data.seq_length={length}"
                    override += f",task.{split}_data.max_predictions_per_seq={PREDICTIONS[length]}"
                flags = [override, "--no-check_records"]  # no stage made the records
                train(script, model_dir, "bert_base_wordpiece", place, args.steps, *flags)
                steps = read_curve(model_dir, "train", "steps_per_second")[2:]
                rates[name].append(args.batch_size * median(steps))
                print(f"{length} tokens, {name}: {rates[name][-1]:.3f} sequences/s (steps {spread(steps)})", flush=True)
        ratios = [ours / theirs for ours, theirs in zip(rates["PyTorch"], rates["Model Garden"], strict=True)]
        print(f"{length} tokens: PyTorch / Model Garden {median(ratios):.2f} ({spread(ratios)})", flush=True)
        found[str(length)] = rates
    print_json({"machine": machine("torch", "tensorflow"), "sequences_per_second": found})


def make_data(input_file: Path, place: Path) -> None:
    """Make data of 128 tokens from 4 shards of text. The last one is held out."""
    run("merge_split_corpora.py", "--input_files", input_file, "--output_dir", place / "corpus", "--num_files", 4)
    shards = [place / "corpus" / f"corpus_{number:02d}.txt" for number in range(1, 5)]
    mecab = ["--mecab_dic_type", "unidic_lite"]
    words = ["--pre_tokenizer_type", "mecab", "--vocab_size", 10_000, "--limit_alphabet", 5_000]
    run("train_tokenizer.py", "--input_files", *shards[:3], "--output_dir", place / "tokenizer", *words, *mecab)
    for number, shard in enumerate(shards, start=1):
        name = "validation/data" if number == len(shards) else f"data_{number}"
        run(
            "create_pretraining_data.py", "--input_file", shard, "--output_file", place / f"{name}.tfrecord.gz",
            "--vocab_file", place / "tokenizer" / "vocab.txt", "--do_whole_word_mask", "--gzip_compress",
            "--use_v2_feature_names", "--max_seq_length", 128, "--max_predictions_per_seq", 19, "--dupe_factor", 2,
            "--word_tokenizer_type", "mecab", "--subword_tokenizer_type", "wordpiece", *mecab,
        )  # fmt: skip


def train(script: str, model_dir: Path, model: str, place: Path, steps: int, override: str, *flags: str) -> None:
    configs = [f"--config_file={ROOT}/configs/{name}.yaml" for name in ("data/demo_128", f"model/{model}")]
    files = {"train": f"{place}/data_*.tfrecord.gz", "validation": f"{place}/validation/*.tfrecord.gz"}
    data = [word for split, pattern in files.items() for word in (f"--{split}_files", pattern)]
    schedule = ["--train_steps", steps, "--num_gpus", 0]
    run(script, "--model_dir", model_dir, *configs, *data, *schedule, f"--params_override={override}", *flags)


def read_curve(model_dir: Path, split: str, tag: str) -> list[float]:
    from japanese_bert.training.curves import read_run

    return [value for _, value in read_run([model_dir])[split, tag]]


def run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, ROOT / script, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(get_parser().parse_args())

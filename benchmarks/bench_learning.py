"""Do both trainers learn the same? Held-out masked LM loss after a short training of a 2 x 128 BERT, several seeds.

python benchmarks/bench_learning.py --input_file ja.txt.xz --work_dir DIRECTORY
It makes shards, a vocabulary of 10,000 entries and data first. What is complete is skipped.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import mean

from measure import machine, print_json

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
TRAINERS = {"Model Garden": "run_pretraining.py", "PyTorch": "run_pretraining_torch.py"}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="real text: CC-100 or a file in its form")
    parser.add_argument("--work_dir", type=Path, required=True, help="for data and models")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    return parser


def main(args: argparse.Namespace) -> None:
    make_data(args.input_file, args.work_dir)
    losses: dict[str, list[float]] = {name: [] for name in TRAINERS}
    for seed in args.seeds:
        for name, script in TRAINERS.items():
            model_dir = args.work_dir / f"{script.removesuffix('.py')}_{args.steps}_{seed}"
            train(script, args.work_dir, model_dir, args.steps, seed)
            losses[name].append(held_out_loss(model_dir))
            print(f"{name}, seed {seed}: held-out masked LM loss {losses[name][-1]:.4f}", flush=True)
    means = {name: mean(found) for name, found in losses.items()}
    print("\n| trainer | seeds | mean |\n|---|---|---|")
    for name, found in losses.items():
        print(f"| {name} | {', '.join(f'{loss:.4f}' for loss in found)} | {means[name]:.4f} |")
    print(f"PyTorch / Model Garden: {means['PyTorch'] / means['Model Garden']:.4f}")
    print_json({"machine": machine(), "steps": args.steps, "losses": losses})


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


def train(script: str, place: Path, model_dir: Path, steps: int, seed: int) -> None:
    configs = [f"--config_file={ROOT}/configs/{name}.yaml" for name in ("data/demo_128", "model/bert_tiny_wordpiece")]
    override = f"trainer.validation_steps=100,trainer.max_to_keep=1,task.train_data.seed={seed}"
    data = ["--train_files", f"{place}/data_*.tfrecord.gz", "--train_steps", steps, "--num_gpus", 0]
    run(script, "--model_dir", model_dir, *configs, *data, f"--params_override={override}")


def held_out_loss(model_dir: Path) -> float:
    from japanese_bert.training.curves import read_run

    return read_run([model_dir])["validation", "lm_example_loss"][-1][1]


def run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, ROOT / script, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(get_parser().parse_args())

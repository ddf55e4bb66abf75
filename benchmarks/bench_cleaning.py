"""Does cleaning pay? A small model on dirty text against one on the same text cleaned, at equal steps, three seeds.

Dirty text is real text with 30% (of all characters) planted: lines of menus in documents, lists without sentences, and
copies of documents, half of them with edits. make_corpus.py cleans it by `--quality web --near_duplicates 0.8`. Both
models have one vocabulary, one size and one schedule. The loss is that of masked LM on held-out real text.

    python benchmarks/bench_cleaning.py --input_file ja.txt.xz
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

from bench_own_corpus import read_lines, write_jsonl
from measure import MEGABYTE, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PLANTED = 0.3
LENGTH, PREDICTIONS, BATCH = 32, 5, 64
VOCAB_SIZE = 4500
LEARNING_RATE = 3e-3
MODEL = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "initializer_range": 0.1,  # BERT's 0.02 is made for 768 columns
    "hidden_dropout_prob": 0.0,  # most text is read once or twice
    "attention_probs_dropout_prob": 0.0,
}
MENUS = [
    "トップページへ戻る場合はこちらをクリックしてください。",
    "会員登録がお済みでない方は新規会員登録のページへお進みください。",
    "当サイトに掲載されている記事・写真の無断転載を禁じます。",
    "この記事を気に入ったらシェアしてください。",
    "関連する記事の一覧は以下のリンクからご覧いただけます。",
    "お問い合わせは専用のフォームから二十四時間受け付けております。",
]


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus in UTF-8")
    parser.add_argument("--megabytes", type=int, default=16, help="clean text to train on")
    parser.add_argument("--steps", type=int, default=4000, help="of 64 instances of 32 tokens")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    return parser


def main(args: argparse.Namespace) -> None:
    lines = list(read_lines(args.input_file, (args.megabytes + 2) * MEGABYTE))
    documents = ["\n".join(lines[start : start + 12]) for start in range(0, len(lines), 12)]
    held_out, clean = documents[: len(documents) // 10], documents[len(documents) // 10 :]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_jsonl(directory / "dirty.jsonl", plant(clean, random.Random(1)))
        write_jsonl(directory / "held_out.jsonl", held_out)
        make_corpus(directory, "held_out")
        dropped = make_corpus(directory, "cleaned", "dirty", "--quality", "web", "--near_duplicates", "0.8")
        kept = make_corpus(directory, "dirty")
        characters = {"dirty": kept["characters_out"], "cleaned": dropped["characters_out"]}
        print(f"{characters}, dropped: {dropped['dropped_characters']}", flush=True)
        run("train_tokenizer.py", "--input_files", directory / "held_out.txt", "--output_dir", directory / "tokenizer",
            "--vocab_size", VOCAB_SIZE, "--limit_alphabet", 1500)  # fmt: skip
        seeds = range(args.seeds)
        losses: dict[str, list[float]] = {name: [] for name in characters}
        for seed in seeds:
            for name in losses:
                losses[name].append(train(args, directory, name, seed))
    for name, values in losses.items():
        print(f"{name:8} held-out masked LM loss {mean(values):.4f} ({spread(values)})")
    print_json({"steps": args.steps, "characters": characters, "losses": losses})


def run(script: str, *arguments: object) -> None:
    command = [sys.executable, ROOT / script, *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def make_corpus(directory: Path, name: str, source: str = "", *flags: str) -> dict:
    output = directory / f"{name}.txt"
    run("make_corpus.py", "--input_files", directory / f"{source or name}.jsonl", "--output_file", output, *flags)
    return json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))


def plant(documents: list[str], numbers: random.Random) -> list[str]:
    """Return the documents with as much dirt that it is 30% of all characters: a third of each kind."""
    size = sum(map(len, documents))
    budget = size * PLANTED / (1 - PLANTED) / 3
    words = [document[start : start + 4] for document in documents for start in (0, 60)]
    dirt: list[str] = []
    while sum(map(len, dirt)) < budget:
        dirt.append(
            "\n".join(f"{'・'.join(numbers.choices(words, k=4))} {numbers.randrange(99999)}円" for _ in range(9))
        )
    copies: list[str] = []
    while sum(map(len, copies)) < budget:
        document = numbers.choice(documents)
        for _ in range(numbers.randrange(1, 9)):
            copies.append(document if numbers.random() < 0.5 else edit(document, numbers))
    with_menus = []
    for document in documents:
        menu = numbers.sample(MENUS, k=max(1, round(budget / len(documents) / 27)))
        with_menus.append("\n".join([*menu[:1], document, *menu[1:]]))
    dirty = with_menus + dirt + copies
    numbers.shuffle(dirty)
    return dirty


def edit(document: str, numbers: random.Random) -> str:
    return "".join("の" if numbers.random() < 0.01 and character != "\n" else character for character in document)


def train(args: argparse.Namespace, directory: Path, name: str, seed: int) -> float:
    """Train a model, and return its loss on the held-out text."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.set_num_threads(args.threads)
    torch.manual_seed(seed)
    model = BertForMaskedLM(BertConfig(**MODEL))
    ids, labels, mask = read_instances(directory, name, seed + 1)
    order = torch.randperm(len(ids))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=args.steps, pct_start=0.1)
    model.train()
    for step in range(args.steps):
        rows = order[torch.arange(step * BATCH, (step + 1) * BATCH) % len(order)]
        loss = masked_loss(model, ids[rows], labels[rows], mask[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    ids, labels, mask = read_instances(directory, "held_out", 99)
    with torch.no_grad():
        parts = [
            masked_loss(model, ids[rows], labels[rows], mask[rows]).item()
            for rows in torch.arange(len(ids)).split(256)[:20]
        ]
    print(f"{name} seed {seed}: {mean(parts):.4f}, {args.steps * BATCH / len(order):.2f} epochs", flush=True)
    return mean(parts)


def masked_loss(model, ids, labels, mask):
    """Return the loss. The scores of all tokens are computed for masked positions only."""
    import torch

    hidden = model.bert(input_ids=ids, attention_mask=mask).last_hidden_state
    is_masked = labels != -100
    return torch.nn.functional.cross_entropy(model.cls(hidden[is_masked]), labels[is_masked])


def read_instances(directory: Path, name: str, seed: int):
    """Return ids, labels (-100 where nothing is masked) and attention masks of a corpus."""
    import numpy as np
    import torch

    from japanese_bert.pretraining_data.reading import read_instance_blocks

    output = directory / f"{name}.{seed}.tfrecord"
    run("create_pretraining_data.py", "--input_file", directory / f"{name}.txt", "--vocab_file",
        directory / "tokenizer" / "vocab.txt", "--output_file", output, "--max_seq_length", LENGTH,
        "--max_predictions_per_seq", PREDICTIONS, "--dupe_factor", 1, "--do_whole_word_mask",
        "--use_v2_feature_names", "--random_seed", seed, "--no-check_use")  # fmt: skip
    rows = []
    for block in read_instance_blocks(str(output)):
        for number in range(len(block)):
            tokens = slice(*block.offsets[number : number + 2])
            predictions = slice(*block.prediction_offsets[number : number + 2])
            row = np.zeros((3, LENGTH), np.int64)
            row[1] = -100
            length = tokens.stop - tokens.start
            row[0, :length], row[2, :length] = block.token_ids[tokens], 1
            row[1, block.positions[predictions]] = block.labels[predictions]
            rows.append(row)
    return (torch.from_numpy(part) for part in np.stack(rows, axis=1))


if __name__ == "__main__":
    main(get_parser().parse_args())

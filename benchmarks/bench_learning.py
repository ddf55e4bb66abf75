"""What models learn from different data: equal models, steps and seeds, one held-out text with one masking.

    python benchmarks/bench_learning.py --experiment field --input_file ja.txt.xz --work_dir DIRECTORY --jglue_dir JGLUE

It makes every data set, trains a 2 x 128 BERT on each with run_pretraining_torch.py, and scores all models on text of
other documents (japanese_bert/evaluation/held_out.py). It prints a table and JSON, and draws EXPERIMENT.png. Scores are
means over seeds, and half of the distance between the lowest and the highest. Each seed has its own draw of the data.
What is complete is skipped, and experiments of one --work_dir share their runs. As many models train side by side as
there are CPUs, one thread each.
"""

import argparse
import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean
from threading import Lock
from typing import NamedTuple

from bench_trainers import ROOT, run, train
from measure import cut_corpus, machine, print_json

MEGABYTE = 1_000_000
SHARD_MEGABYTES = 10  # the field's code takes 1.5 GB of memory for them
FIELD_INSTANCES = 10_000  # of a shard and seed. Its code takes long to write all of them
BATCH = 32  # configs/data/demo_128.yaml
LENGTH = 128
HELD_OUT_CHARACTERS = LENGTH - 3  # of a passage: a character model has so much room
QUESTIONS = 2000  # of each kind
MECAB = ("--mecab_dic_type", "unidic_lite")
WORDPIECE = ("--word_tokenizer_type", "mecab", "--subword_tokenizer_type", "wordpiece")
CHARACTER = ("--word_tokenizer_type", "mecab", "--subword_tokenizer_type", "character", "--vocab_has_no_subword_prefix")
# 5e-5 is too small for a model this small. With more examples or epochs the scores are at chance, too.
FINE_TUNING = ("--learning_rate", 1e-3, "--num_train_epochs", 1, "--max_train_samples", 2048, "--use_cpu")

LOADING = Lock()  # two threads of Transformers that load models at once can miss weights
INITIALIZER_RANGE = 0.1
POSITIONS_SCALE = 0.2  # root mean square of the first position embeddings
MODEL = {
    "task.model.encoder.bert.dropout_rate": 0.0,
    "task.model.encoder.bert.attention_dropout_rate": 0.0,
    "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": 0.002,
}


class DataSet(NamedTuple):
    """Data of one kind. `flags` win over those of the recipe. `share` of the text trains the vocabulary.

    `field` are flags of reference_create_pretraining_data.py. Without them create_pretraining_data.py makes the data.
    """

    flags: Sequence[object] = ()
    field: Sequence[object] = ()
    predictions: int = 19
    share: float = 1.0
    subwords: str = "wordpiece"


DATA_SETS = {
    "ours": DataSet(),
    "field_cased": DataSet(field=("--no-do_lower_case",)),
    "field_lower_cased": DataSet(field=("--do_lower_case",)),
    "pieces": DataSet(("--no-do_whole_word_mask",)),
    "no_next_sentence": DataSet(("--no-next_sentence",)),
    "masking_30": DataSet(("--masked_lm_prob", 0.3), predictions=38),
    "dupe_factor_1": DataSet(("--dupe_factor", 1)),
    "dupe_factor_20": DataSet(("--dupe_factor", 20)),
    "vocabulary_of_a_tenth": DataSet(share=0.1),
    "vocabulary_of_a_hundredth": DataSet(share=0.01),
    "character": DataSet(CHARACTER, subwords="character"),
}
EXPERIMENTS = {  # each against our data of the recipe
    "field": ("ours", "field_cased", "field_lower_cased"),
    "words": ("ours", "pieces"),
    "next_sentence": ("ours", "no_next_sentence"),
    "masking_rate": ("ours", "masking_30"),
    "dupe_factor": ("ours", "dupe_factor_1", "dupe_factor_20"),
    "orders": ("ours", "vocabulary_of_a_tenth", "vocabulary_of_a_hundredth"),
    "character": ("ours", "character"),
}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", choices=EXPERIMENTS, required=True)
    parser.add_argument("--input_file", type=Path, required=True, help="real text: CC-100 or a file in its form")
    parser.add_argument("--work_dir", type=Path, required=True, help="for data, models and results")
    parser.add_argument("--jglue_dir", type=Path, help="JGLUE's datasets folder; without it: no fine-tuning")
    parser.add_argument("--megabytes", type=int, default=50, help="text to train on. dupe_factor needs less: try 1")
    parser.add_argument("--held_out_megabytes", type=float, default=2, help="text to score on, from behind the other")
    parser.add_argument("--steps", type=int, default=1000, help="of 32 x 128")
    parser.add_argument("--seeds", type=int, default=3, help="models for each data set")
    parser.add_argument("--vocab_size", type=int, default=10_000)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    names, num_shards = EXPERIMENTS[args.experiment], -(-args.megabytes // SHARD_MEGABYTES)
    most = FIELD_INSTANCES * num_shards // BATCH
    if args.steps > most and any(DATA_SETS[name].field for name in names):
        raise SystemExit(f"--steps {args.steps}: the field's data of {args.megabytes} MB is enough for {most}")
    place = args.work_dir / f"{args.megabytes}_mb_{args.held_out_megabytes}_held_out_{args.vocab_size}_tokens"
    make_text(args, place, num_shards)
    questions = read_questions(place / "held_out.txt")
    for share in {DATA_SETS[name].share for name in names}:
        make_vocab(place, share, args.vocab_size)
    shards = sorted((place / "corpus").glob("*.txt"))
    runs = list(product(range(1, args.seeds + 1), names))
    for seed, name in runs:
        make_start(place, name, seed)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda part: make_data(place, args.seeds, *part), product(names, shards)))
        scored = [threads.submit(score_run, args, place, *run, questions) for run in runs]
        found = list(threads.map(lambda run, task: fine_tune(args.jglue_dir, run[0], task.result()), runs, scored))
    scores = {name: [values for (_, other), values in zip(runs, found, strict=True) if other == name] for name in names}
    print_table(scores)
    draw_scores(scores, args.work_dir / f"{args.experiment}.png")
    asked = {kind: sum(len(question.hidden) for question in found) for kind, found in questions.items()}
    settings = {name: getattr(args, name) for name in ("experiment", "megabytes", "steps", "vocab_size")}
    print_json({"machine": machine("torch", "transformers"), **settings, "hidden_words": asked, "scores": scores})


def make_text(args: argparse.Namespace, place: Path, num_shards: int) -> None:
    """Write text to train on, also in shards, and held-out text of later documents."""
    place.mkdir(parents=True, exist_ok=True)
    shares = {1.0, *(DATA_SETS[name].share for name in EXPERIMENTS[args.experiment])}
    parts = {f"train_{share}": (args.megabytes * share, 0) for share in shares}
    parts["held_out"] = (args.held_out_megabytes, args.megabytes)
    for name, (size, skip) in parts.items():
        path = place / f"{name}.txt"
        if not path.exists():
            part = cut_corpus(args.input_file, int(size * MEGABYTE), place / "part", int(skip * MEGABYTE))
            part.rename(path)
    text = place / "train_1.0.txt"
    run("merge_split_corpora.py", "--input_files", text, "--output_dir", place / "corpus", "--num_files", num_shards)


def make_vocab(place: Path, share: float, vocab_size: int) -> None:
    """Make the vocabularies of a share of the text."""
    tokenizer = place / f"tokenizer_{share}"
    sizes = ["--vocab_size", vocab_size, "--limit_alphabet", vocab_size // 2, "--min_frequency", 1, *MECAB]
    places = ["--output_dir", tokenizer / "wordpiece", "--character_output_dir", tokenizer / "character"]
    run("train_tokenizer.py", "--input_files", place / f"train_{share}.txt", *places, *sizes)


def make_data(place: Path, seeds: int, name: str, shard: Path) -> None:
    """Make the records of a shard for a data set, one draw for each seed."""
    data = DATA_SETS[name]
    flags = ["--vocab_file", vocab_of(place, data), "--max_seq_length", LENGTH, "--dupe_factor", 5]
    flags += ["--input_file", shard, "--max_predictions_per_seq", data.predictions]
    file = f"{shard.stem.replace('corpus', 'data')}.tfrecord.gz"
    outputs = {12344 + seed: data_of(place, name, seed) / file for seed in range(1, seeds + 1)}
    for output in outputs.values():
        output.parent.mkdir(parents=True, exist_ok=True)
    if not data.field:
        flags += ["--do_whole_word_mask", "--gzip_compress", "--use_v2_feature_names", *WORDPIECE, *MECAB, *data.flags]
        for random_seed, output in outputs.items():
            run("create_pretraining_data.py", *flags, "--random_seed", random_seed, "--output_file", output)
    elif not all(output.exists() for output in outputs.values()):  # all seeds share one run of the field's code
        parts = [output.with_suffix(".part") for output in outputs.values()]
        flags += ["--random_seed", 12345, "--output_file", *parts, "--max_instances", FIELD_INSTANCES]
        flags += ["--subword_tokenizer_type", data.subwords, *data.field]
        run("benchmarks/reference_create_pretraining_data.py", *flags)
        for part, output in zip(parts, outputs.values(), strict=True):
            part.rename(output)


def data_of(place: Path, name: str, seed: int) -> Path:
    return place / "data" / f"{name}_{seed}"


def vocab_of(place: Path, data: DataSet) -> Path:
    return place / f"tokenizer_{data.share}" / data.subwords / "vocab.txt"


def read_questions(path: Path):
    """Return the questions about the held-out text. Nothing but the text and its MeCab words decides them."""
    import numpy as np

    from japanese_bert.evaluation.held_out import make_passages, make_questions
    from japanese_bert.tokenization.words import make_word_splitter

    split = make_word_splitter("mecab", "unidic_lite", do_lower_case=False).split
    texts = path.read_text(encoding="utf-8").strip("\n").split("\n\n")
    documents = [[split(line) for line in text.split("\n")] for text in texts]
    rng = np.random.default_rng(12345)
    return make_questions(list(make_passages(documents, HELD_OUT_CHARACTERS, rng)), QUESTIONS, rng)


def make_start(place: Path, name: str, seed: int) -> None:
    """Write a model with random weights, but for these: two heads of each layer look at the tokens beside each.

    Positions are waves, which are like themselves only, and a key is the query turned by one position (queries and keys
    alike: Trockman and Kolter 2023). From BERT's random start a model this small learns little but the frequencies of
    tokens for most of its steps, until it knows which positions are beside each other. Threads would share the random
    numbers of PyTorch.
    """
    import numpy as np
    import torch
    from transformers import BertConfig, BertForPreTraining

    data = DATA_SETS[name]
    vocab = vocab_of(place, data)
    config = BertConfig.from_json_file(hf_config_of(data) / "config.json")
    config.vocab_size, config.initializer_range = vocab.read_bytes().count(b"\n"), INITIALIZER_RANGE
    torch.manual_seed(seed)
    model = BertForPreTraining(config)
    half = config.hidden_size // 2
    turns = 1j * np.pi * np.arange(1, half + 1) / half  # of one position, for each wave
    positions = np.exp(np.outer(np.arange(config.max_position_embeddings), turns)) * POSITIONS_SCALE * 2**0.5
    fill(model.bert.embeddings.position_embeddings, positions)
    steps = np.repeat([-1, 1], half)  # heads of half the size: one looks back, one ahead
    for layer in model.bert.encoder.layer:
        queries = layer.attention.self.query.weight.detach().numpy()
        fill(layer.attention.self.key, (queries[:, :half] + 1j * queries[:, half:]) * np.exp(np.outer(steps, turns)))
    directory = start_of(place, name, seed)
    model.save_pretrained(directory)
    (directory / "vocab.txt").write_bytes(vocab.read_bytes())


def fill(layer, weights) -> None:
    """Give a layer of PyTorch complex weights: all real parts, then all imaginary parts."""
    import numpy as np
    import torch

    layer.weight.data = torch.from_numpy(np.hstack([weights.real, weights.imag]).astype(np.float32))


def start_of(place: Path, name: str, seed: int) -> Path:
    return place / "starts" / f"{name}_{seed}"


def hf_config_of(data: DataSet) -> Path:
    return ROOT / "hf_model_configs" / f"bert_tiny_{data.subwords}"


def score_run(args: argparse.Namespace, place: Path, seed: int, name: str, questions) -> Path:
    """Train a model, score it, and keep its scores beside it. Return the model. Scores that are there are kept."""
    steps = args.steps
    if name == "character":  # equal text, not equal tokens
        steps = round(steps * count_records(place, name, seed) / count_records(place, "ours", seed))
    model_dir = place / "models" / f"{name}_{steps}_{seed}"
    model, file = model_dir / f"ckpt-{steps}", model_dir / "scores.json"
    if not file.exists():
        train_model(place, name, model_dir, steps, seed)
        from japanese_bert.evaluation.held_out import score_held_out
        from japanese_bert.evaluation.masked_lm import MaskedLM

        with LOADING:
            masked_lm = MaskedLM(model)
        scores = score_held_out(masked_lm, model, questions)
        file.write_text(json.dumps(scores), encoding="utf-8")
        print(f"{name}, seed {seed}: masked LM loss {scores['all_loss']:.4f}", flush=True)
    return model


def count_records(place: Path, name: str, seed: int) -> int:
    files = data_of(place, name, seed).glob("*.json")
    return sum(json.loads(path.read_text(encoding="utf-8"))["counts"]["instances"] for path in files)


def train_model(place: Path, name: str, model_dir: Path, steps: int, seed: int) -> None:
    data = DATA_SETS[name]
    vocab, has_pairs = vocab_of(place, data), "--no-next_sentence" not in data.flags
    values = {
        **MODEL,
        "task.train_data.seed": seed,
        "task.train_data.max_predictions_per_seq": data.predictions,
        **{f"task.{split}_data.use_next_sentence_label": has_pairs for split in ("train", "validation")},
        "task.model.encoder.bert.vocab_size": vocab.read_bytes().count(b"\n"),
        "task.init_checkpoint": start_of(place, name, seed),
        "trainer.max_to_keep": 1,
    }
    flags = ["--mode", "train", "--vocab_file", vocab, "--hf_config_dir", hf_config_of(data)]
    flags += ["--no-check_records"] if data.field else []
    override = ",".join(f"{key}={value}" for key, value in values.items())
    config = hf_config_of(data).name
    train("run_pretraining_torch.py", model_dir, config, data_of(place, name, seed), steps, override, *flags)


def fine_tune(jglue_dir: Path | None, seed: int, model: Path) -> dict[str, float]:
    """Return the scores of a model, after those of JGLUE were added to them."""
    from japanese_bert.jglue.tasks import TASKS

    file, output_dir = model.with_name("scores.json"), model.with_name("jglue")
    scores = json.loads(file.read_text(encoding="utf-8"))
    if jglue_dir and "jsts_pearson" not in scores:
        flags = ["--model_dir", model, "--data_dir", jglue_dir, "--output_dir", output_dir, "--seeds", seed]
        run("tools/evaluate_jglue.py", *flags, "--tasks", "jsts", "jcommonsenseqa", *FINE_TUNING)
        tasks = json.loads((output_dir / "results.json").read_text(encoding="utf-8"))["tasks"]
        for name, task in tasks.items():
            scores |= {f"{name}_{metric}": task["runs"][0][metric] for metric in TASKS[name].metrics}
        file.write_text(json.dumps(scores), encoding="utf-8")
    return scores


def columns(scores: dict[str, list[dict[str, float]]]) -> list[str]:
    return list(dict.fromkeys(column for runs in scores.values() for run in runs for column in run))


def print_table(scores: dict[str, list[dict[str, float]]]) -> None:
    """Print a row for each score. A score that a data set lacks is empty."""
    print(f"\n| score | {' | '.join(scores)} |\n|---|{'---|' * len(scores)}")
    for column in columns(scores):
        cells = []
        for runs in scores.values():
            values = [run[column] for run in runs if column in run]
            half = (max(values) - min(values)) / 2 if values else 0
            cells.append(f"{mean(values):.4f} ({half:.4f})" if values else "")
        print(f"| {column.replace('_', ' ')} | {' | '.join(cells)} |")


def draw_scores(scores: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw a panel for each score: a point for each seed, a line for the mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from japanese_bert.common.output_files import replace_file

    names = columns(scores)
    rows = -(-len(names) // 4)
    figure, axes = pyplot.subplots(rows, 4, figsize=(14, 0.8 + rows * (0.8 + 0.3 * len(scores))), layout="constrained")
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, column in zip(axes.flat, names, strict=False):
        for place, runs in enumerate(scores.values()):
            values = [run[column] for run in runs if column in run]
            axis.plot(values, [place] * len(values), "o", color=f"C{place}", alpha=0.6)
            if values:
                axis.plot([mean(values)] * 2, [place - 0.3, place + 0.3], color=f"C{place}", linewidth=2)
        axis.set(title=column.replace("_", " "), yticks=range(len(scores)), ylim=(len(scores) - 0.5, -0.5))
        axis.set_yticklabels(scores if axis.get_subplotspec().is_first_col() else [])
        axis.grid(alpha=0.3, axis="x")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    replace_file(path, picture.getvalue())


if __name__ == "__main__":
    main(get_parser().parse_args())

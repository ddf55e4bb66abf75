"""run_pretraining_torch.py against the field's usual way on the same records, in one run on one GPU or a CPU.

The usual way is transformers' Trainer with BertForPreTraining: bfloat16, SDPA, fused AdamW, batches padded to the full
length, logits for all tokens, no torch.compile. Ours computes little padding and logits at masked positions only, and
is compiled on a GPU. Before it prints a speed, both must compute the same loss. The records are made here, from random
words in documents as long as Wikipedia's. It needs torch, transformers, accelerate, numpy, numba, safetensors and isal,
and takes less than 8 minutes on a GPU.

    python benchmarks/bench_training.py
"""

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # Trainer takes all

import numpy as np
import torch
from measure import machine, print_json
from torch.utils.data import Dataset
from transformers import BertConfig, BertForPreTraining, Trainer, TrainerCallback, TrainingArguments

import run_pretraining_torch
from japanese_bert.pretraining_data.instances import PlanSettings, plan_instances, shuffle_instances
from japanese_bert.pretraining_data.reading import (
    InstanceBlock,
    concatenate,
    read_instance_blocks,
    select_instances,
)
from japanese_bert.pretraining_data.rendering import Renderer, RenderSettings, render_instances
from japanese_bert.pretraining_data.token_store import CorpusCounts, TokenStore
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab
from japanese_bert.torch_training.checks import config_of
from japanese_bert.torch_training.micro_batches import make_micro_batches
from japanese_bert.torch_training.model import Sums, make_model
from japanese_bert.torch_training.parameters import ExperimentSection, parse_torch_parameters
from japanese_bert.torch_training.run import make_arguments, make_batches
from japanese_bert.torch_training.trainer import PretrainingTrainer

ROOT = Path(__file__).resolve().parents[1]
PREDICTIONS = {128: 19, 512: 76}
NUM_DOCUMENTS = {128: 20_000, 512: 10_000}
TINY = {"hidden_size": 64, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
MODELS = ("tiny", "base", "large")
# Peak in bfloat16 without sparsity, in TFLOPS, from NVIDIA's data sheets. The first name that matches counts.
PEAKS = {
    "B200": 2250, "GH200": 989, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312, "A800": 312,
    "L40S": 362, "L40": 181, "L4": 121, "A40": 150, "A30": 165, "A10": 125, "RTX 6000 Ada": 364, "RTX A6000": 155,
    "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
FORMULA = (
    "MFU = FLOPs of the model / seconds / peak. FLOPs of a sequence of n tokens and p predictions, without padding, "
    "forward and backward: 72 l h^2 n + 12 l h n^2 + 6 p (h^2 + h V) + 6 h^2, with l layers of width h, vocabulary V"
)


class Measured(NamedTuple):
    """One training: sequences a second (median step), its spread over the steps, and the most memory in GB."""

    rate: float
    spread: tuple[float, float]
    memory: float | None
    steps: int


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["base", "large"])
    parser.add_argument("--lengths", nargs="+", type=int, choices=PREDICTIONS, default=list(PREDICTIONS))
    parser.add_argument("--vocab_size", type=int, default=32768)
    parser.add_argument("--global_batch_size", type=int, default=256, help="sequences of a step")
    parser.add_argument("--tokens_per_micro_batch", type=int, default=16384, help="for both; less for small memory")
    parser.add_argument("--seconds", type=float, default=15, help="counted seconds of each training")
    parser.add_argument("--warm_up", type=int, default=6, help="steps that are not counted")
    parser.add_argument("--num_workers", type=int, default=2, help="processes that read data")
    parser.add_argument("--num_documents", type=int, help="of the records. Default: enough for a GPU")
    parser.add_argument("--peak_tflops", type=float, help="of the device in bfloat16. Default: by its name")
    return parser


def main(args: argparse.Namespace) -> None:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    peak = args.peak_tflops or next((value for name, value in PEAKS.items() if name in device), None)
    print(f"{device}, peak {peak or '?'} TFLOPS. {FORMULA}", flush=True)
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for length in args.lengths:
            records = Path(directory, f"{length}.tfrecord.gz")
            make_records(records, length, args.vocab_size, args.num_documents or NUM_DOCUMENTS[length])
            block = concatenate(list(read_instance_blocks(str(records))))
            for model in args.models:
                params = parameters(model, records, length, args, directory)
                check_equal_losses(params, block)
                results[f"{model} {length}"] = compare(params, block, args, peak)
                print_row(f"{model} {length}", results[f"{model} {length}"])
    versions = machine("torch", "transformers", "accelerate", "numba")
    print_json({"device": device, "peak_tflops": peak, "machine": versions, **results})


def make_records(path: Path, length: int, vocab_size: int, num_documents: int) -> None:
    """Write records of random words. The most frequent ones have the lowest ids, and lengths are those of Wikipedia."""
    random = np.random.default_rng(12345)
    words = [*SPECIAL_TOKENS, *(str(number) for number in range(vocab_size - len(SPECIAL_TOKENS)))]
    vocab = Vocab(tuple(words), {word: number for number, word in enumerate(words)})
    sentences = np.clip(random.lognormal(3.1, 0.6, 45 * num_documents), 4, 200).astype(np.int64)
    sentence_offsets = np.concatenate([[0], np.cumsum(sentences)])
    # Documents of Japanese Wikipedia have about 940 tokens in the mean, and half of them less than 570.
    targets = np.cumsum(np.clip(random.lognormal(6.35, 1.0, num_documents), 100, 14_000))
    documents = np.unique(np.searchsorted(sentence_offsets, targets[targets < sentence_offsets[-1]]))
    tokens = len(SPECIAL_TOKENS) + random.zipf(1.2, sentence_offsets[-1]) % (vocab_size - len(SPECIAL_TOKENS))
    starts_word = random.random(len(tokens)) < 0.75
    store = TokenStore(
        (tokens | starts_word << 15).astype(np.uint16), sentence_offsets, np.array([0, *documents]), CorpusCounts()
    )
    with tempfile.TemporaryFile() as planned, tempfile.TemporaryFile() as order, open(path, "wb") as file:
        instances = plan_instances(store, PlanSettings(length, 0.1, 2, 12345), planned)
        settings = RenderSettings(length, PREDICTIONS[length], 0.15, True, True, True, True, 12345)
        shuffled = shuffle_instances(len(instances), 12345, order)
        render_instances(Renderer(store, instances, shuffled, vocab, settings), [file])


def parameters(model: str, records: Path, length: int, args: argparse.Namespace, directory: str) -> ExperimentSection:
    """Return the configuration of ours: the recipe's, with these records."""
    changes: dict[str, object] = {
        "task.train_data.input_path": records,
        "task.train_data.global_batch_size": args.global_batch_size,
        "task.train_data.seq_length": length,
        "task.model.encoder.bert.vocab_size": args.vocab_size,
        "task.train_data.max_predictions_per_seq": PREDICTIONS[length],
    }
    changes |= {f"task.model.encoder.bert.{name}": value for name, value in TINY.items() if model == "tiny"}
    flags = ["--mode", "train", "--model_dir", directory]
    flags += ["--config_file", str(ROOT / "configs" / "data" / "wikipedia.yaml")]
    name = "bert_large_wordpiece" if model == "large" else "bert_base_wordpiece"
    flags += ["--config_file", str(ROOT / "configs" / "model" / f"{name}.yaml")]
    flags += ["--params_override", ",".join(f"{name}={value}" for name, value in changes.items())]
    return parse_torch_parameters(run_pretraining_torch.get_parser().parse_args(flags))


def check_equal_losses(params: ExperimentSection, block: InstanceBlock) -> None:
    """Raise ValueError if both ways give different losses for the same weights and instances."""
    ours = make_model(config_of(params), params.task.model).eval()
    theirs = usual_model(params).eval()
    theirs.load_state_dict(ours.state_dict())
    rows = np.arange(8)
    with torch.no_grad():
        batches = make_micro_batches(select_instances(block, rows), 1024, 0, 1, True)
        sums = torch.stack([ours(**batch) for batch in batches]).sum(0)
        padded = PaddedInstances(block)
        features = [padded[row] for row in rows]
        batch = {name: torch.tensor(np.stack([feature[name] for feature in features])) for name in features[0]}
        expected = float(theirs(**batch).loss)
    predictions = sum(len(batch["masked_lm_labels"]) for batch in batches)
    found = float(sums[Sums.LM_LOSS] / predictions + sums[Sums.NEXT_SENTENCE_LOSS] / len(rows))
    if abs(found - expected) > 1e-4:
        raise ValueError(f"the losses differ: ours {found}, the usual way's {expected}")


def compare(params: ExperimentSection, block: InstanceBlock, args: argparse.Namespace, peak: float | None) -> dict:
    """Train in both ways, and return the figures."""
    flops = flops_of_a_sequence(params, block)
    found = {}
    for name, train in {"ours": train_ours, "usual": train_usual}.items():
        measured = measure_training(lambda times, train=train: train(params, block, args, times), args)
        if measured is not None:
            found[name] = {
                "sequences_per_second": measured.rate,
                "spread": measured.spread,
                "tokens_per_second": measured.rate * float(block.lengths.mean()),
                "mfu": measured.rate * flops / peak / 1e12 if peak else None,
                "memory_gb": measured.memory,
                "steps": measured.steps,
            }
    both = len(found) == 2
    ratio = found["ours"]["sequences_per_second"] / found["usual"]["sequences_per_second"] if both else None
    padding = 1 - float(block.lengths.sum() / block.seq_lengths.sum())
    return {**found, "ratio": ratio, "mean_length": float(block.lengths.mean()), "padding": padding}


def measure_training(train: Callable[["StepTimes"], None], args: argparse.Namespace) -> Measured | None:
    """Run a training, and return the figures, None if the memory of the device does not suffice."""
    times = StepTimes(args.warm_up, args.seconds)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        train(times)
    except torch.OutOfMemoryError:
        return None
    rates = [args.global_batch_size / seconds for seconds in times.counted]
    memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return Measured(median(rates), (min(rates), max(rates)), memory, len(rates))


class StepTimes(TrainerCallback):
    """The seconds of each counted step. It ends the training when they are enough."""

    def __init__(self, warm_up: int, seconds: float) -> None:
        self._left, self._seconds, self.counted = warm_up, seconds, []

    def on_train_begin(self, *_: object, **__: object) -> None:
        self._last = time.perf_counter()

    def on_step_end(self, args, state, control, **_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._left:
            self._left -= 1
        else:
            self.counted.append(now - self._last)
        self._last = now
        control.should_training_stop = sum(self.counted) >= self._seconds and len(self.counted) >= 3


class NoReport:
    """A `TrainingReport` that prints nothing."""

    def part(self, *_: object) -> None:
        pass


def train_ours(params: ExperimentSection, block: InstanceBlock, args: argparse.Namespace, times: StepTimes) -> None:
    """Train as run_pretraining_torch.py does."""
    model = make_model(config_of(params), params.task.model)
    if torch.cuda.is_available():
        model.compile(dynamic=True)
    trainer = PretrainingTrainer(
        model=model,
        config=config_of(params),
        params=params,
        args=make_arguments(params, tempfile.gettempdir(), 12345, args.num_workers),
        report=NoReport(),
        batches={"train": lambda step: make_batches(params, "train_data", 12345, args.tokens_per_micro_batch, step)},
        files={},
    )
    trainer.add_callback(times)
    trainer.train()


def train_usual(params: ExperimentSection, block: InstanceBlock, args: argparse.Namespace, times: StepTimes) -> None:
    """Train as most people do."""
    size = max(1, min(args.tokens_per_micro_batch // int(block.seq_lengths[0]), args.global_batch_size))
    while args.global_batch_size % size:
        size -= 1
    settings = TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=args.global_batch_size // size,
        learning_rate=1e-4,
        weight_decay=0.01,
        max_steps=1_000_000,
        bf16=torch.cuda.is_available(),
        optim="adamw_torch_fused",
        dataloader_num_workers=args.num_workers,
        remove_unused_columns=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    Trainer(model=usual_model(params), args=settings, train_dataset=PaddedInstances(block), callbacks=[times]).train()


def usual_model(params: ExperimentSection) -> BertForPreTraining:
    sizes = config_of(params)
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    config = BertConfig(**{name: getattr(sizes, name) for name in names}, hidden_act="gelu_new")
    config._attn_implementation = "sdpa"
    return BertForPreTraining(config)


class PaddedInstances(Dataset):
    """Instances with their padding and a label for each token, as BertForPreTraining takes them."""

    def __init__(self, block: InstanceBlock) -> None:
        self._block = block

    def __len__(self) -> int:
        return len(self._block)

    def __getitem__(self, row: int) -> dict[str, Any]:
        block, length = self._block, int(self._block.seq_lengths[row])
        tokens, predictions = slice(*block.offsets[row : row + 2]), slice(*block.prediction_offsets[row : row + 2])
        labels = np.full(length, -100)
        labels[block.positions[predictions]] = block.labels[predictions]
        return {
            "input_ids": _padded(block.token_ids[tokens], length),
            "token_type_ids": _padded(block.segment_ids[tokens], length),
            "attention_mask": _padded(np.ones(tokens.stop - tokens.start), length),
            "labels": labels,
            "next_sentence_label": np.int64(block.next_sentence_labels[row]),
        }


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values.astype(np.int64), (0, length - len(values)))


def flops_of_a_sequence(params: ExperimentSection, block: InstanceBlock) -> float:
    """Return the mean of FORMULA over the instances."""
    config = config_of(params)
    layers, width, lengths = config.num_hidden_layers, config.hidden_size, block.lengths.astype(np.float64)
    encoder = 72 * layers * width**2 * lengths + 12 * layers * width * lengths**2
    head = 6 * np.diff(block.prediction_offsets) * (width**2 + width * config.vocab_size) + 6 * width**2
    return float((encoder + head).mean())


def print_row(name: str, found: dict) -> None:
    """Print what was measured for one model and length."""
    print(f"\n{name}: mean length {found['mean_length']:.0f}, {found['padding']:.0%} padding in the records")
    for way in ("ours", "usual"):
        if way not in found:
            print(f"  {way:6} out of memory. Give a smaller --tokens_per_micro_batch")
            continue
        row = found[way]
        mfu = "" if row["mfu"] is None else f", MFU {row['mfu']:.1%}"
        memory = "" if row["memory_gb"] is None else f", {row['memory_gb']:.1f} GB"
        spread = "-".join(f"{rate:,.1f}" for rate in row["spread"])
        print(
            f"  {way:6} {row['sequences_per_second']:,.1f} sequences/s (steps {spread}), "
            f"{row['tokens_per_second']:,.0f} real tokens/s{mfu}{memory}"
        )
    if found["ratio"]:
        print(f"  ratio  {found['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    main(get_parser().parse_args())

"""create_pretraining_data.py against the field's algorithm on the same text, in one run.

The reference is Model Garden's own code with transformers' tokenizer (reference_create_pretraining_data.py). Before it
prints a ratio, TensorFlow reads both outputs and they must agree statistically. It also prints MeCab's own time,
because no pipeline that calls MeCab can be faster.

    python benchmarks/bench_create_pretraining_data.py --input_file ja.txt.xz \
        --wordpiece_vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt \
        --character_vocab_file tokenizers/character_unidic_lite/vocab.txt
"""

import argparse
import os
import resource
import sys
import tempfile
from pathlib import Path

from measure import MEGABYTE, Measurement, cut_corpus, machine, measure, median_of, print_json, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# name -> (megabytes of text, max_seq_length, max_predictions_per_seq, dupe_factor, tolerance of instance counts):
# the target length is drawn once per document, so counts from 2 MB of text have a standard deviation of 0.9 %.
SETTINGS = {"128": (10, 128, 19, 5, 0.02), "512": (2, 512, 76, 30, 0.04)}
SUBWORDS = {"wordpiece": [], "character": ["--vocab_has_no_subword_prefix"]}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True, help="a large corpus, e.g. CC-100")
    parser.add_argument("--wordpiece_vocab_file", type=Path, required=True)
    parser.add_argument("--character_vocab_file", type=Path, required=True)
    parser.add_argument("--skip_megabytes", type=int, default=120, help="text of the corpus to skip first")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--subwords", nargs="+", choices=SUBWORDS, default=list(SUBWORDS))
    parser.add_argument("--runs", type=int, default=6, help="counted runs of ours. The reference runs once")
    parser.add_argument("--work_dir", type=Path, help="for text and outputs")
    return parser


def main(args: argparse.Namespace) -> None:
    results = {}
    with tempfile.TemporaryDirectory(dir=args.work_dir) as directory:
        for setting in args.settings:
            corpus = Path(directory, f"corpus_{setting}.txt")
            cut_corpus(args.input_file, SETTINGS[setting][0] * MEGABYTE, corpus, args.skip_megabytes * MEGABYTE)
            mecab = mecab_seconds(corpus)
            for subword in args.subwords:
                vocab_file = vars(args)[f"{subword}_vocab_file"]
                results[f"{setting} {subword}"] = compare(setting, subword, corpus, vocab_file, args.runs) | {
                    "mecab_cpu_seconds": mecab
                }
    print_table(results)
    print_json({"machine": machine("fugashi", "numba", "isal", "transformers", "tf-models-official"), **results})


def compare(setting: str, subword: str, corpus: Path, vocab_file: Path, runs: int) -> dict[str, object]:
    """Run both, check that they agree, and return the figures."""
    _, max_seq_length, max_predictions_per_seq, dupe_factor, tolerance = SETTINGS[setting]
    shared = ["--input_file", corpus, "--vocab_file", vocab_file, "--subword_tokenizer_type", subword]
    shared += ["--max_seq_length", max_seq_length, "--max_predictions_per_seq", max_predictions_per_seq]
    shared += ["--dupe_factor", dupe_factor, "--random_seed", 12345]
    outputs = [corpus.with_suffix(f".{subword}.{side}.tfrecord.gz") for side in ("ours", "reference")]
    ours = [sys.executable, ROOT / "create_pretraining_data.py", *shared, "--output_file", outputs[0]]
    ours += ["--do_whole_word_mask", "--gzip_compress", "--use_v2_feature_names", *SUBWORDS[subword]]
    # Half of our runs before the reference and half after it: a shared machine gets faster and slower.
    print(f"{setting} {subword}: warm-up and {runs} runs of ours around one of the reference", flush=True)
    measurements = [run_afresh(ours, outputs[0]) for _ in range(1 + (runs + 1) // 2)][1:]
    script = ROOT / "benchmarks" / "reference_create_pretraining_data.py"
    reference = measure([sys.executable, script, *shared, "--output_file", outputs[1]], {"TF_CPP_MIN_LOG_LEVEL": "3"})
    measurements += [run_afresh(ours, outputs[0]) for _ in range(runs // 2)]
    statistics = [read_statistics(output, max_seq_length, max_predictions_per_seq, vocab_file) for output in outputs]
    check_agreement(*statistics, tolerance)
    median = median_of(measurements)
    return {
        "cpu_ratio": reference.cpu_seconds / median.cpu_seconds,
        "wall_ratio": reference.wall_seconds / median.wall_seconds,
        "cpu_seconds": median.cpu_seconds,
        "cpu_spread": spread([measurement.cpu_seconds for measurement in measurements]),
        "reference_cpu_seconds": reference.cpu_seconds,
        "peak_rss": median.peak_rss,
        "anonymous": median.anonymous,
        "reference_peak_rss": reference.peak_rss,
        "megabytes": outputs[0].stat().st_size / MEGABYTE,
        "reference_megabytes": outputs[1].stat().st_size / MEGABYTE,
        "statistics": statistics[0],
        "reference_statistics": statistics[1],
    }


def run_afresh(command: list, output: Path) -> Measurement:
    output.unlink(missing_ok=True)
    return measure(command)


def mecab_seconds(corpus: Path) -> float:
    """Return the CPU seconds that MeCab alone takes for the sentences of a corpus."""
    from japanese_bert.tokenization.mecab import find_dictionary, make_tagger

    tagger = make_tagger(find_dictionary("unidic_lite"), "-Owakati")
    lines = [line for line in corpus.read_text(encoding="utf-8").split("\n") if line]
    start = resource.getrusage(resource.RUSAGE_SELF)
    for line in lines:
        tagger.parse(line)
    end = resource.getrusage(resource.RUSAGE_SELF)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


def read_statistics(
    path: Path, max_seq_length: int, max_predictions_per_seq: int, vocab_file: Path
) -> dict[str, float]:
    """Return statistics of the records, which TensorFlow reads."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np
    import tensorflow as tf

    from japanese_bert.tokenization.vocab import load_vocab

    mask_id = load_vocab(vocab_file).ids["[MASK]"]
    lengths = {"input_word_ids": max_seq_length, "input_mask": max_seq_length, "input_type_ids": max_seq_length}
    lengths |= {"masked_lm_positions": max_predictions_per_seq, "masked_lm_ids": max_predictions_per_seq}
    spec = {name: tf.io.FixedLenFeature([length], tf.int64) for name, length in lengths.items()}
    spec["masked_lm_weights"] = tf.io.FixedLenFeature([max_predictions_per_seq], tf.float32)
    spec["next_sentence_labels"] = tf.io.FixedLenFeature([1], tf.int64)
    totals = np.zeros(8)
    for records in tf.data.TFRecordDataset(str(path), "GZIP").batch(2048):
        batch = {name: value.numpy() for name, value in tf.io.parse_example(records, spec).items()}
        length = batch["input_mask"].sum(1)
        weights = batch["masked_lm_weights"] > 0
        tokens = np.take_along_axis(batch["input_word_ids"], batch["masked_lm_positions"], 1)
        masked, kept = weights & (tokens == mask_id), weights & (tokens == batch["masked_lm_ids"])
        figures = (len(length), length.sum(), (length == max_seq_length).sum(), batch["input_type_ids"].sum())
        totals += (*figures, batch["next_sentence_labels"].sum(), weights.sum(), masked.sum(), kept.sum())
    count, tokens, full, segment_b, random_next, predictions, masked, kept = totals.tolist()
    return {
        "instances": count,
        "mean_length": tokens / count,
        "full_length_share": full / count,
        "segment_b_share": segment_b / tokens,
        "random_next_share": random_next / count,
        "predictions_per_instance": predictions / count,
        "mask_share": masked / predictions,
        "kept_share": kept / predictions,
    }


def check_agreement(ours: dict[str, float], reference: dict[str, float], tolerance: float) -> None:
    """Raise AssertionError if the two data sets differ by more than the reference does between seeds."""
    for name, value in reference.items():
        difference = abs(ours[name] / value - 1)
        if difference > (tolerance if name not in ("mask_share", "kept_share") else 0.01):
            raise AssertionError(f"{name}: ours {ours[name]:.4f}, reference {value:.4f}")


def print_table(results: dict[str, dict]) -> None:
    print("\n| setting | CPU s | reference | ratio | wall ratio | MeCab | RSS MB | reference | file MB | reference |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, row in results.items():
        print(
            f"| {name} | {row['cpu_seconds']:.2f} ({row['cpu_spread']}) | {row['reference_cpu_seconds']:.1f} "
            f"| {row['cpu_ratio']:.1f} | {row['wall_ratio']:.1f} | {row['mecab_cpu_seconds']:.2f} "
            f"| {row['peak_rss']:.0f} | {row['reference_peak_rss']:.0f} "
            f"| {row['megabytes']:.1f} | {row['reference_megabytes']:.1f} |"
        )


if __name__ == "__main__":
    main(get_parser().parse_args())

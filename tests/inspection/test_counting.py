"""The counts equal those of a slow and obvious count, and those that data creation printed."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.inspection.counting import added, quantile
from japanese_bert.inspection.summary import RATES
from tests.helpers.small_inspection import look, write_small
from tests.helpers.small_pretraining import make_data
from tests.helpers.tfrecord_reader import read_examples
from tests.helpers.tfrecord_writer import example, frame
from tests.pretraining_data.test_exactness import make_vocabs

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")


def slow_counts(examples: list[dict[str, list]], tokens: list[str]) -> dict[str, float]:
    """Count one token after the other."""
    total: Counter[str] = Counter()
    seen, instances, texts = set(), Counter(), Counter()
    for features in examples:
        length = sum(features["input_mask"])
        ids = features.get("input_word_ids", features.get("input_ids"))[:length]
        segments = features.get("input_type_ids", features.get("segment_ids"))[:length]
        count = int(sum(features["masked_lm_weights"]))
        labels = dict(zip(features["masked_lm_positions"][:count], features["masked_lm_ids"][:count], strict=True))
        text = [labels.get(position, token) for position, token in enumerate(ids)]
        total.update(instances=1, tokens=length, slots=len(features["input_mask"]), masked=count)
        total.update(without=count == 0, random=sum(features.get("next_sentence_labels", [])))
        total.update(mask=sum(tokens[ids[place]] == "[MASK]" for place in labels))
        total.update(kept=sum(ids[place] == label for place, label in labels.items()))
        total.update(unknown=sum(tokens[token] == "[UNK]" for token in text))
        for word in slow_words([tokens[token] for token in text]):
            is_masked = [place in labels for place in word]
            total.update(words=any(is_masked) and len(word) > 1, whole=all(is_masked) and len(word) > 1)
        seen |= {tokens[token] for token in text}
        instances[str((ids, segments, sorted(labels.items()), features.get("next_sentence_labels")))] += 1
        texts[str((text, segments))] += 1
    real = {token for token in tokens if token not in (*SPECIAL, "[UNK]") and not token.startswith("[unused")}
    real = {token for token in real if token.strip()}
    return {
        "padding": 1 - total["tokens"] / total["slots"],
        "masked": total["masked"] / total["tokens"],
        "replaced_by_mask": total["mask"] / total["masked"],
        "kept": total["kept"] / total["masked"],
        "replaced_by_another": 1 - (total["mask"] + total["kept"]) / total["masked"],
        "whole_words": total["whole"] / total["words"],
        "random_next": total["random"] / total["instances"],
        "unknown_tokens": total["unknown"] / total["tokens"],
        "vocab_never_seen": len(real - seen) / len(real),
        "repeated_instances": sum(count - 1 for count in instances.values()) / total["instances"],
        "repeated_texts": sum(count - 1 for count in texts.values()) / total["instances"],
    }


def slow_words(tokens: list[str]) -> list[list[int]]:
    """Return the positions of each word."""
    words: list[list[int]] = []
    for place, token in enumerate(tokens):
        if token.startswith("##") and place and tokens[place - 1] not in SPECIAL:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def check(path: Path, vocab: Path) -> None:
    tokens = vocab.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    examples = read_examples(path)
    [data] = (found := look("--input_files", path, "--vocab_file", vocab, "--max_instances", 0)).data_sets
    rates = {name: value for name, value in found.groups["data"][RATES].items() if name != "words_of_the_dictionary"}
    assert rates == pytest.approx(slow_counts(examples, tokens), abs=1e-12)
    lengths = sorted(sum(features["input_mask"]) for features in examples)
    expected = {"mean": np.mean(lengths), "shortest": lengths[0], "longest": lengths[-1]}
    expected |= {"median": lengths[(len(lengths) - 1) // 2], "95%": lengths[-(-95 * len(lengths) // 100) - 1]}
    shown = found.groups["data"]["tokens of an instance"]
    assert {name: shown[name] for name in expected} == pytest.approx(expected)
    predictions = Counter(int(sum(features["masked_lm_weights"])) for features in examples)
    assert {count: int(number) for count, number in enumerate(data.counts.predictions) if number} == predictions
    check_creation(path, found.groups["data"])


def check_creation(path: Path, groups: dict) -> None:
    """Compare with the summary that data creation left."""
    made_by = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    for name in ("instances", "masked_tokens", "instances_without_predictions"):
        assert groups["counts"][name] == made_by["counts"][name]
    for name in ("masked", "replaced_by_mask", "kept", "random_next"):
        assert groups[RATES][name] == pytest.approx(made_by["rates"][name])
    assert groups["tokens of an instance"]["mean"] == pytest.approx(made_by["rates"]["mean_length"])


@pytest.mark.parametrize("flags", [(), ("--no-use_v2_feature_names", "--no-do_whole_word_mask")])
def test_counts_of_small_data(tmp_path, flags):
    check(*write_small(tmp_path, "--dupe_factor", "3", *flags))


def test_counts_of_real_data(tmp_path, aozora_bytes):
    text = aozora_bytes[: aozora_bytes.index(b"\n\n", 200_000)] + b"\n"
    vocab = make_vocabs(tmp_path, text, 9000)["wordpiece"]
    (tmp_path / "corpus.txt").write_bytes(text)
    path = make_data(
        tmp_path / "corpus.txt", vocab, tmp_path / "data.tfrecord", "--no-gzip_compress", "--dupe_factor", "2",
        "--max_seq_length", "128", "--max_predictions_per_seq", "19",
    )  # fmt: skip
    check(path, vocab)


def test_repeats_of_text_masks_and_labels(tmp_path):
    """The first instance, the same again, and others: in masks, in the label, in the segments, in the text."""
    _, vocab = write_small(tmp_path, "--dupe_factor", "1")
    first = {
        "input_ids": [2, 6, 4, 3, 8, 3], "input_mask": [1] * 6, "segment_ids": [0, 0, 0, 0, 1, 1],
        "masked_lm_positions": [2], "masked_lm_ids": [7], "masked_lm_weights": [1.0], "next_sentence_labels": [0],
    }  # fmt: skip
    others = [
        {},
        {"input_ids": [2, 4, 7, 3, 8, 3], "masked_lm_positions": [1], "masked_lm_ids": [6]},
        {"next_sentence_labels": [1]},
        {"segment_ids": [0, 0, 1, 1, 1, 1]},
        {"input_ids": [2, 6, 4, 3, 9, 3]},
    ]
    path = tmp_path / "others"
    path.write_bytes(frame(example(first), *(example(first | other) for other in others)))
    [data] = look("--input_files", path, "--vocab_file", vocab).data_sets
    assert (data.wholes.count, data.texts.count) == (1, 3)


def test_histograms():
    histogram = added(added(np.zeros(0, np.int64), np.array([3, 1])), np.array([1, 1, 5]))
    assert histogram.tolist() == [0, 3, 0, 1, 0, 1]
    assert [quantile(histogram, share) for share in (0, 0.5, 0.6, 0.61, 0.8, 1)] == [1, 1, 1, 3, 3, 5]
    assert quantile(np.zeros(4, np.int64), 0.5) == 0

"""What several tests of the checks use: made once."""

import shutil
from pathlib import Path

import pytest

from tests.helpers import small_finetuning
from tests.helpers import small_pretraining as small

BUCKETS = ["--seq_bucket_lengths", *map(str, small.BUCKETS)]
SHORT = ["--short_seq_prob", "0.6"]


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """Write data, configuration, `first/ckpt-0` with its state file, and in `other` data that does not fit."""
    import numpy as np

    from japanese_bert.conversion.hf_reading import new_next_sentence
    from japanese_bert.models.checkpoint_reading import weights_of
    from japanese_bert.models.checkpoint_writing import write_checkpoint

    place = small.write_all(tmp_path_factory.mktemp("checks"))
    corpus, vocab = place / "corpus_0.txt", place / "vocab.txt"
    for name, flags in {
        "plain": ["--no-gzip_compress"],
        "v1": ["--no-use_v2_feature_names"],
        "long": ["--max_seq_length", "40"],
        "few": ["--max_predictions_per_seq", "3"],
        "single": ["--no-next_sentence"],
        "short": SHORT,
        "buckets": [*SHORT, *BUCKETS],
        "other_quota": [*BUCKETS, "--masked_lm_prob", "0.1"],
        "seed": ["--random_seed", "1"],
    }.items():
        small.make_data(corpus, vocab, place / "other" / name, *flags)
    larger = place / "larger.txt"
    larger.write_bytes(vocab.read_bytes() + "犬\n".encode())
    small.make_data(corpus, larger, place / "other" / "vocab")
    swapped = place / "swapped.txt"
    lines = vocab.read_bytes().split(b"\n")
    swapped.write_bytes(b"\n".join([*lines[:6], lines[7], lines[6], *lines[8:]]))
    small.make_data(corpus, swapped, place / "other" / "swapped")
    config = small.make_config(small.num_tokens(vocab))
    names = [row.hf_name for row in weights_of(config)]
    (place / "first").mkdir()
    write_checkpoint(new_next_sentence(names, config, np.random.default_rng(0)), config, place / "first")
    return place


@pytest.fixture(scope="session")
def finetuning_place(tmp_path_factory) -> Path:
    """Write data, configuration, a checkpoint, what checks read of a SavedModel, and in `other` wrong data."""
    place = small_finetuning.write_all(tmp_path_factory.mktemp("finetuning_checks"))
    vocab, other = place / "vocab.txt", place / "other"
    rows = small_finetuning.write_rows(place / "others.jsonl", 120)
    for name, flags in {
        "plain": ["--no-gzip_compress"],
        "long": ["--max_seq_length", "40"],
        "order": ["--labels", "long", "short", "other"],
        "four": ["--labels", *small_finetuning.LABELS, "fourth"],
        "score": ["--regression"],
    }.items():
        small_finetuning.make_data(rows, vocab, other / name, *flags)
    larger, swapped = place / "larger.txt", place / "swapped.txt"
    larger.write_bytes(vocab.read_bytes() + "犬\n".encode())
    lines = vocab.read_bytes().split(b"\n")
    swapped.write_bytes(b"\n".join([*lines[:6], lines[7], lines[6], *lines[8:]]))
    small_finetuning.make_data(rows, larger, other / "vocab")
    small_finetuning.make_data(rows, swapped, other / "swapped")
    small_finetuning.make_data(place / "train.jsonl", vocab, other / "copy")
    shutil.copy(other / "four", other / "no_record")
    corpus = small.write_corpus(place / "corpus.txt")
    small.make_data(corpus, vocab, other / "pretraining")
    (other / "text").write_text("text", encoding="utf-8")
    small_finetuning.write_fake_saved_model(place, place / "module")
    write_without_next_sentence(place)
    return place


def write_without_next_sentence(place: Path) -> None:
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    params = {**model_params(small_finetuning.trained_config(place)), "cls_heads": []}
    model = build_model(params)
    tf.train.Checkpoint(model=model, **model.checkpoint_items).write(str(place / "masked_lm" / "ckpt-1"))
    tf.train.Checkpoint(encoder=model.encoder_network).write(str(place / "encoder" / "bert_model.ckpt"))

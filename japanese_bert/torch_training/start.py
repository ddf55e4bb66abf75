"""What a training starts from: random weights, a Hugging Face directory, or a TF2 checkpoint. And its tokenizer.

A Hugging Face directory may have fewer tokens than the model of the configuration. Then the vocabulary of the data must
begin with its own, and the new tokens get the means of their pieces (`conversion/hf_reading.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.common.json_files import read_json_object
from japanese_bert.common.workers import call_in_child
from japanese_bert.conversion.hf_reading import (
    Weights,
    add_rows,
    find_model_name,
    missing_next_sentence,
    new_next_sentence,
    read_hf_weights,
)
from japanese_bert.conversion.model_card import read_license
from japanese_bert.conversion.trained_model import TrainedModel, describe_checkpoint, load_fitting_vocab
from japanese_bert.models.checkpoint_reading import find_checkpoint, read_weights
from japanese_bert.models.config import TOKENIZER_CLASS, BertConfig, load_bert_config
from japanese_bert.models.training_history import BaseModel, is_hf_directory, read_base_model, read_stages
from japanese_bert.tokenization.tokenizer_directory import (
    FAST_TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
    VOCAB_FILE,
    with_class,
)
from japanese_bert.tokenization.vocab import load_vocab
from japanese_bert.torch_training.checkpoints import find_checkpoints

HEAD_SEED = 12345  # of a next sentence head, if the model was saved without one


def load_initial_weights(
    initial: Path, config: BertConfig, vocab_file: Path | None, remarks: list[str] | None = None
) -> Weights:
    """Return the weights of every head that `task.init_checkpoint` names. A head that it lacks is new, with a remark.

    Raises:
        ValueError: they do not fit `config`, or cannot be read.
    """
    if checkpoints := find_checkpoints(initial):
        raise ValueError(f"{initial}: the --model_dir of a training. Give a checkpoint of it, e.g. {checkpoints[-1]}")
    every_head = replace(config, architecture="BertForPreTraining")
    if not is_hf_directory(initial):
        return call_in_child(_read_tf2, initial, every_head)
    found = load_bert_config(initial / "config.json")
    if vocab_file and found.vocab_size != config.vocab_size:
        size = len(load_vocab(initial / VOCAB_FILE))
        if size != found.vocab_size:
            raise ValueError(
                f"{initial}: vocab_size is {found.vocab_size}, but {VOCAB_FILE} has {size} tokens. Convert it with "
                "convert_hf_checkpoint_to_tf2.py --add_vocab_file, which gives each row a token"
            )
    fields = (*BertConfig.__slots__[1:7],) if found.vocab_size < config.vocab_size else BertConfig.__slots__[:7]
    for name in fields:
        if getattr(found, name) != getattr(config, name):
            raise ValueError(
                f"{initial / 'config.json'}: {name} is {getattr(found, name)}, but {getattr(config, name)} in "
                "--config_file. Leave the model out of --config_file to take the one of --init_checkpoint"
            )
    own = replace(every_head, vocab_size=found.vocab_size)
    weights = read_hf_weights(initial, own)
    missing = missing_next_sentence(weights, own)
    if missing and remarks is not None and config.architecture == "BertForPreTraining":
        remarks.append(f"{initial}: no weight {missing[0]}: the next sentence head is new, random")
    weights |= new_next_sentence(missing, own, np.random.default_rng(HEAD_SEED))
    return _with_new_tokens(weights, initial, config, vocab_file) if found.vocab_size < config.vocab_size else weights


def _read_tf2(initial: Path, config: BertConfig) -> Weights:
    try:
        return read_weights(find_checkpoint(initial), config)
    except ImportError:
        raise ImportError(
            f"{initial}: TensorFlow is needed to read a TF2 checkpoint and is not installed. Convert it with "
            "convert_tf2_checkpoint_to_all_frameworks.py, and give the Hugging Face directory"
        ) from None


def _with_new_tokens(weights: Weights, initial: Path, config: BertConfig, vocab_file: Path | None) -> Weights:
    """Return the weights with a row for each token that `vocab_file` has after those of the model."""
    old = load_vocab(initial / VOCAB_FILE)
    if vocab_file is None:
        raise ValueError(
            f"{initial}: has {len(old):,} tokens, the model of --config_file {config.vocab_size:,}. Give the "
            "vocabulary of the data, --vocab_file"
        )
    new = load_fitting_vocab(vocab_file, config, "--config_file")
    if new.tokens[: len(old)] != old.tokens:
        raise ValueError(
            f"{vocab_file}: does not begin with the tokens of {initial / VOCAB_FILE}. Add tokens at its end"
        )
    return add_rows(weights, old, new.tokens[len(old) :])


def find_tokenizer_files(initial: Path | None, hf_config_dir: Path | None, vocab_file: Path | None) -> dict[str, Path]:
    """Return the files to copy by their names. Without flags they are those of the Hugging Face directory."""
    own = initial if initial and is_hf_directory(initial) else None
    directory = hf_config_dir or own
    files = {VOCAB_FILE: vocab_file or (own and own / VOCAB_FILE)}
    for name in (TOKENIZER_CONFIG_FILE, FAST_TOKENIZER_FILE):
        files[name] = directory and directory / name
    if hf_config_dir and not (hf_config_dir / TOKENIZER_CONFIG_FILE).is_file():
        raise FileNotFoundError(f"{hf_config_dir / TOKENIZER_CONFIG_FILE}: no such file. Give hf_model_configs/<name>")
    return {name: path for name, path in files.items() if path and (path.is_file() or path == vocab_file)}


def tokenizer_class(files: Mapping[str, Path]) -> str:
    """Return the class that Transformers takes for the copied `tokenizer_config.json`. It may not name one."""
    file = files.get(TOKENIZER_CONFIG_FILE)
    if not file:
        return TOKENIZER_CLASS
    settings, config_file = read_json_object(file), file.with_name("config.json")
    if config_file.is_file():
        settings = with_class(settings, config_file)
    return settings.get("tokenizer_class", TOKENIZER_CLASS)


def describe_trained_model(
    checkpoint: Path, config: BertConfig, files: Mapping[str, Path], params: Mapping[str, Any], check_records: bool
) -> TrainedModel:
    """Return a checkpoint of a training with `params`, with all that is known about it, for its model card."""
    stages = read_stages(checkpoint, params)
    start = stages[0].initial_checkpoint()
    base = _base_of_start(start, config) if start else None
    return describe_checkpoint(checkpoint, config, "--config_file", stages, base, files, check_records=check_records)


def _base_of_start(start: Path, config: BertConfig) -> BaseModel | None:
    if not is_hf_directory(start):
        return read_base_model([start.parent])
    added = config.vocab_size - load_bert_config(start / "config.json").vocab_size
    return BaseModel(find_model_name(start), read_license(start), added)

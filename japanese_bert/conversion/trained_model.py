"""A checkpoint with all that is known about it: loaded once, and compared with one another.

The weights alone do not describe a model. Configuration, vocabulary, settings of the tokenizer and the history of the
training must agree, or the conversion is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from japanese_bert.common import command_line
from japanese_bert.common.provenance import read_provenance
from japanese_bert.models.checkpoint_reading import find_checkpoint
from japanese_bert.models.config import BertConfig, load_bert_config
from japanese_bert.models.model_garden import check_params
from japanese_bert.models.training_history import (
    BaseModel,
    TrainingStage,
    of_directory_of,
    read_base_model,
    read_stages,
    start_of,
)
from japanese_bert.tokenization import identity
from japanese_bert.tokenization.tokenizer_directory import (
    FAST_TOKENIZER_FILE,
    SPM_FILE,
    TOKENIZER_CONFIG_FILE,
    VOCAB_FILE,
    TokenizerSettings,
    load_settings,
)
from japanese_bert.tokenization.vocab import Vocab, load_vocab


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """One checkpoint of the trainer. `tokenizer_files` are the files to copy, by their names in the output."""

    checkpoint: Path
    config: BertConfig
    stages: list[TrainingStage]
    base: BaseModel | None
    tokenizer_files: Mapping[str, Path]
    settings: TokenizerSettings | None
    vocab: Vocab | None
    vocab_made_by: Mapping[str, Any] | None
    tokenization: identity.Tokenization


def load_trained_model(
    checkpoint: Path,
    config_file: Path,
    hf_config_dir: Path | None,
    vocab_file: Path | None,
    tfrecord: Path | None,
    check_records: bool = True,
) -> TrainedModel:
    """Return a checkpoint and what is known about it. `tfrecord` is pretraining data, for its tokenization.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: two files describe different models, or (with `check_records`) different tokenizations.
    """
    config, prefix = load_bert_config(config_file), find_checkpoint(checkpoint)
    stages = read_stages(prefix)
    check_params(stages, config)
    files = _files_of_config_dir(hf_config_dir, config) if hf_config_dir else {}
    if vocab_file:
        files[VOCAB_FILE] = vocab_file
    base = _base_model(prefix, stages, hf_config_dir)
    return describe_checkpoint(prefix, config, "--tf_config_file", stages, base, files, tfrecord, check_records)


def describe_checkpoint(
    prefix: Path,
    config: BertConfig,
    config_name: str,
    stages: list[TrainingStage],
    base: BaseModel | None,
    files: Mapping[str, Path],
    tfrecord: Path | None = None,
    check_records: bool = True,
) -> TrainedModel:
    """Return a checkpoint with what its tokenizer's `files` say. Raise ValueError if two do not fit together."""
    vocab_file = files.get(VOCAB_FILE)
    has_settings = TOKENIZER_CONFIG_FILE in files and SPM_FILE not in files
    return TrainedModel(
        checkpoint=prefix,
        config=config,
        stages=stages,
        base=base,
        tokenizer_files=files,
        settings=load_settings(files[TOKENIZER_CONFIG_FILE]) if has_settings else None,
        vocab=load_fitting_vocab(vocab_file, config, config_name) if vocab_file else None,
        vocab_made_by=read_provenance(vocab_file) if vocab_file else None,
        tokenization=_recorded_tokenization(prefix, config.vocab_size, stages, files, tfrecord, check_records),
    )


def _recorded_tokenization(
    prefix: Path,
    vocab_size: int,
    stages: list[TrainingStage],
    files: Mapping[str, Path],
    tfrecord: Path | None,
    check_records: bool,
) -> identity.Tokenization:
    """Return what is recorded of the data, compared with the tokenizer's files and with the model that was continued.

    The record of the vocabulary counts if nothing else names the dictionary.
    """
    stated = [identity.of_config(files[TOKENIZER_CONFIG_FILE])] if TOKENIZER_CONFIG_FILE in files else []
    recorded = [identity.of_data(read_provenance(tfrecord) or {}, f"{tfrecord}.json")] if tfrecord else []
    recorded += [item for stage in stages for item in stage.tokenizations(vocab_size)]
    if VOCAB_FILE in files:
        stated.append(
            identity.Tokenization(str(files[VOCAB_FILE]), vocab_sha256=identity.hash_of_file(files[VOCAB_FILE]))
        )
        if not any(item.dictionary for item in recorded):
            recorded.append(identity.of_vocab_record(files[VOCAB_FILE]))
    if start := start_of(stages, prefix):
        stated.append(of_directory_of(start, vocab_size))
    identity.check_same([*stated, *recorded], check_records)
    return identity.merged(recorded)


def load_fitting_vocab(path: Path, config: BertConfig, config_name: str) -> Vocab:
    """Return a vocabulary, or raise ValueError if the configuration `config_name` describes another one."""
    vocab = load_vocab(path)
    if len(vocab) != config.vocab_size:
        raise ValueError(
            f"{path}: has {len(vocab):,} tokens, but vocab_size is {config.vocab_size:,} in {config_name}. Give the "
            "vocabulary and the configuration of the trained model"
        )
    return vocab


def _base_model(prefix: Path, stages: list[TrainingStage], hf_config_dir: Path | None) -> BaseModel | None:
    """Return the model that the first stage started from. Its directory may be away, but that of its tokenizer is not.

    A training on a TPU starts from a copy in a bucket.
    """
    start = start_of(stages, prefix)
    if start is None:
        return None
    return read_base_model([start.parent, *([hf_config_dir] if hf_config_dir else [])])


def _files_of_config_dir(directory: Path, config: BertConfig) -> dict[str, Path]:
    """Return the files to copy from a `--hf_config_dir`, with SentencePiece model and fast tokenizer if there are."""
    files = {name: directory / name for name in ("config.json", TOKENIZER_CONFIG_FILE)}
    command_line.check_files_exist(files.values(), "--hf_config_dir hf_model_configs/<name>")
    if load_bert_config(files["config.json"]) != config:
        raise ValueError(f"{files['config.json']}: describes another model than --tf_config_file")
    others = {name: directory / name for name in (SPM_FILE, FAST_TOKENIZER_FILE)}
    return files | {name: path for name, path in others.items() if path.is_file()}

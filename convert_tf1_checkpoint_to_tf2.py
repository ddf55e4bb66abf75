"""Google's TF1 checkpoint of a BERT, ALBERT or ELECTRA -> TF2 checkpoint with every head, for the trainer.

It reads what google-research/bert, albert and electra released, and what their code has trained. The output directory
holds the checkpoint (for task.init_checkpoint), model.yaml (for --config_file), vocab.txt or spiece.model, config.json
and tokenizer_config.json. The last two convert it, or a model that continued it, to Hugging Face.
An ELECTRA has no configuration beside its checkpoint. Write those of its discriminator and its generator, as
model_configs/electra_* have them. One checkpoint has both networks.
"""

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.common import command_line
from japanese_bert.common.environment import check_cuda_packages
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.conversion.hf_reading import complete_next_sentence
from japanese_bert.conversion.tf1_reading import read_tf1_weights
from japanese_bert.conversion.trained_model import load_fitting_vocab
from japanese_bert.models.checkpoint_reading import checkpoint_files, find_checkpoint
from japanese_bert.models.checkpoint_writing import (
    TEMPORARY,
    Network,
    add_trainer_file_arguments,
    count_parameters,
    write_trainer_files,
)
from japanese_bert.models.config import BertConfig, load_configs_with_every_head
from japanese_bert.models.training_history import TF1_STAGE
from japanese_bert.tokenization.sentencepiece_model import load_spm_vocab
from japanese_bert.tokenization.tokenizer_directory import (
    MODEL_INPUT_NAMES,
    SPM_FILE,
    TOKENIZER_CONFIG_FILE,
    VOCAB_FILE,
)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    inputs = parser.add_argument_group("input")
    inputs.add_argument(
        "--tf1_checkpoint", type=Path, required=True, help="checkpoint, e.g. uncased_L-12_H-768_A-12/bert_model.ckpt"
    )
    inputs.add_argument(
        "--config_file",
        type=Path,
        required=True,
        help="bert_config.json or albert_config.json, or as in model_configs/",
    )
    inputs.add_argument("--generator_config_file", type=Path, help="the generator's, for an ELECTRA")
    words = inputs.add_mutually_exclusive_group(required=True)
    words.add_argument("--vocab_file", type=Path, help="vocab.txt of a BERT or ELECTRA")
    words.add_argument("--spm_file", type=Path, help="SentencePiece model of an ALBERT, e.g. 30k-clean.model")
    inputs.add_argument(
        "--do_lower_case",
        action=argparse.BooleanOptionalAction,
        required=True,
        help="whether the model is an uncased one, which also drops accents. The files do not say it",
    )
    inputs.add_argument(
        "--base_model", help="the model's name for the card of a trained model. Default: its directory's"
    )
    add_trainer_file_arguments(parser)
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without it TensorFlow complains of missing GPUs
    check_cuda_packages()
    stopwatch = Stopwatch()
    command_line.check_positive({"initial_learning_rate": args.initial_learning_rate})
    words_file = args.vocab_file or args.spm_file
    command_line.check_files_exist([words_file], "the archive of the checkpoint")
    config_files = [args.config_file, *([args.generator_config_file] if args.generator_config_file else [])]
    configs = load_configs_with_every_head(config_files, "--config_file", "--generator_config_file")
    check_vocab_size(args.vocab_file, args.spm_file, configs[0])
    prefix = find_checkpoint(args.tf1_checkpoint)
    names = ("do_lower_case", "initial_learning_rate", "random_seed", "base_model")
    provenance = Provenance(
        stage=TF1_STAGE,
        method={name: vars(args)[name] for name in names},
        inputs=InputFiles(config=config_files, weights=checkpoint_files(prefix), tokenizer=[words_file]),
        arguments=vars(args),
        packages=("tensorflow",),
    )
    if skip_if_complete(provenance, [args.output_dir]):
        return
    with open_output_directory(args.output_dir, provenance, args.overwrite, (TEMPORARY,)) as directory:
        rng = np.random.default_rng(args.random_seed)
        found = zip(read_tf1_weights(prefix, configs), configs, strict=True)
        networks = [Network(complete_next_sentence(weights, config, rng), config) for weights, config in found]
        settings = tokenizer_settings(configs[0], args.do_lower_case, is_sentencepiece=bool(args.spm_file))
        write_trainer_files(directory, args.initial_learning_rate, settings["tokenizer_class"], *networks)
        shutil.copyfile(words_file, directory / (SPM_FILE if args.spm_file else VOCAB_FILE))
        text = json.dumps(settings, indent=2, sort_keys=True)
        (directory / TOKENIZER_CONFIG_FILE).write_text(f"{text}\n", encoding="utf-8", newline="\n")
        base = {"base_model": args.base_model or prefix.absolute().parent.name}
        counts = {"parameters": count_parameters(networks), "vocab_size": configs[0].vocab_size}
        provenance.report.update({**base, **counts, **stopwatch.measurements()})
    print_summary(f"{args.output_dir}: done", provenance.report)


def check_vocab_size(vocab_file: Path | None, spm_file: Path | None, config: BertConfig) -> None:
    """Raise ValueError if the vocabulary is another model's."""
    if vocab_file:
        load_fitting_vocab(vocab_file, config, "--config_file")
    elif spm_file and (size := len(load_spm_vocab(spm_file))) != config.vocab_size:
        raise ValueError(f"--spm_file {spm_file}: has {size:,} pieces, but vocab_size is {config.vocab_size:,}")


def tokenizer_settings(config: BertConfig, do_lower_case: bool, is_sentencepiece: bool) -> dict[str, Any]:
    """Return the fields of `tokenizer_config.json`. Google's tokenizers drop accents when they lower-case."""
    common = {
        "do_lower_case": do_lower_case,
        "model_input_names": MODEL_INPUT_NAMES,
        "model_max_length": config.max_position_embeddings,
    }
    if is_sentencepiece:
        return {**common, "tokenizer_class": "AlbertTokenizer", "keep_accents": not do_lower_case}
    own = {"strip_accents": do_lower_case, "tokenize_chinese_chars": True}
    return {**common, "tokenizer_class": "BertTokenizer", **own}


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

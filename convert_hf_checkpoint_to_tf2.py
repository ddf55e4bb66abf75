"""Hugging Face directory of a BERT, ALBERT or ELECTRA -> TF2 checkpoint with every head, for continued pretraining.

An ELECTRA has two directories, of its discriminator and of its generator (--hf_generator_dir).
The output directory holds the checkpoint (for task.init_checkpoint), model.yaml (for --config_file), vocab.txt (for
create_pretraining_data.py), and config.json and the files of the tokenizer, to convert the trained model back.
--add_vocab_file adds words to the vocabulary. Their weights are the means of the weights of their pieces.
The provenance has the name and the licence of the model. The card of the trained model names them as its base.
"""

import argparse
import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert.common import command_line
from japanese_bert.common.environment import check_cuda_packages, import_triton_first
from japanese_bert.common.json_files import read_json_object
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.conversion import hf_reading
from japanese_bert.conversion.added_words import SHOWN_TOKENS, choose_tokens
from japanese_bert.conversion.hf_reading import PREFIX
from japanese_bert.conversion.hf_writing import write_tokenizer
from japanese_bert.conversion.model_card import read_license
from japanese_bert.models.checkpoint_writing import (
    TEMPORARY,
    Network,
    add_trainer_file_arguments,
    count_parameters,
    write_trainer_files,
)
from japanese_bert.models.config import TOKENIZER_CLASS, BertConfig, load_configs_with_every_head, notes_of
from japanese_bert.models.training_history import CONTINUING_STAGE
from japanese_bert.models.weight_names import weights_of
from japanese_bert.tokenization.tokenizer_directory import (
    FAST_TOKENIZER_FILE,
    MODEL_INPUT_NAMES,
    NO_DICTIONARY,
    SPM_FILE,
    TOKENIZER_CONFIG_FILE,
    VOCAB_FILE,
    names_no_dictionary,
    with_class,
)
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab, load_vocab, vocab_bytes

ADDED_TOKENS_FILE = "added_tokens.json"
TOKENIZER_FILES = (VOCAB_FILE, SPM_FILE, TOKENIZER_CONFIG_FILE)
ADDED_FILE = "added_vocab.txt"


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    inputs = parser.add_argument_group("input")
    inputs.add_argument(
        "--hf_model_dir", type=Path, required=True, help="config.json, weights (safetensors or .bin), vocab.txt"
    )
    inputs.add_argument("--hf_generator_dir", type=Path, help="the same of the generator, for an ELECTRA")
    inputs.add_argument(
        "--base_model",
        help="the model's name for the card of the trained model, such as tohoku-nlp/bert-base-japanese-v3. Default: "
        "the name of its directory",
    )
    inputs.add_argument(
        "--add_vocab_file", type=Path, help="vocab.txt or a list of words; words that the model lacks are added"
    )
    inputs.add_argument("--max_added_tokens", type=int, help="add only the first so many; default: all")
    inputs.add_argument(
        "--add_pieces",
        action=argparse.BooleanOptionalAction,
        default=False,
        help=f"add the pieces of words too, which begin with {PREFIX}",
    )
    inputs.add_argument(
        "--mecab_dic_type",
        help="dictionary of the tokenizer if its tokenizer_config.json names none, as in the first Japanese models",
    )
    add_trainer_file_arguments(parser)
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without it TensorFlow complains of missing GPUs
    check_cuda_packages()
    import_triton_first()
    stopwatch = Stopwatch()
    numbers = {name: vars(args)[name] for name in ("initial_learning_rate", "max_added_tokens")}
    command_line.check_positive({name: value for name, value in numbers.items() if value is not None})
    if not args.add_vocab_file and (args.max_added_tokens or args.add_pieces):
        raise ValueError("--max_added_tokens and --add_pieces need a list of words, --add_vocab_file")
    if args.base_model and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", args.base_model):
        raise ValueError(f"--base_model {args.base_model}: expected a name on the Hub, such as tohoku-nlp/bert-...")
    directories = [args.hf_model_dir, *([args.hf_generator_dir] if args.hf_generator_dir else [])]
    config_files = [directory / "config.json" for directory in directories]
    configs = load_configs_with_every_head(config_files, "--hf_model_dir", "--hf_generator_dir")
    for note in dict.fromkeys(note for path in config_files for note in notes_of(path)):
        print(f"NOTE {note}")
    tokenizer_files = [path for name in TOKENIZER_FILES if (path := args.hf_model_dir / name).is_file()]
    settings_file = args.hf_model_dir / TOKENIZER_CONFIG_FILE
    settings = with_class(read_json_object(settings_file), config_files[0]) if settings_file.is_file() else {}
    provenance = make_provenance(args, directories, tokenizer_files, names_no_dictionary(settings))
    settings = complete_settings(settings_file, settings, args.mecab_dic_type)
    if skip_if_complete(provenance, [args.output_dir]):
        return
    has_vocab = (args.hf_model_dir / VOCAB_FILE).is_file()
    vocab = load_vocab_of_every_row(args.hf_model_dir, configs[0], settings) if has_vocab else None
    added: list[str] = []
    if args.add_vocab_file:
        added = choose_tokens(args.add_vocab_file, vocab, args.add_pieces, settings)[: args.max_added_tokens]
    with open_output_directory(args.output_dir, provenance, args.overwrite, (TEMPORARY,)) as directory:
        networks = load_networks(directories, configs, args.random_seed)
        if vocab and added:
            networks = [with_added_tokens(network, vocab, added) for network in networks]
        tokenizer_class = settings.get("tokenizer_class", TOKENIZER_CLASS)
        write_trainer_files(directory, args.initial_learning_rate, tokenizer_class, *networks)
        fast_tokenizer = args.hf_model_dir / FAST_TOKENIZER_FILE
        copied = [*tokenizer_files, *([fast_tokenizer] if fast_tokenizer.is_file() else [])]
        write_tokenizer(directory, {path.name: path for path in copied})
        complete_tokenizer(directory, settings, vocab, added)
        base_model = args.base_model or hf_reading.find_model_name(args.hf_model_dir)
        base = {"base_model": base_model, "base_license": read_license(args.hf_model_dir)}
        vocab_size = networks[0].config.vocab_size
        counts = {"parameters": count_parameters(networks), "added_tokens": len(added), "vocab_size": vocab_size}
        provenance.report.update({**base, **counts, **stopwatch.measurements()})
    print_summary(f"{args.output_dir}: done", provenance.report)
    if vocab and added:
        first = f"{' '.join(added[:SHOWN_TOKENS])}{' ...' if added[SHOWN_TOKENS:] else ''}"
        print(f"  added: lines {len(vocab) + 1:,} to {vocab_size:,} of vocab.txt, {first} (all: {ADDED_FILE})")


def make_provenance(
    args: argparse.Namespace, directories: Sequence[Path], tokenizer_files: list[Path], needs_dictionary: bool
) -> Provenance:
    method = {name: vars(args)[name] for name in ("max_added_tokens", "initial_learning_rate", "random_seed")}
    # Only if given: an output of version 0.1, which had no such flags, is still complete.
    method |= {name: vars(args)[name] for name in ("base_model", "add_pieces") if vars(args)[name]}
    if needs_dictionary:
        method |= {"mecab_dic_type": args.mecab_dic_type}
    return Provenance(
        stage=CONTINUING_STAGE,
        method=method,
        inputs=InputFiles(
            config=[directory / "config.json" for directory in directories],
            weights=[path for directory in directories for path in hf_reading.weight_files(directory)],
            tokenizer=[*tokenizer_files, *filter(Path.is_file, [args.hf_model_dir / ADDED_TOKENS_FILE])],
            added_vocab=[args.add_vocab_file] if args.add_vocab_file else [],
        ),
        arguments=vars(args),
        packages=("tensorflow", "torch", "safetensors"),
    )


def load_vocab_of_every_row(directory: Path, config: BertConfig, settings: Mapping[str, Any]) -> Vocab:
    """Return the vocabulary with a token for each row of the embeddings.

    The embeddings may have rows for tokens that were added beside vocab.txt, and rows that only round their number up.
    """
    vocab = load_vocab(directory / VOCAB_FILE)
    rows = {number: f"[unused_row{number}]" for number in range(len(vocab), config.vocab_size)}
    file, decoder = directory / ADDED_TOKENS_FILE, settings.get("added_tokens_decoder") or {}
    beside = {int(number): token["content"] for number, token in decoder.items()}
    beside |= {number: token for token, number in (read_json_object(file) if file.is_file() else {}).items()}
    rows |= {number: token for number, token in beside.items() if number >= len(vocab) and token not in vocab.ids}
    if len(vocab) + len(rows) != config.vocab_size or len({*rows.values()}) < len(rows):
        raise ValueError(
            f"{directory / VOCAB_FILE}: has {len(vocab):,} tokens, but vocab_size is {config.vocab_size:,} in "
            f"config.json ({len(beside):,} are added beside). Give the vocabulary and the configuration of the model"
        )
    if rows:
        print(f"NOTE config.json has {len(rows):,} rows more than vocab.txt. The new vocab.txt names them")
    tokens = (*vocab.tokens, *rows.values())
    return Vocab(tokens, {token: number for number, token in enumerate(tokens)})


def complete_settings(config_file: Path, values: Mapping[str, Any], mecab_dic_type: str | None) -> dict[str, Any]:
    """Return the fields of a `tokenizer_config.json` for the output, none if the model has no such file."""
    if not config_file.is_file():
        return {}
    # Without model_input_names BertJapaneseTokenizer drops segment ids in Transformers 5.
    values = {"model_input_names": MODEL_INPUT_NAMES, **values}
    kwargs = values.get("mecab_kwargs") or {}
    if names_no_dictionary(values):
        if not mecab_dic_type:
            raise ValueError(f"{config_file}: {NO_DICTIONARY}. Add --mecab_dic_type ipadic (or unidic_lite)")
        values["mecab_kwargs"] = {**kwargs, "mecab_dic": mecab_dic_type}
    elif mecab_dic_type and kwargs.get("mecab_dic") not in (None, mecab_dic_type):
        raise ValueError(f"--mecab_dic_type {mecab_dic_type}: {config_file} names {kwargs['mecab_dic']}")
    return values


def load_networks(directories: Sequence[Path], configs: Sequence[BertConfig], random_seed: int) -> list[Network]:
    """Return the weights of each directory. Raise ValueError if two networks do not share their word embeddings."""
    networks, rng = [], np.random.default_rng(random_seed)
    for directory, config in zip(directories, configs, strict=True):
        weights = hf_reading.read_hf_weights(directory, config)
        networks.append(Network(hf_reading.complete_next_sentence(weights, config, rng), config))
    tables = [network.weights[weights_of(network.config)[0].hf_name] for network in networks]
    if not np.array_equal(tables[0], tables[-1]):
        raise ValueError(
            f"{directories[1]}: other word embeddings than {directories[0]}. The networks of the trainer's ELECTRA "
            "share them. Give the discriminator and the generator of one training"
        )
    return networks


def with_added_tokens(network: Network, vocab: Vocab, added: Sequence[str]) -> Network:
    """Return a network with a row for each new token."""
    weights = hf_reading.add_rows(dict(network.weights), vocab, added)
    return Network(weights, dataclasses.replace(network.config, vocab_size=network.config.vocab_size + len(added)))


def complete_tokenizer(directory: Path, settings: Mapping[str, Any], vocab: Vocab | None, added: Sequence[str]) -> None:
    """Write the settings of a tokenizer and its larger vocabulary.

    Tokens that were added beside vocab.txt are in it now. Transformers would still find them before MeCab splits the
    text, which data creation does not, so `added_tokens_decoder` keeps special tokens only.
    """
    decoder = settings.get("added_tokens_decoder")
    if vocab and decoder:
        kept = {n: token for n, token in decoder.items() if token.get("special") or token["content"] in SPECIAL_TOKENS}
        settings = {**settings, "added_tokens_decoder": kept}
    if settings:
        text = json.dumps(settings, ensure_ascii=False, indent=2, sort_keys=True)
        (directory / TOKENIZER_CONFIG_FILE).write_text(f"{text}\n", encoding="utf-8", newline="\n")
    if vocab and (added or vocab.tokens != load_vocab(directory / VOCAB_FILE).tokens):
        (directory / VOCAB_FILE).write_bytes(vocab_bytes([*vocab.tokens, *added]))
    if added:
        (directory / ADDED_FILE).write_bytes(vocab_bytes(added))


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

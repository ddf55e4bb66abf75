"""Hugging Face BERT directory -> TF2 checkpoint with every head, for continued pretraining with the trainer.

The output directory has the checkpoint, for task.init_checkpoint; model.yaml, for --config_file; vocab.txt, for
create_pretraining_data.py; and config.json and tokenizer_config.json, for converting the trained model back.
--add_vocab_file adds entries to the vocabulary, with weights that are the means of their pieces'.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.report import Stopwatch, print_summary

LEARNING_RATE = 5e-5  # for continued pretraining: half of the released base models' first one


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    inputs = parser.add_argument_group("input")
    inputs.add_argument(
        "--hf_model_dir", type=Path, required=True, help="config.json, weights (safetensors or .bin), vocab.txt"
    )
    inputs.add_argument(
        "--add_vocab_file", type=Path, help="vocab.txt or a list of words; entries that the model lacks are added"
    )
    inputs.add_argument("--max_added_tokens", type=int, help="only the first so many of them; default: all")
    output = parser.add_argument_group("output")
    output.add_argument("--output_dir", type=Path, required=True, help="directory to make")
    method = parser.add_argument_group("method")
    method.add_argument(
        "--initial_learning_rate", type=float, default=LEARNING_RATE, help="peak rate that is written to model.yaml"
    )
    method.add_argument(
        "--random_seed", type=int, default=12345, help="of a next sentence head, if the model was saved without one"
    )
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow complains of every GPU that is not there
    from japanese_bert.common.output_directories import open_output_directory
    from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
    from japanese_bert.conversion.hf_reading import read_hf_weights, weight_files
    from japanese_bert.models.checkpoint_writing import TEMPORARY
    from japanese_bert.models.config import load_bert_config

    stopwatch = Stopwatch()
    command_line.check_positive({"initial_learning_rate": args.initial_learning_rate})
    config_file = args.hf_model_dir / "config.json"
    config = with_every_head(load_bert_config(config_file), config_file)
    remark_on_activation(config_file)
    tokenizer_files = [
        path for name in ("vocab.txt", "tokenizer_config.json") if (path := args.hf_model_dir / name).is_file()
    ]
    added_files = [args.add_vocab_file] if args.add_vocab_file else []
    provenance = Provenance(
        stage="convert_hf_checkpoint_to_tf2",
        method={name: vars(args)[name] for name in ("max_added_tokens", "initial_learning_rate", "random_seed")},
        inputs=InputFiles(
            config=[config_file],
            weights=weight_files(args.hf_model_dir),
            tokenizer=tokenizer_files,
            added_vocab=added_files,
        ),
        arguments=vars(args),
        packages=("tensorflow", "torch", "safetensors"),
    )
    if skip_if_complete(provenance, [args.output_dir]):
        return
    vocab, added = choose_vocab(args, config)
    with open_output_directory(args.output_dir, provenance, args.overwrite, (TEMPORARY,)) as directory:
        weights = complete_heads(read_hf_weights(args.hf_model_dir, config), config, args.random_seed)
        if added:
            from japanese_bert.conversion.hf_reading import add_rows

            weights = add_rows(weights, vocab, added)
            config = dataclasses.replace(config, vocab_size=config.vocab_size + len(added))
        write_model(directory, weights, config, args.initial_learning_rate)
        write_tokenizer(directory, tokenizer_files, vocab, added)
        counts = {"parameters": sum(array.size for array in weights.values()), "added_tokens": len(added)}
        provenance.report.update({**counts, "vocab_size": config.vocab_size, **stopwatch.measurements()})
    print_summary(f"{args.output_dir}: done", provenance.report)


def with_every_head(config, config_file: Path):
    """The configuration of what is written, whichever heads the model was saved with."""
    if config.model_type != "bert":
        raise ValueError(f"{config_file}: model_type is {config.model_type}; only a BERT can be trained on")
    return dataclasses.replace(config, architecture="BertForPreTraining")


def remark_on_activation(config_file: Path) -> None:
    if json.loads(config_file.read_text(encoding="utf-8")).get("hidden_act") == "gelu":
        print(
            "NOTE hidden_act is gelu; the trainer computes its tanh form, gelu_new, which is what the released "
            "Japanese models were trained with whatever their config.json says. A model that was trained with the "
            "exact form starts with logits that differ by about 1e-3"
        )


def choose_vocab(args: argparse.Namespace, config):
    """The model's vocabulary, None if the directory has none, and the entries to add."""
    from japanese_bert.conversion.hf_reading import new_tokens
    from japanese_bert.tokenization.vocab import load_vocab

    path = args.hf_model_dir / "vocab.txt"
    vocab = load_vocab(path) if path.is_file() else None
    if vocab is not None and len(vocab) != config.vocab_size:
        raise ValueError(f"{path}: has {len(vocab):,} tokens, but vocab_size is {config.vocab_size:,} in config.json")
    if args.add_vocab_file is None:
        return vocab, []
    if vocab is None:
        raise FileNotFoundError(f"{path}: no such file, which --add_vocab_file needs")
    command_line.check_files_exist([args.add_vocab_file], "train_tokenizer.py, or write one word a line")
    candidates = args.add_vocab_file.read_bytes().decode("utf-8").split("\n")
    added = new_tokens(vocab, (line.removesuffix("\r") for line in candidates), args.max_added_tokens)
    if not added:
        raise ValueError(f"{args.add_vocab_file}: has no entry that {path} lacks; leave --add_vocab_file out")
    return vocab, added


def complete_heads(weights, config, random_seed: int):
    """A model saved without next sentence head gets a new one, which is said."""
    import numpy as np

    from japanese_bert.conversion.hf_reading import missing_next_sentence, new_next_sentence

    missing = missing_next_sentence(weights, config)
    if missing:
        print(f"NOTE no weight {missing[0]}: the next sentence head is new, random", file=sys.stderr)
    return weights | new_next_sentence(missing, config, np.random.default_rng(random_seed))


def write_model(directory: Path, weights, config, initial_learning_rate: float) -> None:
    import yaml

    from japanese_bert.models.checkpoint_writing import write_checkpoint
    from japanese_bert.models.model_garden import model_params

    write_checkpoint(weights, config, directory)
    (directory / "config.json").write_text(config.to_json(), encoding="utf-8", newline="\n")
    rate = {"learning_rate": {"polynomial": {"initial_learning_rate": initial_learning_rate}}}
    params = {"task": {"model": model_params(config)}, "trainer": {"optimizer_config": rate}}
    text = yaml.safe_dump(params, sort_keys=False)
    (directory / "model.yaml").write_text(text, encoding="utf-8", newline="\n")


def write_tokenizer(directory: Path, files: list[Path], vocab, added: list[str]) -> None:
    from japanese_bert.tokenization.tokenizer_directory import MODEL_INPUT_NAMES
    from japanese_bert.tokenization.vocab import vocab_bytes

    for path in files:
        shutil.copyfile(path, directory / path.name)
    config_file = directory / "tokenizer_config.json"
    if config_file.is_file():
        # Without it BertJapaneseTokenizer drops segment ids in Transformers 5.
        values = {"model_input_names": MODEL_INPUT_NAMES} | json.loads(config_file.read_text(encoding="utf-8"))
        text = json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True)
        config_file.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    if added:
        (directory / "vocab.txt").write_bytes(vocab_bytes([*vocab.tokens, *added]))


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

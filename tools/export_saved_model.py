"""TF2 checkpoint of Model Garden's trainer -> SavedModel of its encoder in TF-Hub's form.

task.hub_module_url, hub.load() and hub.KerasLayer take it. The pooled output comes from the trained pooler of the next
sentence head. `.mlm` is the encoder with its masked LM head. A BERT, an ALBERT, and the discriminator of an ELECTRA can
be exported, also with talking heads (--gin_file). Inputs are ids, and no preprocessing is exported:
TensorFlow's BertTokenizer splits every CJK character and gives other ids than the model was trained with. Tokenize with
create_classification_data.py or with Transformers.
"""

import argparse
import os
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.conversion import saved_model
from japanese_bert.conversion.trained_model import load_fitting_vocab
from japanese_bert.models.checkpoint_reading import checkpoint_files, find_checkpoint
from japanese_bert.models.config import BertConfig, load_bert_config
from japanese_bert.models.training_history import read_tokenizations
from japanese_bert.tokenization.identity import Tokenization, check_same, hash_of_file
from japanese_bert.tokenization.sentencepiece_model import load_spm_vocab

PACKAGES = ("tensorflow", "tf-models-official", "tf_keras")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    inputs = parser.add_argument_group("input")
    inputs.add_argument(
        "--tf_checkpoint_path",
        type=Path,
        required=True,
        help="checkpoint, e.g. model/ckpt-1000000, or a --model_dir of the trainer for its latest one",
    )
    inputs.add_argument(
        "--tf_config_file", type=Path, required=True, help="architecture, e.g. model_configs/*/config.json"
    )
    inputs.add_argument(
        "--gin_file", type=Path, nargs="+", default=[], help="of the training, e.g. configs/model/talking_heads_*.gin"
    )
    tokens = inputs.add_mutually_exclusive_group(required=True)
    tokens.add_argument(
        "--vocab_file", type=Path, help="vocab.txt of the tokenizer; it is copied into the output's assets"
    )
    tokens.add_argument("--spm_file", type=Path, help="spiece.model, for an ALBERT of Google; the same")
    inputs.add_argument(
        "--do_lower_case",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="was the data lower-cased? TF-Hub's form stores this in the output",
    )
    inputs.add_argument(
        "--check_records",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="vocabulary and casing must be those of the data that the checkpoint was trained on",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output_path", type=Path, required=True, help="directory to make")
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without it TensorFlow complains of missing GPUs
    stopwatch = Stopwatch()
    config = load_bert_config(args.tf_config_file)
    command_line.check_files_exist(args.gin_file, "configs/model/*.gin")
    tokenizer = load_tokenizer_of_model(args, config)
    saved_model.check_architecture(config, args.tf_config_file)
    checkpoint = find_checkpoint(args.tf_checkpoint_path)
    given = Tokenization("this command", do_lower_case=args.do_lower_case, vocab_sha256=hash_of_file(tokenizer.file))
    check_same([*read_tokenizations(checkpoint), given], args.check_records)
    provenance = Provenance(
        stage="export_saved_model",
        method={"do_lower_case": args.do_lower_case},
        inputs=InputFiles(
            checkpoint=checkpoint_files(checkpoint),
            config=[args.tf_config_file],
            vocab=[tokenizer.file],
            **({"gin": args.gin_file} if args.gin_file else {}),
        ),
        arguments=vars(args),
        packages=PACKAGES,
    )
    if skip_if_complete(provenance, [args.output_path]):
        return
    with (
        open_output_directory(args.output_path, provenance, args.overwrite, saved_model.SUBDIRECTORIES) as directory,
        saved_model.changed_by_gin(args.gin_file),
    ):
        saved_model.export_encoder(checkpoint, config, tokenizer, directory, is_changed=bool(args.gin_file))
        found = saved_model.output_differences(checkpoint, config, directory, tokenizer.vocab)
        saved_model.check_differences(args.output_path, found)
        provenance.report.update({"differences": found, **stopwatch.measurements()})
    shown = {name: value for name, value in provenance.report.items() if name != "differences"}
    print_summary(f"{args.output_path}: done", shown)


def load_tokenizer_of_model(args: argparse.Namespace, config: BertConfig) -> saved_model.Tokenizer:
    """Return the tokenizer. Raise ValueError if its size is not that of the configuration."""
    if args.vocab_file:
        vocab = load_fitting_vocab(args.vocab_file, config, "--tf_config_file")
        return saved_model.Tokenizer(args.vocab_file, vocab, args.do_lower_case)
    vocab = load_spm_vocab(args.spm_file)
    if len(vocab) != config.vocab_size:
        raise ValueError(
            f"{args.spm_file}: has {len(vocab):,} pieces, but vocab_size is {config.vocab_size:,} in --tf_config_file"
        )
    return saved_model.Tokenizer(args.spm_file, vocab, args.do_lower_case)


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

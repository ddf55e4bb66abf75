"""TF2 checkpoint of Model Garden's trainer -> SavedModel of its encoder, as on TF-Hub: for task.hub_module_url, or
for hub.load() and hub.KerasLayer.

The pooled output is that of the trained next sentence pooler; `.mlm` is the encoder with its masked LM head. Inputs
are ids. No preprocessing is exported: TensorFlow's BertTokenizer splits every CJK character, so that its ids are not
those that the model was trained with; tokenize with create_classification_data.py or with Transformers.
"""

import argparse
import os
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.report import Stopwatch, print_summary

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
        "--vocab_file", type=Path, required=True, help="vocab.txt of the tokenizer, goes into the output's assets"
    )
    inputs.add_argument(
        "--do_lower_case",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="was the data lower-cased? goes into the output as a variable, as the form demands",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output_path", type=Path, required=True, help="directory to make")
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow complains of every GPU that is not there
    from japanese_bert.common.output_directories import open_output_directory
    from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
    from japanese_bert.conversion import saved_model
    from japanese_bert.models.checkpoint_reading import checkpoint_files, find_checkpoint
    from japanese_bert.models.config import load_bert_config
    from japanese_bert.tokenization.vocab import load_vocab

    stopwatch = Stopwatch()
    config, vocab = load_bert_config(args.tf_config_file), load_vocab(args.vocab_file)
    if len(vocab) != config.vocab_size:
        raise ValueError(
            f"{args.vocab_file}: has {len(vocab):,} tokens, but vocab_size is {config.vocab_size:,} in "
            "--tf_config_file; give the vocabulary and the configuration of the trained model"
        )
    saved_model.check_architecture(config, args.tf_config_file)
    checkpoint = find_checkpoint(args.tf_checkpoint_path)
    provenance = Provenance(
        stage="export_saved_model",
        method={"do_lower_case": args.do_lower_case},
        inputs=InputFiles(
            checkpoint=checkpoint_files(checkpoint), config=[args.tf_config_file], vocab=[args.vocab_file]
        ),
        arguments=vars(args),
        packages=PACKAGES,
    )
    if skip_if_complete(provenance, [args.output_path]):
        return
    with open_output_directory(args.output_path, provenance, args.overwrite, saved_model.SUBDIRECTORIES) as directory:
        saved_model.export_encoder(checkpoint, config, args.vocab_file, args.do_lower_case, directory)
        found = saved_model.output_differences(checkpoint, config, directory, vocab)
        saved_model.check_differences(args.output_path, found)
        provenance.report.update({"differences": found, **stopwatch.measurements()})
    shown = {name: value for name, value in provenance.report.items() if name != "differences"}
    print_summary(f"{args.output_path}: done", shown)


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

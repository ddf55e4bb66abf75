"""TF2 checkpoint of Model Garden's trainer -> Hugging Face directory for PyTorch, TensorFlow and Flax.

Every weight of the checkpoint is used exactly once, or it is an error; the output appears whole or not at all.
Memory, measured: 2.1 GB for BERT-base; 6.7 GB for BERT-large with --verify_tfrecord.
"""

import argparse
import os
import shutil
from pathlib import Path

from japanese_bert import model_files, stage
from japanese_bert.bert_config import BertConfig, load_bert_config
from japanese_bert.checkpoints import checkpoint_files, find_checkpoint, read_weights
from japanese_bert.output_directory import is_complete, open_output_directory
from japanese_bert.provenance import Provenance
from japanese_bert.vocab import load_vocab

MAX_LOGIT_DIFFERENCE = 1e-4  # measured: below 1e-5 with the right activation, 2e-4 and more with the wrong one


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=stage.HelpFormatter)
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
        "--hf_config_dir",
        type=Path,
        help="hf_model_configs/*, whose config.json and tokenizer_config.json go into the output",
    )
    inputs.add_argument("--vocab_file", type=Path, help="vocab.txt of the tokenizer, goes into the output")
    inputs.add_argument(
        "--verify_tfrecord",
        type=Path,
        help="pretraining data; compares the logits of the trainer's model with PyTorch's on its first instances",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output_path", type=Path, required=True, help="directory to make")
    stage.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow complains of every GPU that is not there
    stopwatch = stage.Stopwatch()
    config = load_bert_config(args.tf_config_file)
    checkpoint = find_checkpoint(args.tf_checkpoint_path)
    extra_files = check_extra_files(config, args.vocab_file, args.hf_config_dir)
    if args.verify_tfrecord:
        stage.check_files_exist([args.verify_tfrecord], "create_pretraining_data.py")
    provenance = Provenance(
        stage="convert_tf2_checkpoint_to_all_frameworks",
        method={},
        inputs=[*checkpoint_files(checkpoint), args.tf_config_file, *extra_files.values()],
        arguments=vars(args),
        packages=("tensorflow", "safetensors", "h5py", "msgpack"),
    )
    if is_complete(args.output_path, provenance):
        print(f"{args.output_path}: complete, made from the same inputs; skipped")
        verify(checkpoint, config, args.output_path, args.verify_tfrecord)
        return
    with open_output_directory(args.output_path, provenance, args.overwrite) as directory:
        weights = read_weights(checkpoint, config)
        write_model(directory, config, weights, extra_files)
        verify(checkpoint, config, directory, args.verify_tfrecord)
        num_parameters = sum(array.size for array in weights.values())
        provenance.report.update({"parameters": num_parameters, "tensors": len(weights), **stopwatch.measurements()})
    stage.print_summary(f"{args.output_path}: done", provenance.report)


def check_extra_files(config: BertConfig, vocab_file: Path | None, hf_config_dir: Path | None) -> dict[str, Path]:
    """The files to copy by their names in the output; each must describe the same model."""
    files = {}
    if hf_config_dir is not None:
        files = {name: hf_config_dir / name for name in ("config.json", "tokenizer_config.json")}
        stage.check_files_exist(files.values(), "--hf_config_dir hf_model_configs/<name>")
        if load_bert_config(files["config.json"]) != config:
            raise ValueError(f"{files['config.json']}: describes another model than --tf_config_file")
    if vocab_file is not None:
        files["vocab.txt"] = vocab_file
        if len(load_vocab(vocab_file)) != config.vocab_size:
            raise ValueError(
                f"{vocab_file}: has {len(load_vocab(vocab_file)):,} tokens, but vocab_size is {config.vocab_size:,} "
                "in --tf_config_file; give the vocabulary and the configuration of the trained model"
            )
    return files


def write_model(
    directory: Path, config: BertConfig, weights: model_files.Weights, extra_files: dict[str, Path]
) -> None:
    (directory / "config.json").write_text(config.to_json(), encoding="utf-8", newline="\n")
    model_files.write_safetensors(weights, directory / model_files.PYTORCH_FILE)
    model_files.write_keras_h5(weights, directory / model_files.TENSORFLOW_FILE)
    model_files.write_flax_msgpack(weights, directory / model_files.FLAX_FILE)
    for name, path in extra_files.items():
        shutil.copyfile(path, directory / name)


def verify(checkpoint: Path, config: BertConfig, directory: Path, tfrecord: Path | None) -> None:
    """Raise ValueError if the converted model computes something else than the trained one."""
    if tfrecord is None:
        return
    from japanese_bert.model_garden import logit_differences

    masked, next_sentence = logit_differences(checkpoint, config, directory, tfrecord)
    print(f"largest difference of logits: masked tokens {masked:.1e}, next sentence {next_sentence:.1e}")
    if max(masked, next_sentence) > MAX_LOGIT_DIFFERENCE:
        raise ValueError(
            f"{directory}: logits differ from the trained model's by {max(masked, next_sentence):.1e}, expected at "
            f"most {MAX_LOGIT_DIFFERENCE}; a custom model needs its own conversion"
        )


if __name__ == "__main__":
    stage.run_stage(get_parser(), main)

"""TF2 checkpoint of Model Garden's trainer -> Hugging Face directory for PyTorch, TensorFlow, Flax and ONNX.

The configuration tells what it is: a BERT, an ALBERT, the discriminator or the generator of an ELECTRA. Every weight of
the checkpoint is used exactly once or left out for a reason, or it is an error; the output appears whole or not at
all, and only if its logits are those of the trained model in every framework that can be loaded.
Memory of all processes, measured: 3.0 GB for BERT-base; 5.1 GB for BERT-large, 6.8 GB with --onnx.
"""

import argparse
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance, read_provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.common.workers import call_in_child
from japanese_bert.conversion import hf_writing, model_card, onnx_export, verification
from japanese_bert.conversion.frameworks import ONNX_FILE
from japanese_bert.models.checkpoint_reading import checkpoint_files, find_checkpoint, left_out, read_weights
from japanese_bert.models.config import BertConfig, load_bert_config
from japanese_bert.models.model_garden import check_params
from japanese_bert.models.training_history import read_stages
from japanese_bert.tokenization import tokenizer_directory
from japanese_bert.tokenization.vocab import load_vocab

PACKAGES = ("tensorflow", "safetensors", "h5py", "msgpack")
ONNX_PACKAGES = ("torch", "transformers", "onnx", "onnxscript")


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
        "--tf_config_file", type=Path, required=True, help="sizes and class, e.g. model_configs/*/config.json"
    )
    inputs.add_argument(
        "--hf_config_dir",
        type=Path,
        help="hf_model_configs/*, whose files (configurations, code of the fast tokenizer) go into the output",
    )
    inputs.add_argument("--vocab_file", type=Path, help="vocab.txt of the tokenizer, goes into the output")
    output = parser.add_argument_group("output")
    output.add_argument("--output_path", type=Path, required=True, help="directory to make")
    output.add_argument(
        "--onnx", action=argparse.BooleanOptionalAction, default=False, help=f"write {ONNX_FILE} too, for any shape"
    )
    output.add_argument(
        "--license",
        default="apache-2.0",
        help="of the model, for the card (README.md, made with --hf_config_dir or --vocab_file): a name of the Hub's",
    )
    proof = parser.add_argument_group("proof")
    proof.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare logits with those of the checkpoint in Model Garden, in every framework that can be loaded; "
        f"above {verification.MAX_LOGIT_DIFFERENCE} there is no output",
    )
    proof.add_argument(
        "--verify_tfrecord",
        type=Path,
        help="pretraining data to compare on; left out: instances from built-in sentences",
    )
    proof.add_argument(
        "--verify_python",
        type=Path,
        nargs="+",
        default=[],
        help="python of other environments to compare in as well, e.g. .venv-transformers4/bin/python for TensorFlow "
        "and Flax",
    )
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow complains of every GPU that is not there
    stopwatch = Stopwatch()
    config = load_bert_config(args.tf_config_file)
    checkpoint = find_checkpoint(args.tf_checkpoint_path)
    check_params(read_stages(checkpoint), config)
    extra_files = check_extra_files(config, args.vocab_file, args.hf_config_dir)
    check_requirements(args)
    dictionary = find_dictionary_of_data(extra_files, args.verify_tfrecord)
    card = make_card(args, config, checkpoint, extra_files, dictionary) if extra_files else None
    provenance = Provenance(
        stage="convert_tf2_checkpoint_to_all_frameworks",
        method={"onnx": args.onnx, "model_card": card and model_card.card_hash(card)},
        inputs=InputFiles(
            checkpoint=checkpoint_files(checkpoint), config=[args.tf_config_file], tokenizer=list(extra_files.values())
        ),
        arguments=vars(args),
        dictionary=dictionary,
        packages=PACKAGES + (ONNX_PACKAGES if args.onnx else ()),
    )
    if skip_if_complete(provenance, [args.output_path]):
        was_verified = bool((read_provenance(args.output_path) or {}).get("differences"))
        if args.verify and (args.verify_tfrecord or args.verify_python or not was_verified):
            verify(args, checkpoint, config, args.output_path)
        return
    with open_output_directory(args.output_path, provenance, args.overwrite) as directory:
        counts = write_model(directory, config, checkpoint, extra_files)
        if args.onnx:
            call_in_child(onnx_export.export_onnx, directory, directory / ONNX_FILE)
        found = verify(args, checkpoint, config, directory) if args.verify else {}
        if card:
            model_card.write_card(card, directory, args.output_path)
        provenance.report.update({**counts, "differences": found, **stopwatch.measurements()})
    shown = {name: value for name, value in provenance.report.items() if name != "differences"}
    print_summary(f"{args.output_path}: done", shown)


def check_requirements(args: argparse.Namespace) -> None:
    if args.verify_tfrecord:
        command_line.check_files_exist([args.verify_tfrecord], "create_pretraining_data.py")
    command_line.check_files_exist(
        args.verify_python, "VENV=.venv-transformers4 ./install.sh requirements/transformers4.txt"
    )
    if args.verify:
        verification.check_packages()
    elif args.verify_tfrecord or args.verify_python:
        raise ValueError("--no-verify contradicts --verify_tfrecord and --verify_python; give one or the other")
    if args.onnx:
        onnx_export.check_onnx_packages()


def check_extra_files(config: BertConfig, vocab_file: Path | None, hf_config_dir: Path | None) -> dict[str, Path]:
    """The files to copy by their names in the output; each must describe the same model."""
    files = {}
    if hf_config_dir is not None:
        files = {name: hf_config_dir / name for name in ("config.json", "tokenizer_config.json")}
        command_line.check_files_exist(files.values(), "--hf_config_dir hf_model_configs/<name>")
        if load_bert_config(files["config.json"]) != config:
            raise ValueError(f"{files['config.json']}: describes another model than --tf_config_file")
        fast_tokenizer = hf_config_dir / tokenizer_directory.FAST_TOKENIZER_FILE
        files |= {fast_tokenizer.name: fast_tokenizer} if fast_tokenizer.is_file() else {}
    if vocab_file is not None:
        files["vocab.txt"] = vocab_file
        if len(load_vocab(vocab_file)) != config.vocab_size:
            raise ValueError(
                f"{vocab_file}: has {len(load_vocab(vocab_file)):,} tokens, but vocab_size is {config.vocab_size:,} "
                "in --tf_config_file; give the vocabulary and the configuration of the trained model"
            )
    return files


def find_dictionary_of_data(extra_files: dict[str, Path], tfrecord: Path | None) -> Mapping[str, object] | None:
    """The dictionary that vocabulary and pretraining data were made with, for check_tokenizer.py to compare."""
    config_file = extra_files.get(tokenizer_directory.TOKENIZER_CONFIG_FILE)
    settings = tokenizer_directory.load_settings(config_file) if config_file else None
    vocab_file = extra_files.get(tokenizer_directory.VOCAB_FILE)
    return tokenizer_directory.dictionary_of_data(settings, [path for path in (vocab_file, tfrecord) if path])


def make_card(
    args: argparse.Namespace,
    config: BertConfig,
    checkpoint: Path,
    extra_files: dict[str, Path],
    dictionary: Mapping[str, object] | None,
) -> str:
    config_file = extra_files.get(tokenizer_directory.TOKENIZER_CONFIG_FILE)
    facts = model_card.CardFacts(
        name=args.output_path.resolve().name,
        license=args.license,
        config=config,
        settings=tokenizer_directory.load_settings(config_file) if config_file else None,
        dictionary=dictionary,
        vocab_record=read_provenance(args.vocab_file) if args.vocab_file else None,
        stages=read_stages(checkpoint),
        files=[*extra_files, *([ONNX_FILE] if args.onnx else [])],
    )
    return model_card.make_card(facts)


def write_model(directory: Path, config: BertConfig, checkpoint: Path, extra_files: dict[str, Path]) -> dict[str, int]:
    """The files of PyTorch, TensorFlow and Flax, and the copies; the weights leave memory. Returns counts."""
    weights = read_weights(checkpoint, config)
    for reason, names in left_out(checkpoint, config).items():
        print(f"left out: {reason} ({len(names)} variables, {names[0]} ...)")
    (directory / "config.json").write_text(config.to_json(), encoding="utf-8", newline="\n")
    hf_writing.write_safetensors(weights, directory / hf_writing.PYTORCH_FILE)
    hf_writing.write_keras_h5(weights, directory / hf_writing.TENSORFLOW_FILE, config.architecture)
    hf_writing.write_flax_msgpack(weights, directory / hf_writing.FLAX_FILE)
    for name, path in extra_files.items():
        shutil.copyfile(path, directory / name)
    return {"parameters": sum(array.size for array in weights.values()), "tensors": len(weights)}


def verify(args: argparse.Namespace, checkpoint: Path, config: BertConfig, directory: Path) -> dict[str, dict]:
    """Raise ValueError if the converted model computes something else than the trained one."""
    vocab = load_vocab(args.vocab_file) if args.vocab_file else None
    return verification.verify(checkpoint, config, directory, args.verify_tfrecord, vocab, args.verify_python)


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

"""TF2 checkpoint of Model Garden's trainer -> Hugging Face directory for PyTorch, TensorFlow, Flax and ONNX.

The configuration names the class: a BERT, an ALBERT, the discriminator or the generator of an ELECTRA. Every weight of
the checkpoint is used exactly once, or is left out for a reason, or is an error. The output appears complete or not at
all. It appears only if every framework that can be loaded computes the logits of the trained model.
Memory of all processes, measured: 3.0 GB for BERT-base, 5.1 GB for BERT-large, 6.8 GB for BERT-large with --onnx.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.environment import check_cuda_packages
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance, read_provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.common.workers import call_in_child
from japanese_bert.conversion import hf_writing, model_card, onnx_export, verification
from japanese_bert.conversion.frameworks import ONNX_FILE
from japanese_bert.conversion.trained_model import TrainedModel, load_trained_model
from japanese_bert.models.checkpoint_reading import checkpoint_files, left_out, read_weights

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
        help="hf_model_configs/*, or the output of convert_hf_checkpoint_to_tf2.py for a continued model; its "
        "configurations and its fast tokenizer, if there is one, are copied into the output",
    )
    inputs.add_argument("--vocab_file", type=Path, help="vocab.txt of the tokenizer; it is copied into the output")
    output = parser.add_argument_group("output")
    output.add_argument("--output_path", type=Path, required=True, help="directory to make")
    output.add_argument(
        "--onnx", action=argparse.BooleanOptionalAction, default=False, help=f"write {ONNX_FILE} too, for any shape"
    )
    output.add_argument(
        "--license",
        help="licence of the model, by its name on the Hub, for the card (README.md). A continued model has its base "
        f"model's by default, a model trained from random weights {model_card.DEFAULT_LICENSE}. --hf_config_dir or "
        "--vocab_file give a card",
    )
    add_proof_arguments(parser)
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def add_proof_arguments(parser: argparse.ArgumentParser) -> None:
    proof = parser.add_argument_group("proof")
    proof.add_argument(
        "--check_records",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the data's records (dictionary, vocabulary, casing) must agree with tokenizer_config.json and vocab.txt",
    )
    proof.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the logits of every framework that can be loaded with those of the checkpoint in Model Garden; "
        f"above {verification.MAX_LOGIT_DIFFERENCE} there is no output",
    )
    proof.add_argument(
        "--verify_tfrecord",
        type=Path,
        help="compare on this pretraining data; without it: on instances from built-in sentences",
    )
    proof.add_argument(
        "--verify_python",
        type=Path,
        nargs="+",
        default=[],
        help="compare in these environments too, e.g. .venv-transformers4/bin/python for TensorFlow and Flax",
    )


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without it TensorFlow complains of missing GPUs
    check_cuda_packages()
    stopwatch = Stopwatch()
    check_requirements(args.onnx, args.verify, args.verify_tfrecord, args.verify_python)
    given = (args.tf_config_file, args.hf_config_dir, args.vocab_file, args.verify_tfrecord)
    model = load_trained_model(args.tf_checkpoint_path, *given, args.check_records)
    verify = partial(
        verification.verify,
        prefix=model.checkpoint,
        config=model.config,
        tfrecord=args.verify_tfrecord,
        vocab=model.vocab,
        other_pythons=args.verify_python,
    )
    if args.license and not model.tokenizer_files:
        raise ValueError(f"--license {args.license}: no card without a tokenizer. Add --hf_config_dir or --vocab_file")
    files = [*model.tokenizer_files, *([ONNX_FILE] if args.onnx else [])]
    name = args.output_path.resolve().name
    card = model_card.values_of_model(model, name, args.license, files) if model.tokenizer_files else None
    provenance = Provenance(
        stage="convert_tf2_checkpoint_to_all_frameworks",
        method={"onnx": args.onnx, "model_card": model_card.values_hash(card) if card else None},
        inputs=InputFiles(
            checkpoint=checkpoint_files(model.checkpoint),
            config=[args.tf_config_file],
            tokenizer=list(model.tokenizer_files.values()),
        ),
        arguments=vars(args),
        dictionary=model.tokenization.dictionary,
        packages=PACKAGES + (ONNX_PACKAGES if args.onnx else ()),
    )
    if skip_if_complete(model_card.as_recorded(provenance, args.output_path, card), [args.output_path]):
        was_verified = bool((read_provenance(args.output_path) or {}).get("differences"))
        if args.verify and (args.verify_tfrecord or args.verify_python or not was_verified):
            verify(directory=args.output_path)
        if card and not (args.output_path / model_card.CARD_FILE).exists():
            model_card.write_card(card, args.output_path, args.output_path)
        return
    with open_output_directory(args.output_path, provenance, args.overwrite) as directory:
        counts = write_model_directory(directory, model, args.onnx)
        found = verify(directory=directory) if args.verify else {}
        card_hash = model_card.write_card(card, directory, args.output_path) if card else None
        measurements = stopwatch.measurements()
        facts = {"tokenization": model.tokenization.facts(), "differences": found, "card_sha256": card_hash}
        provenance.report.update({**counts, **facts, **measurements})
    print_summary(f"{args.output_path}: done", {**counts, "files": provenance.report["files"], **measurements})


def check_requirements(onnx: bool, verify: bool, tfrecord: Path | None, other_pythons: Sequence[Path]) -> None:
    """Raise an error if a file or a package is missing, or if flags contradict each other."""
    if tfrecord:
        command_line.check_files_exist([tfrecord], "create_pretraining_data.py")
    command_line.check_files_exist(other_pythons, "./install.sh transformers4")
    if verify:
        verification.check_packages()
    elif tfrecord or other_pythons:
        raise ValueError("--no-verify contradicts --verify_tfrecord and --verify_python. Give one or the other")
    if onnx:
        onnx_export.check_onnx_packages()


def write_model_directory(directory: Path, model: TrainedModel, onnx: bool) -> dict[str, int]:
    """Write the files of all frameworks, copy the tokenizer, and return counts."""
    weights = read_weights(model.checkpoint, model.config)
    for reason, names in left_out(model.checkpoint, model.config).items():
        print(f"left out: {reason} ({len(names)} variables, {names[0]} ...)")
    (directory / "config.json").write_text(model.config.to_json(), encoding="utf-8", newline="\n")
    hf_writing.write_safetensors(weights, directory / hf_writing.PYTORCH_FILE)
    hf_writing.write_keras_h5(weights, directory / hf_writing.TENSORFLOW_FILE, model.config.architecture)
    hf_writing.write_flax_msgpack(weights, directory / hf_writing.FLAX_FILE)
    for name, path in model.tokenizer_files.items():
        shutil.copyfile(path, directory / name)
    if onnx:
        call_in_child(onnx_export.export_onnx, directory, directory / ONNX_FILE)
    return {"parameters": sum(array.size for array in weights.values()), "tensors": len(weights)}


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

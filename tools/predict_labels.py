"""Predict with a fine-tuned model: data for fine-tuning -> one line {"id": ..., "prediction": ...} for each example.

The model is the latest checkpoint of run_finetuning.py. A prediction is a label, a score, the text of an answer, or a
list with the tag of each word. The id is that of the question, or the number of the example in its file, from 0. These
are JGLUE's own ids, so that evaluate_jglue.py --predictions_file can score the predictions. For tags the scores of
seqeval are printed.
"""

import argparse
import json
import os
import warnings
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.report import Stopwatch, print_summary


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    files = parser.add_argument_group("input and output")
    files.add_argument("--model_dir", type=Path, required=True, help="--model_dir of run_finetuning.py, or best/ in it")
    files.add_argument(
        "--input_file",
        type=Path,
        required=True,
        help="TFRecord file of create_classification_data.py, create_question_answering_data.py or "
        "create_tagging_data.py; predictions do not depend on its labels, so any will do",
    )
    files.add_argument(
        "--text_file", type=Path, help="for question answering: the JSON file that --input_file was made of"
    )
    files.add_argument("--output_file", type=Path, required=True, help="predictions, JSON Lines")
    files.add_argument("--batch_size", type=int, default=32, help="examples at once; predictions do not depend on it")
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from japanese_bert.common.output_files import open_outputs
    from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
    from japanese_bert.models.checkpoint_reading import checkpoint_files, find_checkpoint
    from japanese_bert.models.training_history import PARAMS_FILE, model_directory

    stopwatch = Stopwatch()
    command_line.check_positive({"batch_size": args.batch_size})
    params_file = (model_directory(args.model_dir) or args.model_dir) / PARAMS_FILE
    command_line.check_files_exist([params_file], "run_finetuning.py")
    command_line.check_files_exist([args.input_file], "create_classification_data.py")
    texts = [args.text_file] if args.text_file else []
    command_line.check_files_exist(texts, "the data set's own download")
    checkpoint = find_checkpoint(args.model_dir)
    provenance = Provenance(
        stage="predict_labels",
        method={},
        inputs=InputFiles(
            checkpoint=checkpoint_files(checkpoint),
            params=[params_file],
            data=[args.input_file],
            **({"text": texts} if texts else {}),
        ),
        arguments=vars(args),
        packages=("tensorflow", "tf-models-official"),
    )
    if skip_if_complete(provenance, [args.output_file]):
        return
    with open_outputs([args.output_file], provenance, args.overwrite) as [file], warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Model Garden's libraries warn about each other
        from japanese_bert.training.predictions import predict

        found = predict(checkpoint, params_file, args.input_file, args.batch_size, args.text_file)
        for name, prediction in found.by_id.items():
            row = {"id": name, "prediction": prediction}
            file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
        report = {"counts": {"predictions": len(found.by_id)}}
        provenance.report.update(report | ({"scores": dict(found.scores)} if found.scores else {}))
        provenance.report.update(stopwatch.measurements())
    print_summary(f"{args.output_file}: done, predicted by {checkpoint}", provenance.report)


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

"""Model directory -> JGLUE scores: fine-tune on each task, print mean and spread over seeds with the released models.

--output_dir keeps the predictions of every finished run, and a rerun skips it. results.json, results.md and
results.png are written from these files each time. Devices: all GPUs, `accelerate launch`, or the CPU.
"""

import argparse
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.environment import check_cuda_packages
from japanese_bert.common.output_files import replace_file
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.jglue import report, runs
from japanese_bert.jglue.fine_tuning import Devices, is_main_process
from japanese_bert.jglue.runs import Experiment, FineTuningRun
from japanese_bert.jglue.tasks import TASKS, Task, find_file, load_examples


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    inputs = parser.add_argument_group("input")
    inputs.add_argument("--model_dir", type=Path, help="a model for PyTorch and its tokenizer")
    inputs.add_argument("--data_dir", type=Path, required=True, help="JGLUE's datasets folder")
    inputs.add_argument(
        "--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="a task without files is skipped"
    )
    inputs.add_argument(
        "--eval_split", choices=("valid", "test"), default="valid", help="the quoted scores are on valid"
    )
    inputs.add_argument(
        "--predictions_file",
        type=Path,
        help='train nothing, score this file for the one task of --tasks: lines of {"id": ..., "prediction": ...}',
    )
    inputs.add_argument(
        "--trust_remote_code",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="run the Python code of the model directory, such as its fast tokenizer",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output_dir", type=Path, help="predictions and results, of one model only")
    add_method_arguments(parser)
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    method = parser.add_argument_group("method")
    method.add_argument("--learning_rate", type=float, help="peak; without it: 5e-5")
    method.add_argument("--num_train_epochs", type=int, help="without it: 4, JSQuAD 3")
    method.add_argument(
        "--search",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="try learning rates 5e-5, 3e-5, 2e-5 with 3 and 4 epochs and report the best, as the benchmark does",
    )
    method.add_argument("--seeds", type=int, nargs="+", default=[42], help="one run each")
    method.add_argument("--max_train_samples", type=int, help="for a trial: train on the first so many")
    devices = parser.add_argument_group("devices")
    devices.add_argument(
        "--gradient_accumulation_steps", type=int, default=1, help="parts in which a device takes its share of a batch"
    )
    devices.add_argument("--mixed_precision", choices=("no", "bf16", "fp16"), default="no", help="for GPUs")
    devices.add_argument("--use_cpu", action=argparse.BooleanOptionalAction, default=False, help="even with GPUs")


def main(args: argparse.Namespace) -> None:
    check_arguments(args)
    if args.predictions_file is not None:
        score_predictions(args.predictions_file, TASKS[args.tasks[0]], args.data_dir, args.eval_split)
        return
    check_cuda_packages()
    watch = Stopwatch()
    files, skipped = runs.find_files(args.data_dir, args.tasks, args.eval_split)
    for name, reason in skipped.items():
        print(f"{TASKS[name].title}: skipped: {reason}")
    experiment = make_experiment(args)
    finished: dict[str, list[FineTuningRun]] = {name: [] for name in files}
    for name, paths in files.items():
        task = TASKS[name]
        settings = runs.list_settings(task, args.search, args.learning_rate, args.num_train_epochs, args.seeds)
        for run in runs.run_task(experiment, task, paths, settings):
            finished[name].append(run)
            print(report.describe_run(task, run), flush=True)
    if is_main_process():
        write_results(experiment, args.search, files, finished, skipped)
        print_summary(f"{args.output_dir}: done", watch.measurements())


def check_arguments(args: argparse.Namespace) -> None:
    if args.predictions_file is not None:
        if len(args.tasks) != 1:
            raise ValueError(f"--predictions_file: its task is missing. Give --tasks with one of {', '.join(TASKS)}")
        command_line.check_files_exist([args.predictions_file], "evaluate_jglue.py --output_dir")
        return
    for name in ("model_dir", "output_dir"):
        if getattr(args, name) is None:
            raise ValueError(f"--{name}: is missing. It is needed except with --predictions_file")
    if args.search and (args.learning_rate is not None or args.num_train_epochs is not None):
        raise ValueError(
            "--search: tries learning rates and epochs of its own. Leave out --search, or --learning_rate and "
            "--num_train_epochs"
        )
    if args.search and args.eval_split != "valid":
        raise ValueError("--search: chooses on the valid files. Evaluate its choice afterwards with --eval_split test")
    numbers = ("learning_rate", "num_train_epochs", "max_train_samples", "gradient_accumulation_steps")
    command_line.check_positive({name: getattr(args, name) for name in numbers if getattr(args, name) is not None})
    if len(set(args.seeds)) != len(args.seeds):
        raise ValueError(f"--seeds {' '.join(map(str, args.seeds))}: one seed occurs twice")


def score_predictions(predictions_file: Path, task: Task, data_dir: Path, split: str) -> None:
    """Print the scores of a file of predictions."""
    examples = load_examples(find_file(data_dir, task, split), task)
    scores = runs.score_file(task, examples, predictions_file)
    print_summary(f"{predictions_file}: {task.title}, {split}", {**scores, "examples": len(examples)})


def make_experiment(args: argparse.Namespace) -> Experiment:
    devices = Devices(args.gradient_accumulation_steps, args.mixed_precision, args.use_cpu)
    for name in args.tasks:
        devices.batch_size(TASKS[name].batch_size)  # an error now, not after hours
    return Experiment(
        model=runs.load_evaluated_model(args.model_dir, args.trust_remote_code),
        output_dir=args.output_dir,
        eval_split=args.eval_split,
        max_train_samples=args.max_train_samples,
        devices=devices,
        overwrite=args.overwrite,
        arguments=vars(args),
    )


def write_results(
    experiment: Experiment,
    search: bool,
    files: Mapping[str, Sequence[Path]],
    finished: Mapping[str, Sequence[FineTuningRun]],
    skipped: Mapping[str, str],
) -> None:
    """Write results.json, results.md and results.png, and print the table."""
    model = experiment.model.directory.resolve().name
    header = {
        "model": model,
        "data": {name: [path.name for path in paths] for name, paths in files.items()},
        "eval_split": experiment.eval_split,
        "max_train_samples": experiment.max_train_samples,
        "search": search,
    }
    results = {name: report.choose(TASKS[name], report.summarize_runs(finished[name])) for name in finished}
    notes = report.notes(model, experiment.eval_split, search, experiment.max_train_samples, list(skipped))
    table = report.markdown_table(model, results, notes)
    content = report.results_json(header, finished, skipped)
    replace_file(experiment.output_dir / "results.json", content.encode("utf-8"))
    replace_file(experiment.output_dir / "results.md", table.encode("utf-8"))
    if importlib.util.find_spec("matplotlib"):
        replace_file(experiment.output_dir / "results.png", report.bar_chart(model, results))
    else:
        print("results.png: not written, because matplotlib is missing. Install it with: pip install matplotlib")
    print(f"\n{table}")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    command_line.run_stage(get_parser(), main)

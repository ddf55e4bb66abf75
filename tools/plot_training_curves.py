"""Draw losses, accuracies and learning rate of one or several trainings into a PNG, from TensorBoard event files.

A run is one --model_dir, or the --model_dir of each of its stages in their order. If a continued run trained a step
twice, the later value is drawn.
"""

import argparse
import io
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.report import print_summary

PNG = b"\x89PNG"


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    parser.add_argument(
        "--run",
        action="append",
        required=True,
        metavar="[NAME=]DIR[,DIR...]",
        help="a --model_dir, or one for each stage; several times for several runs",
    )
    parser.add_argument("--output_file", type=Path, required=True, help="PNG to write; an existing file is replaced")
    return parser


def main(args: argparse.Namespace) -> None:
    check_replaces_a_picture(args.output_file)
    from japanese_bert.common.output_files import replace_file
    from japanese_bert.common.plot_fonts import use_fonts_for
    from japanese_bert.training.curves import draw, join_stages, last_values

    runs = {name: join_stages(stages) for name, stages in map(parse_run, args.run)}
    if len(runs) < len(args.run):
        raise ValueError(f"--run {' '.join(args.run)}: expected a different name for each")
    if missing := use_fonts_for(runs):
        print(f"{args.output_file}: {missing}")
    picture = io.BytesIO()
    draw(runs, picture)
    replace_file(args.output_file, picture.getvalue())
    for name, run in runs.items():
        steps = max(curve[-1][0] for curve in run.curves.values())
        print_summary(f"{name}: {steps:,} steps; last values", last_values(run.curves))


def check_replaces_a_picture(path: Path) -> None:
    """Raise ValueError if the output has the name of another kind of file, such as events of a training."""
    if path.is_file():
        with open(path, "rb") as file:
            if file.read(len(PNG)) != PNG:
                raise ValueError(f"{path}: exists, and is no picture. Name another --output_file")


def parse_run(text: str) -> tuple[str, list[Path]]:
    """Return a run's name, by default its first directory, and its directories. A name has no slash.

    >>> parse_run("base=model/base/cc-100,model/base/wikipedia")[0]
    'base'
    """
    name, is_named, directories = text.partition("=")
    if "/" in name:  # a directory such as model/lr=5e-5
        name, is_named, directories = "", "", text
    stages = [Path(directory) for directory in directories.split(",") if directory]
    if not stages or (is_named and not name):
        raise ValueError(f"--run {text}: expected NAME=DIR or NAME=DIR,DIR")
    return name or str(stages[0]), stages


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

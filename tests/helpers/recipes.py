"""The commands of recipes/ and of the pages: their text, and what they call when they run.

python -m tests.helpers.recipes    writes each section that a page quotes into README.md and docs/ again.
"""

import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.helpers.places import ROOT

RECIPES = ROOT / "recipes"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUOTE = re.compile(r"^<!-- recipes/(\S+): ([^\n]+) -->\n(?:```sh\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Programs that a recipe calls and a test must not: each call of them is recorded instead, one line for each.
STAND_INS = (
    "python",
    "torchrun",
    "curl",
    "xz",
    "bzip2",
    "gcloud",
    "hf",
    "git",
    "pip",
    "apt-get",
    "sudo",
    "tensorboard",
)
RECORD = r"""#!/bin/bash
[ ! -p /dev/stdin ] || cat > /dev/null
printf -v call '%s\x1f' "$(basename "$0")" "$@"
printf '%s\x1f%s\n' "${TF_CONFIG:-}" "$call" >> "$CALLS"
"""


def section(file: str, name: str) -> str:
    """Return the lines below `# --- NAME` in a recipe, up to the next section."""
    parts = re.split(r"^# --- (.+)\n", (RECIPES / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    if name not in sections:
        raise ValueError(f"recipes/{file}: no section '{name}'. It has: {', '.join(sections)}.")
    return sections[name].strip("\n") + "\n"


def with_quotes(text: str) -> str:
    """Return a page with the text of each quoted section below its mark."""
    return QUOTE.sub(lambda mark: mark[0].split("\n")[0] + f"\n```sh\n{section(mark[1], mark[2])}```\n", text)


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of a page that are in no recipe."""
    text = QUOTE.sub("", page.read_text(encoding="utf-8"))
    return [block for name, block in BLOCK.findall(text) if name == language]


def make_workplace(place: Path) -> Path:
    """Make a folder in which the recipes run, with stand-ins for the programs they call."""
    for name in ("recipes", "model_configs", "hf_model_configs"):
        (place / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "configs", place / "configs")  # a page copies a file into it
    own = ("demo.sh", "install.sh", "test.sh")
    programs = dict.fromkeys((*own, *(f"bin/{name}" for name in STAND_INS)), RECORD)
    files = {f"{name}/bin/activate": "" for name in (".venv", ".venv-train-gpu", ".venv-train-tpu")}
    files |= {"tokenizers/wordpiece_unidic_lite/vocab.txt": "字\n"}
    texts = ("raw.txt", "my_domain.txt", "corpus/my_domain/corpus_01.txt", "corpus/wikipedia/corpus_01.txt")
    files |= dict.fromkeys(texts, "文\n")
    for name, text in {**programs, **files}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
        (place / name).chmod(0o755)
    return place


def calls(command: str, place: Path, **variables: str) -> list[list[str]]:
    """Return the calls of a shell command in a workplace: value of TF_CONFIG, program, arguments."""
    recorded = place / "calls"
    recorded.write_text("", encoding="utf-8")
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "CALLS": str(recorded), **variables}
    process = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert process.returncode == 0, f"{command}\n{process.stderr}"
    return [line.split("\x1f")[:-1] for line in recorded.read_text(encoding="utf-8").split("\n")[:-1]]


def script_calls(found: list[list[str]]) -> list[list[str]]:
    """Return the arguments of the calls of our scripts, the name of the module first.

    What run_shards would call is a call of its own.
    """
    scripts = []
    for _, program, *arguments in found:
        if program == "python" and not arguments[0].startswith(("benchmarks/", "-c")):
            arguments = arguments[1:] if arguments[0] == "-m" else arguments
            scripts.append([arguments[0].removesuffix(".py"), *arguments[1:]])
        if program == "torchrun":
            number = next(index for index, argument in enumerate(arguments) if argument.endswith(".py"))
            scripts.append([arguments[number].removesuffix(".py"), *arguments[number + 1 :]])
        if "--" in arguments and "python" in arguments:
            scripts += script_calls([["", *arguments[arguments.index("--") + 1 :]]])
    return scripts


def parse_call(call: list[str]):
    """Return the arguments as the script's own parser reads them. It exits if one is unknown, wrong or missing."""
    return importlib.import_module(call[0]).get_parser().parse_args(call[1:])


def training_parameters(call: list[str]):
    """Return the experiment that Model Garden makes of a call of run_pretraining.py."""
    from japanese_bert.training import bucketed_data  # noqa: F401
    from japanese_bert.training.parameters import parse_parameters
    from japanese_bert.training.short_flags import config_files

    args = parse_call(call)
    args.config_file = [str(ROOT / name) for name in args.config_file or []]
    args.config_file = config_files(args)
    return parse_parameters(args)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_quotes(page.read_text(encoding="utf-8")), encoding="utf-8")

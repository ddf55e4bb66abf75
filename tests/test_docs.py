"""Every command of the README: the data stages run, on the sample text; the others are parsed and loaded."""

import argparse
import bz2
import gzip
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.test_configs import with_tensorflow

README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPE_MODELS = [f"bert_{size}_{tokens}" for size in ("base", "large") for tokens in ("wordpiece", "character")]

# Real sizes -> those of the sample text.
SMALL = [
    (r"--num_files (64|8)\b", "--num_files 4"),
    (r"seq -f %02g 1 (64|8)\b", "seq -f %02g 1 4"),
    (r"pretraining_data_(64|08)\b", "pretraining_data_04"),
    (r"--vocab_size (32768 --limit_alphabet 6129|32000)\b", "--vocab_size 3000"),
    (r"--vocab_size 32768\b", "--vocab_size 8500"),
    (r"-P 8\b", "-P 2"),
    (r"--num_workers 8\b", "--num_workers 2"),
    (r"--dupe_factor 30\b", "--dupe_factor 5"),
]
# What the sample cannot give: the network, the source of UniDic, NEologd.
NOT_HERE = ("curl ", "lex.csv", "neologd")


def section(title: str) -> str:
    """Text of a section of the README, up to the next heading."""
    start = README.index(f"{title}\n")
    end = re.search(r"^#{2,3} ", README[start + len(title) :], re.MULTILINE)
    return README[start : start + len(title) + end.start()] if end else README[start:]


def commands(text: str) -> list[str]:
    """Commands of all shell blocks; a command goes on after a backslash, a loop up to its `done`."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found: list[str] = []
    for block in blocks:
        for line in block.replace("\\\n", " ").split("\n"):
            if found and found[-1].startswith("for ") and not found[-1].endswith("\ndone"):
                found[-1] += f"\n{line}"
            elif line and not line.startswith("#"):
                found.append(line)
    return found


def script_calls(text: str) -> list[list[str]]:
    """Arguments of every `python SCRIPT.py ...` and `python -m tools.NAME ...`, the name of the module first."""
    calls = [
        shlex.split(command[command.index("python ") :].removesuffix("\ndone"), comments=True)
        for command in commands(text)
        if ".py" in command or "python -m tools." in command
    ]
    return [call[2:] if call[1] == "-m" else [call[1].removesuffix(".py"), *call[2:]] for call in calls]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A directory in which the README's commands find the scripts and, under its names, the sample text."""
    place = tmp_path_factory.mktemp("readme")
    for path in [
        *ROOT.glob("*.py"),
        ROOT / "tools",
        ROOT / "japanese_bert",
        ROOT / "hf_model_configs",
        ROOT / "model_configs",
    ]:
        (place / path.name).symlink_to(path)
    (place / "cc-100").mkdir()
    shutil.copy(ROOT / "sample_data" / "cc100_sample.txt.xz", place / "cc-100" / "ja.txt.xz")
    old_dump = ROOT / "sample_data" / "jawiki-sample-cirrussearch-content.json.gz"
    shutil.copy(old_dump, place / "jawiki-20230102-cirrussearch-content.json.gz")
    write_new_layout(old_dump, place / "cirrus_search_index" / "20261101" / "index_name=jawiki_content")
    return place


def write_new_layout(old_dump: Path, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "_SUCCESS").touch()
    rows = gzip.decompress(old_dump.read_bytes()).decode("utf-8").split("\n")[:-1]
    lines = []
    for action, page in zip(rows[::2], map(json.loads, rows[1::2]), strict=True):
        number = int(json.loads(action)["index"]["_id"])
        lines += [{"index": {"_id": number}}, {"page_id": number, "page_type": "primary", **page}]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (directory / "jawiki_content-20261101-00000.json.bz2").write_bytes(bz2.compress(text.encode("utf-8")))


def run(command: str, place: Path) -> None:
    for pattern, small in SMALL:
        command = re.sub(pattern, small, command)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=place,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert process.returncode == 0, f"{command}\n{process.stderr}"


def test_data_stages_run_as_written(workplace):
    for title in ("### 1. Corpus", "### 2. Tokenizers", "### 3. Pretraining data"):
        for command in commands(section(title)):
            if not any(word in command for word in NOT_HERE):
                # The second layout is the same text under the same name.
                again = " --overwrite" if "--input_file 'cirrus_search_index" in command else ""
                run(command + again, workplace)
    for tokens, vocab_size in (("wordpiece", 8_500), ("character", 7_027)):
        vocab = (workplace / "tokenizers" / f"{tokens}_unidic_lite" / "vocab.txt").read_text(encoding="utf-8")
        assert vocab.count("\n") == vocab_size
        for corpus, last in (("cc-100", 4), ("wikipedia", 4)):
            records = workplace / "pretraining_data" / f"{tokens}_unidic_lite" / corpus
            names = [f"pretraining_data_{number:02}.tfrecord.gz" for number in range(1, last)]
            assert sorted(path.name for path in records.glob("*.gz")) == names
            assert (records / "validation" / f"pretraining_data_{last:02}.tfrecord.gz.json").is_file()


def test_every_script_call_is_accepted():
    calls = script_calls(README)
    assert len(calls) == 48
    for script, *arguments in calls:
        if not script.startswith("benchmarks/"):
            parser: argparse.ArgumentParser = importlib.import_module(script).get_parser()
            parser.parse_args(arguments)  # exits where a flag is unknown, wrong or missing


def test_scripts_are_all_in_the_readme_and_no_others():
    tree = section("## Tree")
    scripts = {path.name for path in [*ROOT.glob("*.py"), *(ROOT / "tools").glob("*.py")]}
    assert set(re.findall(r"^ *(\w+\.py)", tree, re.MULTILINE)) == scripts
    folders = {path.name for path in (ROOT / "japanese_bert").iterdir() if path.name != "__pycache__" and path.is_dir()}
    assert set(re.findall(r"^  (\w+)/", tree, re.MULTILINE)) == folders


def training_calls() -> list[str]:
    found = [command for command in commands(section("### 4. Training")) if "run_pretraining.py" in command]
    return [command[command.index("python ") :] for command in found]


@pytest.mark.parametrize("model", RECIPE_MODELS)
@pytest.mark.parametrize("number", range(6))
class TestTraining:
    pytestmark = with_tensorflow

    def test_command_loads(self, number, model):
        from official.core import train_utils
        from official.nlp.configs import pretraining_experiments  # noqa: F401

        import run_pretraining

        tokenizer = f"{model.split('_')[-1]}_unidic_lite"
        variables = {"MODEL": model, "TOKENIZER": tokenizer, "DATA": f"pretraining_data/{tokenizer}"}
        command = re.sub(r"\$([A-Z]+)", lambda name: variables[name[1]], training_calls()[number])
        flags = run_pretraining.get_parser().parse_args(shlex.split(command)[2:])
        flags.config_file = [str(ROOT / name) for name in flags.config_file]
        parameters = train_utils.parse_configuration(run_pretraining.parse_options(flags), print_return=False)
        stage = "wikipedia" if "model/$MODEL/wikipedia" in training_calls()[number] else "cc-100"
        assert parameters.task.train_data.seq_length == {"cc-100": 128, "wikipedia": 512}[stage]
        assert parameters.task.train_data.input_path == f"{variables['DATA']}/{stage}/pretraining_data_*.tfrecord.gz"
        assert "validation" in parameters.task.validation_data.input_path
        assert (
            parameters.task.model.encoder.bert.vocab_size
            == {"wordpiece": 32768, "character": 7027}[model.split("_")[-1]]
        )
        assert bool(parameters.task.init_checkpoint) == (stage == "wikipedia")


def test_six_training_commands():
    assert len(training_calls()) == 6


def test_slurm_job_tells_every_task_of_the_others(tmp_path):
    """With stand-ins for Slurm's commands and for Python."""
    job = re.search(r"^```bash\n(.*?)^```", section("### 4. Training"), re.DOTALL | re.MULTILINE)[1]
    programs = {
        "scontrol": "printf 'node1\\nnode2\\n'",
        "srun": 'for rank in 0 1; do SLURM_PROCID=$rank "${@:2}"; done',
        "python": 'echo "$TF_CONFIG"; printf "%s\\n" "$@"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    job = job.replace("source .venv/bin/activate\n", "")
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[1-2]"}
    process = subprocess.run(["bash", "-e", "-c", job], env=environment, capture_output=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr
    lines = process.stdout.split("\n")[:-1]
    tasks = [lines[: len(lines) // 2], lines[len(lines) // 2 :]]
    for index, (config, script, *arguments) in enumerate(tasks):
        workers = ["node1:12345", "node2:12345"]
        assert json.loads(config) == {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        flags = importlib.import_module(script.removesuffix(".py")).get_parser().parse_args(arguments)
        assert flags.model_dir == "model/bert_base_wordpiece/cc-100"
        assert "=pretraining_data/wordpiece_unidic_lite/cc-100/pretraining_data_*.tfrecord.gz" in flags.params_override
        assert len(flags.config_file) == 3

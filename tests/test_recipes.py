"""Every command of recipes/.

The data stages run, on the sample text, with the commands that stand in their pages alone. All other commands run with
stand-ins for the programs they call, and the scripts' own parsers read the arguments. Model Garden's parser loads the
training commands.
"""

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.places import ROOT
from tests.helpers.recipes import (
    RECIPES,
    RECORD,
    blocks,
    calls,
    make_workplace,
    parse_call,
    script_calls,
    section,
    training_parameters,
)
from tests.test_configs import with_tensorflow

RECIPE_MODELS = [f"bert_{size}_{tokens}" for size in ("base", "large") for tokens in ("wordpiece", "character")]
OTHER_MODELS = ["albert_base", "bert_base_lamb", "bert_base_talking_heads", "electra_small", "electra_base"]
MODELS = [*RECIPE_MODELS, *(f"{name}_wordpiece" for name in OTHER_MODELS)]
# Stages that only some models have or that a user names.
EXTRA_STAGES = ("earlier_tokenizers", "generator", "publication")
STAGES = ("corpus", "tokenizers", "pretraining_data", "training", "conversion", *EXTRA_STAGES)
# Recipes that are neither a model nor a stage, and how many programs they call.
EXPECTED_CALLS = {
    "download": 18,
    "cpu": 3,
    "several_machines": 3,
    "tpu": 11,
    "cluster": 5,
    "my_domain": 13,
    "my_domain_cpu": 13,
    "my_domain_words": 14,
    "jglue": 4,
    "finetuning": 11,
    "settings": 0,
}
FEW_SHARDS = {"CC100_SHARDS": "3", "WIKIPEDIA_SHARDS": "2"}

# Sizes of the sample text.
SMALL = {"CC100_SHARDS": "4", "WIKIPEDIA_SHARDS": "4", "PROCESSES": "2", "VOCAB_SIZE": "8500"}
SMALL_VOCAB = (r"--vocab_size (32768 --limit_alphabet 6129|32000)\b", "--vocab_size 3000")
# What the sample cannot give: NEologd, the large vocabularies of earlier models.
NOT_HERE = ("neologd", "earlier_tokenizers")
OLD_DUMP = "jawiki-20230102-cirrussearch-content.json.gz"
DATA_PAGES = ("corpus", "tokenizers", "pretraining_data")


@pytest.fixture
def workplace(tmp_path) -> Path:
    return make_workplace(tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with our scripts and, under the names of the real one, the sample text."""
    place = tmp_path_factory.mktemp("recipe")
    folders = ("tools", "japanese_bert", "recipes", "hf_model_configs", "model_configs")
    for path in [*ROOT.glob("*.py"), *(ROOT / name for name in folders)]:
        (place / path.name).symlink_to(path)
    (place / "cc-100").mkdir()
    shutil.copy(ROOT / "sample_data" / "cc100_sample.txt.xz", place / "cc-100" / "ja.txt.xz")
    (place / "my_domain.txt").write_bytes(lzma.decompress((place / "cc-100" / "ja.txt.xz").read_bytes()))
    shutil.copy(ROOT / "sample_data" / "jawiki-sample-cirrussearch-content.json.gz", place / OLD_DUMP)
    write_new_layout(place / OLD_DUMP, place / "cirrus_search_index" / "20261101" / "index_name=jawiki_content")
    run("./recipes/bert_base_wordpiece.sh corpus tokenizers", place)
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


def run(command: str, place: Path) -> str:
    environment = os.environ | SMALL | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.returncode == 0, f"{command}\n{process.stdout}"
    return process.stdout


class TestDataStages:
    """The real stages, on the sample text under the names of the real one."""

    def test_recipes_run_as_written(self, place):
        for tokens, vocab_size in (("wordpiece", 8_500), ("character", 7_027)):
            run(f"./recipes/bert_base_{tokens}.sh corpus tokenizers pretraining_data", place)
            vocab = (place / "tokenizers" / f"{tokens}_unidic_lite" / "vocab.txt").read_text(encoding="utf-8")
            assert vocab.count("\n") == vocab_size
            for corpus in ("cc-100", "wikipedia"):
                data = place / "pretraining_data" / f"{tokens}_unidic_lite" / corpus
                names = [f"pretraining_data_{number:02}.tfrecord.gz" for number in range(1, 4)]
                assert sorted(path.name for path in data.glob("*.gz")) == names
                assert sorted(path.name for path in (data / "validation").iterdir()) == [
                    "pretraining_data_04.tfrecord.gz",
                    "pretraining_data_04.tfrecord.gz.json",
                ]

    @pytest.mark.slow
    def test_commands_that_are_in_pages_alone_run_as_written(self, place):
        commands = [command for name in DATA_PAGES for command in blocks(ROOT / "docs" / f"{name}.md", "sh")]
        commands = [command for command in commands if not any(word in command for word in NOT_HERE)]
        assert len(commands) == 6
        for command in commands:
            # The dump in the old layout would give the same file.
            run(command.replace("--output_file corpus/wikipedia", "--output_file corpus/old_layout"), place)

    def test_earlier_tokenizers_run_as_written(self, place):
        for family in ("v2", "v1"):
            run("WORK=.\n" + re.sub(*SMALL_VOCAB, section("earlier_tokenizers.sh", family)), place)
            for tokens in ("wordpiece", "character"):
                assert (place / "tokenizers" / f"{tokens}_{family}" / "vocab.txt.json").is_file()


class TestRecipes:
    def test_there_are_no_others(self):
        expected = {*MODELS, *STAGES, *EXPECTED_CALLS, "run", "slurm_job", "torch_slurm_job"}
        assert {path.stem for path in RECIPES.iterdir()} == expected

    @pytest.mark.parametrize("model", MODELS)
    def test_every_call_of_a_model_is_accepted(self, model, workplace):
        found = script_calls(calls(f"./recipes/{model}.sh", workplace, **FEW_SHARDS))
        for call in found:
            parse_call(call)
        scripts = [call[0] for call in found]
        assert scripts[:5] == [
            "merge_split_corpora",
            "make_corpus_wiki",
            "merge_split_corpora",
            "make_alphabet_from_unidic",
            "train_tokenizer",
        ]
        assert scripts[5:10] == ["create_pretraining_data"] * 5
        convert = ["convert_tf2_checkpoint_to_all_frameworks"]
        after = [] if "talking_heads" in model else [*convert, "tools.check_tokenizer"]
        after += convert if "electra" in model else []
        assert scripts[10:] == ["run_pretraining", "run_pretraining", "tools.plot_training_curves", *after]

    @pytest.mark.parametrize("name", EXPECTED_CALLS)
    def test_every_call_of_the_others_is_accepted(self, name, workplace):
        found = calls(
            "NAME=name MODEL=model TOKENIZER=tokenizer\n" + f"source recipes/{name}.sh", workplace, **FEW_SHARDS
        )
        for call in script_calls(found):
            parse_call(call)
        assert len(found) == EXPECTED_CALLS[name]

    @pytest.mark.parametrize("stage", EXTRA_STAGES)
    def test_every_call_of_a_stage_is_accepted(self, stage, workplace):
        found = calls(f"./recipes/bert_large_character.sh {stage}", workplace)
        for call in script_calls(found):
            parse_call(call)
        assert len(found) == (1 if stage == "generator" else 2)

    def test_a_finished_training_is_skipped(self, workplace):
        for stage in ("cc-100", "wikipedia"):
            (workplace / "model" / "bert_base_wordpiece" / stage).mkdir(parents=True)
            (workplace / "model" / "bert_base_wordpiece" / stage / "ckpt-1000000.index").touch()
        found = script_calls(calls("./recipes/bert_base_wordpiece.sh training", workplace))
        assert [call[0] for call in found] == ["tools.plot_training_curves"]

    @pytest.mark.parametrize("command", ["bert_base_wordpiece.sh training", "my_domain.sh"])
    def test_training_runs_in_its_own_environment_if_it_is_there(self, workplace, command):
        python = workplace / ".venv-train-gpu" / "bin" / "python"
        python.write_text('#!/bin/sh\necho "$1" >> trained\n', encoding="utf-8")
        python.chmod(0o755)
        found = script_calls(calls(f"./recipes/{command}", workplace))
        assert "run_pretraining" not in [call[0] for call in found] != []
        assert set((workplace / "trained").read_text(encoding="utf-8").split("\n")) == {"run_pretraining.py", ""}

    def test_a_download_that_was_stopped_goes_on(self, workplace):
        base = workplace / "tohoku-nlp" / "bert-base-japanese-v3"
        base.mkdir(parents=True)
        for name, count in (("config.json", 1), ("model.safetensors", 0)):  # in this order they come
            (base / name).touch()
            assert [call[1] for call in calls("./recipes/my_domain.sh", workplace)].count("hf") == count

    def test_a_bucket_has_no_curves(self, workplace):
        found = script_calls(
            calls("./recipes/bert_base_wordpiece.sh training", workplace, MODEL_DIR="gs://bucket/model")
        )
        assert [call[0] for call in found] == ["run_pretraining"] * 2

    def test_a_value_from_the_shell_wins(self, workplace):
        settings = {"MODEL_DIR": "m", "DATA": "d", "STEPS_128": "5", "OVERRIDES": "a=1", "OVERRIDES_512": "b=2"}
        first, second, _ = script_calls(calls("./recipes/bert_base_wordpiece.sh training", workplace, **settings))
        assert parse_call(first).model_dir == "m/cc-100"
        assert (parse_call(first).train_steps, parse_call(first).params_override) == (5, "a=1")
        assert (parse_call(second).train_steps, parse_call(second).params_override) == (1_000_000, "a=1,b=2")
        assert parse_call(second).train_files == ["d/wikipedia/pretraining_data_*.tfrecord.gz"]

    def test_the_value_of_a_recipe_comes_before_that_of_the_shell(self, workplace):
        _, second, _ = script_calls(
            calls("./recipes/albert_base_wordpiece.sh training", workplace, OVERRIDES_512="b=2")
        )
        assert parse_call(second).params_override.endswith(".initial_learning_rate=0.000625,b=2")

    def test_a_folder_with_a_space_is_refused(self, workplace):
        with pytest.raises(AssertionError, match="WORK=my data: expected a folder without spaces"):
            calls("./recipes/bert_base_wordpiece.sh corpus", workplace, WORK="my data")

    def test_buckets_are_refused_before_the_first_stage(self, workplace):
        with pytest.raises(AssertionError, match="SEQ_BUCKETS: electra/pretraining reads records of one length"):
            calls("./recipes/electra_small_wordpiece.sh training", workplace, SEQ_BUCKETS="128 512")
        assert (workplace / "calls").read_text(encoding="utf-8") == ""

    def test_a_failed_stage_ends_the_recipe(self, workplace):
        (workplace / "bin" / "python").write_text(f"{RECORD}exit 1\n", encoding="utf-8")
        with pytest.raises(AssertionError):
            calls("./recipes/bert_base_wordpiece.sh corpus", workplace)
        assert (workplace / "calls").read_text(encoding="utf-8").count("\n") == 1


def test_xargs_warns_of_nothing():
    """`xargs -L 1 -I {}` warns that one of the two is ignored, on every run."""
    shell = "NAME=a MODEL=b TOKENIZER=c; source recipes/settings.sh; seq 2 | $RUN_SHARDS echo shard {}"
    process = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (sorted(process.stdout.split("\n")[:-1]), process.stderr) == (["shard 1", "shard 2"], "")
    for path in [*RECIPES.iterdir(), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        assert not re.search(r"xargs .*-L", path.read_text(encoding="utf-8")), path


# The commands of the released models, as users have them in their notes.
TOKENIZE = "--word_tokenizer_type mecab --mecab_dic_type unidic_lite --do_whole_word_mask --gzip_compress"
RELEASED = {
    "merge_split_corpora": [
        "--input_files ./cc-100/ja.txt.xz --output_dir ./corpus/cc-100 --num_files 64",
        "--input_files ./corpus/wikipedia/corpus.txt.gz --output_dir ./corpus/wikipedia --num_files 8",
    ],
    "train_tokenizer": [
        "--input_files ./corpus/corpus_sampled.txt --output_dir ./tokenizers/wordpiece_unidic_lite"
        " --pre_tokenizer_type mecab --mecab_dic_type unidic_lite --vocab_size 32768 --limit_alphabet 7012"
        " --initial_alphabet_file ./tokenizers/alphabet/unidic_lite.txt --num_unused_tokens 10 --wordpieces_prefix ##"
    ],
}
RECORDS = {
    "wordpiece": "--subword_tokenizer_type wordpiece",
    "character": "--subword_tokenizer_type character --vocab_has_no_subword_prefix",
}
LENGTHS = {
    "cc-100": "--max_seq_length 128 --max_predictions_per_seq 19 --dupe_factor 5",
    "wikipedia": "--max_seq_length 512 --max_predictions_per_seq 76 --dupe_factor 30",
}


@pytest.mark.parametrize("model", RECIPE_MODELS)
def test_commands_are_those_of_the_released_models(model, workplace):
    found = script_calls(calls(f"./recipes/{model}.sh", workplace))
    for script, expected in RELEASED.items():
        assert [parse_call(call) for call in found if call[0] == script] == [
            parse_call([script, *arguments.split()]) for arguments in expected
        ]
    tokens = model.split("_")[-1]
    data = f"./pretraining_data/{tokens}_unidic_lite"
    expected = []
    for corpus, last in (("cc-100", 64), ("wikipedia", 8)):
        for number in range(1, last + 1):
            folder = f"{data}/{corpus}/validation" if number == last else f"{data}/{corpus}"
            expected.append(
                f"--input_file ./corpus/{corpus}/corpus_{number:02}.txt"
                f" --vocab_file ./tokenizers/{tokens}_unidic_lite/vocab.txt"
                f" --output_file {folder}/pretraining_data_{number:02}.tfrecord.gz {TOKENIZE} --use_v2_feature_names"
                f" --masked_lm_prob 0.15 {RECORDS[tokens]} {LENGTHS[corpus]}"
            )
    script = "create_pretraining_data"
    made = sorted((call for call in found if call[0] == script), key=lambda call: call[call.index("--input_file") + 1])
    assert [parse_call(call) for call in made] == [parse_call([script, *arguments.split()]) for arguments in expected]


RUNTIMES = {
    "": "mirrored",
    "cpu.sh": "one_device",
    "several_machines.sh": "multi_worker_mirrored",
    "tpu.sh": "tpu",
}


@pytest.mark.parametrize("model", RECIPE_MODELS)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("number", [0, 1])
class TestTraining:
    pytestmark = with_tensorflow

    def test_command_loads(self, number, runtime, model, workplace):
        command = section(runtime, "training") if runtime else "./recipes/bert_base_wordpiece.sh training"
        call = script_calls(calls(command.replace("bert_base_wordpiece", model), workplace))[number]
        parameters = training_parameters(call)
        stage = ("cc-100", "wikipedia")[number]
        tokens = model.split("_")[-1]
        data = f"./pretraining_data/{tokens}_unidic_lite/{stage}"
        assert parameters.task.train_data.seq_length == {"cc-100": 128, "wikipedia": 512}[stage]
        assert parameters.task.train_data.input_path == f"{data}/pretraining_data_*.tfrecord.gz"
        assert parameters.task.validation_data.input_path == f"{data}/validation/*.tfrecord.gz"
        assert parameters.task.model.encoder.bert.vocab_size == {"wordpiece": 32768, "character": 7027}[tokens]
        start = "model/trial/cc-100/ckpt-300" if runtime == "cpu.sh" else f"./model/{model}/cc-100/ckpt-1000000"
        assert parameters.task.init_checkpoint == (start if stage == "wikipedia" else "")
        steps = {"cc-100": 300, "wikipedia": 60}[stage] if runtime == "cpu.sh" else 1_000_000
        schedule = parameters.trainer.optimizer_config.learning_rate.polynomial
        assert (parameters.trainer.train_steps, schedule.decay_steps) == (steps, steps)
        assert parameters.runtime.distribution_strategy == RUNTIMES[runtime]


@with_tensorflow[0]
@with_tensorflow[1]
def test_buckets_are_one_variable(workplace):
    """The lengths of the data are those of the configuration. The validation data is static."""
    lengths = yaml.safe_load((ROOT / "configs/data/wikipedia_buckets.yaml").read_text(encoding="utf-8"))["task"][
        "train_data"
    ]["seq_bucket_lengths"]
    commands = "./recipes/bert_base_wordpiece.sh pretraining_data training"
    found = script_calls(calls(commands, workplace, SEQ_BUCKETS=" ".join(map(str, lengths))))
    data = [parse_call(call) for call in found if call[0] == "create_pretraining_data"]
    assert sum(flags.seq_bucket_lengths == lengths for flags in data) == 7
    assert all("/wikipedia/pretraining" in flags.output_file for flags in data if flags.seq_bucket_lengths)
    first, second = (training_parameters(call) for call in found if call[0] == "run_pretraining")
    assert not hasattr(first.task.train_data, "seq_bucket_lengths")
    assert list(second.task.train_data.seq_bucket_lengths) == lengths


def test_slurm_job_tells_every_task_of_the_others(workplace):
    """Slurm's commands are stand-ins."""
    programs = {
        "scontrol": "printf 'node1\\nnode2\\n'",
        "srun": 'for rank in 0 1; do SLURM_PROCID=$rank "${@:3}"; done',
    }
    for name, text in programs.items():
        (workplace / "bin" / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (workplace / "bin" / name).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "32"}
    found = calls("./recipes/slurm_job.sh", workplace, **job)
    trainings = [call for call in found if "run_pretraining.py" in call]
    assert len(trainings) == 4
    [curves] = [call for call in found if "tools.plot_training_curves" in call]  # they share the picture
    assert json.loads(curves[0])["task"]["index"] == 0
    for number, call in enumerate(trainings):
        workers, task = ["node1:12345", "node2:12345"], {"type": "worker", "index": number // 2}
        assert json.loads(call[0]) == {"cluster": {"worker": workers}, "task": task}
        flags = parse_call(script_calls([call])[0])
        stage = ("cc-100", "wikipedia")[number % 2]
        assert flags.model_dir == f"./model/bert_base_wordpiece/{stage}"
        data = f"./pretraining_data/wordpiece_unidic_lite/{stage}/pretraining_data_*.tfrecord.gz"
        assert flags.train_files == [data]
        assert flags.params_override.startswith("runtime.num_gpus=4,")
        assert len(flags.config_file) == 3


def test_slurm_job_in_pytorch_finds_the_first_machine(workplace):
    programs = {"scontrol": "printf 'node1\\nnode2\\n'", "srun": '"${@:3}"'}
    for name, text in programs.items():
        (workplace / "bin" / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (workplace / "bin" / name).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_GPUS_ON_NODE": "4", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
    job["SLURM_CPUS_PER_TASK"] = "32"
    (call,) = calls("./recipes/torch_slurm_job.sh", workplace, **job)
    assert {"torchrun", "--nnodes=2", "--nproc-per-node=4", "--rdzv-endpoint=node1:12345"} <= set(call)
    flags = parse_call(script_calls([call])[0])
    assert flags.model_dir == "model/bert_base_wordpiece/first" and len(flags.config_file) == 2

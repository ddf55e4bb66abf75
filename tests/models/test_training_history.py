"""The stages that led to a checkpoint, and the text that they were trained on."""

import json
from pathlib import Path

import pytest
import yaml

from japanese_bert.models.training_history import Corpus, TrainingStage, read_stages, start_of

VOCAB = {"name": "vocab.txt", "size": 99, "sha256": "v"}


def text(number: int) -> dict:
    return {"name": f"corpus_{number}.txt", "size": 100, "sha256": f"t{number}"}


def write_data(path: Path, inputs, input_file: str) -> None:
    """Write a TFRecord's provenance. The file itself is not read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    arguments = {"input_file": input_file, "vocab_file": "vocab.txt"}
    made_by = {"method": {"dupe_factor": 5}, "inputs": inputs, "counts": {"documents": 3}, "arguments": arguments}
    path.with_name(path.name + ".json").write_text(json.dumps(made_by), encoding="utf-8")


def write_params(directory: Path, input_path: str, init_checkpoint: str = "") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    params = {"task": {"init_checkpoint": init_checkpoint, "train_data": {"input_path": input_path}}}
    (directory / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return directory


def test_stages_in_their_order(tmp_path):
    first = write_params(tmp_path / "first", f"{tmp_path}/none/*")
    second = write_params(tmp_path / "second", f"{tmp_path}/none/*", f"{first}/ckpt-10")
    stages = read_stages(second / "ckpt-20")
    assert [stage.steps for stage in stages] == [10, 20]
    assert stages[1].param("task.init_checkpoint") == f"{first}/ckpt-10"
    third = write_params(tmp_path / "third", "", str(second))
    assert [stage.steps for stage in read_stages(third / "ckpt-30")] == [10, None, 30]
    assert read_stages(tmp_path / "nowhere" / "ckpt-1") == []


def test_a_start_in_several_files(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "model.safetensors.index.json"):
        (base / name).write_text("{}", encoding="utf-8")
    (stage,) = read_stages(tmp_path / "model" / "ckpt-0", {"task": {"init_checkpoint": str(base)}})
    assert (stage.initial_checkpoint(), stage.steps) == (base, 0)


@pytest.mark.parametrize(
    "inputs",
    [
        lambda *numbers: {"text": [text(number) for number in numbers], "vocab": [VOCAB]},
        lambda *numbers: [*(text(number) for number in numbers), VOCAB],  # of version 0.1
    ],
)
def test_a_text_counts_once_and_a_vocabulary_never(tmp_path, inputs):
    write_data(tmp_path / "data" / "a.gz", inputs(1, 2), "corpus/cc-100/corpus_1.txt,corpus/cc-100/corpus_2.txt")
    write_data(tmp_path / "data" / "b.gz", inputs(2), "corpus/cc-100/corpus_2.txt")
    write_data(tmp_path / "data" / "c.gz", inputs(3), "corpus/wikipedia/corpus_3.txt")
    model = write_params(tmp_path / "model", f"{tmp_path}/data/*.gz,{tmp_path}/data/a.gz")
    (stage,) = read_stages(model / "ckpt-1")
    assert stage.corpora() == [
        Corpus("cc-100", 2, 200, {"documents": 6}),
        Corpus("wikipedia", 1, 100, {"documents": 3}),
    ]
    assert stage.method("dupe_factor") == 5


def test_what_is_not_set_is_none():
    params = {"optimizer": {"type": "adamw", "adamw": {"weight_decay_rate": 0.01}}}
    stage = TrainingStage(params, None, [])
    assert stage.chosen("optimizer", "weight_decay_rate") == 0.01
    assert stage.chosen("optimizer", "other") is stage.param("optimizer.type.x") is stage.method("dupe_factor") is None
    assert stage.corpora() == []


def test_an_archive_is_no_training(tmp_path):
    """Its params.yaml describes the model alone. It is the start, whose vocabulary counts."""
    (tmp_path / "archive").mkdir()
    model = {"model": {"encoder": {"type": "bert", "bert": {"num_layers": 12}}}}
    archive = tmp_path / "archive" / "bert_model.ckpt"
    for params in ({"task": model}, model):  # the second is an ELECTRA's
        (tmp_path / "archive" / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        assert start_of(read_stages(archive), archive) == archive
        stages = read_stages(write_params(tmp_path / "model", "data/*", str(archive)) / "ckpt-7")
        assert [stage.steps for stage in stages] == [7]
        assert start_of(stages, tmp_path) == archive


@pytest.mark.parametrize("content", [b"a: [", b"\xff"])
def test_damaged_parameters_are_refused(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"params\.yaml: not YAML"):
        read_stages(tmp_path / "ckpt-1")


class TestBestCheckpoint:
    """Model Garden writes it into a folder of the model directory. Its number counts the exports."""

    @pytest.fixture
    def best(self, tmp_path) -> Path:
        trainer = {"train_steps": 20, "best_checkpoint_export_subdir": "best"}
        params = {"task": {"train_data": {"seq_length": 32}}, "trainer": trainer}
        (tmp_path / "model" / "best").mkdir(parents=True)
        (tmp_path / "model" / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        return tmp_path / "model" / "best" / "best_ckpt-3"

    def test_it_has_the_history_of_its_training(self, best):
        best.with_name("info.json").write_text('{"loss": 1.5, "best_ckpt_global_step": 15.0}', encoding="utf-8")
        (stage,) = read_stages(best)
        assert (stage.steps, stage.param("task.train_data.seq_length")) == (15, 32)

    def test_its_step_is_not_the_number_in_its_name(self, best):
        (stage,) = read_stages(best)
        assert stage.steps is None

    def test_a_stage_may_start_from_it(self, best, tmp_path):
        best.with_name("info.json").write_text('{"best_ckpt_global_step": 15.0}', encoding="utf-8")
        for number, start in enumerate((best, best.parent)):
            second = write_params(tmp_path / f"second{number}", "", str(start))
            assert [stage.steps for stage in read_stages(second / "ckpt-5")] == [15, 5]

    def test_that_of_the_trainer_in_pytorch_is_a_directory(self, best):
        (best.parent / "provenance.json").write_text('{"method": {"step": 15}}', encoding="utf-8")
        assert [stage.steps for stage in read_stages(best.parent)] == [15]

    def test_other_folders_of_a_model_directory_have_none(self, best):
        assert read_stages(best.parent.parent / "other" / "ckpt-3") == []

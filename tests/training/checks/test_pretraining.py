"""Everything that would make a pretraining fail late or silently is found before it starts."""

import json
import shutil
from pathlib import Path

import pytest

from japanese_bert.training.checks import pretraining
from japanese_bert.training.checks.described_model import describe_trainer_model
from tests.helpers.small_pretraining import assert_problem, check, parse, train_path
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
SUCCESS = "start: new, with random weights"


def test_what_fits_is_accepted_and_told(place):
    found = check(place)
    assert (found.problems, found.remarks) == ([], [])
    instances = sum(
        json.loads(path.read_text(encoding="utf-8"))["counts"]["instances"] for path in place.glob("data/*.json")
    )
    data = next(fact for fact in found.facts if fact.startswith("train_data"))
    assert f"train_data: 2 file(s) with {instances:,} instances; validation_data: 1 file(s)" in data
    assert data.endswith("32 tokens, 4 predictions")
    assert found.facts[-1] == SUCCESS
    assert not (place / "new").exists()


def test_one_wrong_file_among_many_is_named(place, tmp_path):
    """The trainer would read it days later."""
    for path in [*place.glob("data/*"), *place.glob("other/few*")]:
        shutil.copy(path, tmp_path / (path.name if "few" not in path.name else path.name.replace("few", "zz.gz")))
    found = check(place, f"task.train_data.input_path={tmp_path}/*.gz")
    assert_problem(found, f"{tmp_path}/zz.gz: was made with --max_predictions_per_seq 3")


def test_many_wrong_files_are_summed_up(place, tmp_path):
    for number in range(5):
        shutil.copy(place / "data" / "train_1.tfrecord.gz", tmp_path / f"{number}.gz")
    problems = check(place, f"task.train_data.input_path={tmp_path}/*.gz").problems
    start = f"task.train_data: 5 files, such as {tmp_path}/0.gz: has no .json of create_pretraining_data.py beside it"
    assert [problem.split(", which")[0] for problem in problems] == [start]


def test_64_shards_of_the_wrong_length_are_one_line(place, tmp_path):
    for number in range(64):
        path = tmp_path / f"{number:02}.tfrecord.gz"
        path.symlink_to(place / "other" / "long")
        Path(f"{path}.json").symlink_to(place / "other" / "long.json")
    expected = f"task.train_data: 64 files, such as {tmp_path}/00.tfrecord.gz: was made with --max_seq_length 40, but"
    assert_problem(check(place, f"task.train_data.input_path={tmp_path}/*.gz"), expected)


def test_different_vocabularies_of_one_size(place):
    assert_problem(check(place, train_path(place, "swapped")), "valid.tfrecord.gz: vocabulary sha256", "other/swapped")


def test_validation_on_training_files(place, tmp_path):
    found = check(place, f"task.validation_data.input_path={place}/data/train_2.tfrecord.gz")
    assert_problem(found, "train_2.tfrecord.gz is a training file", "Hold out a shard")
    (tmp_path / "link.gz").symlink_to(place / "data" / "train_2.tfrecord.gz")
    more = f"task.validation_data.input_path={tmp_path}/link.gz"
    assert_problem(check(place, more, check_provenance=False), "is a training file")
    shutil.copy(place / "data" / "train_2.tfrecord.gz.json", tmp_path / "link.gz.json")
    assert_problem(check(place, f"task.validation_data.input_path={tmp_path}/link.gz"), "is a training file")
    shutil.copy(place / "data" / "train_2.tfrecord.gz", tmp_path / "copy.gz")
    shutil.copy(place / "data" / "train_2.tfrecord.gz.json", tmp_path / "copy.gz.json")
    found = check(place, f"task.validation_data.input_path={tmp_path}/copy.gz")
    assert_problem(found, "copy.gz is a training file", "train_2.tfrecord.gz)")


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("task.train_data.input_path=<set it>", ["task.train_data.input_path is not set"]),
        ("task.validation_data.global_batch_size=100000", ["do not fill one batch of 100,000"]),
        ("trainer.max_to_keep=100000000", ["checkpoints of 0.00 GB", "make room or set trainer.max_to_keep"]),
    ],
)
def test_settings_that_do_not_work(place, more, messages):
    assert_problem(check(place, more), *messages)


def test_validation_on_the_text_of_training_files_is_remarked(place):
    found = check(place, f"task.validation_data.input_path={place}/other/seed")
    assert found.problems == []
    assert "other/seed: made from the text of a training file" in found.remarks[0]


def test_disk_counts_what_is_there(place, tmp_path, monkeypatch):
    size = 12 * describe_trainer_model(parse(place)).num_parameters
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(pretraining.shutil, "disk_usage", lambda path: usage._replace(free=4 * size - 1))
    assert_problem(check(place), "3 checkpoints of 0.00 GB and one in the making")
    best = "trainer.best_checkpoint_export_subdir=best,trainer.best_checkpoint_eval_metric=validation_loss"
    assert_problem(check(place, best), "4 checkpoints of 0.00 GB and one in the making")
    assert check(place, model_dir=shutil.copytree(place / "first", tmp_path / "model")).problems == []


def test_all_problems_are_told_at_once(place):
    found = check(place, f"{train_path(place, 'few')},trainer.train_steps=30,task.init_checkpoint=/nowhere")
    assert len(found.problems) == 3

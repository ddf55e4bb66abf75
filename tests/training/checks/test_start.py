"""Checkpoints from which a training starts, and those that the trainer would overlook or load in part."""

import shutil
from pathlib import Path

import pytest

from tests.helpers import small_pretraining as small
from tests.helpers.small_pretraining import assert_problem, check, parse
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


def copy_checkpoint(place: Path, target: Path) -> Path:
    target.mkdir()
    for path in place.glob("first/ckpt-0.*"):
        shutil.copy(path, target)
    return target


def test_a_checkpoint_that_fits_is_accepted(place):
    for path in ("first", "first/ckpt-0"):
        found = check(place, f"task.init_checkpoint={place / path}")
        assert (found.problems, found.remarks) == ([], [])
        assert found.facts[-1] == f"start: from the weights of {place}/first/ckpt-0, with a new optimizer"


@pytest.mark.parametrize("name", ["", "/ckpt-0", "/ckpt-0.index", "/ckpt-0.data-00000-of-00001"])
def test_the_only_checkpoint_of_a_directory_has_four_names(place, tmp_path, name):
    """An archive has no file that names its checkpoint."""
    first = copy_checkpoint(place, tmp_path / "first")
    found = check(place, f"task.init_checkpoint={first}{name}")
    assert (found.problems, found.remarks) == ([], [])
    assert found.facts[-1] == f"start: from the weights of {first}/ckpt-0, with a new optimizer"


def test_a_hugging_face_directory_must_be_converted(place, tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    found = check(place, f"task.init_checkpoint={tmp_path}")
    assert_problem(found, "a Hugging Face directory. Convert it with convert_hf_checkpoint_to_tf2.py, or train with")


def test_directory_without_state_is_refused_as_start(place, tmp_path):
    """The trainer would start from scratch. At most a line of its log says so."""
    first = copy_checkpoint(place, tmp_path / "first")
    (first / "checkpoint").write_text('model_checkpoint_path: "ckpt-9"\n', encoding="utf-8")
    found = check(place, f"task.init_checkpoint={first}")
    assert_problem(found, "a directory without a file 'checkpoint'", "start from scratch", f"e.g. {first}/ckpt-0")
    (first / "checkpoint").unlink()
    shutil.copy(first / "ckpt-0.index", first / "ckpt-5.index")
    assert_problem(check(place, f"task.init_checkpoint={first}"), "names the latest of 2", f"e.g. {first}/ckpt-5")


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("first/ckpt-5", ["no such checkpoint. The directory has ckpt-0"]),
        ("nowhere/ckpt-5", ["no such checkpoint"]),
    ],
)
def test_start_that_is_no_checkpoint(place, path, messages):
    assert_problem(check(place, f"task.init_checkpoint={place / path}"), *messages)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 2}, "unexpected variable encoder/layer_with_weights-6/"),  # would load silently
        ({"num_hidden_layers": 4}, "no variable encoder/layer_with_weights-7/"),
        ({"max_position_embeddings": 64}, "has shape (48, 24), expected (64, 24)"),
        ({"num_attention_heads": 6}, "has shape (24, 4, 6), expected (24, 6, 4)"),
    ],
)
def test_start_of_another_model(place, changes, message):
    small.write_model_yaml(place / "changed.yaml", small.make_config(131, **changes))
    found = check(place, f"task.init_checkpoint={place}/first/ckpt-0", model="changed.yaml")
    assert_problem(found, "first/ckpt-0: does not fit the model of --config_file", message)


def test_damaged_start(place, tmp_path):
    first = copy_checkpoint(place, tmp_path / "first")
    data = first / "ckpt-0.data-00000-of-00001"
    content = data.read_bytes()
    data.write_bytes(content[:9000] + bytes([content[9000] ^ 1]) + content[9001:])
    assert_problem(check(place, f"task.init_checkpoint={first}/ckpt-0"), "cut short or damaged?")


@pytest.mark.parametrize(
    ("items", "remarks"),
    [
        (["encoder", "masked_lm", "next_sentence.pooler_dense"], ["output layer of the next sentence head"]),
        (["encoder", "masked_lm"], ["pooler of the next sentence head", "output layer of the next sentence head"]),
        (["encoder"], ["masked language model head", "output layer of the next sentence head"]),
    ],
)
def test_heads_that_start_at_random_are_remarked(place, tmp_path, items, remarks):
    """Model Garden itself restores the first. An archive has only an encoder, and its pooler is the trained one."""
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    model = build_model(model_params(small.make_config(131)))
    parts = {name: item for name, item in model.checkpoint_items.items() if name in items}
    tf.train.Checkpoint(**parts).write(str(tmp_path / "part"))
    found = check(place, f"task.init_checkpoint={tmp_path}/part")
    assert found.problems == []
    verb = "starts" if len(remarks) == 1 else "start"
    assert found.remarks == [f"{tmp_path}/part: has no {' and no '.join(remarks)}, which {verb} at random"]
    own = f"pooler of the next sentence head: the encoder's own in {tmp_path}/part"
    assert (own in found.facts) == (items == ["encoder"])
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "part"\n', encoding="utf-8")
    assert_problem(check(place, model_dir=tmp_path), "part: does not fit the model of --config_file", "no variable ")


def test_a_part_of_a_head_is_not_enough(place, tmp_path):
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    model = build_model(model_params(small.make_config(131)))
    part = tf.train.Checkpoint(dense=model.masked_lm.dense)
    tf.train.Checkpoint(encoder=model.encoder_network, masked_lm=part).write(str(tmp_path / "part"))
    assert_problem(check(place, f"task.init_checkpoint={tmp_path}/part"), "no variable masked_lm/layer_norm/gamma")


def test_model_directory_whose_state_is_lost(place, tmp_path):
    """The trainer would start from scratch and replace the checkpoints."""
    model_dir = copy_checkpoint(place, tmp_path / "model")
    found = check(place, model_dir=model_dir)
    assert_problem(found, "1 checkpoint(s) but no file 'checkpoint'", 'model_checkpoint_path: "ckpt-0"')
    (model_dir / "checkpoint").write_text('model_checkpoint_path: "/gone/ckpt-0"\n', encoding="utf-8")
    assert_problem(check(place, model_dir=model_dir), "no file 'checkpoint' that names the latest")


def test_continued_run(place, tmp_path, monkeypatch):
    import yaml
    from official.core.train_utils import serialize_config

    # Model Garden changes how all of this process's YAML spells lists.
    monkeypatch.setattr(yaml.Dumper, "yaml_representers", dict(yaml.Dumper.yaml_representers))
    model_dir = shutil.copytree(place / "first", tmp_path / "model")
    serialize_config(parse(place), str(model_dir))
    found = check(place, model_dir=model_dir)
    assert (found.problems, found.remarks) == ([], [])
    assert found.facts[-1] == f"start: continues from {model_dir}/ckpt-0, step 0"
    more = f"task.train_data.global_batch_size=16,task.init_checkpoint={place}/first/ckpt-0"
    found = check(place, more, model_dir=model_dir)
    assert found.problems == []
    assert "since the last run task.train_data.global_batch_size has changed: 8 -> 16" in found.remarks
    assert f"task.init_checkpoint is not used: {model_dir} has checkpoints of its own" in found.remarks
    small.write_model_yaml(place / "changed.yaml", small.make_config(131, num_hidden_layers=2))
    assert_problem(check(place, model_dir=model_dir, model="changed.yaml"), "does not fit the model")


def test_evaluation_needs_a_checkpoint_and_no_training_data(place):
    more = "task.train_data.input_path=/nowhere"
    assert_problem(check(place, more, mode="eval"), "no checkpoint to evaluate")
    assert check(place, f"{more},task.init_checkpoint={place}/first", mode="eval").problems == []

"""What would make a training fail late, or fail silently, is found before it starts; each with what to do."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from japanese_bert.training.checks import pretraining
from japanese_bert.training.checks.described_model import bert_config_of, build_and_describe, describe_trainer_model
from tests.helpers import small_pretraining as small
from tests.helpers.small_pretraining import assert_problem, check, parse
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
SUCCESS = "start: new, with random weights"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Data and configuration; `first/ckpt-20`, whose `checkpoint` file is in `first` too; other data to be mistaken."""
    import numpy as np

    from japanese_bert.conversion.hf_reading import new_next_sentence
    from japanese_bert.models.checkpoint_reading import weights_of
    from japanese_bert.models.checkpoint_writing import write_checkpoint

    place = small.write_all(tmp_path_factory.mktemp("checks"))
    corpus, vocab = place / "corpus_0.txt", place / "vocab.txt"
    for name, flags in {
        "plain": ["--no-gzip_compress"],
        "v1": ["--no-use_v2_feature_names"],
        "long": ["--max_seq_length", "40"],
        "few": ["--max_predictions_per_seq", "3"],
        "single": ["--no-next_sentence"],
        "seed": ["--random_seed", "1"],
    }.items():
        small.make_data(corpus, vocab, place / "other" / name, *flags)
    larger = place / "larger.txt"
    larger.write_bytes(vocab.read_bytes() + "犬\n".encode())
    small.make_data(corpus, larger, place / "other" / "vocab")
    swapped = place / "swapped.txt"
    lines = vocab.read_bytes().split(b"\n")
    swapped.write_bytes(b"\n".join([*lines[:6], lines[7], lines[6], *lines[8:]]))
    small.make_data(corpus, swapped, place / "other" / "swapped")
    config = small.make_config(small.num_tokens(vocab))
    names = [row.hf_name for row in weights_of(config)]
    (place / "first").mkdir()
    write_checkpoint(new_next_sentence(names, config, np.random.default_rng(0)), config, place / "first")
    return place


def train_path(place: Path, *names: str) -> str:
    """Overrides that train on these files of `other`. A comma would end the override."""
    paths = [str(place / "other" / name) for name in names]
    return f"task.train_data.input_path={paths[0]}"


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


def test_a_checkpoint_that_fits_is_accepted(place):
    for path in ("first", "first/ckpt-0"):
        found = check(place, f"task.init_checkpoint={place / path}")
        assert (found.problems, found.remarks) == ([], [])
        assert found.facts[-1] == f"start: from the weights of {place}/first/ckpt-0, with a new optimizer"


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("plain", ["is not compressed", "task.train_data.file_type is tfrecord_compressed", "file_type=tfrecord"]),
        ("v1", ["feature names input_ids, input_mask, segment_ids", "task.train_data.use_v2_feature_names=false"]),
        ("long", ["--max_seq_length 40, but task.train_data.seq_length is 32"]),
        ("few", ["--max_predictions_per_seq 3, but task.train_data.max_predictions_per_seq is 4"]),
        ("single", ["no next_sentence_labels", "task.train_data.use_next_sentence_label=false"]),
        ("vocab", ["a vocabulary of 132 tokens, but task.model.encoder.bert.vocab_size is 131"]),
        ("plain.json", ["no pretraining data", "matches no .json"]),
        ("nothing", ["nothing: no such file"]),
        ("nothing*", ["does not match any files", "create_pretraining_data.py"]),
    ],
)
def test_data_that_does_not_fit(place, name, messages):
    assert_problem(check(place, train_path(place, name)), *messages)


def test_compressed_data_read_as_plain(place):
    """The trainer would say: corrupted record at 0."""
    found = check(place, "task.validation_data.file_type=tfrecord")
    assert_problem(found, "valid.tfrecord.gz: is compressed", "task.validation_data.file_type=tfrecord_compressed")


def test_one_wrong_file_among_many_is_named(place, tmp_path):
    """The trainer would meet it days later."""
    for path in [*place.glob("data/*"), *place.glob("other/few*")]:
        shutil.copy(path, tmp_path / (path.name if "few" not in path.name else path.name.replace("few", "zz.gz")))
    found = check(place, f"task.train_data.input_path={tmp_path}/*.gz")
    assert_problem(found, f"{tmp_path}/zz.gz: was made with --max_predictions_per_seq 3")


def test_many_wrong_files_are_summed_up(place, tmp_path):
    for number in range(5):
        shutil.copy(place / "data" / "train_1.tfrecord.gz", tmp_path / f"{number}.gz")
    problems = check(place, f"task.train_data.input_path={tmp_path}/*.gz").problems
    assert len(problems) == 4
    assert "has no 0.gz.json of create_pretraining_data.py beside it" in problems[0]
    assert problems[3] == "task.train_data: and 2 more files"


def test_incomplete_files(place, tmp_path):
    path = tmp_path / "train_1.tfrecord.gz"
    content = (place / "data" / "train_1.tfrecord.gz").read_bytes()
    path.write_bytes(content[:-1])
    more = f"task.train_data.input_path={path}"
    assert_problem(
        check(place, more),
        "has no train_1.tfrecord.gz.json of create_pretraining_data.py beside it",
        "--no-check_records",
    )
    assert check(place, more, check_provenance=False).problems == []
    shutil.copy(place / "data" / "train_1.tfrecord.gz.json", tmp_path)
    assert_problem(check(place, more), f"has {len(content) - 1:,} bytes, but its .json says {len(content):,}")
    path.write_bytes(b"")
    assert_problem(check(place, more), "no pretraining data")


def test_different_vocabularies_of_one_size(place):
    assert_problem(check(place, train_path(place, "swapped")), "different vocabularies")


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


def test_validation_on_the_text_of_training_files_is_remarked(place):
    found = check(place, f"task.validation_data.input_path={place}/other/seed")
    assert found.problems == []
    assert "other/seed: made from the text of a training file" in found.remarks[0]


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("task.train_data.input_path=<set it>", ["task.train_data.input_path is not set"]),
        ("task.validation_data.global_batch_size=100000", ["do not fill one batch of 100,000"]),
        ("runtime.distribution_strategy=off", ["runtime.distribution_strategy is False", "one_device"]),
        ("runtime.distribution_strategy=default", ["expected one of one_device, mirrored"]),
        ("runtime.distribution_strategy=tpu", ["--tpu is not set", "--tpu=local"]),
        ("runtime.distribution_strategy=multi_worker_mirrored", ["TF_CONFIG is not set", "would train alone"]),
        ("runtime.num_gpus=8", ["runtime.num_gpus is 8, but TensorFlow finds"]),
        ("task.validation_data.use_next_sentence_label=false", ["use_next_sentence_label differs", "set them equal"]),
        ("task.model.cls_heads=[]", ["no head named next_sentence", "use_next_sentence_label=false"]),
        ("trainer.optimizer_config.learning_rate.polynomial.decay_steps=null", ["lacks decay_steps"]),
        ("trainer.optimizer_config.warmup.polynomial.warmup_steps=null", ["lacks warmup_steps"]),
        ("trainer.train_steps=30", ["the last 10 steps train at learning rate 0", "set them equal"]),
        ("trainer.checkpoint_interval=7", ["trainer.checkpoint_interval is 7", "multiple of steps_per_loop (5)"]),
        ("trainer.max_to_keep=100000000", ["checkpoints of 0.00 GB", "make room or set trainer.max_to_keep"]),
    ],
)
def test_settings_that_do_not_work(place, more, messages):
    assert_problem(check(place, more), *messages)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("trainer.optimizer_config.warmup.polynomial.warmup_steps=20", "the learning rate only grows"),
        ("trainer.train_steps=10", "decay_steps is 20: training ends at step 10, before the decay"),
        ("runtime.mixed_precision_dtype=float16", "30 times slower on a CPU"),
    ],
)
def test_settings_that_may_be_a_mistake(place, more, message):
    found = check(place, more)
    assert found.problems == []
    assert len(found.remarks) == 1
    assert message in found.remarks[0]


def test_sequences_longer_than_the_model(place, tmp_path):
    config = small.make_config(131, max_position_embeddings=16)
    small.write_model_yaml(place / "short.yaml", config)
    message = "task.train_data.seq_length is 32, but task.model.encoder.bert has 16 positions"
    assert_problem(check(place, model="short.yaml"), message)


def test_head_that_hugging_face_has_no_place_for(place):
    text = (place / "model.yaml").read_text(encoding="utf-8")
    (place / "wide.yaml").write_text(text.replace("inner_dim: 24", "inner_dim: 32"), encoding="utf-8")
    assert_problem(check(place, model="wide.yaml"), "inner_dim is 32, but hidden_size is 24")


def test_a_remote_tpu_cannot_read_local_files(place):
    found = check(place, tpu="my-tpu", runtime="tpu")
    assert_problem(found, "the workers of the TPU my-tpu cannot read this", "gs://")
    assert check(place, tpu="local", runtime="tpu").problems == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not JSON", 'expected {"cluster"'),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', 'expected {"cluster"'),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}', 'expected {"cluster"'),
        ('{"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 2}}', "of the 3 devices"),
    ],
)
def test_clusters_that_do_not_work(place, monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    assert_problem(check(place, "runtime.distribution_strategy=multi_worker_mirrored"), message)


def test_a_cluster_that_works_and_one_that_nobody_uses(place, monkeypatch):
    cluster = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    found = check(place, "runtime.distribution_strategy=multi_worker_mirrored")
    assert (found.problems, found.remarks) == ([], [])
    assert found.facts[0] == "hardware: multi_worker_mirrored, 2 worker(s) x 1 CPU"
    assert "every machine would train a model of its own" in check(place).remarks[0]


def copy_checkpoint(place: Path, target: Path) -> Path:
    target.mkdir()
    for path in place.glob("first/ckpt-0.*"):
        shutil.copy(path, target)
    return target


def test_directory_without_state_is_refused_as_start(place, tmp_path):
    """The trainer would train from scratch and say so in a line of its log at most."""
    first = copy_checkpoint(place, tmp_path / "first")
    found = check(place, f"task.init_checkpoint={first}")
    assert_problem(found, "a directory without a file 'checkpoint'", "start from scratch", f"e.g. {first}/ckpt-0")
    (first / "checkpoint").write_text('model_checkpoint_path: "ckpt-9"\n', encoding="utf-8")
    assert_problem(check(place, f"task.init_checkpoint={first}"), "a directory without a file 'checkpoint'")


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("first/ckpt-0.index", ["is one file of a checkpoint. Give its name", "first/ckpt-0"]),
        ("first/ckpt-0.data-00000-of-00001", ["is one file of a checkpoint"]),
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


def test_start_without_output_layer_is_remarked(place, tmp_path):
    """As in checkpoints that hold only what Model Garden itself restores."""
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    model = build_model(model_params(small.make_config(131)))
    tf.train.Checkpoint(**model.checkpoint_items).write(str(tmp_path / "part"))
    found = check(place, f"task.init_checkpoint={tmp_path}/part")
    assert found.problems == []
    assert "has no output layer of the next sentence head" in found.remarks[0]


def test_model_directory_whose_state_is_lost(place, tmp_path):
    """The trainer would start from scratch and replace the checkpoints."""
    model_dir = copy_checkpoint(place, tmp_path / "model")
    found = check(place, model_dir=model_dir)
    assert_problem(found, "1 checkpoint(s) but no file 'checkpoint'", 'model_checkpoint_path: "ckpt-0"')
    (model_dir / "checkpoint").write_text('model_checkpoint_path: "/gone/ckpt-0"\n', encoding="utf-8")
    assert_problem(check(place, model_dir=model_dir), "no file 'checkpoint' that names the latest")


def test_continued_run(place, tmp_path):
    from official.core.train_utils import serialize_config

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


def test_disk_counts_what_is_there(place, tmp_path, monkeypatch):
    size = 12 * describe_trainer_model(parse(place)).num_parameters
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(pretraining.shutil, "disk_usage", lambda path: usage._replace(free=4 * size - 1))
    assert_problem(check(place), "3 checkpoints of 0.00 GB and one in the making")
    assert check(place, model_dir=shutil.copytree(place / "first", tmp_path / "model")).problems == []


def test_all_problems_are_told_at_once(place):
    found = check(place, f"{train_path(place, 'few')},trainer.train_steps=30,task.init_checkpoint=/nowhere")
    assert len(found.problems) == 3


def test_what_is_known_of_bert_is_what_is_built(place):
    params = parse(place)
    known, built = describe_trainer_model(params), build_and_describe(params.task)
    assert known.variables == built.variables
    assert sorted(known.untrained) == sorted(built.untrained)
    assert dataclasses.astuple(bert_config_of(params)) == dataclasses.astuple(small.make_config(131))

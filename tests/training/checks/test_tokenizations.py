"""Data and initial weights of different tokenizations, which no size shows."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.small_pretraining import assert_problem, check, make_data, train_path
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.fixture
def base(place, tmp_path) -> Path:
    """A directory of convert_hf_checkpoint_to_tf2.py: a checkpoint with its tokenizer."""
    base = shutil.copytree(place / "first", tmp_path / "base")
    settings = {"word_tokenizer_type": "mecab", "do_lower_case": False, "mecab_kwargs": {"mecab_dic": "unidic_lite"}}
    (base / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    shutil.copy(place / "vocab.txt", base)
    return base


def test_another_casing_or_dictionary_among_the_files(place, tmp_path):
    for name, flags in {"lower": ["--do_lower_case"], "ipadic": ["--mecab_dic_type", "ipadic"]}.items():
        make_data(place / "corpus_0.txt", place / "vocab.txt", tmp_path / name / "data.gz", *flags)
    lower, ipadic = (f"task.train_data.input_path={tmp_path}/{name}/*.gz" for name in ("lower", "ipadic"))
    assert_problem(check(place, lower), "valid.tfrecord.gz: do_lower_case False, but True in", "lower/data.gz")
    assert_problem(check(place, ipadic), "dictionary unidic_lite 1.0.8", "but ipadic 1.0.0")
    assert_problem(check(place, train_path(place, "swapped"), check_provenance=False), "valid.tfrecord.gz: vocabulary")


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_initial_weights_of_another_vocabulary_of_the_same_size(place, base, prefix):
    """A continued model: its own vocab.txt lies beside its checkpoint. It may be in a bucket."""
    start = f"task.init_checkpoint={prefix}{base}/ckpt-0"
    found = check(place, start)
    assert (found.problems, found.remarks) == ([], [])
    shutil.copy(place / "swapped.txt", base / "vocab.txt")
    for path in (start, f"task.init_checkpoint={prefix}{base}"):
        assert_problem(
            check(place, path), "train_1.tfrecord.gz: vocabulary sha256", f"in {prefix}{base}. The same text"
        )
    found = check(place, start, check_provenance=False)
    assert found.problems == []
    assert [line for line in found.remarks if "vocabulary sha256" in line]


def test_initial_weights_of_another_casing(place, base):
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(settings | {"do_lower_case": True}), encoding="utf-8")
    assert_problem(check(place, f"task.init_checkpoint={base}/ckpt-0"), "do_lower_case False, but True in")


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_initial_weights_of_a_training_on_other_data(place, base, prefix):
    """An earlier stage: its params.yaml names its data."""
    for name in ("tokenizer_config.json", "vocab.txt"):
        (base / name).unlink()
    data = f"task: {{train_data: {{input_path: '{prefix}{place}/other/swapped'}}}}\n"
    (base / "params.yaml").write_text(data, encoding="utf-8")
    found = check(place, f"task.init_checkpoint={prefix}{base}/ckpt-0")
    assert_problem(found, "vocabulary sha256", "in swapped.json of the training data")

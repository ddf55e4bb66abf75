"""The model of a configuration: what cannot be trained, and the variables of what can."""

import dataclasses

import pytest

from japanese_bert.training.checks.described_model import bert_config_of, build_and_describe, describe_trainer_model
from tests.helpers import small_pretraining as small
from tests.helpers.small_pretraining import assert_problem, check, parse
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("task.validation_data.use_next_sentence_label=false", ["use_next_sentence_label differs", "set them equal"]),
        ("task.model.cls_heads=[]", ["no head named next_sentence", "use_next_sentence_label=false"]),
    ],
)
def test_settings_that_do_not_work(place, more, messages):
    assert_problem(check(place, more), *messages)


def test_sequences_longer_than_the_model(place, tmp_path):
    config = small.make_config(131, max_position_embeddings=16)
    small.write_model_yaml(place / "short.yaml", config)
    message = "task.train_data.seq_length is 32, but task.model.encoder.bert has 16 positions"
    assert_problem(check(place, model="short.yaml"), message)


def test_head_that_hugging_face_has_no_place_for(place):
    text = (place / "model.yaml").read_text(encoding="utf-8")
    (place / "wide.yaml").write_text(text.replace("inner_dim: 24", "inner_dim: 32"), encoding="utf-8")
    assert_problem(check(place, model="wide.yaml"), "inner_dim is 32, but hidden_size is 24")


def test_a_head_that_nothing_trains_is_told(place):
    small.make_data(
        place / "corpus_0.txt", place / "vocab.txt", place / "other" / "one_segment.gz", "--no-next_sentence"
    )
    sections = [f"task.{name}_data" for name in ("train", "validation")]
    more = f"task.train_data.input_path={place}/other/one_segment.gz," + ",".join(
        f"{section}.use_next_sentence_label=false" for section in sections
    )
    remarks = check(place, more).remarks
    assert any(remark.startswith("nothing trains the next sentence head") for remark in remarks), remarks


def test_what_is_known_of_a_model_is_what_is_built(place):
    small.write_shrunk_yaml(place / "albert.yaml", "albert_base_wordpiece", 131)
    for model, kind in (("model.yaml", "bert"), ("albert.yaml", "albert")):
        params = parse(place, model=model)
        known, built = describe_trainer_model(params), build_and_describe(params.task)
        assert (known.kind, built.kind) == (kind, kind)
        assert known.variables == built.variables
        assert sorted(known.untrained) == sorted(built.untrained)
    assert dataclasses.astuple(bert_config_of(parse(place))) == dataclasses.astuple(small.make_config(131))

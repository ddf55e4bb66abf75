"""Modules of others for `task.hub_module_url`: by path, file:// and URL, with their sizes, and what is none."""

import functools
import http.server
import tarfile
import threading
from pathlib import Path

import pytest

from japanese_bert.training.checks.hub_modules import describe_module, read_saved_encoder
from tests.helpers import small_answers
from tests.helpers import small_finetuning as small
from tests.helpers.small_pretraining import assert_problem
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow
USE_POOLER = "task.model.use_encoder_pooler=true"


@pytest.fixture(scope="module")
def module(tmp_path_factory) -> Path:
    """A SavedModel without the files that show where it comes from."""
    place = small.write_all(tmp_path_factory.mktemp("module"))
    small.export(place, place / "module")
    for name in ("provenance.json", "config.json"):
        (place / "module" / name).unlink()
    return place / "module"


def save(directory: Path, outputs: tuple[str, ...]) -> str:
    """Write a SavedModel whose outputs have these names."""
    import tensorflow as tf

    spec = {name: tf.TensorSpec([None, None], tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")}

    class Module(tf.Module):
        @tf.function(input_signature=[spec])
        def __call__(self, inputs):
            return dict.fromkeys(outputs, tf.zeros([1, 4, 8]) + tf.cast(tf.size(inputs["input_mask"]), tf.float32))

    tf.saved_model.save(Module(), str(directory))
    return str(directory)


def test_what_a_module_shows(tmp_path):
    assert describe_module(save(tmp_path / "a", ("sequence_output",))) == ({"sequence_output": 8}, None)
    for directory in (save(tmp_path / "b", ("other",)), str(tmp_path)):
        sizes, problem = describe_module(directory)
        assert sizes == {}
        assert problem.startswith("cannot be called with input_word_ids, input_mask, input_type_ids (")


@pytest.mark.slow
def test_what_cannot_be_fetched_is_one_line(tmp_path):
    with pytest.raises(
        ValueError, match=r"task.hub_module_url https://127\.0\.0\.1:1/x: cannot be fetched \(.*refused"
    ):
        read_saved_encoder("https://127.0.0.1:1/x")
    with pytest.raises(ValueError, match=r"has no saved_model\.pb"):
        read_saved_encoder(f"file://{tmp_path}")


@pytest.mark.slow
def test_a_module_of_others(module, tmp_path, monkeypatch):
    """Its sizes are compared with the data."""
    sizes = {"sequence_output": 24, "pooled_output": 24, "vocab_size": 131, "max_position_embeddings": 48}
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with tarfile.open(tmp_path / "bert", "w:gz") as archive:
        archive.add(module, arcname=".")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/bert"
        for name in (str(module), f"file://{module}", url):
            assert read_saved_encoder(name).sizes == sizes
        server.shutdown()
    more = f"task.hub_module_url={module},{USE_POOLER}"
    found = small.check(module.parent, more, with_encoder=False)
    assert found.problems == []
    assert f"{module}: sequence_output 24, pooled_output 24, vocab_size 131" in found.remarks[0]
    larger = module.parent / "larger.txt"
    larger.write_bytes((module.parent / "vocab.txt").read_bytes() + "犬\n".encode())
    small.make_data(module.parent / "train.jsonl", larger, tmp_path / "larger", "--max_seq_length", "32")
    more += f",task.train_data.input_path={tmp_path}/larger"
    found = small.check(module.parent, more, mode="train", with_encoder=False)
    assert_problem(found, "was made with a vocabulary of 132 tokens, but vocab_size of the SavedModel is 131")
    found = small.check(module.parent, f"task.hub_module_url={module},{USE_POOLER},task.train_data.seq_length=64",
                        with_encoder=False)  # fmt: skip
    assert_problem(found, "task.train_data.seq_length is 64, but the SavedModel has 48 positions")


@pytest.mark.slow
def test_answers_start_the_same_from_checkpoint_and_module(module, tmp_path):
    """With one head both give the same answers."""
    from official.nlp.configs import encoders
    from official.nlp.tasks.question_answering import ModelConfig, QuestionAnsweringConfig

    from japanese_bert.finetuning_data.questions import read_squad
    from japanese_bert.models.model_garden import encoder_params
    from japanese_bert.training.data_files import QUESTION_ANSWERING, read_data_file
    from japanese_bert.training.predictions import predict_answers
    from japanese_bert.training.question_answering import make_question_answering_class
    from tools import create_question_answering_data

    place = module.parent
    questions = small_answers.write_questions(tmp_path / "questions.json", 0, count=30)
    data = small_answers.make(create_question_answering_data, questions, place / "vocab.txt", tmp_path / "data")
    encoder_config = encoders.EncoderConfig()
    encoder_config.override(encoder_params(small.trained_config(place)))
    models = []
    for start in ({"init_checkpoint": f"{place}/trained/ckpt-5"}, {"hub_module_url": str(module)}):
        config = QuestionAnsweringConfig(model=ModelConfig(encoder=encoder_config), **start)
        task = make_question_answering_class()(config)
        models.append(task.build_model())
        task.initialize(models[-1])
    models[1].span_labeling.set_weights([10 * weight for weight in models[0].span_labeling.get_weights()])
    models[0].span_labeling.set_weights(models[1].span_labeling.get_weights())
    file, examples = read_data_file(str(data), QUESTION_ANSWERING), [*read_squad(questions)]
    first, second = (predict_answers(data, model, file, 7, examples).by_id for model in models)
    assert first == second
    assert len(set(first.values())) > 5

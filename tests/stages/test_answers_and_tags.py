"""Question answering and named entities with run_finetuning.py, from data to predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
from seqeval.metrics import f1_score

from japanese_bert.finetuning_data.questions import read_squad
from japanese_bert.finetuning_data.tagged_sentences import read_tagged_sentences
from japanese_bert.jglue.scoring import METRIC_FUNCTIONS
from japanese_bert.jglue.tasks import TASKS, find_file
from japanese_bert.models.model_garden import ENCODER_INPUTS, encoder_params
from japanese_bert.training.curves import read_run
from tests.finetuning_data.test_squad import JGLUE, make_tokenizer
from tests.helpers import small_answers as small
from tests.helpers import small_finetuning, small_pretraining
from tools import create_question_answering_data, predict_labels

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]
SEEDS = (1, 2, 3)
LONG = "trainer.validation_interval=200,trainer.checkpoint_interval=400"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """300 tagged sentences, and 300 questions, for training."""
    return small.write_all(tmp_path_factory.mktemp("answers"), count=300)


def train(place: Path, experiment: str, model_dir: Path, steps: int, seed: int, rate: float, start: str = "") -> None:
    start = start or f"task.init_checkpoint={place}/trained/ckpt-5"
    more = f"{start},task.train_data.seed={seed},{LONG}"
    flags = (f"--train_steps={steps}", f"--learning_rate={rate}", f"--tf_config_file={place}/trained/config.json")
    small_finetuning.run(small.command(place, experiment, model_dir, more, *flags))


def predict(place: Path, experiment: str, model_dir: Path) -> dict:
    output = model_dir / "predictions.jsonl"
    flags = ["--model_dir", str(model_dir), "--input_file", f"{place}/valid.{experiment}.gz"]
    flags += ["--output_file", str(output), *(["--text_file", f"{place}/valid.json"] if experiment == "squad" else [])]
    predict_labels.main(predict_labels.get_parser().parse_args(flags))
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").split("\n")[:-1]]
    return {row["id"]: row["prediction"] for row in rows}


def f1_of_answers(place: Path, model_dir: Path) -> float:
    examples, answers = [*read_squad(place / "valid.json")], predict(place, "squad", model_dir)
    assert list(answers) == [example.id for example in examples]
    assert all(answers[example.id] in example.texts[1] for example in examples)
    return METRIC_FUNCTIONS["f1"]([example.gold for example in examples], [*answers.values()])


def f1_of_tags(place: Path, model_dir: Path) -> float:
    sentences = [*read_tagged_sentences(place / "valid.conll", small.LABELS, 0, -1)]
    tags = predict(place, "tagging", model_dir)
    assert [len(found) for found in tags.values()] == [len(sentence.words) for sentence in sentences]
    gold = [[small.LABELS[tag] for tag in sentence.tags] for sentence in sentences]
    f1 = f1_score(gold, [*tags.values()], zero_division=0)
    made_by = json.loads((model_dir / "predictions.jsonl.json").read_text(encoding="utf-8"))
    assert made_by["scores"]["f1"] == pytest.approx(f1)
    return f1


@pytest.mark.parametrize(
    ("experiment", "f1_of", "curve"), [("squad", f1_of_answers, "answer_accuracy"), ("tagging", f1_of_tags, "f1")]
)
def test_400_steps_learn(place, tmp_path, experiment, f1_of, curve):
    """F1 is far above that of a model that did not learn, for three orders of the data."""
    train(place, experiment, tmp_path / "untrained", 1, seed=1, rate=1e-9)
    untrained, found = f1_of(place, tmp_path / "untrained"), []
    for seed in SEEDS:
        train(place, experiment, tmp_path / f"{seed}", 400, seed, rate=2e-3)
        found.append(f1_of(place, tmp_path / f"{seed}"))
        assert read_run([tmp_path / f"{seed}"])["validation", curve][-1][1] > 0.7
    print(f"{experiment}: F1 {untrained:.3f} untrained, {found}")
    assert np.min(found) > untrained + 0.5


@pytest.fixture(scope="module")
def module(place) -> Path:
    """The SavedModel of the pretrained checkpoint."""
    return small_finetuning.export(place, place / "module")


@pytest.mark.parametrize(("experiment", "f1_of"), [("squad", f1_of_answers), ("tagging", f1_of_tags)])
def test_400_steps_from_a_saved_model_learn(place, module, tmp_path, experiment, f1_of):
    train(place, experiment, tmp_path / "model", 400, 1, 2e-3, f"task.hub_module_url={module}")
    assert f1_of(place, tmp_path / "model") > 0.6


def test_tags_start_the_same_from_checkpoint_and_saved_model(place, module):
    """The tasks of both, with the same values of the output layer. Those of answers: test_hub_modules.py."""
    from official.nlp.configs import encoders
    from official.nlp.tasks import tagging

    config, encoder = small_finetuning.trained_config(place), encoders.EncoderConfig()
    encoder.override(encoder_params(config))
    rng = np.random.default_rng(0)
    ids = rng.integers(5, config.vocab_size, (20, 32), dtype=np.int32)
    inputs = dict(zip(ENCODER_INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))
    head = [rng.normal(size=shape) for shape in ((config.hidden_size, len(small.LABELS)), len(small.LABELS))]
    logits = []
    for start in ({"init_checkpoint": f"{place}/trained/ckpt-5"}, {"hub_module_url": str(module)}):
        model_config = tagging.ModelConfig(encoder=encoder)
        task = tagging.TaggingTask(tagging.TaggingConfig(model=model_config, class_names=[*small.LABELS], **start))
        model = task.build_model()
        task.initialize(model)
        for variable, values in zip(model.trainable_variables[-2:], head, strict=True):
            variable.assign(values)
        logits.append(model(inputs, training=False)["logits"])
    assert np.abs(logits[0] - logits[1]).max() < 1e-5
    assert np.std(logits[0]) > 0.1


JSQUAD_STEPS, JSQUAD_SIZE = 400, (3000, 500)  # about as many questions for training and validation


@pytest.mark.skipif(not JGLUE.is_dir(), reason="the shared JGLUE files are not here")
def test_400_steps_of_jsquad(tmp_path):
    """The same with real questions and a model of the size of bert_tiny_wordpiece, which starts without pretraining."""
    for name, split, size in zip(("train", "valid"), ("test", "valid"), JSQUAD_SIZE, strict=True):
        articles = json.loads(find_file(JGLUE, TASKS["jsquad"], split).read_text(encoding="utf-8"))["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]][: size // 4]
        (tmp_path / f"{name}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    make_tokenizer(tmp_path, "wordpiece", [*read_squad(tmp_path / "train.json")])
    vocab = (tmp_path / "wordpiece.txt").rename(tmp_path / "vocab.txt")
    for name in ("train", "valid"):
        flags = ("--max_seq_length", "384")
        small.make(
            create_question_answering_data, tmp_path / f"{name}.json", vocab, tmp_path / f"{name}.squad.gz", *flags
        )
    sizes = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512, "max_position_embeddings": 512}
    small.write_initial(tmp_path / "trained", small_pretraining.num_tokens(vocab), **sizes)
    small.write_tasks(tmp_path, seq_length=384)
    train(tmp_path, "squad", tmp_path / "untrained", 1, seed=1, rate=1e-9)
    untrained = f1_of_answers(tmp_path, tmp_path / "untrained")
    found = []
    for seed in SEEDS:
        train(tmp_path, "squad", tmp_path / f"{seed}", JSQUAD_STEPS, seed, rate=1e-3)
        found.append(f1_of_answers(tmp_path, tmp_path / f"{seed}"))
    print(f"JSQuAD: F1 {untrained:.3f} untrained, {found}")
    assert np.min(found) > untrained

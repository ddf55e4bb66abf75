"""The stage trains all tasks on tiny files with a tiny model, and keeps finished runs."""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from japanese_bert.common import command_line
from japanese_bert.jglue import fine_tuning
from japanese_bert.jglue.tasks import TASKS
from tests.helpers.places import ROOT
from tests.helpers.small_jglue import SUBJECTS, VERBS, make_squad, write_data, write_model, write_split
from tools import evaluate_jglue


@pytest.fixture
def data_dir(tmp_path) -> Path:
    return write_data(tmp_path / "datasets")


@pytest.fixture(params=["wordpiece"])
def model_dir(request, tmp_path, wordpiece_vocab, character_vocab) -> Path:
    vocab = wordpiece_vocab if request.param == "wordpiece" else character_vocab
    return write_model(tmp_path / "my-model", vocab, request.param)


@pytest.fixture
def other_model_dir(request, model_dir) -> Path:
    """Make a model of another kind, without token types. Its tokenizer is BERT's, which gives them, or a fast one."""
    import transformers

    name, tokenizer = request.param
    (model_dir / "model.safetensors").unlink()
    if tokenizer == "unigram":
        (model_dir / "vocab.txt").unlink()
        make_unigram_tokenizer().save_pretrained(model_dir)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "hidden_size": 16}
    if name == "DistilBert":
        sizes = {"n_layers": 2, "n_heads": 2, "dim": 16, "hidden_dim": 32}
    tokens = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
    types = {"type_vocab_size": 0 if name == "DebertaV2" else 1}
    config = getattr(transformers, f"{name}Config")(vocab_size=1000, **sizes, **tokens, **types)
    getattr(transformers, f"{name}ForMaskedLM")(config).save_pretrained(model_dir)
    return model_dir


def make_unigram_tokenizer():
    """Make a tokenizer like those of SentencePiece models, with RoBERTa's special tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=100, special_tokens=[*special.values()], unk_token="<unk>")
    tokenizer.train_from_iterator([subject + verb for subject in SUBJECTS for verb in VERBS] * 9, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", **special)


def evaluate(*arguments) -> str:
    """Return the standard output of the stage."""
    out = io.StringIO()
    with redirect_stdout(out):
        evaluate_jglue.main(parse(*arguments))
    return out.getvalue()


def parse(*arguments) -> argparse.Namespace:
    return evaluate_jglue.get_parser().parse_args([*map(str, arguments), "--use_cpu"])


@pytest.fixture
def command(model_dir, data_dir, tmp_path):
    return ("--model_dir", model_dir, "--data_dir", data_dir, "--output_dir", tmp_path / "out", "--learning_rate", 1e-3)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_):
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(fine_tuning.FineTuning, "run", refuse)


@pytest.mark.parametrize("model_dir", ["wordpiece", pytest.param("character", marks=pytest.mark.slow)], indirect=True)
def test_all_tasks_are_trained_and_scored(command, tmp_path):
    out = evaluate(*command, "--num_train_epochs", 1, "--seeds", 1, 2)
    output = tmp_path / "out"
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert results["model"] == "my-model"
    assert list(results["tasks"]) == list(TASKS)
    for name, task in TASKS.items():
        files = sorted(path.name for path in (output / name).iterdir())
        assert files == [f"lr0.001_epochs1_seed{seed}.jsonl{end}" for seed in (1, 2) for end in ("", ".json")]
        assert set(results["tasks"][name]["result"]["mean"]) == set(task.metrics)
        assert results["tasks"][name]["result"]["seeds"] == [1, 2]
        record = json.loads((output / name / f"{files[0]}.json").read_text(encoding="utf-8"))
        assert record["rows"] == {"train": 40, "evaluation": 12}
        assert record["method"]["batch_size"] == (64 if name == "jcommonsenseqa" else 32)
    assert {"torch", "transformers", "accelerate"} <= set(record["versions"])
    assert (output / "results.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "results.md").read_text(encoding="utf-8") in out
    contexts = json.dumps(make_squad(12), ensure_ascii=False)
    for line in (output / "jsquad" / "lr0.001_epochs1_seed1.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
        assert json.loads(line)["prediction"] in contexts


@pytest.mark.parametrize(
    "other_model_dir",
    [
        ("Roberta", "bert"),
        pytest.param(("DistilBert", "bert"), marks=pytest.mark.slow),
        pytest.param(("Roberta", "unigram"), marks=pytest.mark.slow),
        pytest.param(("DebertaV2", "unigram"), marks=pytest.mark.slow),
        pytest.param(("ModernBert", "unigram"), marks=pytest.mark.slow),
    ],
    indirect=True,
    ids="-".join,
)
def test_models_of_others(other_model_dir, command, tmp_path):
    names = ["jsts", "jcommonsenseqa", "jsquad"]
    evaluate(*command, "--num_train_epochs", 1, "--tasks", *names)
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert list(results["tasks"]) == names
    answers = (tmp_path / "out" / "jsquad" / "lr0.001_epochs1_seed42.jsonl").read_text(encoding="utf-8")
    contexts = json.dumps(make_squad(12), ensure_ascii=False)
    predictions = [json.loads(line)["prediction"] for line in answers.split("\n")[:-1]]
    assert len(predictions) == 12 and all(predictions) and all(text in contexts for text in predictions)


def test_training_learns(command, tmp_path):
    """The model learns labels that follow from the verb. Half of them are positive."""
    evaluate(*command[:-1], 1e-2, "--tasks", "marc_ja", "--num_train_epochs", 20)
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert record["tasks"]["marc_ja"]["result"]["mean"]["accuracy"] == 1


def test_a_seed_decides_everything(command, tmp_path):
    for place in ("one", "other"):
        evaluate(*command[:4], "--output_dir", tmp_path / place, "--tasks", "jsts", "--seeds", 1, 2,
                 "--num_train_epochs", 1)  # fmt: skip
    one, other = (
        [(tmp_path / place / "jsts" / f"lr5e-05_epochs1_seed{seed}.jsonl").read_bytes() for seed in (1, 2)]
        for place in ("one", "other")
    )
    assert one == other
    assert one[0] != one[1]


def test_finished_runs_are_kept(command, tmp_path, monkeypatch):
    some = (*command, "--tasks", "jnli", "--num_train_epochs", 1)
    evaluate(*some, "--seeds", 1)
    kept = (tmp_path / "out" / "jnli" / "lr0.001_epochs1_seed1.jsonl").read_bytes()
    out = evaluate(*some, "--seeds", 1, 2)
    assert [line.endswith("(kept)") for line in out.split("\n") if line.startswith("JNLI: learning")] == [True, False]
    assert (tmp_path / "out" / "jnli" / "lr0.001_epochs1_seed1.jsonl").read_bytes() == kept
    (tmp_path / "out" / "results.json").unlink()
    monkeypatch.setattr(fine_tuning.FineTuning, "run", None)
    out = evaluate(*some, "--seeds", 1, 2)
    assert out.count("(kept)") == 2
    assert (tmp_path / "out" / "results.json").is_file()


def test_other_inputs_are_not_taken_for_finished(command, model_dir, data_dir, no_training, tmp_path, monkeypatch):
    """Another model or other data under the same name is an error that --overwrite resolves."""
    monkeypatch.undo()
    some = (*command, "--tasks", "jsts", "--num_train_epochs", 1)
    evaluate(*some)
    write_split(data_dir, "jsts", "train", 41)
    with pytest.raises(FileExistsError, match=r"seed42.jsonl: exists, and other inputs"):
        evaluate(*some)
    evaluate(*some, "--overwrite")
    weights = model_dir / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(FileExistsError, match=r"seed42.jsonl: exists, and other inputs"):
        evaluate(*some)


def test_a_failed_run_leaves_nothing_and_finished_ones_stay(command, tmp_path, monkeypatch):
    train = fine_tuning.FineTuning.run

    def fail_on_second(self, settings, work_dir):
        if settings.seed == 2:
            raise ValueError("diverged")
        return train(self, settings, work_dir)

    monkeypatch.setattr(fine_tuning.FineTuning, "run", fail_on_second)
    some = (*command, "--tasks", "jsts", "--num_train_epochs", 1, "--seeds", 1, 2)
    with pytest.raises(ValueError, match="diverged"):
        evaluate(*some)
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"lr0.001_epochs1_seed1.jsonl", "lr0.001_epochs1_seed1.jsonl.json"}
    monkeypatch.undo()
    assert evaluate(*some).count("(kept)") == 1


KILLED = """
import os, signal, sys
from tools import evaluate_jglue
from japanese_bert.jglue import features
from japanese_bert.jglue.fine_tuning import FineTuning
run = FineTuning.run
def killed(self, settings, work_dir):
    result = run(self, settings, work_dir)
    if settings.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
FineTuning.run = killed
evaluate_jglue.main(evaluate_jglue.get_parser().parse_args(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_wrong(command, tmp_path):
    some = [*map(str, command), "--tasks", "jsts", "--num_train_epochs", "1", "--seeds", "1", "2", "--use_cpu"]
    process = subprocess.run(
        [sys.executable, "-c", KILLED, *some], cwd=ROOT, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    left = tmp_path / "out" / "jsts" / "lr0.001_epochs1_seed2.jsonl"
    assert left.with_name(f"{left.name}.tmp").exists()
    assert not left.exists()
    assert evaluate(*some[:-1]).count("(kept)") == 1
    assert {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()} == {
        ".jsonl", ".json", ".md", ".png"
    }  # fmt: skip


def test_missing_tasks_are_named_and_skipped(command, data_dir, tmp_path):
    for path in (data_dir / "marc_ja-v1.3").iterdir():
        path.unlink()
    (data_dir / "jnli-v1.3" / "train-v1.3.json").unlink()
    out = evaluate(*command, "--tasks", "marc_ja", "jnli", "jsts", "--num_train_epochs", 1)
    assert f"MARC-ja: skipped: {data_dir}/marc_ja-v*/train-v*.json: no such file" in out
    assert f"JNLI: skipped: {data_dir}/jnli-v*/train-v*.json: no such file" in out
    assert "Skipped because files are missing: MARC-ja, JNLI." in out
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert list(results["tasks"]) == ["jsts"]
    assert list(results["skipped"]) == ["marc_ja", "jnli"]
    with pytest.raises(FileNotFoundError, match=r"jnli-v\*/train"):
        evaluate(*command, "--tasks", "jnli")


def test_trials_and_other_splits_have_names_of_their_own(command, data_dir, tmp_path):
    write_split(data_dir, "jsts", "test", 7)
    out = evaluate(
        *command, "--tasks", "jsts", "--num_train_epochs", 1, "--max_train_samples", 5, "--eval_split", "test"
    )
    path = tmp_path / "out" / "jsts" / "lr0.001_epochs1_seed42_samples5_test.jsonl"
    assert path.read_text(encoding="utf-8").count("\n") == 7
    assert json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))["rows"] == {"train": 5, "evaluation": 7}
    assert "A trial: trained on at most the first 5 examples." in out


def test_scores_of_a_predictions_file(data_dir, tmp_path):
    gold = {
        question["id"]: question["answers"][0]["text"]
        for paragraph in make_squad(12)["data"][0]["paragraphs"]
        for question in paragraph["qas"]
    }
    predictions = dict.fromkeys(gold, gold["q0"])
    right = sum(answer == gold["q0"] for answer in gold.values())
    assert 0 < right < 12
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(predictions), encoding="utf-8")
    out = evaluate("--data_dir", data_dir, "--tasks", "jsquad", "--predictions_file", path)
    assert f"exact_match: {right / 12:.4f}".rstrip("0") in out
    path.write_text(json.dumps(gold), encoding="utf-8")
    assert "exact_match: 1\n  f1: 1\n" in evaluate(
        "--data_dir", data_dir, "--tasks", "jsquad", "--predictions_file", path
    )
    path.write_text(json.dumps(gold | {"q99": "猫"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"predictions.json: 1 of 13: the first, id q99, is unknown. Expected one"):
        evaluate("--data_dir", data_dir, "--tasks", "jsquad", "--predictions_file", path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--search",), "--search: tries learning rates"),
        (("--seeds", 1, 1), "--seeds 1 1: one seed occurs twice"),
        (("--num_train_epochs", 0), "--num_train_epochs 0: expected a positive number"),
        (("--max_train_samples", -1), "--max_train_samples -1: expected a positive number"),
        (("--gradient_accumulation_steps", 3), "a batch of 32 cannot be divided"),
        (("--model_dir", "nowhere"), "nowhere: no such directory. Make it with convert"),
        (("--model_dir", "."), "config.json: no such file. Give a directory that convert"),
        (("--data_dir", "nowhere"), "nowhere/jsts-v.*no such file"),
        (("--predictions_file", "nowhere"), "nowhere: no such file"),
    ],
)
def test_errors_are_one_line(command, change, message, tmp_path):
    some = [*command, "--tasks", "jsts", *change]
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        evaluate(*some)
    assert "\n" not in command_line.describe_error(error.value)
    assert not (tmp_path / "out" / "results.json").exists()


def test_needed_arguments():
    with pytest.raises(ValueError, match="--model_dir: is missing"):
        evaluate("--data_dir", "d", "--output_dir", "o")
    with pytest.raises(ValueError, match="--output_dir: is missing"):
        evaluate("--data_dir", "d", "--model_dir", "m")
    with pytest.raises(ValueError, match="--search: chooses on the valid files"):
        evaluate("--data_dir", "d", "--model_dir", "m", "--output_dir", "o", "--search", "--eval_split", "test")
    with pytest.raises(ValueError, match="--predictions_file: its task is missing"):
        evaluate("--data_dir", "d", "--predictions_file", "p")

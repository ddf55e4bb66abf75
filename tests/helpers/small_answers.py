"""A tiny pretrained model with questions and tagged sentences, for the tests of fine-tuning. Nothing here is a test."""

import json
import random
from pathlib import Path

import yaml

from japanese_bert.training.checks.findings import Findings
from japanese_bert.training.checks.finetuning import check_finetuning
from japanese_bert.training.command import Training
from tests.helpers import small_finetuning
from tests.helpers import small_pretraining as small
from tools import create_question_answering_data, create_tagging_data, run_finetuning

LABELS = ("O", "B-PLACE", "I-PLACE", "B-FOOD", "I-FOOD")
PLACES, FOODS = (["東京", "図書館", "新しい駅"], ["ラーメン", "梅"])
SEQ_LENGTH = 48


def write_questions(path: Path, seed: int, count: int = 60) -> Path:
    """Write questions about what is loved. Each paragraph is longer than its window."""
    rng = random.Random(seed)
    paragraphs = []
    for number in range(count):
        others = "".join(f"{subject}{rng.choice(small.VERBS[1:])}" for subject in rng.sample(small.SUBJECTS, 3))
        answer = rng.choice(small.SUBJECTS)
        context = f"詩 [SEP] {others}{answer}が好きだ。{others}"
        answers = [{"text": answer, "answer_start": context.index(f"{answer}が好きだ")}]
        questions = [{"id": f"{path.stem}{number}", "question": "何が好きだ？", "answers": answers}]
        paragraphs.append({"context": context, "qas": questions})
    articles = [{"paragraphs": paragraphs[: count // 2]}, {"paragraphs": paragraphs[count // 2 :]}]
    path.write_text(json.dumps({"data": articles}, ensure_ascii=False), encoding="utf-8")
    return path


def write_sentences(path: Path, seed: int, count: int = 60) -> Path:
    """Write sentences with two kinds of entities. Characters are words."""
    rng, lines = random.Random(seed), []
    for _ in range(count):
        for _ in range(rng.randrange(1, 3)):
            kind, names = rng.choice([("PLACE", PLACES), ("FOOD", FOODS)])
            name = rng.choice(names)
            lines += [f"{letter}\t{'I' if index else 'B'}-{kind}" for index, letter in enumerate(name)]
            lines += [f"{letter}\tO" for letter in rng.choice(small.VERBS)]
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def make(stage, input_file: Path, vocab: Path, output: Path, *flags: str) -> Path:
    files = ["--input_file", str(input_file), "--vocab_file", str(vocab), "--output_file", str(output)]
    flags = ("--max_seq_length", str(SEQ_LENGTH), "--gzip_compress", *flags)
    stage.main(stage.get_parser().parse_args([*files, *flags]))
    return output


def write_initial(directory: Path, vocab_size: int, **changes: int) -> Path:
    """Write a checkpoint of pretraining at its start: a model that learns within 400 steps."""
    import tensorflow as tf

    from japanese_bert.models.model_garden import build_model, model_params

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2} | changes
    config = small.make_config(vocab_size, **sizes)
    directory.mkdir()
    model = build_model(model_params(config))
    checkpoint = tf.train.Checkpoint(model=model, **model.checkpoint_items)
    tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=1).save(checkpoint_number=5)
    (directory / "config.json").write_text(config.to_json(), encoding="utf-8")
    return directory


def write_all(place: Path, count: int = 60) -> Path:
    """Write questions and sentences, their data, `vocab.txt`, `trained/ckpt-5`, `squad.yaml` and `tagging.yaml`."""
    vocab = small.write_vocab(place / "vocab.txt")
    for seed, name in enumerate(("train", "valid")):
        questions = write_questions(place / f"{name}.json", seed, count if name == "train" else 60)
        make(create_question_answering_data, questions, vocab, place / f"{name}.squad.gz")
        sentences = write_sentences(place / f"{name}.conll", seed, count if name == "train" else 60)
        make(create_tagging_data, sentences, vocab, place / f"{name}.tagging.gz", "--labels", *LABELS)
    write_initial(place / "trained", small.num_tokens(vocab))
    return write_tasks(place, SEQ_LENGTH)


def write_tasks(place: Path, seq_length: int) -> Path:
    """Write the configurations `squad.yaml` and `tagging.yaml`."""
    for name, more in (("squad", {}), ("tagging", {"class_names": [*LABELS]})):
        path = small_finetuning.write_yaml(place / f"{name}.yaml")
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        task = {name: params["task"][name] | {"seq_length": seq_length} for name in ("train_data", "validation_data")}
        path.write_text(yaml.safe_dump(params | {"task": task | more}), encoding="utf-8")
    return place


def check(place: Path, experiment: str, more: str = "", mode: str = "train_and_eval") -> Findings:
    """Return the findings of all checks, as `small_finetuning.check`."""
    from official.core import train_utils
    from official.nlp.configs import finetuning_experiments  # noqa: F401

    encoder = run_finetuning.encoder_json(place / "trained" / "config.json")
    files = [encoder, str(place / f"{experiment}.yaml"), str(small.ROOT / "configs/runtime/cpu.yaml")]
    paths = small_finetuning.overrides(place, f"task.init_checkpoint={place}/trained/ckpt-5,{more}", f"{experiment}.gz")
    options = train_utils.ParseConfigOptions(f"bert/{experiment}", files, "", "", paths.rstrip(","))
    params = train_utils.parse_configuration(options, print_return=False)
    return check_finetuning(Training(params, mode, str(place / "new")))


def command(place: Path, experiment: str, model_dir: Path, more: str, *flags: str) -> list[str]:
    """Return a subprocess's arguments, as `small_finetuning.command`."""
    changed = small_finetuning.command(place, model_dir, more, *flags, ending=f"{experiment}.gz")
    changed[3] = f"--experiment=bert/{experiment}"
    return [text.replace(f"{place}/task.yaml", f"{place}/{experiment}.yaml") for text in changed]

"""The stages that create data for fine-tuning: one way for all. Their records are tested by kind."""

import json
from pathlib import Path

import pytest

from japanese_bert.common import command_line
from tests.helpers import small_answers
from tests.helpers import small_pretraining as small
from tests.helpers.mixed_text import write_albert
from tests.helpers.tfrecord_reader import read_examples
from tools import create_classification_data, create_question_answering_data, create_tagging_data

STAGES = {
    "answers": (create_question_answering_data, small_answers.write_questions, []),
    "tags": (create_tagging_data, small_answers.write_sentences, ["--labels", *small_answers.LABELS]),
}


@pytest.fixture
def vocab(tmp_path) -> Path:
    return small.write_vocab(tmp_path / "vocab.txt")


def run(kind: str, tmp_path: Path, *flags: str) -> Path:
    stage, write, more = STAGES[kind]
    source = write(tmp_path / "source.json", 0, count=6)
    arguments = [
        "--input_file",
        str(source),
        "--output_file",
        str(tmp_path / "out.gz"),
        "--gzip_compress",
        *more,
        *flags,
    ]
    command_line.run_stage(stage.get_parser(), stage.main, arguments)
    return tmp_path / "out.gz"


@pytest.mark.parametrize("kind", STAGES)
def test_an_output_is_skipped_when_complete_and_needs_overwrite_otherwise(tmp_path, vocab, kind, capsys):
    flags = ["--vocab_file", str(vocab), "--max_seq_length"]
    output = run(kind, tmp_path, *flags, "48")
    before = output.read_bytes()
    made_by = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
    assert made_by["counts"]["instances"] == len(read_examples(output))
    assert made_by["stage"] == f"create_{'question_answering' if kind == 'answers' else 'tagging'}_data"
    run(kind, tmp_path, *flags, "48")
    assert "skipped" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(kind, tmp_path, *flags, "40")
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_bytes() == before
    run(kind, tmp_path, *flags, "40", "--overwrite")
    assert {len(example["input_ids"]) for example in read_examples(output)} == {40}


def test_answers_at_another_place_are_noted(tmp_path, vocab, capsys, monkeypatch):
    monkeypatch.setattr(
        "japanese_bert.finetuning_data.questions.is_answer_there", lambda example: example.id[-1] != "1"
    )
    run("answers", tmp_path, "--vocab_file", str(vocab))
    assert "source.json: 1 of 6 answers are not at their answer_start" in capsys.readouterr().err


@pytest.mark.parametrize("kind", STAGES)
def test_tokens_of_albert(tmp_path, kind):
    directory = write_albert(tmp_path / "albert", ["".join(small.SUBJECTS), *small.VERBS] * 20, do_lower_case=True)
    flags = ["--subword_tokenizer_type", "sentencepiece", "--spm_file", str(directory / "spiece.model")]
    examples = read_examples(run(kind, tmp_path, *flags, "--do_lower_case", "--max_seq_length", "64"))
    assert {example["input_ids"][0] for example in examples} == {2}
    assert any(max(example["input_ids"]) > 20 for example in examples)


@pytest.mark.parametrize(
    ("stage", "flags", "message"),
    [
        (create_question_answering_data, ["--max_seq_length", "4"], "--max_seq_length 4: expected 5 to"),
        (create_question_answering_data, [], "not in the layout of SQuAD 1.1"),
        (create_tagging_data, ["--labels", "O"], "--labels O: expected two or more different labels"),
        (create_tagging_data, ["--labels", "O", "B"], "source:1: tag is '1}'"),
        (create_classification_data, ["--text_fields", "a", "b", "c", "--regression"], "expected one text, or a pair"),
    ],
)
def test_wrong_input_is_one_line_and_makes_nothing(tmp_path, vocab, capsys, stage, flags, message):
    source = tmp_path / "source"
    source.write_text('{"a": 1}\n', encoding="utf-8")
    files = ["--input_file", str(source), "--output_file", str(tmp_path / "out"), "--vocab_file", str(vocab)]
    with pytest.raises(SystemExit):
        command_line.run_stage(stage.get_parser(), stage.main, [*files, *flags])
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == []

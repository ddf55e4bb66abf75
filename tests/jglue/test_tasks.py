"""Files of JGLUE -> examples, of every task and version."""

import json

import pytest

from japanese_bert.finetuning_data.questions import Example
from japanese_bert.jglue.tasks import TASKS, find_file, load_examples

ROWS = {
    "marc_ja": {"review_id": "R1", "sentence": "よい。", "label": "positive"},
    "jsts": {"sentence_pair_id": "7", "yjcaptions_id": "1", "sentence1": "牛", "sentence2": "馬", "label": 2.4},
    "jnli": {"sentence_pair_id": "7", "yjcaptions_id": "1", "sentence1": "牛", "sentence2": "馬", "label": "neutral"},
    "jcommonsenseqa": {
        "q_id": 9,
        "question": "主食は？",
        **{f"choice{i}": "米麦肉魚酒"[i] for i in range(5)},
        "label": 0,
    },
}
EXAMPLES = {
    "marc_ja": Example("R1", ("よい。",), "positive"),
    "jsts": Example("7", ("牛", "馬"), 2.4),
    "jnli": Example("7", ("牛", "馬"), "neutral"),
    "jcommonsenseqa": Example("9", ("主食は？", "米", "麦", "肉", "魚", "酒"), 0),
}


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ROWS)
def test_a_line_is_an_example(tmp_path, name):
    assert load_examples(write_lines(tmp_path / "a.json", ROWS[name]), TASKS[name]) == [EXAMPLES[name]]


def test_a_question_is_an_example(tmp_path):
    answers = [{"text": "雨季", "answer_start": 9}, {"text": "雨", "answer_start": 9}]
    question = {"question": "何季か", "id": "a1p0q0", "answers": answers, "is_impossible": False}
    data = {"data": [{"title": "梅雨", "paragraphs": [{"qas": [question], "context": "梅雨 [SEP] 雨季"}]}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    expected = [Example("a1p0q0", ("何季か", "梅雨 [SEP] 雨季"), ("雨季", "雨"), 9)]
    assert load_examples(path, TASKS["jsquad"]) == expected


def test_labels_of_the_first_version_of_jsts_are_strings(tmp_path):
    path = write_lines(tmp_path / "a.json", ROWS["jsts"] | {"label": "2.4"})
    assert load_examples(path, TASKS["jsts"])[0].gold == 2.4


def test_newest_version_is_found(tmp_path):
    for version in ("1.2", "1.10", "1.9"):
        (tmp_path / f"jnli-v{version}").mkdir()
        (tmp_path / f"jnli-v{version}" / f"valid-v{version}.json").touch()
    (tmp_path / "jnli-v2.0").mkdir()  # without the file
    assert find_file(tmp_path, TASKS["jnli"], "valid") == tmp_path / "jnli-v1.10" / "valid-v1.10.json"
    with pytest.raises(FileNotFoundError, match=r"jnli-v\*/train-v\*.json: no such file"):
        find_file(tmp_path, TASKS["jnli"], "train")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("jnli", {"label": "maybe"}, "2: no example of JNLI .label is 'maybe', expected one of entailment"),
        (
            "jcommonsenseqa",
            {"label": 5},
            "2: no example of JCommonsenseQA .label is 5, expected the number of a choice",
        ),
        ("jsts", {"label": "high"}, "2: no example of JSTS"),
        ("jsts", {"label": None}, "2: no example of JSTS"),
        ("marc_ja", {}, "review_id R1 occurs twice"),
    ],
)
def test_wrong_lines(tmp_path, name, change, message):
    path = write_lines(tmp_path / "a.json", ROWS[name], ROWS[name] | change)
    with pytest.raises(ValueError, match=f"a.json:{' ' if not change else ''}{message}"):
        load_examples(path, TASKS[name])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("jsts", "", "no example. Expected JSTS"),
        ("jsts", '{"sentence1": "a"}', "1: no example of JSTS .no 'sentence2'"),
        ("jsts", "[", "1: no example of JSTS"),
        ("jsquad", "{}", "not in the layout of SQuAD 1.1 .KeyError: 'data'"),
        ("jsquad", '{"data": []}', "no example"),
        ("jsquad", '{"data": [{"paragraphs": [{"context": "a", "qas": [{"answers": []}]}]}]}', "not in the layout"),
    ],
)
def test_wrong_files(tmp_path, name, text, message):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"a.json: ?{message}"):
        load_examples(path, TASKS[name])

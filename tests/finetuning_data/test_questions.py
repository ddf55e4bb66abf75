import json

import pytest

from japanese_bert.finetuning_data.questions import Example, is_answer_there, read_squad

PARAGRAPH = {
    "context": "題 [SEP] 猫が好きだ。",
    "qas": [
        {
            "id": 7,
            "question": "何が？",
            "answers": [{"text": "猫", "answer_start": 8}, {"text": "猫が", "answer_start": 8}],
        }
    ],
}


def write(path, data):
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_questions_of_all_paragraphs(tmp_path):
    path = write(tmp_path / "a.json", {"data": [{"paragraphs": [PARAGRAPH]}, {"paragraphs": [PARAGRAPH, PARAGRAPH]}]})
    assert [*read_squad(path)] == [Example("7", ("何が？", PARAGRAPH["context"]), ("猫", "猫が"), 8)] * 3


@pytest.mark.parametrize(("start", "expected"), [(2, True), (1, False), (-3, False), (9, False)])
def test_where_an_answer_is(start, expected):
    assert is_answer_there(Example("7", ("何が？", "犬と猫と猫が"), ("猫と", "犬"), start)) == expected


@pytest.mark.parametrize(
    "data", ["[]", "{", {"data": [{}]}, {"data": [{"paragraphs": [{"context": "a", "qas": [{}]}]}]}]
)
def test_other_layouts_are_one_line(tmp_path, data):
    with pytest.raises(ValueError, match=r"a\.json: not in the layout of SQuAD 1\.1"):
        list(read_squad(write(tmp_path / "a.json", data)))

import gzip
from pathlib import Path

import pytest

from japanese_bert.finetuning_data.labelled_texts import Columns, LabelledText, read_labelled_texts

CLASSES = Columns(["a", "b"], "label", ["no", "1", "true"])
SCORES = Columns(["a"], "label", [])


def read(path: Path, content: str, columns: Columns) -> list[LabelledText]:
    path.write_text(content, encoding="utf-8", newline="")
    return list(read_labelled_texts(path, columns))


def test_lines_of_json(tmp_path):
    content = '{"a": "猫", "b": "", "label": "no"}\n\n \n{"label": true, "b": "犬\\n", "a": "\u2028"}\r\n'
    expected = [LabelledText(("猫", ""), 0), LabelledText(("\u2028", "犬\n"), 2)]
    assert read(tmp_path / "rows.json", content, CLASSES) == expected


def test_tsv_with_a_byte_order_mark_and_without_quoting(tmp_path):
    content = '\ufefflabel\tother\tb\ta\r\n1\t\t"\t猫\r\n'
    assert read(tmp_path / "rows.tsv", content, CLASSES) == [LabelledText(("猫", '"'), 1)]
    (tmp_path / "rows.tsv.gz").write_bytes(gzip.compress(content.encode()))
    assert list(read_labelled_texts(tmp_path / "rows.tsv.gz", CLASSES)) == [LabelledText(("猫", '"'), 1)]


def test_scores_are_numbers_or_texts_of_numbers(tmp_path):
    rows = "".join(f'{{"a": "猫", "label": {label}}}\n' for label in ("4", "-0.5", '"2.25"', "3.4e38"))
    assert [example.label for example in read(tmp_path / "rows.json", rows, SCORES)] == [4.0, -0.5, 2.25, 3.4e38]


@pytest.mark.parametrize("score", ['"high"', "true", "NaN", "1e999", "null", "1e39", "1" + "0" * 400])
def test_wrong_scores(tmp_path, score):
    with pytest.raises(ValueError, match=r"rows\.json:1: label is .*, expected a number"):
        read(tmp_path / "rows.json", f'{{"a": "", "label": {score}}}\n', SCORES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('\n["猫"]\n', "2: is a JSON list, expected one object on each line"),
        ('{"a": "猫", "label": "no"}\n', "1: no field b (but a, label)"),
        ('{"a": "猫", "b": 1, "label": "no"}\n', "1: b is 1, expected text"),
        ('{"a": "猫", "b": "\\ud840", "label": "no"}\n', "1: b has half a character"),
        ('{"a": "猫", "b": ""}\n', "1: no field label"),
        ('{"a": "猫", "b": "", "label": "non"}\n', "1: label is 'non', expected one of --labels no 1 true"),
        ('{"a": "猫", "b": "", "label": null}\n', "1: label is 'null', expected one of"),
    ],
)
def test_wrong_rows(tmp_path, content, message):
    with pytest.raises(ValueError) as error:
        read(tmp_path / "rows.json", content, CLASSES)
    assert str(error.value).startswith(f"{tmp_path / 'rows.json'}:{message}")

"""What predict_labels.py refuses. test_run_finetuning.py tests its predictions, after a training."""

from pathlib import Path

import pytest
import yaml

from japanese_bert.common import command_line
from tests.helpers import small_finetuning as small
from tests.test_configs import with_tensorflow
from tools import predict_labels

pytestmark = with_tensorflow


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Write data, and a checkpoint of pretraining with the parameters of a fine-tuning."""
    place = small.write_all(tmp_path_factory.mktemp("predict"))
    small.make_data(place / "valid.jsonl", place / "vocab.txt", place / "long", "--max_seq_length", "40")
    small.make_data(place / "valid.jsonl", place / "vocab.txt", place / "four", "--labels", *small.LABELS, "fourth")
    small.make_data(place / "valid.jsonl", place / "vocab.txt", place / "order", "--labels", *reversed(small.LABELS))
    small.make_data(place / "valid.jsonl", place / "vocab.txt", place / "bare")
    (place / "bare.json").unlink()
    params = yaml.safe_load((place / "task.yaml").read_text(encoding="utf-8"))
    params["trainer"]["best_checkpoint_export_subdir"] = "best"
    params["task"]["train_data"]["input_path"] = f"{place}/train.tfrecord.gz"
    (place / "trained" / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (place / "trained" / "best").mkdir()
    (place / "pretraining").mkdir()
    (place / "pretraining" / "params.yaml").write_text("task: {model: {cls_heads: []}}", encoding="utf-8")
    for path in [*(place / "trained").glob("ckpt*"), place / "trained" / "checkpoint"]:
        (place / "pretraining" / path.name).write_bytes(path.read_bytes())
    return place


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("nowhere", "valid.tfrecord.gz", "params.yaml: no such file. Make it with run_finetuning.py"),
        (
            "pretraining",
            "valid.tfrecord.gz",
            "not of a fine-tuning on classification data. Give the --model_dir of",
        ),
        ("trained/best", "valid.tfrecord.gz", "best: no checkpoint in this directory"),
        ("trained", "nothing", "nothing: no such file. Make it with create_classification_data.py"),
        ("trained", "vocab.txt", "vocab.txt: no classification data"),
        ("trained", "long", "was made with --max_seq_length 40, but the model was trained with 32"),
        ("trained", "four", "has 4 labels, but the model has 3 classes"),
        ("trained", "order", "made with another --labels than the training file"),
        ("trained", "bare", "has no .json beside it"),
    ],
)
def test_what_does_not_fit_is_one_line(place, tmp_path, capsys, model, data, message):
    output = tmp_path / "out.jsonl"
    arguments = ["--model_dir", str(place / model), "--input_file", str(place / data), "--output_file", str(output)]
    with pytest.raises(SystemExit) as error:
        command_line.run_stage(predict_labels.get_parser(), predict_labels.main, arguments)
    lines = capsys.readouterr().err.splitlines()
    assert error.value.code == 1
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert not output.exists()

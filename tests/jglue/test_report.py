"""Mean, spread and choice, the table with quoted scores, the chart."""

import io
import json
import re

import pytest

from japanese_bert.jglue import report
from japanese_bert.jglue.fine_tuning import Settings
from japanese_bert.jglue.report import QUOTED_SCORES, choose, summarize_runs
from japanese_bert.jglue.runs import FineTuningRun
from japanese_bert.jglue.tasks import TASKS


def run(rate, epochs, seed, **scores):
    return FineTuningRun(Settings(rate, epochs, seed), scores, f"jsts/{rate}_{epochs}_{seed}.jsonl", False)


RUNS = [
    run(5e-5, 3, 42, pearson=0.90, spearman=0.80),
    run(5e-5, 3, 43, pearson=0.92, spearman=0.80),
    run(5e-5, 3, 44, pearson=0.94, spearman=0.86),
    run(3e-5, 4, 42, pearson=0.95, spearman=0.70),
    run(3e-5, 4, 43, pearson=0.91, spearman=0.70),
    run(3e-5, 4, 44, pearson=0.91, spearman=0.70),
]


def test_mean_and_sample_standard_deviation():
    first, second = summarize_runs(RUNS)
    assert (first.learning_rate, first.num_train_epochs, first.seeds) == (5e-5, 3, (42, 43, 44))
    assert first.mean == pytest.approx({"pearson": 0.92, "spearman": 0.82})
    assert first.std == pytest.approx({"pearson": 0.02, "spearman": 0.0012**0.5})
    assert second.mean["pearson"] == pytest.approx(0.92333, abs=1e-5)


def test_one_seed_has_no_spread():
    (summary,) = summarize_runs(RUNS[:1])
    assert summary.std == {"pearson": None, "spearman": None}


def test_the_first_metric_chooses():
    assert choose(TASKS["jsts"], summarize_runs(RUNS)).learning_rate == 3e-5
    assert choose(TASKS["jsts"], summarize_runs(RUNS[:4])).learning_rate == 3e-5
    assert choose(TASKS["jsts"], summarize_runs(RUNS[:3])).learning_rate == 5e-5


def test_quoted_scores():
    assert len(QUOTED_SCORES) == 8
    for scores in QUOTED_SCORES.values():
        assert {name: len(values) for name, values in scores.items()} == {
            name: len(task.metrics) for name, task in TASKS.items()
        }
        assert all(0.7 < value < 1 for values in scores.values() for value in values)
    assert QUOTED_SCORES["bert-base-japanese-char-v3"]["jsquad"] == (0.871, 0.939)


def results():
    one = [run(5e-5, 4, 42, accuracy=0.5)]
    return {"jsts": summarize_runs(RUNS)[0], "jcommonsenseqa": summarize_runs(one)[0]}


def test_table():
    lines = report.markdown_table("my-model", results(), ["A note."]).split("\n")
    cells = [re.split(r" *\| *", line)[1:-1] for line in lines if line.startswith("|")]
    assert len(cells) == 2 + 1 + 8
    assert cells[0][1:] == [
        "MARC-ja (accuracy)",
        "JSTS (Pearson / Spearman)",
        "JNLI (accuracy)",
        "JSQuAD (EM / F1)",
        "JCommonsenseQA (accuracy)",
    ]
    assert cells[2] == ["**my-model**", "-", "0.920 ± 0.020 / 0.820 ± 0.035", "-", "-", "0.500"]
    assert cells[4] == ["bert-base-japanese-v3 (quoted)", "0.962", "0.919 / 0.881", "0.907", "0.880 / 0.946", "0.848"]
    assert all(row[0].endswith("(quoted)") for row in cells[3:])
    assert "A note." in lines
    assert "- JSTS: learning rate 5e-05, 3 epochs, seeds 42, 43, 44" in lines
    assert "- JCommonsenseQA: learning rate 5e-05, 4 epochs, seed 42" in lines


def test_a_name_is_no_markup():
    """The name of a directory: a pipe is no cell, a tag no HTML, a dollar no formula."""
    name = "a|b <script> [x](y) $c$ `d`"
    lines = report.markdown_table(name, results(), report.notes(name, "valid", False, None, [])).split("\n")
    assert len(re.split(r"(?<!\\)\|", lines[2])) == len(lines[0].split("|"))
    assert all(r"a\|b \<script> \[x\](y) $c$ 'd'" in line for line in (lines[2], lines[12]))
    assert report.bar_chart("$\\frac{$ a$b$", results()).startswith(b"\x89PNG")


def test_notes_name_what_limits_the_numbers():
    plain = report.notes("m", "valid", False, None, [])
    assert len(plain) == 1
    found = " ".join(report.notes("m", "test", True, 1500, ["marc_ja"]))
    for part in ("on the test files", "chosen on the reported files", "first 1,500", "missing: MARC-ja"):
        assert part in found
        assert part not in plain[0]


def test_record_is_json_with_all_runs():
    again = json.loads(report.results_json({"model": "m"}, {"jsts": RUNS}, {"marc_ja": "no file"}))
    assert again["tasks"]["jsts"]["result"]["mean"]["pearson"] == pytest.approx(0.92333, abs=1e-5)
    assert len(again["tasks"]["jsts"]["settings_compared"]) == 2
    assert again["tasks"]["jsts"]["runs"][1] == {
        "learning_rate": 5e-5, "num_train_epochs": 3, "seed": 43, "pearson": 0.92, "spearman": 0.8,
        "file": "jsts/5e-05_3_43.jsonl",
    }  # fmt: skip
    assert again["skipped"] == {"marc_ja": "no file"}
    assert again["quoted_scores_of_released_models"]["bert-large-japanese-v2"]["jsquad"] == {
        "exact_match": 0.893,
        "f1": 0.956,
    }


def test_chart_has_a_panel_for_each_task_and_a_bar_for_each_model(monkeypatch):
    from matplotlib import image, pyplot

    kept = []
    monkeypatch.setattr(pyplot, "close", kept.append)
    png = report.bar_chart("my-model", results())
    assert image.imread(io.BytesIO(png)).shape[2] == 4
    panels = kept[0].axes
    assert [panel.get_title() for panel in panels] == ["JSTS\n(Pearson)", "JCommonsenseQA\n(accuracy)"]
    widths = [bar.get_width() for bar in panels[0].patches]
    assert widths == pytest.approx([0.92, 0.910, 0.919, 0.891, 0.914, 0.913, 0.926, 0.883, 0.921])
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["my-model", *(f"{model} (quoted)" for model in QUOTED_SCORES)]
    monkeypatch.undo()
    pyplot.close(kept[0])

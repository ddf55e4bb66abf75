"""Scores of runs -> mean and spread, a Markdown table with the released models, a bar chart."""

import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from japanese_bert.common.plot_fonts import use_fonts_for
from japanese_bert.common.report import markdown_text
from japanese_bert.jglue.runs import FineTuningRun
from japanese_bert.jglue.tasks import TASKS, Task

# Scores on the valid files that others published for the released models, in the order of Task.metrics. They are
# quoted, not measured here.
QUOTED_SCORES: dict[str, dict[str, tuple[float, ...]]] = {
    model: dict(zip(TASKS, scores, strict=True))
    for model, scores in {
        "bert-base-japanese-v2": ((0.958,), (0.910, 0.871), (0.901,), (0.869, 0.939), (0.803,)),
        "bert-base-japanese-v3": ((0.962,), (0.919, 0.881), (0.907,), (0.880, 0.946), (0.848,)),
        "bert-base-japanese-char-v2": ((0.957,), (0.891, 0.851), (0.896,), (0.870, 0.938), (0.724,)),
        "bert-base-japanese-char-v3": ((0.959,), (0.914, 0.875), (0.903,), (0.871, 0.939), (0.786,)),
        "bert-large-japanese": ((0.958,), (0.913, 0.874), (0.902,), (0.881, 0.946), (0.823,)),
        "bert-large-japanese-v2": ((0.960,), (0.926, 0.893), (0.929,), (0.893, 0.956), (0.893,)),
        "bert-large-japanese-char": ((0.958,), (0.883, 0.842), (0.899,), (0.870, 0.938), (0.753,)),
        "bert-large-japanese-char-v2": ((0.961,), (0.921, 0.884), (0.910,), (0.892, 0.952), (0.859,)),
    }.items()
}
METRIC_NAMES = {"accuracy": "accuracy", "pearson": "Pearson", "spearman": "Spearman", "exact_match": "EM", "f1": "F1"}
OURS, QUOTED = "#c44e52", "#b9bfc6"


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and sample standard deviation over the seeds of one setting. A single seed has no deviation: None."""

    learning_rate: float
    num_train_epochs: int
    seeds: tuple[int, ...]
    mean: Mapping[str, float]
    std: Mapping[str, float | None]


def describe_run(task: Task, run: FineTuningRun) -> str:
    """Return one line with settings and scores."""
    settings = run.settings
    scores = ", ".join(f"{METRIC_NAMES[name]} {value:.4f}" for name, value in run.scores.items())
    kept = " (kept)" if run.is_kept else ""
    return (
        f"{task.title}: learning rate {settings.learning_rate:g}, {settings.num_train_epochs} epochs, "
        f"seed {settings.seed}: {scores}{kept}"
    )


def summarize_runs(runs: Sequence[FineTuningRun]) -> list[Summary]:
    """Return one summary for each learning rate and number of epochs, in the order of the runs."""
    groups: dict[tuple[float, int], list[FineTuningRun]] = {}
    for run in runs:
        groups.setdefault((run.settings.learning_rate, run.settings.num_train_epochs), []).append(run)
    summaries = []
    for setting, group in groups.items():
        values = {name: [run.scores[name] for run in group] for name in group[0].scores}
        mean = {name: statistics.fmean(scores) for name, scores in values.items()}
        std = {name: statistics.stdev(scores) if len(scores) > 1 else None for name, scores in values.items()}
        summaries.append(Summary(*setting, tuple(run.settings.seed for run in group), mean, std))
    return summaries


def choose(task: Task, summaries: Sequence[Summary]) -> Summary:
    """Return the best summary by the mean of the task's first metric, or the first of equally good ones."""
    return max(summaries, key=lambda summary: summary.mean[task.metrics[0]])


def results_json(
    header: Mapping[str, object], runs: Mapping[str, Sequence[FineTuningRun]], skipped: Mapping[str, str]
) -> str:
    """Return the content of `results.json`."""
    tasks = {}
    for name, task_runs in runs.items():
        summaries = summarize_runs(task_runs)
        tasks[name] = {
            "result": asdict(choose(TASKS[name], summaries)),
            "settings_compared": [asdict(summary) for summary in summaries],
            "runs": [{**asdict(run.settings), **run.scores, "file": run.file} for run in task_runs],
        }
    quoted = {
        model: {name: dict(zip(TASKS[name].metrics, values, strict=True)) for name, values in scores.items()}
        for model, scores in QUOTED_SCORES.items()
    }
    content = {**header, "tasks": tasks, "skipped": dict(skipped), "quoted_scores_of_released_models": quoted}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def markdown_table(model: str, results: Mapping[str, Summary], notes: Sequence[str]) -> str:
    """Return the table of the released models' README with one more line."""
    heads = [f"{task.title} ({' / '.join(METRIC_NAMES[name] for name in task.metrics)})" for task in TASKS.values()]
    rows = [["model", *heads], ["---"] * (len(heads) + 1)]
    rows.append([f"**{markdown_text(model)}**", *(_measured_cell(results.get(name)) for name in TASKS)])
    for quoted, scores in QUOTED_SCORES.items():
        rows.append([f"{quoted} (quoted)", *(" / ".join(f"{value:.3f}" for value in scores[name]) for name in TASKS)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    chosen = [
        f"- {TASKS[name].title}: learning rate {result.learning_rate:g}, {result.num_train_epochs} epochs, "
        f"{'seeds' if len(result.seeds) > 1 else 'seed'} {', '.join(map(str, result.seeds))}"
        for name, result in results.items()
    ]
    return "\n".join([*lines, "", *(f"{note}\n" for note in notes), *chosen, ""])


def notes(model: str, split: str, search: bool, max_train_samples: int | None, skipped: Sequence[str]) -> list[str]:
    """Return what a reader of the table must know."""
    found = [
        f"{markdown_text(model)}: measured on the {split} files, mean ± sample standard deviation over seeds. "
        "Lines marked (quoted): scores on the valid files that others published. They are not measured here."
    ]
    if search:
        found.append("Learning rate and epochs were chosen on the reported files, as for the quoted scores.")
    if max_train_samples is not None:
        found.append(f"A trial: trained on at most the first {max_train_samples:,} examples.")
    if skipped:
        found.append(f"Skipped because files are missing: {', '.join(TASKS[name].title for name in skipped)}.")
    return found


def _measured_cell(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    spread = {name: "" if std is None else f" ± {std:.3f}" for name, std in summary.std.items()}
    return " / ".join(f"{mean:.3f}{spread[name]}" for name, mean in summary.mean.items())


def bar_chart(model: str, results: Mapping[str, Summary]) -> bytes:
    """Return a PNG with a panel for each task that ran and a bar for each model, by the task's first metric."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = [model, *QUOTED_SCORES]
    if missing := use_fonts_for(models):
        print(f"results.png: {missing}")
    figure, panels = pyplot.subplots(
        1, len(results), sharey=True, squeeze=False, figsize=(2.4 + 2.4 * len(results), 3.6), layout="constrained"
    )
    for panel, (name, result) in zip(panels[0], results.items(), strict=True):
        metric = TASKS[name].metrics[0]
        scores = [result.mean[metric], *(quoted[name][0] for quoted in QUOTED_SCORES.values())]
        panel.barh(range(len(models)), scores, color=[OURS, *[QUOTED] * len(QUOTED_SCORES)])
        panel.errorbar(scores[0], 0, xerr=result.std[metric] or 0, color="black", capsize=3)
        for place, score in enumerate(scores):
            panel.text(0.02, place, f"{score:.3f}", va="center", fontsize=8)
        panel.set(
            xlim=(min(0, scores[0]), 1), xticks=(0, 0.5, 1), title=f"{TASKS[name].title}\n({METRIC_NAMES[metric]})"
        )
    panels[0][0].set_yticks(range(len(models)), [model, *(f"{quoted} (quoted)" for quoted in QUOTED_SCORES)])
    panels[0][0].invert_yaxis()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    pyplot.close(figure)
    return file.getvalue()

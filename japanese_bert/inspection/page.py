"""What was found -> one HTML page that needs no other file and no network. Its text is in report.html."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from japanese_bert import __version__
from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.inspection.corpora import TextCounts
from japanese_bert.inspection.counting import quantile
from japanese_bert.inspection.data_sets import DataSet
from japanese_bert.inspection.pictures import (
    SERIES,
    Histogram,
    Picture,
    Series,
    draw_histogram,
    draw_ranks,
    draw_scripts,
)
from japanese_bert.inspection.samples import UNKNOWN, Sample, segments
from japanese_bert.inspection.summary import CLASS, RATES, SCORE, START, Groups, side_by_side
from japanese_bert.inspection.unusual import Unusual
from japanese_bert.tokenization.identity import describe_dictionary

PAGE = Path(__file__).with_name("report.html")
CORPUS = "corpus"
TAIL = 0.999  # the share of a distribution that is drawn
HISTOGRAMS = {  # of DataCounts, by the name of the field
    "lengths": Histogram("Length", "tokens of an instance", "instances", is_log=True),
    "predictions": Histogram("Masks", "masked tokens of an instance", "instances", is_log=True),
    "word_lengths": Histogram("Word length", "tokens of a word", "words", is_log=True),
}
SENTENCE_LENGTH = Histogram("Sentence length", "characters of a sentence", "sentences")
DOCUMENT_LENGTH = Histogram("Document length", "sentences of a document", "documents")
NEXT_SENTENCES = {0: "B is the next sentence", 1: "B is random"}


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that a report shows.

    `groups` are the numbers of each data set by its name, and those of the corpus. `unknown` are the characters that
    the vocabulary lacks, the most frequent first.
    """

    data_sets: Sequence[DataSet]
    text: TextCounts | None
    groups: Mapping[str, Groups]
    unusual: Sequence[Unusual]
    unknown: Sequence[tuple[str, int]]


def fill_page(found: Inspection) -> str:
    """Return the page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": figure, "code": ord}
    text = {name: groups for name, groups in found.groups.items() if name == CORPUS}
    data = {name: groups for name, groups in found.groups.items() if name != CORPUS}
    page = environment.from_string(PAGE.read_text(encoding="utf-8")).render(
        version=__version__,
        found=found,
        tables=[(list(columns), side_by_side(columns)) for columns in (data, text) if columns],
        pictures=list(draw_pictures(found)),
        samples=[show_sample(data, sample) for data in found.data_sets for sample in data.samples],
        recipes=[(data.name, recipe, files) for data in found.data_sets for recipe, files in recipes(data)],
        series=list(found.groups),
        odd=_odd_rates(found.unusual),
        data_names=list(data),
    )
    return f"{page}\n"


def _odd_rates(unusual: Sequence[Unusual]) -> dict[str, list[str]]:
    """Return for each unusual rate the data sets that have it."""
    rates: dict[str, list[str]] = {}
    for thing in unusual:
        rates.setdefault(thing.rate, []).append(thing.where)
    return rates


def figure(value: float | None, group: str = "") -> str:
    """Return a number for people: shares in percent, others with separators.

    >>> figure(0.0123, RATES), figure(0.8, RATES), figure(12345), figure(99.5)
    ('1.23%', '80.0%', '12,345', '99.50')
    """
    if value is None:
        return "–"
    if group == RATES:
        return f"{value:.2%}" if value < 0.1 else f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def draw_pictures(found: Inspection) -> Iterator[Picture]:
    """Yield the pictures of all distributions that are not empty."""
    colors = dict(zip(found.groups, SERIES, strict=False))
    counts = {colors[data.name]: data.counts for data in found.data_sets if data.name in colors}
    has_masks = any(found.totals["masked_tokens"] for found in counts.values())
    for name, shown in HISTOGRAMS.items():
        if has_masks or name != "predictions":
            yield from _histogram(shown, [(color, getattr(found, name)) for color, found in counts.items()])
    ranked = [(color, found.tokens) for color, found in counts.items() if found.totals["tokens"]]
    if ranked:
        yield draw_ranks("Frequency of tokens", ranked)
    scripts = [(color, found.scripts()) for color, found in counts.items()]
    if found.text:
        color = colors[CORPUS]
        scripts.append((color, found.text.scripts()))
        yield from _histogram(SENTENCE_LENGTH, [(color, found.text.line_lengths)])
        yield from _histogram(DOCUMENT_LENGTH, [(color, found.text.document_lengths)])
    yield draw_scripts("Scripts", scripts)


def _histogram(picture: Histogram, series: Series) -> Iterator[Picture]:
    """Yield a picture of the histograms that are not empty, without the last ones."""
    shown = [(color, histogram[: quantile(histogram, TAIL) + 1]) for color, histogram in series if histogram.any()]
    if shown:
        is_cut = sum(int(part.sum()) for _, part in shown) < sum(int(histogram.sum()) for _, histogram in series)
        yield draw_histogram(picture, shown, "The longest 0.1% are not drawn." if is_cut else "")


def show_sample(data: DataSet, sample: Sample) -> dict[str, Any]:
    """Return what the page shows of one instance."""
    parts = segments(sample, data.counts.table)
    kinds = {part.kind for segment in parts for part in segment}
    return {
        "data": data.name,
        "file": sample.file,
        "number": sample.number,
        "label": NEXT_SENTENCES.get(sample.next_sentence) or _describe_labels(sample.labels),
        "segments": parts,
        "length": len(sample.ids),
        "predictions": len(sample.predictions),
        "kinds": " ".join(
            ["random"] * (sample.next_sentence == 1)
            + ["next"] * (sample.next_sentence == 0)
            + ["empty"] * (bool(data.counts.totals["masked_tokens"]) and not sample.predictions)
            + ["unknown"] * (UNKNOWN in kinds)
        ),
    }


def _describe_labels(labels: np.ndarray) -> str:
    if np.isnan(labels).all():
        return ""
    if not np.isnan(labels[START]):
        return "answer is marked" if labels[START] > 0 else "no answer"
    return f"label {labels[SCORE] if np.isnan(labels[CLASS]) else labels[CLASS]:g}"


def recipes(data: DataSet) -> list[tuple[dict[str, str], list[tuple[Path, Mapping[str, Any]]]]]:
    """Return each way in which files of a data set were made, with the files and what made them."""
    found: dict[str, tuple[dict[str, str], list]] = {}
    for path, made_by in data.made_by.items():
        recipe = {"stage": made_by["stage"], **made_by.get("method", {}), "dictionary": _dictionary(made_by)}
        recipe |= {"versions": ", ".join(f"{name} {version}" for name, version in made_by.get("versions", {}).items())}
        recipe.pop("outputs", None)
        files = found.setdefault(str(recipe), ({name: str(value) for name, value in recipe.items()}, []))[1]
        files.append((path, [(role, file) for role in ("text", "vocab") for file in recorded_inputs(made_by, role)]))
    return list(found.values())


def _dictionary(made_by: Mapping[str, Any]) -> str:
    return describe_dictionary(made_by["dictionary"]) if made_by.get("dictionary") else "none"

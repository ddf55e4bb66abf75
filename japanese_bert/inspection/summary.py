"""Counts -> the numbers that a report shows, in groups. They have the names of the summary of data creation."""

from collections.abc import Mapping

import numpy as np

from japanese_bert.inspection.corpora import TextCounts
from japanese_bert.inspection.counting import DataCounts, quantile
from japanese_bert.inspection.data_sets import DataSet
from japanese_bert.tokenization.vocab import Vocab

Groups = dict[str, Mapping[str, float]]
RATES = "rates"  # the group of shares between 0 and 1
QUANTILES = {"shortest": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "longest": 1.0}
MAX_CLASSES = 20
CLASS, SCORE, START, END = range(4)  # columns of the labels


def share(part: float, whole: float) -> float:
    """Return a share, 0 of nothing."""
    return float(part / whole) if whole else 0.0


def distribution(histogram: np.ndarray) -> dict[str, float]:
    """Return mean and quantiles."""
    mean = share(float(np.arange(len(histogram)) @ histogram), int(histogram.sum()))
    return {"mean": mean, **{name: quantile(histogram, part) for name, part in QUANTILES.items()}}


def summarize_data(data: DataSet) -> Groups:
    """Return the numbers of a data set."""
    counts, totals = data.counts, data.counts.totals
    names = ("instances", "tokens", "masked_tokens")
    groups: Groups = {
        "counts": {"files": len(data.paths), **{name: totals[name] for name in names}}
        | ({"instances_without_predictions": totals["without_predictions"]} if totals["masked_tokens"] else {}),
        "tokens of an instance": distribution(counts.lengths),
        RATES: {
            "padding": 1 - share(totals["tokens"], totals["slots"]),
            **_masking_rates(counts),
            **({"random_next": share(totals["random_next"], totals["labelled"])} if totals["labelled"] else {}),
            "unknown_tokens": share(int(counts.tokens[counts.table.unknown]), totals["tokens"]),
            "vocab_never_seen": share_never_seen(counts),
            "repeated_instances": share(data.wholes.count, totals["instances"]),
            "repeated_texts": share(data.texts.count, totals["instances"]),
            **({"words_of_the_dictionary": data.agreement} if data.agreement is not None else {}),
            **({"texts_of_training": share(data.shared, totals["instances"])} if data.training else {}),
        },
    }
    return groups | ({} if np.isnan(data.labels).all() else {"labels": summarize_labels(data.labels)})


def share_never_seen(counts: DataCounts) -> float:
    """Return the share of the vocabulary, without special and unused entries, that never occurs."""
    return share(int((counts.table.is_real & (counts.tokens == 0)).sum()), int(counts.table.is_real.sum()))


def _masking_rates(counts: DataCounts) -> dict[str, float]:
    """Return the rates of masked language modelling. Only words of two and more tokens can be masked in part."""
    totals = counts.totals
    if not totals["masked_tokens"]:
        return {}
    by_mask, kept = (share(totals[name], totals["masked_tokens"]) for name in ("replaced_by_mask", "kept"))
    rates = {
        "masked": share(totals["masked_tokens"], totals["tokens"]),
        "replaced_by_mask": by_mask,
        "kept": kept,
        "replaced_by_another": 1 - by_mask - kept,
    }
    if totals["masked_long_words"]:
        rates["whole_words"] = share(totals["whole_words"], totals["masked_long_words"])
    return rates


def summarize_labels(labels: np.ndarray) -> dict[str, float]:
    """Return how many instances each class has, or mean and extremes of scores, or what the answers are like."""
    if not np.isnan(labels[:, START]).all():
        answered = labels[labels[:, END] > 0]
        lengths = answered[:, END] - answered[:, START] + 1
        return {
            "answered": share(len(answered), len(labels)),
            "mean_answer_tokens": share(float(lengths.sum()), len(lengths)),
        }
    values = labels[:, CLASS] if not np.isnan(labels[:, CLASS]).all() else labels[:, SCORE]
    classes, counts = np.unique(values, return_counts=True)
    if len(classes) <= MAX_CLASSES and (classes == np.rint(classes)).all():
        return {f"{value:g}": int(count) for value, count in zip(classes, counts, strict=True)}
    return {"mean": float(values.mean()), "smallest": float(values.min()), "largest": float(values.max())}


def summarize_text(text: TextCounts, vocab: Vocab | None) -> Groups:
    """Return the numbers of a corpus."""
    totals = text.totals
    unknown = text.unknown_characters(vocab).total() if vocab else 0
    return {
        "counts": {name: totals[name] for name in ("documents", "sentences", "characters")},
        "sentences of a document": distribution(text.document_lengths),
        "characters of a sentence": distribution(text.line_lengths),
        RATES: {
            "documents_of_one_sentence": share(int(text.document_lengths[1]), totals["documents"]),
            "repeated_sentences": share(text.repeats.count, totals["sentences"]),
            "sentences_in_a_wrong_encoding": share(totals["wrong_lines"], totals["sentences"]),
            **({"unknown_characters": share(unknown, sum(text.scripts().values()))} if vocab else {}),
        },
    }


def side_by_side(columns: Mapping[str, Groups]) -> dict[str, dict[str, list[float | None]]]:
    """Return the groups with one value of each column in a row.

    >>> side_by_side({"a": {"counts": {"x": 1}}, "b": {"counts": {"x": 2, "y": 3}}})
    {'counts': {'x': [1, 2], 'y': [None, 3]}}
    """
    rows: dict[str, dict[str, list]] = {}
    for groups in columns.values():
        for group, values in groups.items():
            for name in values:
                rows.setdefault(group, {})[name] = [column.get(group, {}).get(name) for column in columns.values()]
    return rows

"""What is unusual in a data set or a corpus, and what to do about it.

The limits are wide: data that the recipes make from CC-100 and Wikipedia is well within them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from japanese_bert.common.provenance import recorded_inputs
from japanese_bert.inspection.corpora import Line, TextCounts
from japanese_bert.inspection.data_sets import DataSet
from japanese_bert.inspection.dictionaries import USUAL_AGREEMENT
from japanese_bert.inspection.summary import RATES, Groups, share, share_never_seen
from japanese_bert.tokenization.identity import differences, hash_of_file, of_data, of_vocab_record

ENOUGH = 1000  # of something, before its share says much
MANY_CAPITALS = 100  # entries of a vocabulary
MAX_DOCUMENTS_OF_ONE_SENTENCE = 0.5
MAX_WRONG = 0.0001  # of the sentences: mojibake
MAX_DIFFERENCES = 3  # between records
MAX_SENTENCE = 10_000  # characters
MAX_SHARED = 0.001  # of the validation instances. Short documents may occur twice
TOKENS_PER_ENTRY = 100  # with so many tokens for each entry of a vocabulary most entries occur


@dataclass(frozen=True, slots=True)
class Unusual:
    """One unusual thing: where, what, what to do, and which rate of the summary shows it."""

    where: str
    what: str
    remedy: str
    rate: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Range:
    """The usual values of a rate, and what to do about another value."""

    rate: str
    lowest: float
    highest: float
    what: str
    remedy: str


WATCHED = (  # padding first
    Range("padding", 0, 1 / 3, "of all positions are padding", "Make documents of more than one sentence, or give a "
          "smaller --max_seq_length"),
    Range("random_next", 0.3, 0.7, "of the next sentences are random, expected about half", "A document of one "
          "sentence can have no other. Put blank lines between documents only, or give --no-next_sentence"),
    Range("unknown_tokens", 0, 0.01, "of the tokens are [UNK]", "See the unknown characters (--corpus_files). The text "
          "may have a wrong encoding, or belong to another vocabulary"),
    Range("repeated_instances", 0, 0.01, "of the instances were there before, with the same masks", "Give each file "
          "once, and another --random_seed to each run over the same text"),
    Range("masked", 0.1, 0.2, "of the tokens are masked, expected about 0.15", "See --masked_lm_prob and "
          "--max_predictions_per_seq"),
    Range("replaced_by_mask", 0.75, 0.85, "of the masked tokens are [MASK], expected 0.8", "Find out how the data was "
          "masked. create_pretraining_data.py follows the paper"),
    Range("kept", 0.07, 0.13, "of the masked tokens are kept, expected 0.1", "Find out how the data was masked. "
          "create_pretraining_data.py follows the paper"),
    Range("texts_of_training", 0, MAX_SHARED, "of the instances have a text of the training data", "Hold out a shard "
          "that is in no training file"),
)  # fmt: skip
WATCHED_IN_TEXT = (
    Range("documents_of_one_sentence", 0, MAX_DOCUMENTS_OF_ONE_SENTENCE, "of the documents have one sentence", "All of "
          "their next sentences are random. Put blank lines between documents only, or give --no-next_sentence"),
    Range("repeated_sentences", 0, 0.3, "of the sentences were there before", "See the examples. "
          "merge_split_corpora.py --drop_duplicate_documents drops repeated documents"),
    Range("sentences_in_a_wrong_encoding", 0, MAX_WRONG, "of the sentences look decoded with a wrong encoding "
          "(mojibake)", "Convert the source again from its own encoding, for example by iconv -f CP932 -t UTF-8"),
    Range("unknown_characters", 0, 0.005, "of the characters are not in the vocabulary", "See the list. Train the "
          "vocabulary on such text, or drop the text"),
)  # fmt: skip


def unusual_in_data(data: DataSet, groups: Groups) -> Iterator[Unusual]:
    """Yield what is unusual in a data set."""
    for problem in data.problems:
        yield Unusual(data.name, problem.partition(". ")[0], problem.partition(". ")[2])
    if not data.counts.totals["instances"]:
        return
    is_labelled = len(data.labels) > 0  # such instances are short
    yield from _outside(data.name, groups, WATCHED[is_labelled:])
    yield from _unusual_vocab(data)
    yield from _unusual_provenance(data)
    for path, earlier in data.repeated_files:
        yield Unusual(data.name, f"{path} has the instances of {earlier}", "Leave one of the two out")
    if groups[RATES].get("texts_of_training", 0) > MAX_SHARED:
        names = ", ".join(sorted(map(str, data.shared_with))[:3])
        yield Unusual(data.name, f"shares instances with {names}", "Take it out of the training files")
    yield from _unusual_masks(data, groups)


def _outside(where: str, groups: Groups, watched: tuple[Range, ...]) -> Iterator[Unusual]:
    for usual in watched:
        value = groups[RATES].get(usual.rate, usual.lowest)
        if not usual.lowest <= value <= usual.highest:
            yield Unusual(where, f"{value:.1%} {usual.what}", usual.remedy, usual.rate)


def _unusual_vocab(data: DataSet) -> Iterator[Unusual]:
    counts, table = data.counts, data.counts.table
    outside = int(counts.tokens[-1])
    if outside:
        what = f"{outside:,} token ids are not in {data.vocab_file} ({len(table.vocab):,} entries)"
        yield Unusual(data.name, what, "Give the vocabulary that the data was made with")
    capitals, small = int(table.is_capital.sum()), int(counts.tokens[table.is_small].sum())
    if capitals >= MANY_CAPITALS and small >= ENOUGH and not counts.tokens[table.is_capital].any():
        what = f"none of the {capitals:,} entries with capital letters occurs: the text is in lower case"
        yield Unusual(data.name, what, "Make the data without --do_lower_case, or the vocabulary with it")
    unseen = share_never_seen(counts)
    if counts.totals["tokens"] > TOKENS_PER_ENTRY * len(table.vocab) and unseen > 1 / 3:
        remedy = "They learn nothing. Train the vocabulary on text of this kind"
        yield Unusual(data.name, f"{unseen:.0%} of the vocabulary never occurs", remedy)
    wrong = share(counts.totals["wrong_encoding"], counts.totals["instances"])
    if wrong > 0.001:
        remedy = "Convert the source again from its own encoding, for example by iconv -f CP932 -t UTF-8"
        yield Unusual(data.name, f"{wrong:.1%} of the instances look decoded with a wrong encoding (mojibake)", remedy)


def _unusual_masks(data: DataSet, groups: Groups) -> Iterator[Unusual]:
    totals = data.counts.totals
    empty = share(totals["without_predictions"], totals["instances"])
    if totals["masked_tokens"] and empty > 0.01:
        yield Unusual(
            data.name, f"{empty:.1%} of the instances predict nothing", "Give a larger --max_predictions_per_seq"
        )
    whole = groups[RATES].get("whole_words", 1.0)
    methods = [made_by.get("method", {}) for made_by in data.made_by.values()]
    if whole < 0.99 and any(method.get("do_whole_word_mask") for method in methods):
        what = f"only {whole:.1%} of the masked words of several tokens are masked whole"
        yield Unusual(
            data.name, what, "Its .json says --do_whole_word_mask. Is this vocab.txt the one it was made with?"
        )


def _unusual_provenance(data: DataSet) -> Iterator[Unusual]:
    if data.agreement is not None and data.agreement < USUAL_AGREEMENT:
        what = f"only {data.agreement:.1%} of the word boundaries are those of the dictionary {data.dictionary}"
        yield Unusual(data.name, what, "Make the data with the dictionary of the model (--mecab_dic_type)")
    file = data.vocab_file
    vocab = replace(of_vocab_record(file), source=str(file), vocab_sha256=hash_of_file(file))
    recorded = [of_data(made_by, str(path)) for path, made_by in data.made_by.items()]
    for difference in differences([vocab, *recorded])[:MAX_DIFFERENCES]:
        yield Unusual(data.name, difference, "Use one tokenization, and give its vocab.txt")
    lengths = {made_by.get("method", {}).get("max_seq_length") for made_by in data.made_by.values()}
    if len(lengths) > 1:
        what = f"files of different --max_seq_length are together: {', '.join(map(str, lengths))}"
        yield Unusual(data.name, what, "Train on the files of one stage at a time")
    texts = _hashes_of(data, "text") & (_hashes_of(data.training, "text") if data.training else set())
    if texts:
        what = f"made from {len(texts)} of the text files that the training data was made from"
        yield Unusual(data.name, what, "Hold out a shard of its own")


def _hashes_of(data: DataSet, role: str) -> set[str]:
    found: list[Mapping[str, Any]] = [file for made in data.made_by.values() for file in recorded_inputs(made, role)]
    return {file["sha256"] for file in found} - {None}


def unusual_in_text(text: TextCounts, groups: Groups) -> Iterator[Unusual]:
    """Yield what is unusual in a corpus."""
    for problem in text.problems:
        yield Unusual("corpus", problem, "What is before it was counted")
    if not text.totals["sentences"]:
        yield Unusual("corpus", "no sentence", "Give text with one sentence a line")
        return
    yield from _outside("corpus", groups, WATCHED_IN_TEXT)
    for line in text.wrong[:1] if groups[RATES]["sentences_in_a_wrong_encoding"] > MAX_WRONG else ():
        yield Unusual(
            "corpus", f"{_place(line)}: looks like mojibake: {line.text[:40]}", "See the encoding of this file"
        )
    if text.longest and text.longest.num_characters > MAX_SENTENCE:
        what = f"{_place(text.longest)}: a sentence of {text.longest.num_characters:,} characters"
        yield Unusual("corpus", what, "One line should be one sentence. Split the text at 。")
    invalid = int(text.characters[-1])
    if invalid:
        yield Unusual("corpus", f"{invalid:,} bytes are no UTF-8 text", "Convert the file first, by iconv")


def _place(line: Line) -> str:
    return f"{line.path}:{line.number}"

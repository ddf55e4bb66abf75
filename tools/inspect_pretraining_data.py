"""Show what is in training data before it is used: numbers in the terminal, pictures and samples in an HTML report.

It reads TFRecords of create_pretraining_data.py, of create_classification_data, and those of other tools. A corpus can
be inspected with them or alone. It prints what is unusual, and what to do about it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from japanese_bert.common import command_line
from japanese_bert.common.report import Stopwatch, print_summary, progress_bar

if TYPE_CHECKING:
    from japanese_bert.inspection.corpora import TextCounts
    from japanese_bert.inspection.data_sets import DataSet
    from japanese_bert.inspection.page import Inspection
    from japanese_bert.inspection.unusual import Unusual
    from japanese_bert.tokenization.vocab import Vocab

MAX_UNKNOWN = 30  # characters in the report


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    files = parser.add_argument_group("input and output")
    files.add_argument("--input_files", nargs="+", default=[], help="TFRecords, names or globs, plain or gzip")
    files.add_argument("--vocab_file", type=Path, help="vocab.txt of the data")
    files.add_argument(
        "--validation_files", nargs="+", default=[], help="TFRecords that should share nothing with them"
    )
    files.add_argument("--compare_files", nargs="+", default=[], help="TFRecords to show beside them")
    files.add_argument("--compare_vocab_file", type=Path, help="their vocab.txt; default: --vocab_file")
    files.add_argument("--corpus_files", nargs="+", default=[], help="text, one sentence a line (.gz, .bz2, .xz too)")
    files.add_argument(
        "--output_file", type=Path, required=True, help="report to write, .html; an existing one is replaced"
    )
    files.add_argument(
        "--mecab_dic_type",
        default="unidic_lite",
        help="dictionary of the model, compared with the words of WordPiece data; '' compares with none",
    )
    amount = parser.add_argument_group("amount")
    amount.add_argument("--num_samples", type=int, default=50, help="instances to show of each data set")
    amount.add_argument(
        "--max_instances", type=int, default=200_000, help="instances to read: the first ones of each file; 0: all"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from japanese_bert.common.output_files import replace_file
    from japanese_bert.compiled.mapped_arrays import keep_arrays_out_of_heap
    from japanese_bert.inspection.page import fill_page
    from japanese_bert.tokenization.vocab import load_vocab

    stopwatch = Stopwatch()
    keep_arrays_out_of_heap()
    check_arguments(args)
    vocab = load_vocab(args.vocab_file) if args.vocab_file else None
    data_sets = read_data(args, vocab) if vocab and args.input_files else []
    text = read_text(args) if args.corpus_files else None
    found = judge(data_sets, text, vocab)
    replace_file(args.output_file, fill_page(found).encode("utf-8"))
    for name, groups in found.groups.items():
        print_summary(name, groups)
    if found.unknown:
        print("unknown characters: " + ", ".join(f"{character} {count:,}" for character, count in found.unknown))
    for data in data_sets:
        if data.cut:
            print(f"{data.name}: {len(data.cut)} files were not read to their end. --max_instances 0 reads everything")
    print_unusual(found.unusual)
    print_summary(f"{args.output_file}: open it in a browser", stopwatch.measurements())


def check_arguments(args: argparse.Namespace) -> None:
    """Raise ValueError for the first argument that cannot work."""
    if not args.input_files and not args.corpus_files:
        raise ValueError("nothing to inspect. Give --input_files, --corpus_files, or both")
    for name in ("validation_files", "compare_files"):
        if vars(args)[name] and not args.input_files:
            raise ValueError(f"--{name}: without --input_files. Give those files as --input_files")
    if args.input_files and args.vocab_file is None:
        raise ValueError("--input_files: needs the --vocab_file that the data was made with")
    if args.output_file.suffix not in (".html", ".htm"):
        raise ValueError(f"--output_file {args.output_file}: expected a name that ends in .html")
    command_line.check_not_negative({name: getattr(args, name) for name in ("num_samples", "max_instances")})


def read_data(args: argparse.Namespace, vocab: "Vocab") -> list["DataSet"]:
    """Return the data sets, read."""
    from japanese_bert.common.text_files import expand_paths
    from japanese_bert.inspection.counting import DataCounts, TokenTable
    from japanese_bert.inspection.data_sets import DataSet, Limits, read_data_set
    from japanese_bert.tokenization.vocab import load_vocab

    table = TokenTable(vocab)
    other_file = args.compare_vocab_file or args.vocab_file
    other_table = TokenTable(load_vocab(other_file)) if args.compare_vocab_file else table
    choices = [
        ("data", args.input_files, args.vocab_file, table),
        ("validation", args.validation_files, args.vocab_file, table),
        ("compared", args.compare_files, other_file, other_table),
    ]
    data_sets = [
        DataSet(name, expand_paths(patterns), DataCounts(table), vocab_file)
        for name, patterns, vocab_file, table in choices
        if patterns
    ]
    limits = Limits(args.max_instances, args.num_samples)
    for data in data_sets:
        data.training = data_sets[0] if data.name == "validation" else None
        with progress_bar(data.name, args.max_instances or None, "instance") as bar:
            read_data_set(data, limits, bar.update)
    compare_dictionary(data_sets, args.mecab_dic_type)
    if not any(data.counts.totals["instances"] for data in data_sets):
        problems = (problem for data in data_sets for problem in data.problems)
        raise ValueError(next(problems, f"{data_sets[0].paths[0]}: no instance. Expected pretraining data"))
    return data_sets


def compare_dictionary(data_sets: list["DataSet"], mecab_dic_type: str) -> None:
    """Compare the words of the samples with those of a dictionary."""
    from japanese_bert.compiled.mapped_arrays import release_files_below
    from japanese_bert.inspection.dictionaries import boundary_agreement
    from japanese_bert.tokenization.words import make_word_splitter

    if mecab_dic_type:
        splitter = make_word_splitter("mecab", mecab_dic_type, do_lower_case=False)
        for data in data_sets:
            if "basic" in (made_by.get("method", {}).get("word_tokenizer_type") for made_by in data.made_by.values()):
                continue  # its words are not MeCab's
            data.dictionary = mecab_dic_type
            data.agreement = boundary_agreement(data.samples, data.counts.table, splitter)
        if splitter.dictionary:
            release_files_below(splitter.dictionary.directory)


def read_text(args: argparse.Namespace) -> "TextCounts":
    """Return the counts of the corpus."""
    from japanese_bert.common.text_files import expand_paths, size_on_disk
    from japanese_bert.inspection.corpora import read_corpora

    paths = expand_paths(args.corpus_files)
    with progress_bar("corpus", size_on_disk(paths), "B") as bar:
        return read_corpora(paths, bar.update)


def judge(data_sets: list["DataSet"], text: "TextCounts | None", vocab: "Vocab | None") -> "Inspection":
    """Return the numbers of everything that was read, and what is unusual."""
    from japanese_bert.inspection.page import CORPUS, Inspection
    from japanese_bert.inspection.summary import summarize_data, summarize_text
    from japanese_bert.inspection.unusual import unusual_in_data, unusual_in_text

    groups = {data.name: summarize_data(data) for data in data_sets}
    unusual = [thing for data in data_sets for thing in unusual_in_data(data, groups[data.name])]
    if text is not None:
        groups[CORPUS] = summarize_text(text, vocab)
        unusual += unusual_in_text(text, groups[CORPUS])
    unknown = text.unknown_characters(vocab).most_common(MAX_UNKNOWN) if text and vocab else []
    return Inspection(data_sets, text, groups, unusual, unknown)


def print_unusual(unusual: "Sequence[Unusual]") -> None:
    """Print what is unusual, one line each."""
    print("unusual:" + ("" if unusual else " nothing"))
    for thing in unusual:
        print(f"  {thing}")


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

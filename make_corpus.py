"""Make corpus text from your own text: one sentence per line, a blank line after each document.

Input is JSON Lines, Parquet or text files in any encoding of Japanese. The output is that of make_corpus_wiki.py. Rules
can take out markup, documents of low quality, and duplicates. docs/own_corpus.md says which.

Example:
    python make_corpus.py --input_files crawl/*.jsonl.gz --text_field text --output_file corpus/web/corpus.txt.gz \
        --quality web --near_duplicates 0.8 --num_workers 8
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from japanese_bert.common import command_line, text_files
from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary, progress_bar


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Make corpus text from JSON Lines, Parquet or text files in any encoding.",
        epilog="Takes 0.2 GB of memory for each process, and 0.7 GB with --near_duplicates. Needs disk for the "
        "text beside the output, and with --near_duplicates 0.7 kB more for each document, until it is done. Run the "
        "same command again after a break: input files that were read are not read again.",
        formatter_class=command_line.HelpFormatter,
    )
    files = parser.add_argument_group("input")
    source = files.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input_files",
        nargs="+",
        help=".jsonl, .json, .parquet or text, also .gz, .bz2, .xz or .zst: names, globs, comma lists, directories, "
        "or - (stdin). Their order does not matter, they are read by name",
    )
    source.add_argument("--input_parts", nargs="+", help="what --output_part wrote, names or globs")
    files.add_argument("--text_field", default="text", help="field or column of the text, a.b for one inside another")
    files.add_argument("--id_field", help="field or column that names a row in messages")
    files.add_argument("--encoding", default="auto", help="auto, or utf-8, cp932, euc-jp, utf-16 ...")
    files.add_argument(
        "--documents",
        choices=("blank_line", "line", "file"),
        default="blank_line",
        help="what ends a document of a text file",
    )
    files.add_argument("--max_corrupt_rows", type=int, default=10, help="fail on more rows or files without text")
    output = parser.add_argument_group("output")
    target = output.add_mutually_exclusive_group(required=True)
    target.add_argument("--output_file", type=Path, help="corpus text, compressed if it ends in .gz, .bz2 or .xz")
    target.add_argument(
        "--output_part", type=Path, help="directory for one part of a corpus, for --input_parts of a last run"
    )
    method = parser.add_argument_group("method")
    method.add_argument(
        "--keep_lines", action=argparse.BooleanOptionalAction, default=False, help="a line is a sentence"
    )
    method.add_argument("--min_sentence_length", type=int, default=10, help="drop shorter sentences (characters)")
    method.add_argument("--max_sentence_length", type=int, default=200, help="drop longer sentences (characters)")
    method.add_argument("--rules", nargs="+", default=[], help="markup to drop: html ruby aozora_notes furigana urls "
                        "wide_spaces repeated_punctuation")  # fmt: skip
    method.add_argument("--quality", choices=("none", "web", "strict"), default="none", help="rules for documents")
    method.add_argument("--listed_words", type=Path, help="file of words, one a line, that --quality does not want")
    method.add_argument("--drop_duplicate_documents", action=argparse.BooleanOptionalAction, default=False,
                        help="keep the first of equal documents")  # fmt: skip
    method.add_argument("--drop_duplicate_paragraphs", action=argparse.BooleanOptionalAction, default=False,
                        help="keep the first of equal paragraphs of 15 and more characters")  # fmt: skip
    method.add_argument(
        "--near_duplicates", type=float, help="keep the first of documents whose 5-grams are similar, such as 0.8"
    )
    method.add_argument(
        "--mecab_dic_type", default="unidic_lite", help="unidic_lite, unidic, ipadic, or the directory of a dictionary"
    )
    method.add_argument("--mecab_option", default="", help="MeCab options instead, such as '-d DICTIONARY_DIRECTORY'")
    command_line.add_run_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    stopwatch = Stopwatch()
    check_arguments(args)
    if args.output_part:
        make_part(args, stopwatch)
    else:
        make_corpus(args, stopwatch)


def check_arguments(args: argparse.Namespace) -> None:
    from japanese_bert.corpus.own_text.markup import MARKUP_RULES

    names = ("min_sentence_length", "max_sentence_length", "num_workers")
    command_line.check_positive({name: getattr(args, name) for name in names})
    if args.min_sentence_length > args.max_sentence_length:
        raise ValueError(f"--min_sentence_length {args.min_sentence_length} is above the maximum "
                         f"{args.max_sentence_length}. No sentence would be kept")  # fmt: skip
    for rule in args.rules:
        if rule not in MARKUP_RULES:
            raise ValueError(f"--rules {rule}: expected one or more of {' '.join(MARKUP_RULES)}")
    if args.near_duplicates is not None and not 0.5 <= args.near_duplicates <= 1:
        raise ValueError(f"--near_duplicates {args.near_duplicates}: expected a similarity from 0.5 to 1, such as 0.8")
    command_line.check_not_negative({"max_corrupt_rows": args.max_corrupt_rows})
    if args.listed_words and args.quality == "none":
        raise ValueError("--listed_words is a rule of --quality web and strict. Add one of them")
    if args.output_part and args.input_parts:
        raise ValueError("--output_part takes --input_files, not --input_parts")
    check_encoding(args.encoding)


def check_encoding(name: str) -> None:
    import codecs

    try:
        name == "auto" or codecs.lookup(name)
    except LookupError:
        raise ValueError(f"--encoding {name}: unknown. Expected auto, utf-8, cp932, euc-jp, iso-2022-jp ...") from None


def make_preparation(args: argparse.Namespace):
    """Return what makes the parts. The dictionary is opened here, once."""
    from japanese_bert.corpus.own_text.conversion import ConversionOptions, TextConverter
    from japanese_bert.corpus.own_text.preparation import Preparation
    from japanese_bert.corpus.own_text.sources import SourceOptions
    from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
    from japanese_bert.tokenization import mecab

    dictionary = None
    if not args.keep_lines:
        by_option = bool(args.mecab_option)
        find = mecab.dictionary_of_option if by_option else mecab.find_dictionary
        dictionary = find(args.mecab_option if by_option else args.mecab_dic_type)
        dictionary = mecab.with_user_dictionaries(dictionary, mecab.make_tagger(dictionary, args.mecab_option))
    words = read_words(args.listed_words) if args.listed_words else []
    sources = SourceOptions(args.text_field, args.id_field, args.encoding.replace("_", "-"), args.documents)
    options = ConversionOptions(args.min_sentence_length, args.max_sentence_length, args.rules, args.quality, words)
    full_stops = FullStopFinder(dictionary, args.mecab_option) if dictionary else None
    signs = args.near_duplicates is not None
    names = ("text_field", "encoding", "documents", "keep_lines", "min_sentence_length", "max_sentence_length",
             "quality", "mecab_option")  # fmt: skip
    method = {name: getattr(args, name) for name in names}
    method |= {"rules": sorted(args.rules), "listed_words": words, "signatures": signs}
    converter = TextConverter(sources, options, full_stops, signs)
    return Preparation(converter, sources, method, vars(args), dictionary, args.num_workers, args.max_corrupt_rows)


def read_words(path: Path) -> list[str]:
    from japanese_bert.corpus.lines import numbered_lines

    return sorted({line.strip() for _, line in numbered_lines(path)})


def make_part(args: argparse.Namespace, stopwatch: Stopwatch) -> None:
    from japanese_bert.corpus.own_text.parts import COUNTS
    from japanese_bert.corpus.own_text.sources import source_files

    inputs = source_files(args.input_files)
    with progress_bar("Reading", text_files.size_on_disk(inputs), "B") as bar:
        preparation = make_preparation(args)
        provenance = preparation.part_provenance(inputs)
        report = preparation.write(args.output_part, provenance, bar.update, args.overwrite)
    print_summary(f"{args.output_part}: wrote a part", {name: report[name] for name in COUNTS})
    print_summary("", stopwatch.measurements())


def make_corpus(args: argparse.Namespace, stopwatch: Stopwatch) -> None:
    from japanese_bert.corpus.own_text.parts import remove_parts
    from japanese_bert.corpus.own_text.selection import SelectionOptions, write_selected

    directory = args.output_file.with_name(f"{args.output_file.name}.parts")
    provenance, prepare = plan_parts(args, directory)
    if skip_if_complete(provenance, [args.output_file]):
        if not args.input_parts:
            remove_parts(directory.glob("*"))  # of a run that was killed at its very end
        return
    with open_outputs([args.output_file], provenance, args.overwrite) as (file,):
        with text_files.compressed_writer(args.output_file, file) as stream:
            parts = prepare()
            options = SelectionOptions(
                args.drop_duplicate_documents, args.drop_duplicate_paragraphs, args.near_duplicates
            )
            report = write_selected(parts, options, stream.write, partial(open_temporary, args.output_file.parent))
        if not args.input_parts:
            remove_parts(set(directory.glob("*")) - set(parts))  # of runs with other arguments that were stopped
        if not report["counts"].get("sentences_out"):
            names = " ".join(args.input_files or args.input_parts)
            raise ValueError(
                f"{names}: no sentence kept of {report['counts'].get('rows', 0)} rows. Dropped documents: "
                f"{report['dropped_documents']}, characters: {report['dropped_characters']}"
            )
        provenance.report.update(report.pop("counts"), **report, **stopwatch.measurements())
    if not args.input_parts:
        remove_parts(parts)
    summary = {name: value for name, value in provenance.report.items() if name != "encodings"}
    print_summary(f"{args.output_file}: wrote corpus text", summary)


def plan_parts(args: argparse.Namespace, directory: Path) -> tuple[Provenance, Callable[[], list[Path]]]:
    """Return the provenance of the corpus, and what makes its parts or finds those that are given."""
    from japanese_bert.corpus.own_text.parts import common_method, open_parts
    from japanese_bert.corpus.own_text.sources import source_files

    names = ("drop_duplicate_documents", "drop_duplicate_paragraphs", "near_duplicates")
    duplicates = {name: getattr(args, name) for name in names}
    if args.input_files:
        paths = source_files(args.input_files)
        inputs = InputFiles(text=paths)
        inputs.hash_in_background()
        preparation = make_preparation(args)
        provenance = preparation.provenance("make_corpus", inputs, **duplicates)
        return provenance, partial(preparation.write_all, paths, directory)
    given = part_directories(args.input_parts)
    parts = open_parts(given)
    method = common_method(parts)
    check_method_of_parts(args, method)
    for name, value in duplicates.items():
        if not value and any(part.made_by["arguments"].get(name) for part in parts):
            print(f"NOTE parts were made with --{name}. Only this command drops duplicates: give it here too")
    method = {**method, **duplicates}
    files = InputFiles(parts=[path / "provenance.json" for path in given])
    return Provenance("make_corpus", method, files, vars(args), packages=("isal", "numba", "numpy")), lambda: given


def check_method_of_parts(args: argparse.Namespace, method: Mapping[str, object]) -> None:
    """Raise ValueError for a flag of the method that says something else than the parts were made with."""
    words = read_words(args.listed_words) if args.listed_words else []
    given = {**vars(args), "rules": sorted(args.rules), "listed_words": words}
    parser = get_parser()
    for name, value in given.items():
        if vars(args)[name] != parser.get_default(name) and method.get(name, value) != value:
            raise ValueError(
                f"--{name} {value}: the parts were made with {method[name]}. Leave it out, or make the parts again"
            )


def part_directories(patterns: list[str]) -> list[Path]:
    """Return the parts of names and globs, sorted by path."""
    import glob

    found = sorted({Path(name) for pattern in patterns for name in glob.glob(pattern) if not name.endswith(".tmp")})
    if not found:
        raise FileNotFoundError(f"{' '.join(patterns)}: no part matches. Make parts with --output_part")
    return found


def open_temporary(directory: Path) -> BinaryIO:
    """Open a file without a name. The system removes it, whatever happens."""
    return cast(BinaryIO, tempfile.TemporaryFile(dir=directory))


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

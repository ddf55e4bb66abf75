"""Make corpus text from a Wikimedia CirrusSearch dump: one sentence per line, a blank line after each page.

The rules in japanese_bert/corpus/wikipedia/sentences.py clean the pages and split them into sentences. They follow the
corpus of the released Japanese BERT models (https://github.com/cl-tohoku/bert-japanese). Only the text of articles is
kept, without headings, tables and lists of categories.

Example:
    python make_corpus_wiki.py --input_file jawiki-20230102-cirrussearch-content.json.gz \
        --output_file corpus/wikipedia/corpus.txt.gz --min_sentence_length 10 --max_sentence_length 200
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary, progress_bar
from japanese_bert.common.text_files import compressed_writer, size_on_disk
from japanese_bert.common.workers import map_in_order
from japanese_bert.corpus.wikipedia.cirrussearch import dump_files, read_row_blocks
from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder
from japanese_bert.corpus.wikipedia.pages import CorpusBlock, PageConverter
from japanese_bert.tokenization import mecab


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Make corpus text from a CirrusSearch dump, old or new layout.",
        epilog="Takes about 100 MB of memory for each worker, and the dictionary once, for a dump of any size.",
        formatter_class=command_line.HelpFormatter,
    )
    files = parser.add_argument_group("input")
    files.add_argument(
        "--input_file",
        required=True,
        help="dump (.json.gz, .json.bz2 or .json): a file, comma list, glob, or the directory with its _SUCCESS file",
    )
    files.add_argument("--max_corrupt_lines", type=int, default=10, help="fail on more lines that cannot be read")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output_file", type=Path, required=True, help="corpus text, compressed if it ends in .gz, .bz2 or .xz"
    )
    method = parser.add_argument_group("method")
    method.add_argument("--min_sentence_length", type=int, default=10, help="drop shorter sentences (characters)")
    method.add_argument("--max_sentence_length", type=int, default=200, help="drop longer sentences (characters)")
    method.add_argument(
        "--mecab_dic_type", default="unidic_lite", help="unidic_lite, unidic, ipadic, or the directory of a dictionary"
    )
    method.add_argument("--mecab_option", help="MeCab options instead, such as '-r MECABRC -d DICTIONARY_DIRECTORY'")
    command_line.add_run_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    stopwatch = Stopwatch()
    check_arguments(args)
    inputs = dump_files(args.input_file)
    option = args.mecab_option or ""
    dictionary = mecab.dictionary_of_option(option) if option else mecab.find_dictionary(args.mecab_dic_type)
    provenance = make_provenance(args, inputs, dictionary)
    if skip_if_complete(provenance, [args.output_file]):
        return
    converter = PageConverter(FullStopFinder(dictionary, option), args.min_sentence_length, args.max_sentence_length)
    total = CorpusBlock()
    with open_outputs([args.output_file], provenance, args.overwrite) as (file,):
        with compressed_writer(args.output_file, file) as stream:
            for block in convert_dump(inputs, converter, args.num_workers):
                stream.write(block.text)
                total.add(block)
                check_corrupt_lines(block.corrupt, total.corrupt, args.max_corrupt_lines)
        check_not_empty(inputs, total)
        provenance.report.update(
            total.counts,
            dropped_rows=dict(total.dropped_rows),
            dropped_characters=dict(total.dropped_characters),
            corrupt_lines=total.corrupt,
            **stopwatch.measurements(),
        )
    print_summary(f"{args.output_file}: wrote corpus text", provenance.report)


def check_arguments(args: argparse.Namespace) -> None:
    names = ("min_sentence_length", "max_sentence_length", "num_workers")
    command_line.check_positive({name: getattr(args, name) for name in names})
    if args.min_sentence_length > args.max_sentence_length:
        raise ValueError(
            f"--min_sentence_length {args.min_sentence_length} is above "
            f"--max_sentence_length {args.max_sentence_length}. No sentence would be kept"
        )
    command_line.check_not_negative({"max_corrupt_lines": args.max_corrupt_lines})


def make_provenance(args: argparse.Namespace, inputs: list[Path], dictionary: mecab.Dictionary) -> Provenance:
    option = args.mecab_option or ""
    users = mecab.user_dictionary_files(mecab.make_tagger(dictionary, option))
    words = {"user_dictionaries": [mecab.hash_of([path]) for path in users]} if users else {}
    return Provenance(
        stage="make_corpus_wiki",
        method={
            "min_sentence_length": args.min_sentence_length,
            "max_sentence_length": args.max_sentence_length,
            "mecab_option": mecab.parse_mecab_option(option)[1],
            **words,
        },
        inputs=InputFiles(dump=inputs),
        arguments=vars(args),
        dictionary=dictionary.identity(),
        packages=("fugashi", "isal", "orjson"),
    )


def convert_dump(inputs: list[Path], converter: PageConverter, num_workers: int) -> Iterator[CorpusBlock]:
    """Yield the corpus text of all rows, in the order of the dump."""
    with progress_bar("Reading", size_on_disk(inputs), "B") as bar:
        yield from map_in_order(converter.convert_rows, read_row_blocks(inputs, bar.update), num_workers)


def check_corrupt_lines(new: list[str], all_lines: list[str], limit: int) -> None:
    """Print a warning for each new corrupt line. Raise ValueError if there are more than `limit` in all."""
    for line in new:
        print(f"warning: {line}", file=sys.stderr)
    if len(all_lines) > limit:
        raise ValueError(
            f"{all_lines[-1]} (more than --max_corrupt_lines {limit}). Expected lines of JSON as in a CirrusSearch "
            "dump. Download the file again, or allow more"
        )


def check_not_empty(inputs: list[Path], total: CorpusBlock) -> None:
    if not total.counts["sentences_out"]:
        raise ValueError(
            f"{', '.join(map(str, inputs))}: no sentence kept of {total.counts['rows']} rows (dropped rows: "
            f"{dict(total.dropped_rows)}, characters: {dict(total.dropped_characters)}). Expected a CirrusSearch dump"
        )


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

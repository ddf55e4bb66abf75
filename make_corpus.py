"""Make corpus text from your own text: one sentence per line, a blank line after each document.

Input is JSON Lines, Parquet or text files in any encoding of Japanese. The output is that of make_corpus_wiki.py. Rules
can take out markup, documents of low quality, and duplicates. docs/own_corpus.md says which.

Example:
    python make_corpus.py --input_files crawl/*.jsonl.gz --text_field text --output_file corpus/web/corpus.txt.gz \
        --quality web --near_duplicates 0.8 --num_workers 8
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from japanese_bert.common import command_line, text_files
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary, progress_bar
from japanese_bert.common.workers import map_in_order

PART_BYTES = 1 << 26  # input files of at least this size are a part of their own, smaller ones share one
REPORTED = ("counts", "dropped_documents", "dropped_characters")


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


class Preparation:
    """What makes parts of input files: the same for all of them."""

    def __init__(self, args: argparse.Namespace) -> None:
        from japanese_bert.corpus.own_text.conversion import ConversionOptions, TextConverter
        from japanese_bert.corpus.own_text.sources import SourceOptions
        from japanese_bert.tokenization import mecab

        self.args = args
        self.dictionary: mecab.Dictionary | None = None
        full_stops = None
        if not args.keep_lines:
            from japanese_bert.corpus.wikipedia.full_stops import FullStopFinder

            self.dictionary = (
                mecab.dictionary_of_option(args.mecab_option)
                if args.mecab_option
                else mecab.find_dictionary(args.mecab_dic_type)
            )
            full_stops = FullStopFinder(self.dictionary, args.mecab_option)
        self.words = read_words(args.listed_words) if args.listed_words else []
        self.sources = SourceOptions(args.text_field, args.id_field, args.encoding.replace("_", "-"), args.documents)
        options = ConversionOptions(
            args.min_sentence_length, args.max_sentence_length, args.rules, args.quality, self.words
        )
        self.converter = TextConverter(self.sources, options, full_stops, args.near_duplicates is not None)

    def method(self) -> dict[str, object]:
        """Return what decides the content of a part."""
        names = ("text_field", "encoding", "documents", "keep_lines", "min_sentence_length", "max_sentence_length")
        return {
            **{name: getattr(self.args, name) for name in (*names, "quality", "mecab_option")},
            "rules": sorted(self.args.rules),
            "listed_words": self.words,
            "signatures": self.args.near_duplicates is not None,
        }

    def provenance(self, stage: str, inputs: list[Path], **more: object) -> Provenance:
        """Return the provenance of an output of these inputs."""
        return Provenance(
            stage=stage,
            method={**self.method(), **more},
            inputs=InputFiles(text=inputs),
            arguments=vars(self.args),
            dictionary=self.dictionary.identity() if self.dictionary else None,
            packages=("fugashi", "isal", "orjson", "numba", "numpy"),
        )

    def part(self, inputs: list[Path]) -> Provenance:
        """Return the provenance of a part."""
        from japanese_bert.corpus.own_text.parts import PART_STAGE

        return self.provenance(PART_STAGE, inputs)

    def write(
        self, directory: Path, provenance: Provenance, inputs: list[Path], progress: Callable[[int], object],
        overwrite: bool,
    ) -> Mapping:  # fmt: skip
        """Make one part, unless it is complete. Return its counts."""
        from japanese_bert.common.provenance import read_provenance
        from japanese_bert.corpus.own_text.parts import write_part
        from japanese_bert.corpus.own_text.sources import SourceBlock, read_source_blocks

        if text_files.STANDARD_INPUT not in inputs and provenance.is_complete([directory]):
            progress(text_files.size_on_disk(inputs) or 0)
            return read_provenance(directory) or {}
        self.converter(SourceBlock(Path("-"), 1, "line", "一文。\n".encode()))  # load compiled code before the fork
        with open_output_directory(directory, provenance, overwrite) as temporary:
            rows = (block for path in inputs for block in read_source_blocks(path, self.sources, progress))
            blocks = map_in_order(self.converter, rows, self.args.num_workers)
            total = write_part(temporary, check_corrupt(blocks, self.args.max_corrupt_rows))
            provenance.report.update(
                {name: dict(getattr(total, name)) for name in REPORTED},
                corrupt_rows=total.corrupt,
                encodings={str(path): self.sources.verdicts.get(str(path)) for path in inputs},
            )
        return provenance.report


def read_words(path: Path) -> list[str]:
    from japanese_bert.corpus.lines import numbered_lines

    return sorted({line.strip() for _, line in numbered_lines(path)})


def check_corrupt(blocks: Iterable[Any], limit: int) -> Iterator[Any]:
    """Yield the blocks. Print each corrupt row. Raise ValueError if there are more than `limit`."""
    count = 0
    for block in blocks:
        for line in block.corrupt:
            print(f"warning: {line}", file=sys.stderr)
        count += len(block.corrupt)
        if count > limit:
            raise ValueError(
                f"{block.corrupt[-1]} (more than --max_corrupt_rows {limit}). Name another --text_field, repair the "
                "file, or allow more"
            )
        yield block


def make_part(args: argparse.Namespace, stopwatch: Stopwatch) -> None:
    from japanese_bert.corpus.own_text.sources import source_files

    inputs = source_files(args.input_files)
    with progress_bar("Reading", text_files.size_on_disk(inputs), "B") as bar:
        preparation = Preparation(args)
        part = preparation.part(inputs)
        report = preparation.write(args.output_part, part, inputs, bar.update, args.overwrite)
    print_summary(f"{args.output_part}: wrote a part", {name: report[name] for name in REPORTED})
    print_summary("", stopwatch.measurements())


def make_corpus(args: argparse.Namespace, stopwatch: Stopwatch) -> None:
    from japanese_bert.corpus.own_text.parts import remove_parts

    directory = args.output_file.with_name(f"{args.output_file.name}.parts")
    provenance, prepare = plan_parts(args, directory)
    if skip_if_complete(provenance, [args.output_file]):
        remove_parts(directory.glob("*"))  # of a run that was killed at its very end
        return
    with open_outputs([args.output_file], provenance, args.overwrite) as (file,):
        parts = prepare()
        with text_files.compressed_writer(args.output_file, file) as stream:
            report = write_selected(args, parts, stream, partial(open_temporary, args.output_file.parent))
        if not report["counts"].get("sentences_out"):
            names = " ".join(args.input_files or args.input_parts)
            raise ValueError(
                f"{names}: no sentence kept of {report['counts']['rows']} rows. Dropped documents: "
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
        inputs = source_files(args.input_files)
        preparation = Preparation(args)
        provenance = preparation.provenance("make_corpus", inputs, **duplicates)
        return provenance, partial(prepare_parts, preparation, inputs, directory)
    given = part_directories(args.input_parts)
    method = {**common_method(open_parts(given)), **duplicates}
    files = InputFiles(parts=[path / "provenance.json" for path in given])
    return Provenance("make_corpus", method, files, vars(args), packages=("isal", "numba", "numpy")), lambda: given


def part_directories(patterns: list[str]) -> list[Path]:
    """Return the parts of names and globs, sorted by path."""
    import glob

    found = sorted({Path(name) for pattern in patterns for name in glob.glob(pattern) if not name.endswith(".tmp")})
    if not found:
        raise FileNotFoundError(f"{' '.join(patterns)}: no part matches. Make parts with --output_part")
    return found


def prepare_parts(preparation: Preparation, inputs: list[Path], directory: Path) -> list[Path]:
    """Make the parts of all input files in a directory beside the output. Those that are complete are kept."""
    parts, left = [], preparation.args.max_corrupt_rows
    try:
        with progress_bar("Reading", text_files.size_on_disk(inputs), "B") as bar:
            for number, files in enumerate(shared_parts(inputs)):
                part = preparation.part(files)
                parts.append(directory / f"{number:05d}-{fingerprint(part)}")
                report = preparation.write(parts[-1], part, files, bar.update, overwrite=True)
                left -= len(report["corrupt_rows"])
                if left < 0:
                    raise ValueError(f"{report['corrupt_rows'][-1]} (more than --max_corrupt_rows in all files)")
    finally:
        with suppress(OSError):
            directory.rmdir()  # if it is empty, because the first part failed
    return parts


def fingerprint(part: Provenance) -> str:
    """Return what differs for other arguments and inputs, so that no two runs write one part differently."""
    return hashlib.sha256(json.dumps(part.recipe(), sort_keys=True).encode()).hexdigest()[:12]


def shared_parts(inputs: list[Path]) -> Iterator[list[Path]]:
    """Yield consecutive files that share a part."""
    shared: list[Path] = []
    size = 0
    for path in inputs:
        of_path = PART_BYTES if path == text_files.STANDARD_INPUT else path.stat().st_size
        if shared and size + of_path > PART_BYTES:
            yield shared
            shared, size = [], 0
        shared.append(path)
        size += of_path
    yield shared


def open_temporary(directory: Path) -> BinaryIO:
    """Open a file without a name. The system removes it, whatever happens."""
    return cast(BinaryIO, tempfile.TemporaryFile(dir=directory))


def write_selected(
    args: argparse.Namespace, directories: list[Path], stream: text_files.Writable, new_file: Callable[[], BinaryIO]
) -> dict[str, Any]:
    """Write the documents of all parts that are no duplicates. Return all counts."""
    from japanese_bert.corpus.own_text.parts import common_method, open_parts
    from japanese_bert.corpus.own_text.quality import BOILERPLATE
    from japanese_bert.corpus.own_text.selection import Selection, SelectionOptions

    parts = open_parts(directories)
    method = common_method(parts)
    if args.near_duplicates is not None and not method["signatures"]:
        raise ValueError(f"{directories[0]}: was made without --near_duplicates. Make the parts again with it")
    options = SelectionOptions(
        documents=args.drop_duplicate_documents,
        paragraphs=args.drop_duplicate_paragraphs,
        near=args.near_duplicates,
        boilerplate=BOILERPLATE.get(method["quality"], 0),
    )
    selected = Selection(parts, options, new_file).write(stream.write)
    report: dict[str, Any] = {name: {} for name in REPORTED}
    for made_by in (*(part.made_by for part in parts), vars(selected)):
        for name in REPORTED:
            for key, value in made_by[name].items():
                report[name][key] = report[name].get(key, 0) + value
    report["corrupt_rows"] = [row for part in parts for row in part.made_by["corrupt_rows"]]
    report["encodings"] = {key: value for part in parts for key, value in part.made_by["encodings"].items()}
    return report


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

"""Merge text corpora and deal their documents to shards: `corpus_01.txt` to `corpus_NN.txt`.

Input is text with one sentence or paragraph per line and a blank line between documents. Examples are CC-100
(Conneau et al., Unsupervised Cross-lingual Representation Learning at Scale, 2020) and the output of
make_corpus_wiki.py. A document stays in one piece and in its order. Only white space is normalised. Sentences are not
split.

Example:
    python merge_split_corpora.py --input_files cc-100/ja.txt.xz --output_dir corpus/cc-100 --num_files 64
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from japanese_bert.common import command_line, text_files
from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary, progress_bar

if TYPE_CHECKING:
    from japanese_bert.corpus.dealing import ShardWriter
    from japanese_bert.corpus.documents import DocumentBatch, DocumentReader

SHARD_NAME = re.compile(r"corpus_\d+\.txt(\.gz)?")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Deal the documents of text corpora to shards of about equal size.",
        epilog="Runs in one process, and another one to decompress. Takes 0.2 GB of memory for a corpus of any size, "
        "unless --drop_duplicate_documents is on.",
        formatter_class=command_line.HelpFormatter,
    )
    files = parser.add_argument_group("input")
    files.add_argument(
        "--input_files",
        nargs="+",
        required=True,
        help="text (.xz, .gz, .bz2 too): names, globs, comma lists, or - (stdin). A file's end ends a document",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output_dir", type=Path, required=True, help="directory of corpus_01.txt, corpus_02.txt ...")
    output.add_argument("--num_files", type=int, required=True, help="number of shards")
    output.add_argument(
        "--compress", action=argparse.BooleanOptionalAction, default=False, help="write corpus_NN.txt.gz"
    )
    method = parser.add_argument_group("method")
    method.add_argument("--random_seed", type=int, default=12345, help="decides which document goes to which shard")
    method.add_argument("--min_line_length", type=int, help="drop shorter lines (characters)")
    method.add_argument("--max_line_length", type=int, help="drop longer lines (characters)")
    method.add_argument(
        "--drop_duplicate_documents",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="keep only the first of documents with equal text; takes 16 to 32 bytes of memory for each different "
        "document, 1.4 GB for the 66 million of CC-100",
    )
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    stopwatch = Stopwatch()
    check_arguments(args)
    inputs = text_files.expand_paths(args.input_files)
    outputs = shard_paths(args.output_dir, args.num_files, args.compress)
    check_outputs(inputs, outputs)
    provenance = make_provenance(args, inputs)
    if skip_if_complete(provenance, outputs):
        return
    provenance.inputs.hash_in_background()
    with open_outputs(outputs, provenance, args.overwrite) as files:
        provenance.report.update(merge_split(args, inputs, outputs, files))
        check_enough_documents(inputs, provenance.report, args.num_files)
        provenance.report.update(stopwatch.measurements())
    print_summary(f"{args.output_dir}: wrote {len(outputs)} shards", provenance.report)


def check_arguments(args: argparse.Namespace) -> None:
    limits = {name: getattr(args, name) for name in ("min_line_length", "max_line_length")}
    command_line.check_positive({"num_files": args.num_files, **{k: v for k, v in limits.items() if v is not None}})
    if None not in limits.values() and args.min_line_length > args.max_line_length:
        raise ValueError(f"--min_line_length {args.min_line_length} is above --max_line_length {args.max_line_length}")
    command_line.check_not_negative({"random_seed": args.random_seed})


def shard_paths(output_dir: Path, num_files: int, compress: bool = False) -> list[Path]:
    """Return `corpus_01.txt`, `corpus_02.txt`, ..., with the numbers of `seq -f %02g 1 64`."""
    suffix = ".txt.gz" if compress else ".txt"
    return [output_dir / f"corpus_{number:02d}{suffix}" for number in range(1, num_files + 1)]


def check_no_other_shards(shards: list[Path]) -> None:
    """Raise FileExistsError if there are other shards in the directory, because `corpus_*.txt` would match them too."""
    present = [path for path in shards[0].parent.glob("corpus_*") if SHARD_NAME.fullmatch(path.name)]
    others = sorted(set(present) - set(shards))
    if others:
        raise FileExistsError(
            f"{others[0]}: a shard of another run ({len(others)} in all). This run writes {len(shards)} shards. "
            "Remove the others with their .json files, or name another --output_dir"
        )


def check_outputs(inputs: list[Path], outputs: list[Path]) -> None:
    check_no_other_shards(outputs)
    written = {path.resolve() for path in outputs}
    for path in inputs:
        if path.resolve() in written:
            raise ValueError(f"{path}: is an input and also a shard to write. Name another --output_dir")


def make_provenance(args: argparse.Namespace, inputs: list[Path]) -> Provenance:
    paths_and_run = ("input_files", "output_dir", "overwrite")
    return Provenance(
        stage="merge_split_corpora",
        method={name: value for name, value in vars(args).items() if name not in paths_and_run},
        inputs=InputFiles(text=inputs),
        arguments=vars(args),
        packages=("numpy", "numba", "isal"),
    )


def merge_split(
    args: argparse.Namespace, inputs: list[Path], outputs: list[Path], files: list[BinaryIO]
) -> dict[str, object]:
    """Read, select and deal all documents. Return the counts of what came in, went out and was dropped."""
    import numpy as np

    from japanese_bert.corpus.dealing import ShardWriter
    from japanese_bert.corpus.documents import DocumentReader, LineLengths
    from japanese_bert.corpus.duplicates import DuplicateFilter

    reader = DocumentReader(LineLengths(args.min_line_length or 0, args.max_line_length or sys.maxsize))
    duplicates = DuplicateFilter()
    with ExitStack() as stack:
        streams = [
            stack.enter_context(text_files.compressed_writer(*pair)) for pair in zip(outputs, files, strict=True)
        ]
        writer = ShardWriter(streams, np.random.default_rng(args.random_seed))
        for batch in read_documents(inputs, reader):
            writer.write(duplicates.select(batch) if args.drop_duplicate_documents else batch)
    return make_report(reader.counts(), duplicates.dropped, writer)


def read_documents(inputs: list[Path], reader: "DocumentReader") -> Iterator["DocumentBatch"]:
    """Yield the documents of all inputs, under a progress bar."""
    with progress_bar("Reading", text_files.size_on_disk(inputs), "B") as bar:
        for path in inputs:
            yield from reader.read_file(text_files.read_line_blocks(path, bar.update, text_files.TEXT_BLOCK_BYTES))
    yield from reader.take()


def make_report(read: dict[str, int], duplicates: dict[str, int], writer: "ShardWriter") -> dict[str, object]:
    """Return the counts of documents, lines and characters. The number in is the number out and all numbers dropped."""
    return {
        "documents_in": read["documents_in"],
        "documents_out": writer.num_documents,
        "lines_in": read["lines_in"],
        "lines_out": writer.num_lines,
        "characters_in": read["characters_in"],
        "characters_out": writer.num_characters,
        "smallest_shard": int(writer.sizes.min()),
        "largest_shard": int(writer.sizes.max()),
        "dropped_documents": {"left_empty": read["documents_left_empty"], "duplicate": duplicates["documents"]},
        "dropped_lines": {
            "blank": read["blank_lines"],
            "short": read["short_lines"],
            "long": read["long_lines"],
            "of_duplicate_documents": duplicates["lines"],
        },
        "dropped_characters": {
            "white_space": read["white_space"],
            "nul": read["nul_characters"],
            "invalid_utf8_bytes": read["invalid_utf8_bytes"],
            "byte_order_marks": read["byte_order_marks"],
            "of_short_lines": read["characters_of_short_lines"],
            "of_long_lines": read["characters_of_long_lines"],
            "of_duplicate_documents": duplicates["characters"],
        },
    }


def check_enough_documents(inputs: list[Path], report: Mapping[str, Any], num_files: int) -> None:
    names = ", ".join(map(str, inputs))
    if not report["documents_out"]:
        dropped = {
            f"{reason} {unit}": count
            for unit in ("documents", "lines", "characters")
            for reason, count in report[f"dropped_{unit}"].items()
            if count
        }
        raise ValueError(
            f"{names}: no document in the input (dropped: {dropped or 'nothing'}). Expected text with a blank line "
            "between documents"
        )
    if report["documents_out"] < num_files:
        raise ValueError(
            f"{names}: {report['documents_out']} documents cannot fill --num_files {num_files} shards. "
            "Name fewer shards. A blank line separates documents"
        )


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

"""Merge text corpora and deal their documents to shards: `corpus_01.txt` to `corpus_NN.txt`.

Input is text with one sentence or paragraph per line and a blank line between documents, such as CC-100
(Conneau et al., Unsupervised Cross-lingual Representation Learning at Scale, 2020) or the output of
make_corpus_wiki.py. A document is never split, merged or reordered inside. Text is not normalised beyond white
space, and sentences are not split.

Example:
    python merge_split_corpora.py --input_files cc-100/ja.txt.xz --output_dir corpus/cc-100 --num_files 64
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from japanese_bert import stage
from japanese_bert.corpus import (
    compressed_writer,
    expand_paths,
    read_document_batches,
    read_text_blocks,
    size_on_disk,
)
from japanese_bert.provenance import Provenance, open_outputs
from japanese_bert.shards import ShardWriter, check_no_other_shards, drop_duplicates, drop_lines, shard_paths


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Deal the documents of text corpora to shards of about equal size.",
        epilog="Runs in one process and some 10 MB of memory above Python's own, whatever the size of the corpus, "
        "unless --drop_duplicate_documents is on.",
        formatter_class=stage.HelpFormatter,
    )
    files = parser.add_argument_group("input")
    files.add_argument(
        "--input_files",
        nargs="+",
        required=True,
        help="text, .xz, .gz or .bz2, names, globs or comma lists, - for standard input; a file's end ends a document",
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
        help="keep the first of documents with equal text; takes about 80 bytes of memory per different document, "
        "5 GB for the 66 million of CC-100",
    )
    stage.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    stopwatch = stage.Stopwatch()
    check_arguments(args)
    inputs = expand_paths(args.input_files)
    outputs = shard_paths(args.output_dir, args.num_files, args.compress)
    check_outputs(inputs, outputs)
    provenance = make_provenance(args, inputs)
    if provenance.is_complete(outputs):
        print(f"{args.output_dir}: the {len(outputs)} shards are complete; nothing to do")
        return
    counts, dropped = Counter(), Counter()
    documents = select_documents(read_documents(inputs, counts, dropped), args, dropped)
    with open_outputs(outputs, provenance, args.overwrite) as files:
        sizes = write_shards(documents, outputs, files, args.random_seed, counts)
        check_enough_documents(inputs, counts, dropped, args.num_files)
        counts |= {"characters_out": sum(sizes), "smallest_shard": min(sizes), "largest_shard": max(sizes)}
        provenance.report.update(counts, dropped=dict(dropped), **stopwatch.measurements())
    stage.print_summary(f"{args.output_dir}: wrote {len(outputs)} shards", provenance.report)


def check_arguments(args: argparse.Namespace) -> None:
    limits = {name: getattr(args, name) for name in ("min_line_length", "max_line_length")}
    stage.check_positive({"num_files": args.num_files, **{k: v for k, v in limits.items() if v is not None}})
    if None not in limits.values() and args.min_line_length > args.max_line_length:
        raise ValueError(f"--min_line_length {args.min_line_length} is above --max_line_length {args.max_line_length}")
    if args.random_seed < 0:
        raise ValueError(f"--random_seed {args.random_seed}: expected 0 or a positive number")


def check_outputs(inputs: list[Path], outputs: list[Path]) -> None:
    check_no_other_shards(outputs)
    written = {path.resolve() for path in outputs}
    for path in inputs:
        if path.resolve() in written:
            raise ValueError(f"{path}: is an input and also a shard to write; name another --output_dir")


def make_provenance(args: argparse.Namespace, inputs: list[Path]) -> Provenance:
    paths_and_run = ("input_files", "output_dir", "overwrite")
    return Provenance(
        stage="merge_split_corpora",
        method={name: value for name, value in vars(args).items() if name not in paths_and_run},
        inputs=inputs,
        arguments=vars(args),
        packages=("numpy", "isal"),
    )


def read_documents(inputs: list[Path], counts: Counter, dropped: Counter) -> Iterator[list[str]]:
    """Documents of all inputs, in lists of many, under a progress bar."""
    with stage.progress_bar("Reading", size_on_disk(inputs), "B") as bar:
        for path in inputs:
            for documents in read_document_batches(read_text_blocks(path, dropped, bar.update)):
                counts["documents_in"] += len(documents)
                yield documents


def select_documents(batches: Iterable[list[str]], args: argparse.Namespace, dropped: Counter) -> Iterable[list[str]]:
    """Apply the rules that the arguments ask for."""
    if args.min_line_length is not None or args.max_line_length is not None:
        batches = drop_lines(batches, args.min_line_length, args.max_line_length, dropped)
    if args.drop_duplicate_documents:
        batches = drop_duplicates(batches, dropped)
    return batches


def write_shards(
    batches: Iterable[list[str]], outputs: list[Path], files: list[BinaryIO], random_seed: int, counts: Counter
) -> list[int]:
    """Deal all documents; returns the characters in each shard."""
    import numpy as np

    with ExitStack() as stack:
        streams = [stack.enter_context(compressed_writer(*pair)) for pair in zip(outputs, files, strict=True)]
        writer = ShardWriter(streams, np.random.default_rng(random_seed))
        for documents in batches:
            counts["documents_out"] += len(documents)
            counts["lines_out"] += len(documents) + sum(document.count("\n") for document in documents)
            writer.write(documents)
        writer.flush()
    return writer.sizes


def check_enough_documents(inputs: list[Path], counts: Counter, dropped: Counter, num_files: int) -> None:
    names = ", ".join(map(str, inputs))
    if not counts["documents_out"]:
        raise ValueError(
            f"{names}: no document in the input; expected text with a blank line between documents (dropped: "
            f"{dict(dropped) or 'nothing'})"
        )
    if counts["documents_out"] < num_files:
        raise ValueError(
            f"{names}: {counts['documents_out']} documents cannot fill --num_files {num_files} shards; "
            "name fewer shards (documents are separated by blank lines)"
        )


if __name__ == "__main__":
    stage.run_stage(get_parser(), main)

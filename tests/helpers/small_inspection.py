"""Small data sets, ways to spoil them, and what the inspection finds."""

from pathlib import Path

from japanese_bert.inspection.page import Inspection
from japanese_bert.tokenization.vocab import load_vocab
from tests.helpers.small_pretraining import make_data, write_corpus, write_vocab
from tools import inspect_pretraining_data as tool


def look(*flags: object) -> Inspection:
    """Return what the tool finds. `--output_file` is not written."""
    args = tool.get_parser().parse_args([*map(str, flags), "--output_file", "none.html"])
    vocab = load_vocab(args.vocab_file) if args.vocab_file else None
    data_sets = tool.read_data(args, vocab) if vocab else []
    return tool.judge(data_sets, tool.read_text(args) if args.corpus_files else None, vocab)


def lines(found: Inspection) -> list[str]:
    """Return what is unusual."""
    return list(map(str, found.unusual))


def write_small(place: Path, *flags: str) -> tuple[Path, Path]:
    """Write a data set of ten documents, and return it and its vocabulary."""
    vocab = write_vocab(place / "vocab.txt")
    return make_data(write_corpus(place / "corpus.txt"), vocab, place / "data.tfrecord.gz", *flags), vocab

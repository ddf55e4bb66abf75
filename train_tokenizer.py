"""Sentences -> vocab.txt: a WordPiece vocabulary on words segmented by MeCab.

Input is text, one sentence per line. Blank lines are skipped. Each sentence is normalized by NFKC and segmented, but
not lower-cased. The output has exactly `--vocab_size` lines: special tokens, unused ones, the alphabet by code point,
then pieces and words. It is the same in every run and for any number of workers.
"""

import argparse
from collections import Counter
from pathlib import Path

from japanese_bert.common import command_line, text_files
from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary, progress_bar
from japanese_bert.tokenization import alphabet, vocab, word_counts, wordpiece_training, words
from japanese_bert.tokenization.mecab import DICTIONARY_PACKAGES

UNIDIC_CHARACTERS = 7012


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="Memory: about 250 bytes per distinct word, and the sample if --sample_sentences is given.",
        formatter_class=command_line.HelpFormatter,
    )
    group = parser.add_argument_group("input")
    group.add_argument("--input_files", nargs="+", required=True, help="text or .gz, .bz2, .xz; names, globs, commas")
    group.add_argument("--initial_alphabet_file", type=Path, help="made by make_alphabet_from_unidic.py")
    group = parser.add_argument_group("output")
    group.add_argument("--output_dir", type=Path, required=True, help="directory for vocab.txt")
    group.add_argument("--character_output_dir", type=Path, help="also write the character vocabulary, its first lines")
    group = parser.add_argument_group("method")
    group.add_argument("--pre_tokenizer_type", choices=("mecab", "whitespace"), default="mecab", help="word splitter")
    group.add_argument("--mecab_dic_type", default="unidic_lite", help=f"{', '.join(DICTIONARY_PACKAGES)} or directory")
    group.add_argument("--mecab_option", default="", help="further options for MeCab")
    group.add_argument("--vocab_size", type=int, default=32768, help="lines of vocab.txt")
    group.add_argument(
        "--limit_alphabet", type=int, default=UNIDIC_CHARACTERS, help="characters, initial ones included"
    )
    group.add_argument("--num_unused_tokens", type=int, default=10, help="[unused0], [unused1], ...")
    group.add_argument("--wordpieces_prefix", default="##", help="mark of a piece inside a word")
    group.add_argument("--min_frequency", type=int, default=2, help="occurrences that a merge needs")
    group.add_argument("--sample_sentences", type=int, help="train on this many sentences, drawn at random")
    group.add_argument("--random_seed", type=int, default=12345, help="for --sample_sentences")
    command_line.add_run_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    watch = Stopwatch()
    input_files = _check_arguments(args)
    splitter = words.make_word_splitter(
        args.pre_tokenizer_type, args.mecab_dic_type, do_lower_case=False, mecab_option=args.mecab_option
    )
    provenance = _provenance(args, input_files, splitter)
    initial_alphabet = alphabet.load_alphabet(args.initial_alphabet_file) if args.initial_alphabet_file else []
    directories = [args.output_dir, *([args.character_output_dir] if args.character_output_dir else [])]
    outputs = [directory / "vocab.txt" for directory in directories]
    _check_kinds(outputs, provenance, args.vocab_size)
    if skip_if_complete(provenance, outputs):
        return
    with open_outputs(outputs, provenance, args.overwrite) as files:
        counts, totals = _count_words(args, input_files, splitter)
        characters = wordpiece_training.choose_alphabet(counts, initial_alphabet, args.limit_alphabet)
        tokens = wordpiece_training.train_wordpiece(
            counts,
            characters,
            vocab_size=args.vocab_size,
            num_unused_tokens=args.num_unused_tokens,
            wordpieces_prefix=args.wordpieces_prefix,
            min_frequency=args.min_frequency,
        )
        num_fixed = len(vocab.SPECIAL_TOKENS) + args.num_unused_tokens + len(characters)
        files[0].write(vocab.vocab_bytes(tokens))
        for character_file in files[1:]:
            character_file.write(vocab.vocab_bytes(tokens[:num_fixed]))
        provenance.report.update({"counts": {**totals, "distinct_words": len(counts), "alphabet": len(characters)}})
        provenance.report.update(watch.measurements())
    summary = {"vocabulary": len(tokens), "character_vocabulary": num_fixed, **provenance.report["counts"]}
    print_summary(f"{args.output_dir}:", summary | watch.measurements())


def _check_kinds(outputs: list[Path], provenance: Provenance, vocab_size: int) -> None:
    """Raise FileExistsError if one vocabulary of this training has the place of the other. Provenance tells no kind."""
    for path, is_wordpiece in zip(outputs, (True, False), strict=False):
        if provenance.is_complete([path]) and (path.read_bytes().count(b"\n") == vocab_size) != is_wordpiece:
            raise FileExistsError(f"{path}: is the other one of this training's vocabularies. Name another directory")


def _check_arguments(args: argparse.Namespace) -> list[Path]:
    """Return the input files, or raise ValueError for the first argument that cannot work."""
    names = ("vocab_size", "limit_alphabet", "min_frequency", "num_workers", "sample_sentences")
    command_line.check_positive({name: getattr(args, name) for name in names if getattr(args, name) is not None})
    command_line.check_not_negative({name: getattr(args, name) for name in ("num_unused_tokens", "random_seed")})
    if args.character_output_dir and args.character_output_dir.resolve() == args.output_dir.resolve():
        raise ValueError(f"--character_output_dir {args.output_dir}: expected another directory than --output_dir")
    return text_files.expand_paths(args.input_files)


def _provenance(args: argparse.Namespace, input_files: list[Path], splitter: words.WordSplitter) -> Provenance:
    dictionary = splitter.dictionary
    return Provenance(
        stage="train_tokenizer",
        method={
            "pre_tokenizer_type": args.pre_tokenizer_type,
            "mecab_option": args.mecab_option if dictionary else None,
            "vocab_size": args.vocab_size,
            "limit_alphabet": args.limit_alphabet,
            "has_initial_alphabet": args.initial_alphabet_file is not None,
            "num_unused_tokens": args.num_unused_tokens,
            "wordpieces_prefix": args.wordpieces_prefix,
            "min_frequency": args.min_frequency,
            "sample_sentences": args.sample_sentences,
            "random_seed": args.random_seed if args.sample_sentences else None,
        },
        inputs=InputFiles(
            text=input_files, alphabet=[args.initial_alphabet_file] if args.initial_alphabet_file else []
        ),
        arguments=vars(args),
        dictionary=dictionary.identity() if dictionary else None,
        packages=("tokenizers", "fugashi") if dictionary else ("tokenizers",),
    )


def _count_words(
    args: argparse.Namespace, input_files: list[Path], splitter: words.WordSplitter
) -> tuple[Counter[str], Counter[str]]:
    with progress_bar("words", text_files.size_on_disk(input_files), "B") as bar:
        blocks = word_counts.read_corpus(input_files, bar.update)
        read: Counter[str] = Counter()
        if args.sample_sentences:
            blocks = word_counts.sample_corpus(blocks, args.sample_sentences, args.random_seed, read)
        counts, totals = word_counts.count_words(blocks, splitter, args.num_workers)
    if not counts:
        raise ValueError(f"{', '.join(args.input_files)}: no words. Expected text, one sentence per line")
    if args.sample_sentences:
        totals |= {name: read[name] for name in read if name != "sentences"}
        totals["sentences_before_sampling"] = read["sentences"]
    return counts, totals


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

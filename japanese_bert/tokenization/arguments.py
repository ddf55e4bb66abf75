"""Flags of the tokenization, the same for pretraining and fine-tuning, and the tokenizer that they describe."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from japanese_bert.tokenization.vocab import Vocab
    from japanese_bert.tokenization.words import WordSplitter

# Arguments that decide no byte of the output, or that the provenance has by content (hashes, dictionary).
FILE_ARGUMENTS = ("vocab_file", "spm_file", "mecab_dic_type", "check_records")


class DataTokenizer(NamedTuple):  # the import of dataclasses would take a fifth of the time of --help
    """The way from a text to ids in data creation: words, then the ids of each word."""

    splitter: "WordSplitter"
    encode_word: Callable[[str], list[int]]
    vocab: "Vocab"
    vocab_file: Path

    @property
    def packages(self) -> tuple[str]:
        """Return the package whose version decides words."""
        return ("sentencepiece",) if self.vocab_file.suffix == ".model" else ("fugashi",)

    def encode(self, text: str) -> list[int]:
        """Return the ids of one text."""
        return [index for word in self.splitter.split(text) for index in self.encode_word(word)]


def add_tokenization_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that decide how text becomes ids."""
    switch = argparse.BooleanOptionalAction
    words = parser.add_argument_group("tokenization")
    words.add_argument("--vocab_file", type=Path, help="vocab.txt of the model, e.g. of train_tokenizer.py")
    words.add_argument("--spm_file", type=Path, help="spiece.model, for --subword_tokenizer_type sentencepiece")
    words.add_argument(
        "--word_tokenizer_type",
        choices=["mecab", "basic"],
        default="mecab",
        help="sentence -> words; sentencepiece needs none",
    )
    words.add_argument("--mecab_dic_type", default="unidic_lite", help="unidic_lite, unidic, ipadic or a directory")
    words.add_argument(
        "--subword_tokenizer_type",
        choices=["wordpiece", "character", "sentencepiece"],
        default="wordpiece",
        help="word -> tokens; sentencepiece (ALBERT): sentence -> tokens",
    )
    words.add_argument(
        "--vocab_has_no_subword_prefix",
        action=switch,
        default=False,
        help="entries inside words have no ## (character)",
    )
    words.add_argument("--do_lower_case", action=switch, default=False, help="as the tokenizer_config.json says")
    words.add_argument(
        "--strip_accents",
        action=switch,
        help="basic, sentencepiece: drop combining marks, as in が -> か. Default: as --do_lower_case",
    )
    words.add_argument(
        "--tokenize_chinese_chars",
        action=switch,
        default=True,
        help="basic: each Chinese character is a word, as in Google's models. With --no- as in BertJapaneseTokenizer",
    )
    words.add_argument(
        "--check_records",
        action=switch,
        default=True,
        help="the tokenization must be that of vocab.txt.json and of a tokenizer_config.json beside the vocabulary",
    )


def load_data_tokenizer(args: argparse.Namespace) -> DataTokenizer:
    """Return the tokenizer that the flags describe. For sentencepiece this is also `args.word_tokenizer_type` then.

    Raises:
        FileNotFoundError, ValueError: a file is missing, or two flags do not fit together.
    """
    from japanese_bert.tokenization.subwords import make_subword_encoder
    from japanese_bert.tokenization.vocab import load_vocab
    from japanese_bert.tokenization.words import make_word_splitter

    kind = args.subword_tokenizer_type
    needed, other = ("spm_file", "vocab_file") if kind == "sentencepiece" else ("vocab_file", "spm_file")
    if not getattr(args, needed) or getattr(args, other):
        raise ValueError(f"--subword_tokenizer_type {kind}: expected --{needed}, and no --{other}")
    if kind == "sentencepiece":
        return _load_sentencepiece(args)
    if args.word_tokenizer_type == "mecab":
        if not args.mecab_dic_type:
            raise ValueError("--mecab_dic_type: is empty. Expected unidic_lite, unidic, ipadic or a directory")
        if args.strip_accents:
            raise ValueError("--strip_accents: MeCab's words keep their marks. Expected --word_tokenizer_type basic")
    splitter = make_word_splitter(
        args.word_tokenizer_type,
        args.mecab_dic_type,
        args.do_lower_case,
        strip_accents=args.strip_accents,
        tokenize_chinese_chars=args.tokenize_chinese_chars,
    )
    vocab = load_vocab(args.vocab_file)
    encode_word = make_subword_encoder(kind, vocab, not args.vocab_has_no_subword_prefix)
    return DataTokenizer(splitter, encode_word, vocab, args.vocab_file)


def _load_sentencepiece(args: argparse.Namespace) -> DataTokenizer:
    from japanese_bert.tokenization.sentencepiece_model import SentencePieceWords, load_spm_vocab, read_ids

    args.word_tokenizer_type = "sentencepiece"
    strips = args.do_lower_case if args.strip_accents is None else args.strip_accents
    splitter = SentencePieceWords(args.spm_file, args.do_lower_case, strips)
    return DataTokenizer(splitter, read_ids, load_spm_vocab(args.spm_file), args.spm_file)


def method_of(args: argparse.Namespace, left_out: Collection[str]) -> dict[str, Any]:
    """Return the arguments that decide bytes of the output, for its provenance.

    Newer flags are there only if they change something: records of older outputs do not have them.
    """
    values = {name: value for name, value in vars(args).items() if name not in (*left_out, *FILE_ARGUMENTS)}
    if args.word_tokenizer_type != "basic" or not args.tokenize_chinese_chars:
        del values["tokenize_chinese_chars"]
    if args.strip_accents in (None, args.do_lower_case):
        del values["strip_accents"]
    return values

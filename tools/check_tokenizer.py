"""Check that a model directory, on this machine, gives text the tokens that its training data has.

The check compares the dictionary, the vocabulary, and the ids of every sentence. Those of create_pretraining_data.py
must equal those of the slow tokenizer of Transformers, and of the fast one if the directory has it. The first
difference ends it with exit code 1. Sentences that spell a special token are left out: Transformers takes it for the
special token, data creation takes it for text.
"""

import argparse
import itertools
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from japanese_bert.common import command_line, text_files
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.tokenization import identity, tokenizer_directory
from japanese_bert.tokenization.tokenizer_directory import FAST_TOKENIZER_FILE, TokenizerSettings
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab

SENTENCES_AT_ONCE = 500
# Tokenizers tend to differ here: forms that NFKC changes, white space, symbols, unknown characters, long words.
SENTENCES = (
    "吾輩は猫である。名前はまだ無い。",
    "NHKのＴＶでPythonのiPhone12をCO₂とABC㎏で２０２４年３月に見た！？",
    "ｶﾞﾗｽとﾊﾟﾝと㈱と㍻と①とⅧと～と—と―",
    "　　全角の　空白　　と\tタブ  ",
    "がぎぐ は゛ぱ゜ か\u3099 e\u0301 ﷺ ẞ ı İ 𠮷野家 😀 々",
    "U+2028\u2028とU+0085\u0085とU+00A0\u00a0とU+200B\u200bとBOM\ufeff",
    "## ### #タグ ##A a##b [unused0] （笑）www ＾＾；；；",
    "https://example.com/?q=日本語&x=1 foo.bar@example.jp",
    "ー" * 120,
)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog=__doc__.split("\n\n")[1], formatter_class=command_line.HelpFormatter
    )
    group = parser.add_argument_group("input")
    group.add_argument("--model_dir", type=Path, required=True, help="directory with tokenizer_config.json, vocab.txt")
    group.add_argument(
        "--input_file", nargs="+", help="sentences, one per line, plain or compressed; without it: built-in ones"
    )
    group.add_argument("--num_sentences", type=int, help="compare only the first so many")
    group = parser.add_argument_group("run")
    group.add_argument(
        "--trust_remote_code",
        action=argparse.BooleanOptionalAction,
        default=False,
        help=f"run the directory's {FAST_TOKENIZER_FILE} even if it is not this project's",
    )
    return parser


def main(args: argparse.Namespace) -> None:
    watch = Stopwatch()
    if args.num_sentences is not None:
        command_line.check_positive({"num_sentences": args.num_sentences})
    config_file = args.model_dir / tokenizer_directory.TOKENIZER_CONFIG_FILE
    settings = tokenizer_directory.load_settings(config_file)
    tokenizer_directory.check_model_input_names(config_file, settings)
    vocab = tokenizer_directory.load_checked_vocab(args.model_dir)
    print(f"dictionary: {check_recorded(args.model_dir, settings)}")
    paths = text_files.expand_paths(args.input_file) if args.input_file else []
    tokenizers = load_tokenizers(args.model_dir, settings, args.trust_remote_code)
    for name, tokenizer in tokenizers.items():
        check_special_tokens(name, tokenizer, vocab)
        print(f"{name}: {type(tokenizer).__name__}, special tokens and token_type_ids as expected")
    encode = tokenizer_directory.make_encoder(settings, vocab)
    counts: Counter[str] = Counter()
    sentences = read_sentences(paths, args.num_sentences, counts)
    while chunk := list(itertools.islice(sentences, SENTENCES_AT_ONCE)):
        compare(chunk, encode, tokenizers, vocab, counts)
    if not counts["compared"]:
        raise ValueError(f"{', '.join(map(str, paths))}: no sentence to compare. Expected text, one sentence per line")
    print_summary(f"{args.model_dir}: same ids on every sentence", {**counts, **watch.measurements()})


def check_recorded(directory: Path, settings: TokenizerSettings) -> str:
    """Compare the directory and the installed dictionary with what its data was made with. Return it in words."""
    recorded = identity.of_model_directory(directory)
    splitter = settings.splitter()
    installed = splitter.dictionary.identity() if splitter.dictionary else None
    identity.check_same([recorded, identity.of_directory(directory)], advice="Copy the files of the trained model")
    here = identity.Tokenization("installed here", dictionary=installed)
    identity.check_same([recorded, here], advice="Install the recorded one")
    if installed is None:
        return "none is used"
    ending = ", as recorded" if recorded.dictionary else " installed. The directory does not record its own"
    return identity.describe_dictionary(installed) + ending


def load_tokenizers(directory: Path, settings: TokenizerSettings, trust_remote_code: bool) -> dict[str, Any]:
    """Return the slow tokenizer, and the fast one if the directory has it, by their names in messages."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # MeCab runs in Python: threads only wait for each other
    import transformers

    load = transformers.AutoTokenizer.from_pretrained
    version = f"transformers {transformers.__version__}"
    tokenizers = {f"slow tokenizer ({version})": load(directory, trust_remote_code=False)}
    module = directory / FAST_TOKENIZER_FILE
    if not module.is_file() or settings.word_tokenizer_type != "mecab":
        print("fast tokenizer: the directory has none")
        return tokenizers
    ours = Path(tokenizer_directory.__file__).with_name(FAST_TOKENIZER_FILE)
    if not trust_remote_code and module.read_bytes() != ours.read_bytes():
        raise ValueError(
            f"{module}: not this project's {ours.name}. Copy that there, or run the directory's own code with "
            "--trust_remote_code"
        )
    if trust_remote_code:
        fast = load(directory, trust_remote_code=True)
    else:  # the class of our own file: `auto_map` of the directory may name any other
        from japanese_bert.tokenization.tokenization_bert_japanese_fast import BertJapaneseTokenizerFast

        fast = BertJapaneseTokenizerFast.from_pretrained(directory)
    tokenizers[f"fast tokenizer ({version})"] = fast
    return tokenizers


def check_special_tokens(name: str, tokenizer: Any, vocab: Vocab) -> None:
    """Raise ValueError if an id is not its line in vocab.txt, or if a pair of sentences gets wrong segments."""
    ids = tokenizer.convert_tokens_to_ids(list(vocab.tokens))
    if ids != list(range(len(vocab))):
        line = next(index for index, found in enumerate(ids) if found != index)
        raise ValueError(f"{name}: {vocab.tokens[line]!r} has id {ids[line]}, but is on line {line + 1} of vocab.txt")
    encoded = tokenizer("日本", "語")
    pad, _, cls, sep, _ = (vocab.ids[token] for token in SPECIAL_TOKENS)
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("日本", "語"))
    expected = {
        "input_ids": [cls, *first, sep, *second, sep],
        "token_type_ids": [0] * (len(first) + 2) + [1] * (len(second) + 1),
        "attention_mask": [1] * (len(first) + len(second) + 3),
    }
    if dict(encoded) != expected or tokenizer.pad_token_id != pad:
        raise ValueError(f"{name}: a pair of sentences becomes {dict(encoded)}, expected {expected}")


def read_sentences(paths: list[Path], limit: int | None, counts: Counter[str]) -> Iterator[str]:
    """Yield the sentences of all files, or the built-in ones, without the characters that data creation drops."""
    lines = itertools.chain.from_iterable(map(_text_lines, paths)) if paths else iter(SENTENCES)
    for sentence in itertools.islice(filter(None, lines), limit):
        counts["sentences"] += 1
        if any(token in sentence for token in SPECIAL_TOKENS):
            counts["left_out_with_special_tokens"] += 1
        else:
            yield sentence


def _text_lines(path: Path) -> Iterator[str]:
    for block in text_files.read_line_blocks(path):
        for line in block.split(b"\n"):
            yield line.decode("utf-8", errors="ignore").replace("\0", "").strip()


def compare(
    sentences: Sequence[str],
    encode: Callable[[str], list[int]],
    tokenizers: dict[str, Any],
    vocab: Vocab,
    counts: Counter[str],
) -> None:
    """Raise ValueError at the first sentence whose ids differ, after printing both token lists."""
    expected = [encode(sentence) for sentence in sentences]
    for name, tokenizer in tokenizers.items():
        found = tokenizer(list(sentences))["input_ids"]
        for sentence, ours, theirs in zip(sentences, expected, found, strict=True):
            if ours != theirs:
                print(f"sentence: {sentence}")
                for label, ids in (("data creation", ours), (name, theirs)):
                    print(f"{label}: {' '.join(vocab.tokens[index] for index in ids)}")
                raise ValueError(f"{name}: tokenizes differently from the training data. See the tokens above")
    counts["compared"] += len(sentences)
    counts["changed_by_nfkc"] += sum(not unicodedata.is_normalized("NFKC", sentence) for sentence in sentences)
    counts["tokens"] += sum(map(len, expected))


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)

"""The tokenizer of a model directory: its settings, its vocabulary, and the dictionary that its data was made with.

Conversion writes the dictionary's identity into `provenance.json`. If that is missing, `vocab.txt.json` of
`train_tokenizer.py` has it, provided it was copied along. Transformers reads neither: it takes the installed
dictionary.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from japanese_bert.common.provenance import read_provenance
from japanese_bert.tokenization.mecab import Dictionary, dictionary_of_option, find_dictionary
from japanese_bert.tokenization.subwords import make_subword_encoder
from japanese_bert.tokenization.vocab import CLS, PAD, SEP, SPECIAL_TOKENS, Vocab, load_vocab
from japanese_bert.tokenization.words import make_word_splitter

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
VOCAB_FILE = "vocab.txt"
FAST_TOKENIZER_FILE = "tokenization_bert_japanese_fast.py"  # a copy of the module of this name
MODEL_INPUT_NAMES = ["input_ids", "token_type_ids", "attention_mask"]


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """The fields of a `tokenizer_config.json` that decide tokens, by the names of `BertJapaneseTokenizer`."""

    word_tokenizer_type: str
    subword_tokenizer_type: str
    do_lower_case: bool
    mecab_dic: str | None
    mecab_option: str
    model_input_names: list[str]

    def dictionary(self) -> Dictionary | None:
        """Return the installed dictionary that these settings name, or None if they need none.

        Raises:
            ImportError, FileNotFoundError: the dictionary is not installed.
        """
        if self.word_tokenizer_type != "mecab":
            return None
        return find_dictionary(self.mecab_dic) if self.mecab_dic else dictionary_of_option(self.mecab_option)


def load_settings(path: Path) -> TokenizerSettings:
    """Read a `tokenizer_config.json`.

    Raises:
        ValueError: data creation has no such tokenizer.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Copy it from hf_model_configs/<name>")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    mecab_kwargs = values.get("mecab_kwargs") or {}
    settings = TokenizerSettings(
        word_tokenizer_type=values.get("word_tokenizer_type", "basic"),
        subword_tokenizer_type=values.get("subword_tokenizer_type", "wordpiece"),
        do_lower_case=values.get("do_lower_case", False),
        mecab_dic=mecab_kwargs.get("mecab_dic", "unidic_lite"),
        mecab_option=mecab_kwargs.get("mecab_option") or "",
        model_input_names=values.get("model_input_names", []),
    )
    _check_settings(path, settings, mecab_kwargs)
    return settings


def _check_settings(path: Path, settings: TokenizerSettings, mecab_kwargs: Mapping[str, object]) -> None:
    choices = {"word_tokenizer_type": ("mecab", "basic"), "subword_tokenizer_type": ("wordpiece", "character")}
    for name, expected in choices.items():
        if getattr(settings, name) not in expected:
            raise ValueError(f"{path}: {name} is {getattr(settings, name)!r}, expected one of {', '.join(expected)}")
    if mecab_kwargs.get("normalize_text", True) is not True:
        raise ValueError(f"{path}: normalize_text is off, but data is made of text normalized by NFKC")


def check_model_input_names(path: Path, settings: TokenizerSettings) -> None:
    """Raise ValueError if Transformers 5 would leave `token_type_ids` out."""
    if settings.model_input_names != MODEL_INPUT_NAMES:
        raise ValueError(
            f"{path}: model_input_names is {settings.model_input_names}, expected {MODEL_INPUT_NAMES}. "
            "Copy tokenizer_config.json from hf_model_configs/<name>"
        )


def load_checked_vocab(directory: Path) -> Vocab:
    """Return the vocabulary, compared with `config.json` if the directory has one.

    Raises:
        ValueError: special tokens are not in their places, or `config.json` describes another vocabulary.
    """
    path = directory / VOCAB_FILE
    vocab = load_vocab(path)
    if vocab.tokens[: len(SPECIAL_TOKENS)] != SPECIAL_TOKENS:
        first = " ".join(vocab.tokens[: len(SPECIAL_TOKENS)])
        raise ValueError(f"{path}:1: begins with {first}, expected {' '.join(SPECIAL_TOKENS)}")
    config_file = directory / "config.json"
    if config_file.is_file():
        expected = {"vocab_size": len(vocab), "pad_token_id": vocab.ids[PAD]}
        config = json.loads(config_file.read_text(encoding="utf-8"))
        for name, value in expected.items():
            if config.get(name, value) != value:
                raise ValueError(
                    f"{config_file}: {name} is {config[name]}, but {value} in {path}. Copy the vocabulary that the "
                    "model was trained with"
                )
    return vocab


def make_encoder(settings: TokenizerSettings, vocab: Vocab) -> Callable[[str], list[int]]:
    """Return a function from a sentence to its ids as data creation makes them, between `[CLS]` and `[SEP]`."""
    splitter = make_word_splitter(
        settings.word_tokenizer_type, settings.mecab_dic, settings.do_lower_case, settings.mecab_option
    )
    encode_word = make_subword_encoder(
        settings.subword_tokenizer_type, vocab, has_subword_prefix=settings.subword_tokenizer_type == "wordpiece"
    )

    def encode(sentence: str) -> list[int]:
        pieces = [piece for word in splitter.split(sentence) for piece in encode_word(word)]
        return [vocab.ids[CLS], *pieces, vocab.ids[SEP]]

    return encode


def recorded_dictionary(directory: Path) -> Mapping[str, Any] | None:
    """Return the identity of the dictionary that the directory's data was made with, or None if it is not recorded."""
    for made_by in (read_provenance(directory), read_provenance(directory / VOCAB_FILE)):
        if made_by and made_by.get("dictionary"):
            return made_by["dictionary"]
    return None


def dictionary_of_data(settings: TokenizerSettings | None, data: list[Path]) -> Mapping[str, Any] | None:
    """Return the identity of the dictionary that vocabulary and TFRecords were made with.

    It comes from their `<output>.json`. Without them it is the identity of the installed dictionary.

    Raises:
        ValueError: two files were made with different dictionaries, or with another one than `settings` name.
    """
    first, recorded = None, None
    for path in data:
        identity = (read_provenance(path) or {}).get("dictionary")
        if identity:
            first, recorded = first or path, recorded or identity
            check_same_dictionary(identity, recorded, str(path), str(first))
    if settings is None or settings.word_tokenizer_type != "mecab":
        return recorded
    if recorded and settings.mecab_dic and Path(settings.mecab_dic).name != recorded["name"]:
        raise ValueError(
            f"{first}: made with the dictionary {describe_dictionary(recorded)}, but "
            f"{TOKENIZER_CONFIG_FILE} names {settings.mecab_dic}. Give the --hf_config_dir of the trained model"
        )
    if recorded:
        return recorded
    with suppress(ImportError, FileNotFoundError):
        installed = settings.dictionary()
        return installed.identity() if installed else None
    return None


def check_same_dictionary(found: Mapping[str, Any], expected: Mapping[str, Any], here: str, there: str) -> None:
    """Raise ValueError naming both dictionaries if they differ."""
    if found != expected:
        raise ValueError(
            f"{here}: dictionary {describe_dictionary(found)}, but {describe_dictionary(expected)} in {there}. "
            "Another dictionary changes tokens, and nothing else warns. Install the same one"
        )


def describe_dictionary(identity: Mapping[str, Any]) -> str:
    """Return `unidic_lite 1.0.8 (157,384,948 bytes)`."""
    version = identity.get("version") or f"sha256 {str(identity.get('sha256'))[:12]}"
    return f"{identity['name']} {version} ({identity['size']:,} bytes)"

"""The tokenizer of a model directory: its settings, and its vocabulary."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from japanese_bert.common.json_files import read_json_object
from japanese_bert.tokenization.mecab import parse_mecab_option
from japanese_bert.tokenization.subwords import make_subword_encoder
from japanese_bert.tokenization.vocab import CLS, PAD, SEP, Vocab, load_vocab
from japanese_bert.tokenization.words import WordSplitter, make_word_splitter

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
VOCAB_FILE = "vocab.txt"
SPM_FILE = "spiece.model"
FAST_TOKENIZER_FILE = "tokenization_bert_japanese_fast.py"  # a copy of the module of this name
NO_DICTIONARY = (
    "names no MeCab dictionary. The first Japanese models (v1) mean ipadic there, but Transformers now takes "
    "unidic_lite and gives other tokens"
)
MODEL_INPUT_NAMES = ["input_ids", "token_type_ids", "attention_mask"]

# Of other classes than BertJapaneseTokenizer.
CLASS_DEFAULTS: Mapping[str, dict[str, Any]] = {
    "BertTokenizer": {
        "word_tokenizer_type": "basic",
        "subword_tokenizer_type": "wordpiece",
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
    },
    "AlbertTokenizer": {
        "word_tokenizer_type": "sentencepiece",
        "subword_tokenizer_type": "sentencepiece",
        "do_lower_case": True,
        "keep_accents": False,
    },
}


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """The fields of a `tokenizer_config.json` that decide tokens, by the names of `BertJapaneseTokenizer`."""

    word_tokenizer_type: str
    subword_tokenizer_type: str
    do_lower_case: bool
    mecab_dic: str | None
    mecab_option: str
    model_input_names: list[str]
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = False

    def splitter(self) -> WordSplitter:
        """Return the word splitter. Its dictionary is the one that is installed here.

        Raises:
            ImportError, FileNotFoundError: the dictionary is not installed.
        """
        return make_word_splitter(
            self.word_tokenizer_type,
            self.mecab_dic,
            self.do_lower_case,
            self.mecab_option,
            self.strip_accents,
            self.tokenize_chinese_chars,
        )


def load_settings(path: Path) -> TokenizerSettings:
    """Read a `tokenizer_config.json`.

    Raises:
        ValueError: data creation has no such tokenizer.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Copy it from hf_model_configs/<name>")
    values = with_class_defaults(read_json_object(path))
    if names_no_dictionary(values):
        raise ValueError(
            f'{path}: {NO_DICTIONARY}. Write "mecab_kwargs": {{"mecab_dic": "ipadic"}} into it, or "unidic_lite"'
        )
    mecab_kwargs = values.get("mecab_kwargs") or {}
    settings = TokenizerSettings(
        word_tokenizer_type=values.get("word_tokenizer_type", "basic"),
        subword_tokenizer_type=values.get("subword_tokenizer_type", "wordpiece"),
        do_lower_case=values.get("do_lower_case", False),
        mecab_dic=mecab_kwargs.get("mecab_dic", "unidic_lite"),
        mecab_option=mecab_kwargs.get("mecab_option") or "",
        model_input_names=values.get("model_input_names", []),
        strip_accents=values.get("strip_accents"),
        tokenize_chinese_chars=values.get("tokenize_chinese_chars", False),
    )
    _check_settings(path, settings, mecab_kwargs)
    return settings


def with_class(settings: Mapping[str, Any], config_file: Path) -> dict[str, Any]:
    """Return a `tokenizer_config.json` with the class that Transformers takes if it names none."""
    if {"tokenizer_class", "word_tokenizer_type"} & settings.keys():
        return dict(settings)
    config = read_json_object(config_file)
    name = "AlbertTokenizer" if config.get("model_type") == "albert" else "BertTokenizer"
    return {**settings, "tokenizer_class": config.get("tokenizer_class") or name}


def with_class_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `tokenizer_config.json` with the defaults of `BertTokenizer` or `AlbertTokenizer`, if it names one.

    Words and subwords get their names on our command line. The class leaves them out.
    """
    name = str(values.get("tokenizer_class", "")).removesuffix("Fast")
    if name not in CLASS_DEFAULTS:
        return dict(values)
    filled = CLASS_DEFAULTS[name] | {key: value for key, value in values.items() if value is not None}
    strips = not filled.pop("keep_accents") if name == "AlbertTokenizer" else filled["do_lower_case"]
    return {"strip_accents": strips, **filled}


def names_no_dictionary(values: Mapping) -> bool:
    """Return True if a `tokenizer_config.json` leaves MeCab's dictionary to the version of Transformers."""
    kwargs = values.get("mecab_kwargs") or {}
    is_named = kwargs.get("mecab_dic") or parse_mecab_option(kwargs.get("mecab_option") or "")[0].dicdir
    return values.get("word_tokenizer_type") == "mecab" and not is_named


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
        ValueError: [PAD] is not the first token, or `config.json` describes another vocabulary.
    """
    path = directory / VOCAB_FILE
    vocab = load_vocab(path)
    if vocab.ids[PAD]:
        raise ValueError(f"{path}:1: is {vocab.tokens[0]}, expected {PAD}")
    config_file = directory / "config.json"
    if config_file.is_file():
        expected = {"vocab_size": len(vocab), "pad_token_id": vocab.ids[PAD]}
        config = read_json_object(config_file)
        for name, value in expected.items():
            if config.get(name, value) != value:
                raise ValueError(
                    f"{config_file}: {name} is {config[name]}, but {value} in {path}. Copy the vocabulary that the "
                    "model was trained with"
                )
    return vocab


def make_encoder(settings: TokenizerSettings, vocab: Vocab) -> Callable[[str], list[int]]:
    """Return a function from a sentence to its ids as data creation makes them, between `[CLS]` and `[SEP]`."""
    splitter, encode_word = settings.splitter(), make_word_encoder(settings, vocab)

    def encode(sentence: str) -> list[int]:
        pieces = [piece for word in splitter.split(sentence) for piece in encode_word(word)]
        return [vocab.ids[CLS], *pieces, vocab.ids[SEP]]

    return encode


def make_word_encoder(settings: TokenizerSettings, vocab: Vocab) -> Callable[[str], list[int]]:
    """Return a function from a word of the splitter to its ids."""
    kind = settings.subword_tokenizer_type
    return make_subword_encoder(kind, vocab, has_subword_prefix=kind == "wordpiece")

"""A list of words, or a vocabulary -> the tokens to add to the vocabulary of a model.

Text is normalized before the vocabulary is asked. So an entry in another form, such as `ｶﾞﾗｽ`, would never be found.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from japanese_bert.conversion.hf_reading import PREFIX, new_tokens
from japanese_bert.tokenization.tokenizer_directory import with_class_defaults
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab, read_tokens
from japanese_bert.tokenization.words import make_word_splitter, normalize_word

SHOWN_TOKENS = 10


def choose_tokens(
    add_vocab_file: Path, vocab: Vocab | None, add_pieces: bool, settings: Mapping[str, Any]
) -> list[str]:
    """Return the words of a file that the vocabulary lacks, and its pieces if asked for."""
    if vocab is None:
        raise FileNotFoundError(f"--add_vocab_file {add_vocab_file}: the model has no vocab.txt to add to")
    settings = with_class_defaults(settings)
    candidates = normalized_tokens(add_vocab_file, settings)
    tokens = new_tokens(vocab, candidates)
    added = [token for token in tokens if add_pieces or not token.startswith(PREFIX)]
    left_out = f"new pieces that begin with {PREFIX} ({len(tokens) - len(added):,}). --add_pieces adds them"
    if not added:
        advice = f"It has {left_out}" if tokens else "Leave --add_vocab_file out"
        raise ValueError(f"{add_vocab_file}: has no word that the model's vocab.txt lacks. {advice}")
    print_some("in vocab.txt already", [token for token in dict.fromkeys(candidates) if token in vocab.ids])
    print_some("split by MeCab, so text hits them hardly ever", split_words(added, settings))
    if len(added) < len(tokens):
        print(f"left out: {left_out}")
    return added


def normalized_tokens(path: Path, settings: Mapping[str, Any]) -> list[str]:
    """Return the entries of a list of words, or of a vocabulary, as the tokenizer normalizes text.

    Raises:
        ValueError: an entry can occur in no tokenized text, because it is split before the vocabulary is asked.
    """
    words, changed = [], []
    kind, lowers = settings.get("word_tokenizer_type", "mecab"), bool(settings.get("do_lower_case"))
    splits_kanji = bool(settings.get("tokenize_chinese_chars"))
    for number, line in enumerate(read_tokens(path, "list of words", "an editor, one word a line"), 1):
        entry = line.strip()
        if not entry or entry in SPECIAL_TOKENS or entry.startswith("[unused"):
            continue
        prefix = PREFIX if entry.startswith(PREFIX) else ""
        word = prefix + normalize_word(entry.removeprefix(prefix), kind, lowers, splits_kanji)
        is_character = settings.get("subword_tokenizer_type") == "character"
        if " " in word or (is_character and len(word.removeprefix(prefix)) > 1):
            places = "white space, punctuation and kanji" if splits_kanji else "white space and punctuation"
            unit = "character" if is_character else f"word, because text is split at {places}"
            raise ValueError(f"{path}:{number}: {word!r} is never one token of this model. Expected one {unit}")
        changed += [f"{entry} -> {word}"] * (word != entry)
        words.append(word)
    print_some("normalized as in text", changed)
    return words


def split_words(tokens: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return the words that are several ones for the model's dictionary: `図書館 -> 図書 館`.

    Return none if the tokenizer needs no dictionary, or if that is not on this machine.
    """
    kwargs = settings.get("mecab_kwargs") or {}
    if settings.get("word_tokenizer_type", "mecab") != "mecab" or settings.get("subword_tokenizer_type") == "character":
        return []
    try:
        splitter = make_word_splitter("mecab", kwargs.get("mecab_dic"), False, kwargs.get("mecab_option") or "")
    except (ImportError, FileNotFoundError, ValueError):
        return []
    words = ((token, splitter.split(token)) for token in tokens if not token.startswith(PREFIX))
    return [f"{token} -> {' '.join(parts)}" for token, parts in words if len(parts) > 1]


def print_some(title: str, items: Sequence[str]) -> None:
    """Print how many items there are and the first ones, nothing if there are none."""
    if items:
        more = " ..." if len(items) > SHOWN_TOKENS else ""
        print(f"{title}: {len(items):,} ({', '.join(items[:SHOWN_TOKENS])}{more})")

"""What decides the ids of a text, as the files of different stages state it, and whether they agree.

Ids of one tokenization mean other words in another one. No size or shape shows it: a model would learn or answer
nonsense without an error. So each stage that sees two statements compares them. A file states only a part: `None` is
"not stated", and agrees with everything. Files of other tools, without a record, state nothing.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from japanese_bert.common.json_files import read_json_object
from japanese_bert.common.provenance import Provenance, read_provenance, recorded_inputs
from japanese_bert.tokenization.mecab import (
    DICTIONARY_PACKAGES,
    dictionary_of_option,
    find_dictionary,
    hash_of,
    make_tagger,
    parse_mecab_option,
    with_user_dictionaries,
)
from japanese_bert.tokenization.tokenizer_directory import TOKENIZER_CONFIG_FILE, VOCAB_FILE, with_class_defaults

SAME_OR_FLAG = "Use the same one everywhere, or add --no-check_records"
SUBWORD_PREFIXES = {"wordpiece": "##", "character": ""}  # of entries inside words, in BertJapaneseTokenizer


@dataclass(frozen=True, slots=True)
class Tokenization:
    """What one file states. `source` names it in messages. `dictionary` is the identity of a MeCab dictionary."""

    source: str
    word_tokenizer_type: str | None = None
    subword_tokenizer_type: str | None = None
    subword_prefix: str | None = None
    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool | None = None
    mecab_option: str | None = None
    normalize_text: bool | None = None
    dictionary: Mapping[str, Any] | None = None
    vocab_sha256: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return what is stated, by name, as JSON stores it."""
        return {name: value for name, value in asdict(self).items() if name != "source" and value is not None}


def of_data(made_by: Mapping[str, Any], source: str) -> Tokenization:
    """Return what the provenance of TFRecords states."""
    method, vocab = made_by.get("method", {}), recorded_inputs(made_by, "vocab")
    words, lowers = method.get("word_tokenizer_type"), method.get("do_lower_case")
    has_no_prefix = None if words == "sentencepiece" else method.get("vocab_has_no_subword_prefix")
    uses_mecab = True if made_by.get("dictionary") else None
    return Tokenization(
        source,
        words,
        method.get("subword_tokenizer_type"),
        subword_prefix=None if has_no_prefix is None else "" if has_no_prefix else "##",
        do_lower_case=lowers,
        strip_accents=method.get("strip_accents", lowers) if words in ("basic", "sentencepiece") else None,
        tokenize_chinese_chars=method.get("tokenize_chinese_chars", False) if words == "basic" else None,
        mecab_option="" if uses_mecab else None,
        normalize_text=uses_mecab,
        dictionary=made_by.get("dictionary"),
        vocab_sha256=vocab[0]["sha256"] if vocab else None,
    )


def of_config(path: Path) -> Tokenization:
    """Return what a `tokenizer_config.json` states. It leaves out defaults, which differ between tokenizers."""
    if not path.is_file():
        return Tokenization(str(path))
    values = with_class_defaults(read_json_object(path))
    words, subwords = values.get("word_tokenizer_type"), values.get("subword_tokenizer_type")
    prefix, lowers = SUBWORD_PREFIXES.get(str(subwords)), values.get("do_lower_case")
    if words != "mecab":
        strips, splits = values.get("strip_accents"), values.get("tokenize_chinese_chars")
        return Tokenization(str(path), words, subwords, prefix, lowers, strips, splits)
    kwargs = values.get("mecab_kwargs") or {}
    option = kwargs.get("mecab_option") or ""
    dictionary = _named_dictionary(kwargs.get("mecab_dic"), option)
    others, normalizes = parse_mecab_option(option)[1], kwargs.get("normalize_text", True)
    return Tokenization(
        str(path),
        words,
        subwords,
        prefix,
        lowers,
        mecab_option=others,
        normalize_text=normalizes,
        dictionary=dictionary,
    )


def of_vocab_record(vocab_file: Path) -> Tokenization:
    """Return what `vocab.txt.json` of train_tokenizer.py states: the words that the vocabulary was trained on."""
    made_by = read_provenance(vocab_file) or {}
    option = made_by.get("method", {}).get("mecab_option")
    others = None if option is None else parse_mecab_option(option)[1]
    return Tokenization(f"{vocab_file}.json", mecab_option=others, dictionary=made_by.get("dictionary"))


def of_directory(directory: Path) -> Tokenization:
    """Return what `tokenizer_config.json` and `vocab.txt` of a directory state."""
    config, vocab = of_config(directory / TOKENIZER_CONFIG_FILE), hash_of_file(directory / VOCAB_FILE)
    return replace(config, source=str(directory), vocab_sha256=vocab)


def of_model_directory(directory: Path) -> Tokenization:
    """Return what is recorded of the data of a converted model: by its conversion, or else beside its vocabulary."""
    made_by = read_provenance(directory) or {}
    facts = made_by.get("tokenization") or {"dictionary": made_by.get("dictionary")}
    known = {name: value for name, value in facts.items() if name in Tokenization.__slots__ and name != "source"}
    recorded = Tokenization(f"the provenance of {directory}", **known)
    return (
        recorded
        if recorded.dictionary
        else replace(recorded, dictionary=of_vocab_record(directory / VOCAB_FILE).dictionary)
    )


def check_vocab_of_data(provenance: Provenance, vocab_file: Path, strict: bool) -> None:
    """Raise ValueError if data creation would tokenize otherwise than `vocab_file` says.

    Its record and a `tokenizer_config.json` beside it say so. The second is of a model that is trained on.
    """
    data = of_data({"method": provenance.method, "dictionary": provenance.dictionary}, "this command")
    check_same([of_vocab_record(vocab_file), of_config(vocab_file.parent / TOKENIZER_CONFIG_FILE), data], strict)


def check_same(tokenizations: Iterable[Tokenization], strict: bool = True, advice: str = SAME_OR_FLAG) -> None:
    """Raise ValueError at the first difference. If not `strict`, print notes instead."""
    for difference in differences(tokenizations):
        if strict:
            raise ValueError(f"{difference}. {advice}")
        print(f"NOTE {difference}")


def differences(tokenizations: Iterable[Tokenization]) -> list[str]:
    """Return what differs from what an earlier one states, a line each."""
    known: dict[str, tuple[Any, str]] = {}
    found = []
    for item in tokenizations:
        for name, value in item.facts().items():
            expected, source = known.setdefault(name, (value, item.source))
            is_same = _is_same_dictionary(value, expected) if name == "dictionary" else value == expected
            if not is_same:
                label, shown = _SHOWN.get(name, (name, repr))
                found.append(
                    f"{item.source}: {label} {shown(value)}, but {shown(expected)} in {source}. The same "
                    "text would get other ids"
                )
            elif name == "dictionary" and "size" not in expected:
                known[name] = (value, item.source)  # it states more
    return found


def merged(tokenizations: Iterable[Tokenization]) -> Tokenization:
    """Return what is stated by any of them. The first one wins."""
    facts: dict[str, Any] = {}
    for item in tokenizations:
        facts = {**item.facts(), **facts}
    return Tokenization("records", **facts)


def describe_dictionary(identity: Mapping[str, Any]) -> str:
    """Return `unidic_lite 1.0.8 (157,384,948 bytes)`."""
    if "size" not in identity:
        return identity["name"]
    version = identity.get("version") or f"sha256 {str(identity.get('sha256'))[:12]}"
    user = identity.get("user_dictionaries")
    more = f" and user dictionaries (sha256 {user[:12]})" if user else ""
    return f"{identity['name']} {version} ({identity['size']:,} bytes){more}"


_SHOWN = {"dictionary": ("dictionary", describe_dictionary), "vocab_sha256": ("vocabulary", "sha256 {:.12}".format)}


def hash_of_file(path: Path) -> str | None:
    """Return the hash of a file as provenance has it, None if there is no such file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named_dictionary(mecab_dic: str | None, mecab_option: str) -> Mapping[str, Any] | None:
    """Return what a configuration states of its dictionary. A directory that is not on this machine states nothing."""
    paths, _ = parse_mecab_option(mecab_option)
    users = [Path(path) for path in paths.userdic]
    if not paths.dicdir and mecab_dic in DICTIONARY_PACKAGES:
        known = {"user_dictionaries": hash_of(users)} if users and all(path.is_file() for path in users) else {}
        return {"name": mecab_dic, **known}
    if not paths.dicdir and not mecab_dic:
        return None
    with suppress(FileNotFoundError):
        dictionary = dictionary_of_option(mecab_option, mecab_dic)
        return with_user_dictionaries(dictionary, make_tagger(dictionary, mecab_option)).identity()
    return None


def _is_same_dictionary(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compare the contents. Without hashes compare what both state: name, version, size.

    A package and a copy of it in a directory are the same dictionary.
    """
    users = [identity.get("user_dictionaries", "" if "size" in identity else None) for identity in (one, other)]
    if None not in users and users[0] != users[1]:
        return False
    is_mixed = ("sha256" in one) != ("sha256" in other)
    hashes = [_content_hash(identity) if is_mixed else identity.get("sha256") for identity in (one, other)]
    if None not in hashes:
        return hashes[0] == hashes[1]
    names = ("size",) if is_mixed and "size" in one and "size" in other else ("name", "version", "size")
    return all(one[name] == other[name] for name in names if name in one and name in other)


def _content_hash(identity: Mapping[str, Any]) -> str | None:
    """Return the hash of the content, None if it is a package that is not installed here in this version."""
    if "sha256" in identity:
        return identity["sha256"]
    with suppress(ImportError, FileNotFoundError):
        installed = find_dictionary(identity["name"])
        if identity.get("version", installed.version) == installed.version:
            return installed.content_hash()
    return None

"""A tokenizer with offsets for model directories: `BertJapaneseTokenizer` on the `tokenizers` library.

Gives the ids of transformers' `BertJapaneseTokenizer` (`word_tokenizer_type="mecab"`, WordPiece or characters) and,
as every fast tokenizer, `return_offsets_mapping`, `return_overflowing_tokens`, `word_ids`, `char_to_token` ...
Offsets count characters of the text as given, before NFKC: a token points to all characters it comes from, and what
one character became points to that character (`㎏` -> `k`, `g`).

The file stands alone: as `tokenization_bert_japanese_fast.py` it lies in model directories, where
`AutoTokenizer.from_pretrained(directory, trust_remote_code=True)` finds it, in Transformers 4.57 and 5.

Differences from `BertJapaneseTokenizer`: text after a NUL is not lost; MeCab gets at most 32,768 characters at once,
for it crashes on far longer sentences; `do_lower_case` acts after MeCab, as in Transformers 5.
"""

import importlib
import itertools
import json
import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import NormalizedString, PreTokenizedString, Token, Tokenizer, decoders, models, processors
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import BertJapaneseTokenizer as SlowTokenizer
from transformers import PreTrainedTokenizerFast

MODULE_FILE = "tokenization_bert_japanese_fast.py"
VOCAB_FILE = "vocab.txt"
DICTIONARY_PACKAGES = {"unidic_lite": "unidic-lite", "unidic": "unidic", "ipadic": "ipadic"}
SPECIAL_TOKENS = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
MAX_MECAB_CHARACTERS = 1 << 15
MAX_INPUT_CHARS_PER_WORD = 100
MAX_CACHED_WORDS = 1 << 16
WORDS_AT_ONCE = 32


class BertJapaneseTokenizerFast(PreTrainedTokenizerFast):
    """Arguments as `BertJapaneseTokenizer`; `mecab_kwargs["mecab_dic"]` may also be a dictionary's directory.

    MeCab runs in Python within the Rust pipeline. Such a part cannot be serialized. `_Backend` leaves it out, and
    unpickling puts it back. There is no `tokenizer.json`: it would be read without MeCab elsewhere.
    """

    vocab_files_names = {"vocab_file": VOCAB_FILE}  # noqa: RUF012

    def __init__(
        self,
        vocab_file: str,
        do_lower_case: bool = False,
        word_tokenizer_type: str = "mecab",
        subword_tokenizer_type: str = "wordpiece",
        mecab_kwargs: dict | None = None,
        **kwargs,
    ) -> None:
        if word_tokenizer_type != "mecab" or subword_tokenizer_type not in ("wordpiece", "character"):
            raise ValueError(
                f"no fast tokenizer for {word_tokenizer_type} words and {subword_tokenizer_type} subwords, only for "
                "mecab with wordpiece or character; load the directory without trust_remote_code"
            )
        for name, token in SPECIAL_TOKENS.items():
            kwargs.setdefault(f"{name}_token", token)
        super().__init__(
            tokenizer_object=_make_backend(_read_vocab(vocab_file), kwargs),
            vocab_file=vocab_file,
            do_lower_case=do_lower_case,
            word_tokenizer_type=word_tokenizer_type,
            subword_tokenizer_type=subword_tokenizer_type,
            mecab_kwargs=mecab_kwargs,
            **kwargs,
        )
        self._attach_mecab()

    @classmethod
    def convert_to_native_format(cls, **kwargs) -> dict:
        """Transformers 5 would look for a `tokenizer.json`; the vocabulary and the configuration are all there is."""
        return kwargs

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoTokenizer") -> None:
        """Nothing: `_save_pretrained` writes module and `auto_map`; transformers would leave the slow class out."""

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        path = Path(save_directory, (f"{filename_prefix}-" if filename_prefix else "") + VOCAB_FILE)
        vocab = self._tokenizer.get_vocab(with_added_tokens=False)
        lines = "".join(f"{token}\n" for token in sorted(vocab, key=vocab.get))
        path.write_text(lines, encoding="utf-8", newline="\n")
        return (str(path),)

    def _save_pretrained(self, save_directory, file_names, legacy_format=None, filename_prefix=None) -> tuple[str, ...]:
        """Files of the slow tokenizer plus this module, so that both can load the directory."""
        module = Path(save_directory, MODULE_FILE)
        if not module.exists() or not module.samefile(__file__):
            shutil.copyfile(__file__, module)
        config_file = Path(save_directory, (f"{filename_prefix}-" if filename_prefix else "") + "tokenizer_config.json")
        config = json.loads(config_file.read_text(encoding="utf-8"))
        config["auto_map"] = auto_map()
        config["added_tokens_decoder"] = {
            str(index): token.__getstate__() for index, token in sorted(self.added_tokens_decoder.items())
        }
        text = json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True)
        config_file.write_text(f"{text}\n", encoding="utf-8", newline="\n")
        return (*file_names, *self.save_vocabulary(save_directory, filename_prefix), str(module))

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """`[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, for `prepare_for_model` of Transformers 4."""
        pair = [] if token_ids_1 is None else [*token_ids_1, self.sep_token_id]
        return [self.cls_token_id, *token_ids_0, self.sep_token_id, *pair]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The segments of the above."""
        return [0] * (len(token_ids_0) + 2) + ([] if token_ids_1 is None else [1] * (len(token_ids_1) + 1))

    @property
    def _tokenizer(self) -> Tokenizer | None:
        backend = self.__dict__.get("_backend")
        return backend and backend.tokenizer

    @_tokenizer.setter
    def _tokenizer(self, tokenizer: Tokenizer) -> None:
        self._backend = _Backend(tokenizer)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._attach_mecab()

    def _attach_mecab(self) -> None:
        settings = self.init_kwargs
        splitter = MecabSplitter(settings["do_lower_case"], **(settings["mecab_kwargs"] or {}))
        vocab = self._tokenizer.get_vocab(with_added_tokens=False)
        by_characters = settings["subword_tokenizer_type"] == "character"
        pieces = _SubwordTokens(vocab, str(self.unk_token), splitter, by_characters)
        self._tokenizer.pre_tokenizer = PreTokenizer.custom(_MecabPreTokenizer(splitter, pieces))


class BertJapaneseTokenizer(SlowTokenizer):
    """The slow tokenizer, for `use_fast=False` with `trust_remote_code=True` in Transformers 4."""

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoTokenizer") -> None:
        """Nothing: the class is transformers' own."""


def auto_map() -> dict[str, list[str]]:
    """The entry of `tokenizer_config.json` by which `trust_remote_code=True` finds the classes of this file."""
    module = MODULE_FILE.removesuffix(".py")
    return {"AutoTokenizer": [f"{module}.BertJapaneseTokenizer", f"{module}.BertJapaneseTokenizerFast"]}


# A word, the first and the last-but-one character of the text that it comes from, and its lead: how many normalized
# characters before it come from its first character too (1 for `株` of `㈱`, which is `(株)`). Plain, for speed.
Word = tuple[str, int, int, int]


class MecabSplitter:
    """A text -> its words, by NFKC and MeCab."""

    def __init__(
        self,
        do_lower_case: bool = False,
        mecab_dic: str | None = "unidic_lite",
        mecab_option: str | None = None,
        normalize_text: bool = True,
        never_split: list[str] | None = None,
    ) -> None:
        import fugashi

        options = [mecab_option] if mecab_option else []
        if mecab_dic is not None:
            directory = _dictionary_directory(mecab_dic)
            mecabrc = directory / "mecabrc"
            options = [f'-d "{directory}" -r "{mecabrc if mecabrc.is_file() else "/dev/null"}"', *options]
        self.do_lower_case = do_lower_case
        self.form = "NFKC" if normalize_text else None
        self._tagger = fugashi.GenericTagger(" ".join([*options, "-Owakati"]))

    def words(self, text: str) -> list[Word]:
        """Words with what they come from.

        >>> MecabSplitter().words("ｶﾞﾗｽ ５㎏")
        [('ガラス', 0, 4, 0), ('5', 5, 6, 0), ('kg', 6, 7, 0)]
        """
        normalized, starts, ends = align(text, self.form)
        found = []
        position = 0
        for word in self._segment_all(normalized):
            position = normalized.index(word, position)  # MeCab leaves white space out, and nothing else
            end = position + len(word)
            found.append((word, position, end, 0))
            position = end
        if normalized == text:
            return found
        return [(word, starts[begin], ends[end - 1], _lead(starts, begin)) for word, begin, end, _ in found]

    def _segment_all(self, text: str) -> list[str]:
        words = self._segment(text[:MAX_MECAB_CHARACTERS])
        for start in range(MAX_MECAB_CHARACTERS, len(text), MAX_MECAB_CHARACTERS):
            words += self._segment(text[start : start + MAX_MECAB_CHARACTERS])
        return words

    def _segment(self, text: str) -> list[str]:
        """MeCab's output can be cut at spaces unless a surface may hold one, or white space at the end be stripped."""
        if text and " " not in text and not text[-1].isspace():
            return self._tagger.parse(text).split(" ")
        return [node.surface for node in self._tagger(text)]


def align(text: str, form: str | None = "NFKC") -> tuple[str, Sequence[int], Sequence[int]]:
    """The normalized text, and for each of its characters where in `text` begins and ends what it comes from.

    >>> align("ｶﾞ㎏")
    ('ガkg', [0, 2, 2], [2, 3, 3])
    """
    kept = text.replace("\0", "")  # MeCab would stop there
    normalized = unicodedata.normalize(form, kept) if form else kept
    if normalized == text:
        return text, range(len(text)), range(1, len(text) + 1)
    parts = [_normalize(character, form) for character in text]
    bounds = range(len(text) + 1)
    if "".join(parts) != normalized:  # some characters became one, or changed places
        bounds = _bounds(text, form)
        parts = [_normalize(text[start:end], form) for start, end in itertools.pairwise(bounds)]
    starts = [start for start, part in zip(bounds[:-1], parts, strict=True) for _ in part]
    ends = [end for end, part in zip(bounds[1:], parts, strict=True) for _ in part]
    return normalized, starts, ends


def _lead(starts: Sequence[int], position: int) -> int:
    lead = 0
    while lead < position and starts[position - lead - 1] == starts[position]:
        lead += 1
    return lead


def _bounds(text: str, form: str) -> list[int]:
    """Where `text` can be cut so that the normalized parts make up the whole's normalized form.

    A character that combines never starts a part, nor does a NUL, which goes. Another one can join only what stands
    right before it.
    """
    bounds, part = [0], text[:1]
    for position, character in enumerate(text[1:], start=1):
        alone, joined = _normalize(character, form), _normalize(part + character, form)
        combines = not alone or unicodedata.combining(unicodedata.normalize("NFKD", character)[0])
        if not combines and joined == _normalize(part, form) + alone:
            bounds.append(position)
            part = ""
        part += character
    return [*bounds, len(text)]


def _normalize(text: str, form: str | None) -> str:
    text = text.replace("\0", "")
    return unicodedata.normalize(form, text) if form else text


class _MecabPreTokenizer:
    """What the Rust pipeline calls for text between special tokens: cuts it into words and tokenizes these."""

    def __init__(self, splitter: MecabSplitter, pieces: "_SubwordTokens") -> None:
        self._splitter = splitter
        self._pieces = pieces

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        tokens: list[list[Token]] = []
        text.split(lambda _, section: self._cut(section, tokens))
        remaining = iter(tokens)
        text.tokenize(lambda _: next(remaining))  # in the order of the cuts

    def _cut(self, section: NormalizedString, tokens: list[list[Token]]) -> list[NormalizedString]:
        """One part of `section` for each word; their tokens are added to `tokens`."""
        text = str(section)
        words = self._splitter.words(text)
        tokens += [self._pieces.tokens(word, text[start:end], lead) for word, start, end, lead in words]
        return _parts(section, words, 0)


def _parts(section: NormalizedString, words: list[Word], base: int) -> list[NormalizedString]:
    """The part of `section`, which begins at `base`, for each word.

    Cutting takes time in proportion to what is cut: a long section is halved first.
    """
    if len(words) <= WORDS_AT_ONCE:
        return [section[start - base : end - base] for _, start, end, _ in words]
    middle = len(words) // 2
    parts = []
    for half in (words[:middle], words[middle:]):
        start = half[0][1]
        parts += _parts(section[start - base : half[-1][2] - base], half, start)
    return parts


class _SubwordTokens:
    """A word -> its tokens, with offsets in bytes of the text that it comes from."""

    def __init__(self, vocab: dict[str, int], unk_token: str, splitter: MecabSplitter, by_characters: bool) -> None:
        special = {*SPECIAL_TOKENS.values(), unk_token}
        self._ids = {
            token: index for token, index in vocab.items() if token not in special and not token.startswith("[unused")
        }
        self._unk = (vocab[unk_token], unk_token)
        self._splitter = splitter
        self._cut = self._characters if by_characters else self._wordpieces
        self._cache: dict[tuple[str, str, int], list[Token]] = {}

    def tokens(self, word: str, source: str, lead: int) -> list[Token]:
        """`source` is what stands in the text for `word`; `lead` as in `Word`."""
        found = self._cache.get((word, source, lead))
        if found is None:
            if len(self._cache) >= MAX_CACHED_WORDS:
                self._cache.clear()
            found = self._cache[word, source, lead] = list(self._make_tokens(word, source, lead))
        return found

    def _make_tokens(self, word: str, source: str, lead: int) -> Iterator[Token]:
        shown = word.lower() if self._splitter.do_lower_case else word
        normalized, starts, ends = align(source, self._splitter.form)
        is_exact = len(shown) == len(word) and normalized.startswith(word, lead)
        for piece, start, end in self._cut(shown):
            begin, stop = (starts[lead + start], ends[lead + end - 1]) if is_exact else (0, len(source))
            offsets = (len(source[:begin].encode()), len(source[:stop].encode()))
            yield Token(*((self._ids[piece], piece) if piece else self._unk), offsets)

    def _characters(self, word: str) -> list[tuple[str | None, int, int]]:
        characters = unicodedata.normalize("NFKC", word)
        return [
            (character if character in self._ids else None, index, index + 1)
            for index, character in enumerate(characters[: len(word)])
        ]

    def _wordpieces(self, word: str) -> list[tuple[str | None, int, int]]:
        """White space, which a word of MeCab's can hold (U+2028), parts pieces."""
        found = []
        for part in re.finditer(r"\S+", word):
            pieces = self._longest_pieces(part[0]) or [(None, 0, len(part[0]))]
            found += [(piece, part.start() + start, part.start() + end) for piece, start, end in pieces]
        return found

    def _longest_pieces(self, word: str) -> list[tuple[str, int, int]]:
        """Longest known piece first, again on the rest; nothing if that fails."""
        pieces, start = [], 0
        while start < len(word) <= MAX_INPUT_CHARS_PER_WORD:
            prefix = "##" if start else ""
            end = len(word)
            while end > start and prefix + word[start:end] not in self._ids:
                end -= 1
            if end == start:
                return []
            pieces.append((prefix + word[start:end], start, end))
            start = end
        return pieces


def _make_backend(vocab: dict[str, int], special_tokens: dict[str, object]) -> Tokenizer:
    """The parts that need no MeCab: vocabulary, special tokens, decoding."""
    unk, cls, sep = (str(special_tokens[f"{name}_token"]) for name in ("unk", "cls", "sep"))
    missing = [token for token in (unk, cls, sep) if token not in vocab]
    if missing:
        raise ValueError(f"the vocabulary has no {', '.join(missing)}; make it with train_tokenizer.py")
    backend = Tokenizer(models.WordPiece(vocab, unk_token=unk))
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, vocab[cls]), (sep, vocab[sep])],
    )
    return backend


class _Backend:
    """The Rust pipeline. Its pickle has no MeCab.

    `datasets` pickles the attributes of a tokenizer one by one to name its cache of `map`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __getstate__(self) -> dict:
        """A copy without MeCab. The original stays as it is: another thread may be using it."""
        copy = Tokenizer(self.tokenizer.model)
        copy.decoder = self.tokenizer.decoder
        copy.post_processor = self.tokenizer.post_processor
        copy.add_tokens([token for _, token in sorted(self.tokenizer.get_added_tokens_decoder().items())])
        copy.encode_special_tokens = self.tokenizer.encode_special_tokens
        return {"tokenizer": copy}


def _read_vocab(path: str) -> dict[str, int]:
    """One token per line; only the line ends go, for a line may be a single space."""
    lines = Path(path).read_bytes().decode("utf-8").split("\n")
    tokens = lines[:-1] if lines[-1] == "" else lines
    return {token.removesuffix("\r"): index for index, token in enumerate(tokens)}


def _dictionary_directory(mecab_dic: str) -> Path:
    if mecab_dic not in DICTIONARY_PACKAGES:
        if not Path(mecab_dic, "sys.dic").is_file():
            raise ValueError(
                f"{mecab_dic}: expected one of {', '.join(DICTIONARY_PACKAGES)} or a dictionary's directory"
            )
        return Path(mecab_dic)
    try:
        return Path(importlib.import_module(mecab_dic).DICDIR)
    except ModuleNotFoundError:
        package = DICTIONARY_PACKAGES[mecab_dic]
        raise ImportError(
            f"the dictionary {mecab_dic} is not installed; install it with: pip install {package}"
        ) from None

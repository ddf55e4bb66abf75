"""`vocab.txt`: one token per line. The line number is the id.

Order: special tokens, unused ones, the alphabet by code point, then characters with `##`, pieces and words, which
`wordpiece_training.py` puts in order. Blank lines count too: the alphabet of UniDic has U+0020, whose line is a single
space (a blank line in the released vocabulary).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_TOKENS = (PAD, UNK, CLS, SEP, MASK)


def unused_tokens(count: int) -> list[str]:
    """Return `[unused0]` ... `[unused<count - 1>]`."""
    return [f"[unused{index}]" for index in range(count)]


@dataclass(frozen=True, slots=True)
class Vocab:
    """Tokens by id, and ids by token."""

    tokens: tuple[str, ...]
    ids: dict[str, int]

    def __len__(self) -> int:
        return len(self.tokens)

    def text_ids(self) -> dict[str, int]:
        """Return the ids of tokens that text can become: all but special and unused ones."""
        return {
            token: index
            for token, index in self.ids.items()
            if token not in SPECIAL_TOKENS and not token.startswith("[unused")
        }

    def real_token_ids(self) -> list[int]:
        """Return the ids of tokens that may replace a masked one: `text_ids` without blanks."""
        return [index for token, index in self.text_ids().items() if token.strip()]


def load_vocab(path: Path) -> Vocab:
    """Read `vocab.txt`.

    Raises:
        ValueError: a line occurs twice, or a special token is missing. The message has file and line.
    """
    tokens = tuple(line.removesuffix("\r") for line in read_tokens(path, "vocabulary", "train_tokenizer.py"))
    ids: dict[str, int] = {}
    for index, token in enumerate(tokens):
        first = ids.setdefault(token, index)
        if first != index:
            raise ValueError(f"{path}:{index + 1}: {token!r} is on line {first + 1} too. Expected each token once")
    missing = [token for token in SPECIAL_TOKENS if token not in ids]
    if missing:
        raise ValueError(f"{path}: no line {', '.join(missing)}. Make the vocabulary with train_tokenizer.py")
    return Vocab(tokens, ids)


def vocab_bytes(tokens: Sequence[str] | Iterable[str]) -> bytes:
    """Return the bytes of a `vocab.txt`."""
    return "".join(f"{token}\n" for token in tokens).encode("utf-8")


def read_tokens(path: Path, name: str, made_by: str) -> list[str]:
    """Return the lines of a file with one token per line. `name` and `made_by` are for messages."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such {name}. Make it with {made_by}")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error}). Expected one token per line") from None
    if text.startswith("\ufeff"):
        raise ValueError(
            f"{path}:1: begins with a byte order mark, which would be a part of the first token. Remove it: "
            rf"sed -i '1s/^\xef\xbb\xbf//' {path}"
        )
    return text.removesuffix("\n").split("\n")

"""`japanese_bert.tokenization.vocab`: one token per line, and no line is skipped."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, load_vocab, unused_tokens, vocab_bytes

TOKENS = [*SPECIAL_TOKENS, *unused_tokens(2), " ", "が", "々", "𠮷", "😀", "\u2028", "##が", "ガラス"]


def test_bytes_exactly():
    assert vocab_bytes(["[PAD]", " ", "が"]) == "[PAD]\n \nが\n".encode()


def test_round_trip(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(vocab_bytes(TOKENS))
    vocab = load_vocab(tmp_path / "vocab.txt")
    assert len(vocab) == len(TOKENS)
    assert list(vocab.tokens) == TOKENS
    assert vocab.ids == {token: index for index, token in enumerate(TOKENS)}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")), unique=True))
def test_round_trip_of_any_tokens(tmp_path_factory, tokens):
    tokens = [*SPECIAL_TOKENS, *(token for token in tokens if token not in SPECIAL_TOKENS)]
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_bytes(vocab_bytes(tokens))
    assert list(load_vocab(path).tokens) == tokens


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_blank_line_keeps_its_id(tmp_path, newline, end):
    lines = [*SPECIAL_TOKENS, "", "が"]  # blank, as in the released vocabularies
    (tmp_path / "vocab.txt").write_bytes((newline.join(lines) + end).encode())
    vocab = load_vocab(tmp_path / "vocab.txt")
    assert list(vocab.tokens) == lines
    assert vocab.ids["が"] == 6


def test_real_token_ids_leave_out_special_unused_and_blank(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(vocab_bytes(TOKENS))
    vocab = load_vocab(tmp_path / "vocab.txt")
    assert [vocab.tokens[index] for index in vocab.real_token_ids()] == ["が", "々", "𠮷", "😀", "##が", "ガラス"]


@pytest.mark.parametrize(
    "content, message",
    [
        (vocab_bytes([*TOKENS, "が"]), r"vocab.txt:16: 'が' is on line 9 too"),
        (vocab_bytes(TOKENS[1:]), r"no line \[PAD\]"),
        (vocab_bytes(TOKENS) + b"\xff\n", "not UTF-8"),
        (b"", r"no line \[PAD\], \[UNK\], \[CLS\], \[SEP\], \[MASK\]"),
    ],
)
def test_bad_files(tmp_path, content, message):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_vocab(tmp_path / "vocab.txt")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Make it with train_tokenizer\.py"):
        load_vocab(tmp_path / "vocab.txt")


def test_a_byte_order_mark_is_one_line(tmp_path):
    """It would make another token of [PAD]. Transformers would read it so too: the file itself must change."""
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"\xef\xbb\xbf" + vocab_bytes(SPECIAL_TOKENS))
    with pytest.raises(ValueError, match=r"vocab.txt:1: begins with a byte order mark.*Remove it: sed -i") as error:
        load_vocab(path)
    subprocess.run(str(error.value).partition("Remove it: ")[2], shell=True, check=True)
    assert load_vocab(path).tokens == SPECIAL_TOKENS

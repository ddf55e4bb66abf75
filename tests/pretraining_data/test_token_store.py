import tempfile
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.pretraining_data.token_store import BlockTokenizer, TokenStore, build_token_store, with_separators
from japanese_bert.pretraining_data.word_table import WordTable
from japanese_bert.tokenization.subwords import make_subword_encoder
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab
from japanese_bert.tokenization.words import make_word_splitter

WORDS = ("猫", "が", "##好き", "好き", "だ", "。", "犬", "[", "]", "MA", "##SK", "ガラス", "パ", "1", "々")


def make_tokenizer(extra: int = 0) -> tuple[BlockTokenizer, Vocab]:
    tokens = (*SPECIAL_TOKENS, *WORDS, *(f"filler{index}" for index in range(extra)))
    vocab = Vocab(tokens, {token: index for index, token in enumerate(tokens)})
    splitter = make_word_splitter("mecab", "unidic_lite", do_lower_case=False)
    return BlockTokenizer(splitter, make_subword_encoder("wordpiece", vocab, True), vocab), vocab


def build(tmp_path: Path, *texts: bytes, extra: int = 0, **options) -> tuple[TokenStore, Vocab]:
    paths = [tmp_path / f"{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    tokenizer, vocab = make_tokenizer(extra)
    with ExitStack() as files:
        new_file = partial(open_in, files)
        return build_token_store(paths, tokenizer, new_file, **options), vocab


def open_in(files: ExitStack):
    return files.enter_context(tempfile.TemporaryFile())


def decode(store: TokenStore, vocab: Vocab) -> list[list[str]]:
    """Return documents of sentences, with `|` before each word."""
    bit = store.word_start_bit
    sentences = [
        "".join(
            ("|" if token & bit else "") + vocab.tokens[token & (bit - 1)] for token in store.tokens[start:end].tolist()
        )
        for start, end in pairwise(store.sentence_offsets)
    ]
    bounds = store.document_offsets.tolist()
    return [sentences[start:end] for start, end in pairwise(bounds)]


def test_ids_word_starts_sentences_and_documents(tmp_path):
    store, vocab = build(tmp_path, "猫が好きだ。\n犬だ。\n\n猫だ。\n".encode())
    assert decode(store, vocab) == [["|猫|が|好き|だ|。", "|犬|だ|。"], ["|猫|だ|。"]]
    assert (store.counts.documents, store.counts.sentences, store.counts.tokens) == (2, 3, 11)


def test_text_is_normalized_and_special_strings_stay_text(tmp_path):
    store, vocab = build(tmp_path, "ｶﾞﾗｽ\nパ\n１\n々\n[MASK]\n".encode())
    assert decode(store, vocab) == [["|ガラス", "|パ", "|1", "|々", "|[|MA##SK|]"]]


@pytest.mark.parametrize(
    "text",
    ["猫。\n\n犬。", "\n\n\n猫。\r\n \t \r\n\n犬。\n\n", "猫。\n\u3000\u3000\n犬。\n"],
    ids=["no final newline", "CRLF and runs of blank lines", "full-width blanks"],
)
def test_document_boundaries(tmp_path, text):
    store, vocab = build(tmp_path, text.encode())
    assert decode(store, vocab) == [["|猫|。"], ["|犬|。"]]


def test_the_end_of_a_file_ends_a_document(tmp_path):
    store, vocab = build(tmp_path, "猫。\n".encode(), "犬。\n".encode())
    assert decode(store, vocab) == [["|猫|。"], ["|犬|。"]]


def test_what_mecab_cannot_take_is_dropped_and_counted(tmp_path):
    store, vocab = build(tmp_path, b"\xe7\x8c\xab\xff\xfe\xe3\x80\x82\n" + "猫\0犬\0\n\0\n犬。\n".encode())
    assert decode(store, vocab) == [["|猫|。", "|猫|犬", "|犬|。"]]
    counts = store.counts
    assert (counts.invalid_utf8_bytes, counts.nul_characters, counts.sentences_without_tokens) == (2, 3, 1)


def test_line_separators_of_unicode_do_not_cut_lines(tmp_path):
    store, vocab = build(tmp_path, "猫\u2028犬\u0085だ\n".encode())
    assert len(decode(store, vocab)) == 1
    assert len(decode(store, vocab)[0]) == 1


@pytest.mark.parametrize("options", [{"block_bytes": 16}, {"num_workers": 2, "block_bytes": 64}])
def test_blocks_and_workers_do_not_matter(tmp_path, options):
    text = ("猫が好きだ。\n犬だ。\n\n" * 50 + "\n\n猫だ。").encode()
    expected, _ = build(tmp_path, text)
    store, _ = build(tmp_path, text, **options)
    for name in ("tokens", "sentence_offsets", "document_offsets", "counts"):
        assert np.array_equal(getattr(store, name), getattr(expected, name))


def test_a_full_word_table_starts_again(tmp_path, monkeypatch):
    text = "猫が好きだ。\n犬だ。\n\n猫だ。\n".encode() * 10
    expected, _ = build(tmp_path, text)
    small_table = partial(WordTable, max_words=2)
    monkeypatch.setattr("japanese_bert.pretraining_data.token_store.WordTable", small_table)
    store, _ = build(tmp_path, text, block_bytes=16)
    assert np.array_equal(store.tokens, expected.tokens)


def test_a_vocabulary_above_32768_takes_32_bits(tmp_path):
    text = "猫が好きだ。\n犬だ。\n".encode()
    narrow, vocab = build(tmp_path, text)
    wide, large_vocab = build(tmp_path, text, extra=40_000)
    assert (narrow.tokens.dtype, wide.tokens.dtype) == (np.uint16, np.uint32)
    assert decode(narrow, vocab) == decode(wide, large_vocab)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not UTF-8"):
        build(tmp_path, "猫。\n".encode(), np.random.default_rng(0).bytes(10_000))


def test_a_byte_order_mark_is_no_text(tmp_path):
    store, vocab = build(tmp_path, b"\xef\xbb\xbf" + "猫。\n".encode(), b"\xef\xbb\xbf" + "犬。\n".encode())
    assert decode(store, vocab) == [["|猫|。"], ["|犬|。"]]


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("japanese_bert.common.text_files.MAX_LINE_BYTES", 1000)
    with pytest.raises(ValueError, match="a line of more than 1,000 bytes"):
        build(tmp_path, b"x" * 3000, block_bytes=100)


@pytest.mark.parametrize(("size", "dtype"), [(1 << 15, np.uint16), ((1 << 15) + 1, np.uint32)])
def test_the_last_id_of_a_vocabulary_at_the_border_of_16_bits(tmp_path, size, dtype):
    tokens = (*SPECIAL_TOKENS, *(f"[unused{index}]" for index in range(size - 6)), "猫")
    vocab = Vocab(tokens, {token: index for index, token in enumerate(tokens)})
    splitter = make_word_splitter("mecab", "unidic_lite", do_lower_case=False)
    block = BlockTokenizer(splitter, lambda word: [vocab.ids["猫"]], vocab)("猫\n".encode())
    assert block.tokens.dtype == dtype
    assert block.tokens.tolist() == [size - 1 | 1 << (8 * block.tokens.itemsize - 1)]


def test_a_separator_before_each_document(tmp_path, monkeypatch):
    monkeypatch.setattr("japanese_bert.pretraining_data.token_store.DOCUMENTS_AT_ONCE", 2)
    monkeypatch.setattr("japanese_bert.pretraining_data.token_store.TOKENS_AT_ONCE", 3)
    store, vocab = build(tmp_path, "猫は山。\n犬。\n\n猫。\n\n犬は山を見た。\n".encode())
    found = with_separators(store, vocab.ids["[SEP]"], tempfile.TemporaryFile)
    assert decode(found, vocab) == [["|[SEP]" + "".join(document)] for document in decode(store, vocab)]
    assert found.counts is store.counts

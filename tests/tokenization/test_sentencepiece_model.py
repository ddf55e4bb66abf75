"""ALBERT's tokens against Transformers and Model Garden, and its words for whole word masking."""

import pytest

from japanese_bert.tokenization.sentencepiece_model import SentencePieceWords, begins_word, load_spm_vocab, read_ids
from tests.helpers.mixed_text import SENTENCES, mixed_lines, write_albert


@pytest.fixture(scope="module")
def spm_file(tmp_path_factory):
    lines = [*mixed_lines(1000, []), *["In 1,234 and 5,678 of 9, 10, 20, 30, 40,"] * 300]
    return write_albert(tmp_path_factory.mktemp("spm") / "albert", lines, split_digits=False) / "spiece.model"


def test_vocabulary(spm_file):
    vocab = load_spm_vocab(spm_file)
    assert vocab.tokens[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert len(vocab) == len(vocab.ids)
    assert not {"[MASK]", "[UNK]"} & {vocab.tokens[index] for index in vocab.real_token_ids()}


def test_ids_and_commas_are_those_of_model_garden(spm_file):
    """Some of the model's pieces end with a digit and a comma. They are cut."""
    from official.nlp.tools import tokenization

    tokenizer = tokenization.FullSentencePieceTokenizer(str(spm_file))
    assert {"▁1,", "0,"} & set(tokenizer.vocab)
    words = SentencePieceWords(spm_file, do_lower_case=True, strip_accents=True)
    texts = [*SENTENCES[:9], "paid 1,234 and 10, 20, in 1,0", "9,9,9, x9,"]
    for text in [text.replace("``", '"').replace("''", '"') for text in texts if "Σ" not in text]:
        ids = [index for word in words.split(text) for index in read_ids(word)]
        assert ids == tokenization.encode_ids(tokenizer.sp_model, tokenization.preprocess_text(text, lower=True)), text


def test_words(spm_file):
    words = SentencePieceWords(spm_file, do_lower_case=False, strip_accents=False)
    vocab = load_spm_vocab(spm_file)
    found = [[vocab.tokens[index] for index in read_ids(word)] for word in words.split("jumps over 猫である。")]
    spelled = ["".join(pieces) for pieces in found]
    assert spelled[:2] == ["▁jumps", "▁over"]
    assert all(len(pieces) == 1 for pieces in found[2:])
    assert [begins_word(piece) for piece in ("▁a", "ing", ",", "1", "猫", "'s", "é")] == [True, False, *[True] * 5]


def test_text_never_becomes_a_special_token(tmp_path, spm_file):
    """A model without Latin letters joins unknown ones to one piece, which can spell a special token."""
    japanese = write_albert(tmp_path / "albert", ["猫が好きだ。", "犬と山と川。"] * 50) / "spiece.model"
    for path in (japanese, spm_file):
        words = SentencePieceWords(path, do_lower_case=False, strip_accents=False)
        for text in ("<pad>", "[MASK] [CLS]", "猫<pad>[SEP]"):
            ids = [index for word in words.split(text) for index in read_ids(word)]
            assert ids
            assert not {0, 2, 3, 4} & set(ids)


def test_wrong_files_are_one_line(tmp_path):
    (tmp_path / "other.model").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"other\.model: no SentencePiece model\. Expected"):
        load_spm_vocab(tmp_path / "other.model")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_spm_vocab(tmp_path / "missing.model")

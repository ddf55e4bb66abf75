"""Ids and word boundaries of the data equal those of the tokenizer that users load, sentence by sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import create_pretraining_data
import make_alphabet_from_unidic
import train_tokenizer
from japanese_bert.pretraining_data.token_store import BlockTokenizer
from japanese_bert.tokenization.subwords import make_subword_encoder
from japanese_bert.tokenization.vocab import load_vocab
from japanese_bert.tokenization.words import make_word_splitter
from tests.helpers.places import ROOT
from tests.helpers.tfrecord_reader import read_examples
from tests.stages.test_create_pretraining_data import unmasked

HF_CONFIGS = ROOT / "hf_model_configs"
EDGE_SENTENCES = """が パ １ ｶﾞ 々 𠮷 😀 ㈱ ㎏ ① ～ ～ – — ― ﾊﾟ Ⅷ ㍻
NHKのＴＶでPythonのiPhone12をCO₂とABC㎏で２０２４年３月に見た！？
「Aですか？」『Bです。』（笑）www ＾＾；；；
　　全角の　空白　　と	タブ
U+2028\u2028とU+0085\u0085とU+00A0\u00a0とU+200B\u200bとBOM\ufeff
がぎぐ は゛ぱ゜ か\u3099 e\u0301 ﷺ ẞ ı İ
## ### #タグ ##A a##b
吾輩は猫である。名前はまだ無い。
https://example.com/?q=日本語&x=1 foo.bar@example.jp
ーーーーーーーーーーーーーーーーーーーーーーーーーーーーーーーーーー
""".split("\n")[:-1]  # noqa: SIM905


def make_vocabs(directory: Path, text: bytes, vocab_size: int) -> dict[str, Path]:
    """Train the tokenizers of a text by the stages, and return their vocabularies."""
    corpus, alphabet = directory / "sampled.txt", directory / "alphabet.txt"
    corpus.write_bytes(text)
    run = make_alphabet_from_unidic
    run.main(run.get_parser().parse_args(["--mecab_dic_type", "unidic_lite", "--output_file", str(alphabet)]))
    arguments = f"--input_files {corpus} --output_dir {directory / 'wordpiece'} --pre_tokenizer_type mecab"
    arguments += f" --mecab_dic_type unidic_lite --vocab_size {vocab_size} --limit_alphabet 7012 --num_workers 2"
    arguments += f" --initial_alphabet_file {alphabet} --character_output_dir {directory / 'character'}"
    train_tokenizer.main(train_tokenizer.get_parser().parse_args(arguments.split()))
    return {name: directory / name / "vocab.txt" for name in ("wordpiece", "character")}


def differences(sentences: list[str], vocab_file: Path, subword_tokenizer_type: str) -> list[tuple[str, list, list]]:
    """Return the sentences whose ids or word starts differ from transformers' tokenizer, with both."""
    from transformers import BertJapaneseTokenizer

    reference = BertJapaneseTokenizer(
        str(vocab_file),
        do_lower_case=False,
        word_tokenizer_type="mecab",
        subword_tokenizer_type=subword_tokenizer_type,
        mecab_kwargs={"mecab_dic": "unidic_lite"},
    )
    vocab = load_vocab(vocab_file)
    encode = make_subword_encoder(subword_tokenizer_type, vocab, subword_tokenizer_type == "wordpiece")
    tokenizer = BlockTokenizer(make_word_splitter("mecab", "unidic_lite", False), encode, vocab)
    block = tokenizer("".join(f"{sentence}\n" for sentence in sentences).encode())
    assert len(block.sentence_lengths) == len(sentences)
    bounds = np.cumsum(block.sentence_lengths)[:-1]
    found = []
    for sentence, tokens in zip(sentences, np.split(block.tokens, bounds), strict=True):
        words = [reference.subword_tokenizer.tokenize(word) for word in reference.word_tokenizer.tokenize(sentence)]
        pieces = [(piece, index == 0) for word in words for index, piece in enumerate(word)]
        expected = list(
            zip(
                reference.convert_tokens_to_ids([piece for piece, _ in pieces]),
                [first for _, first in pieces],
                strict=True,
            )
        )
        ours = [(token & 0x7FFF, token >= 0x8000) for token in tokens.tolist()]
        if ours != expected or reference.convert_tokens_to_ids(reference.tokenize(sentence)) != [i for i, _ in ours]:
            found.append((sentence, ours, expected))
    return found


def sentences_of(text: bytes) -> list[str]:
    return [line for line in text.decode("utf-8").split("\n") if line.strip()]


@pytest.mark.parametrize("subword_tokenizer_type", ["wordpiece", "character"])
def test_thousand_real_sentences_and_edge_cases(tmp_path, aozora_bytes, subword_tokenizer_type):
    vocabs = make_vocabs(tmp_path, aozora_bytes[:4_000_000].rsplit(b"\n", 1)[0] + b"\n", 14_000)
    sentences = sentences_of(aozora_bytes[-2_000_000:].split(b"\n", 1)[1])[:1000] + EDGE_SENTENCES
    assert differences(sentences, vocabs[subword_tokenizer_type], subword_tokenizer_type) == []


@pytest.mark.parametrize("subword_tokenizer_type", ["wordpiece", "character"])
def test_records_hold_the_ids_of_the_tokenizer_that_is_shipped(tmp_path, aozora_bytes, subword_tokenizer_type):
    """1,000 real sentences, each a document, go through the stage and come back from its records."""
    from transformers import AutoTokenizer

    vocab_file = make_vocabs(tmp_path, aozora_bytes[:4_000_000].rsplit(b"\n", 1)[0] + b"\n", 14_000)[
        subword_tokenizer_type
    ]
    shutil.copytree(HF_CONFIGS / f"bert_base_{subword_tokenizer_type}", tmp_path / "model")
    shutil.copy(vocab_file, tmp_path / "model" / "vocab.txt")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    sentences = sorted(set(sentences_of(aozora_bytes[-2_000_000:].split(b"\n", 1)[1])))
    sentences = [sentence for sentence in sentences if len(sentence) < 120][:1000]
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"{sentence}\n\n" for sentence in sentences), encoding="utf-8")
    arguments = f"--input_file {corpus} --output_file {tmp_path / 'data.tfrecord'} --vocab_file {vocab_file}"
    arguments += f" --subword_tokenizer_type {subword_tokenizer_type} --max_seq_length 256 --max_predictions_per_seq 39"
    arguments += " --no-next_sentence --dupe_factor 1 --short_seq_prob 0 --use_v2_feature_names"
    arguments += " --vocab_has_no_subword_prefix" if subword_tokenizer_type == "character" else ""
    create_pretraining_data.main(create_pretraining_data.get_parser().parse_args(arguments.split()))
    records = [unmasked(example) for example in read_examples(tmp_path / "data.tfrecord")]
    assert len(records) == 1000
    assert sorted(records) == sorted(tokenizer(sentence)["input_ids"] for sentence in sentences)


@pytest.mark.slow
@pytest.mark.parametrize("subword_tokenizer_type", ["wordpiece", "character"])
def test_every_sentence_of_20_megabytes(tmp_path, aozora_bytes, subword_tokenizer_type):
    vocabs = make_vocabs(tmp_path, aozora_bytes, 32_768)
    sentences = sentences_of(aozora_bytes)
    assert len(sentences) > 150_000
    assert differences(sentences, vocabs[subword_tokenizer_type], subword_tokenizer_type) == []

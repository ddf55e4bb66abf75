"""Records of tagging: exact ones, and those of Model Garden's own writer."""

from collections import Counter
from pathlib import Path

import pytest

from japanese_bert.finetuning_data.tag_encoding import render_sentences
from japanese_bert.finetuning_data.tagged_sentences import TaggedSentence
from japanese_bert.tokenization.arguments import DataTokenizer
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab
from japanese_bert.tokenization.words import WhitespaceWords
from tests.helpers.mixed_text import write_bert
from tests.helpers.tfrecord_reader import parse_example, split_records
from tests.tokenization.test_released_ids import MODELS, tokenizer_of_flags

SENTENCES = [TaggedSentence(["t5", "t6 t7", "\0", "t300"], [0, 1, 200, 2]), TaggedSentence(["t9"], [1])]


def make_tokenizer() -> DataTokenizer:
    tokens = (*SPECIAL_TOKENS, *(f"t{number}" for number in range(5, 400)))
    ids = {token: number for number, token in enumerate(tokens)}
    return DataTokenizer(WhitespaceWords(), lambda word: [ids.get(word, 1)], Vocab(tokens, ids), Path("vocab.txt"))


def records(sentences, tokenizer, max_seq_length: int, counts: Counter) -> list[dict]:
    data = b"".join(render_sentences(sentences, tokenizer, max_seq_length, False, counts))
    found = [parse_example(record) for record in split_records(data)]
    for record in found:
        record["label_ids"] = [tag - (1 << 64) if tag >> 63 else tag for tag in record["label_ids"]]
    return found


def test_records_exactly():
    """A word without tokens is an unknown one. Only the first token of a word has a tag."""
    counts = Counter()
    found = records(SENTENCES, make_tokenizer(), 8, counts)
    assert found[0] == {
        "input_ids": [2, 5, 6, 7, 1, 300, 3, 0],
        "input_mask": [1] * 7 + [0],
        "segment_ids": [0] * 8,
        "label_ids": [-1, 0, 1, -1, 200, 2, -1, -1],
        "sentence_id": [0],
        "sub_sentence_id": [0],
    }
    assert found[1]["label_ids"] == [-1, 1, *[-1] * 6]
    assert found[1]["sentence_id"] == [1]
    assert counts == Counter(
        sentences=2, words=5, instances=2, tokens=10, unknown_tokens=1, tokens_cut=0, sentences_cut=0
    )


def test_long_sentences_are_cut_between_words():
    counts = Counter()
    found = records(SENTENCES, make_tokenizer(), 5, counts)
    assert [record["input_ids"] for record in found] == [[2, 5, 6, 7, 3], [2, 1, 300, 3, 0], [2, 9, 3, 0, 0]]
    assert [record["label_ids"] for record in found[:2]] == [[-1, 0, 1, -1, -1], [-1, 200, 2, -1, -1]]
    assert [(record["sentence_id"], record["sub_sentence_id"]) for record in found] == [
        ([0], [0]),
        ([0], [1]),
        ([1], [0]),
    ]
    assert (counts["sentences_cut"], counts["tokens_cut"]) == (1, 0)
    (long,) = records([TaggedSentence(["t5 t6 t7 t8"], [1])], make_tokenizer(), 5, counts)[-1:]
    assert (long["input_ids"], long["label_ids"]) == ([2, 5, 6, 7, 3], [-1, 1, -1, -1, -1])
    assert counts["tokens_cut"] == 1


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
def test_records_are_those_of_model_garden(tmp_path):
    """Its writer uses its own tokenizer, which is that of the multilingual BERT."""
    from official.nlp.data import tagging_data_lib
    from official.nlp.tools import tokenization

    kind = "cased (multilingual)"
    directory = write_bert(tmp_path / "model", ["Playing football in 東京 and Köln's park"] * 9, **MODELS[kind][1])
    sentences = [
        TaggedSentence(["Playing", "footballs", "in", "東京", ",", "Köln", "'s", "[x]"], [0, 1, 2, 3, 0, 1, 0, 2])
    ]
    sentences += [TaggedSentence(["playing"] * 20, [1] * 20)]
    examples = []
    for number, sentence in enumerate(sentences):
        example = tagging_data_lib.InputExample(sentence_id=number)
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            example.add_word_and_label_id(word, tag)
        examples.append(example)
    own = tokenization.FullTokenizer(str(directory / "vocab.txt"), do_lower_case=False)
    expected = [
        part
        for example in examples
        for part in tagging_data_lib._tokenize_example(example, 16, own, text_preprocessing=None)
    ]
    found = records(sentences, tokenizer_of_flags(directory, MODELS[kind][2]), 16, Counter())
    assert len(found) == len(expected) > 2
    for record, part in zip(found, expected, strict=True):
        ids = own.convert_tokens_to_ids(["[CLS]", *part.words, "[SEP]"])
        assert record["input_ids"][: sum(record["input_mask"])] == ids
        assert record["label_ids"][: len(ids)] == [-1, *part.label_ids, -1]
        assert [record["sentence_id"], record["sub_sentence_id"]] == [[part.sentence_id], [part.sub_sentence_id]]

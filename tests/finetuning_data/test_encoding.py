import gzip
import random
from pathlib import Path

import pytest

from japanese_bert.finetuning_data.encoding import Encoder, render_examples, truncate_longest_first
from japanese_bert.finetuning_data.labelled_texts import LabelledText
from japanese_bert.tokenization.arguments import DataTokenizer
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, Vocab
from japanese_bert.tokenization.words import WhitespaceWords
from tests.helpers.tfrecord_reader import parse_example, split_records


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_cut_as_by_transformers(seed):
    """One token at a time from the longer one, from the second where both are as long."""
    rng = random.Random(seed)
    for _ in range(300):
        lengths = [rng.randrange(20), rng.randrange(20)]
        room = rng.randrange(25)
        first, second = truncate_longest_first(list(range(lengths[0])), list(range(lengths[1])), room)
        while sum(lengths) > room:
            lengths[0 if lengths[0] > lengths[1] else 1] -= 1
        assert [first, second] == [list(range(length)) for length in lengths]


def make_encoder(max_seq_length: int) -> Encoder:
    """Each word `t1000` is the token 1000."""
    tokens = (*SPECIAL_TOKENS, *(f"t{number}" for number in range(5, 20_000)))
    ids = {token: number for number, token in enumerate(tokens)}
    tokenizer = DataTokenizer(WhitespaceWords(), lambda word: [ids.get(word, 1)], Vocab(tokens, ids), Path("vocab.txt"))
    return Encoder(tokenizer, max_seq_length)


def test_records_exactly():
    examples = [
        LabelledText(("t5 t19999", "t128 \0t7"), 200),
        LabelledText(("t16384",), 0.1),
        LabelledText(("t9 t8 t7 t6 x", ""), 0),
    ]
    encoder = make_encoder(8)
    records = split_records(b"".join(render_examples(examples, encoder, gzip_compress=False)))
    ids = [[2, 5, 19999, 3, 128, 7, 3, 0], [2, 16384, 3, 0, 0, 0, 0, 0], [2, 9, 8, 7, 6, 1, 3, 3]]
    masks = [[1] * 7 + [0], [1] * 3 + [0] * 5, [1] * 8]
    segments = [[0] * 4 + [1] * 3 + [0], [0] * 8, [0] * 7 + [1]]
    labels = [[200], [pytest.approx(0.1)], [0]]
    assert [parse_example(record) for record in records] == [
        dict(zip(("input_ids", "input_mask", "segment_ids", "label_ids", "example_id"), values, strict=True))
        for values in zip(ids, masks, segments, labels, [[0], [1], [2]], strict=True)
    ]
    assert encoder.counts == {
        "instances": 3, "tokens": 18, "unknown_tokens": 1, "instances_cut": 0, "nul_characters": 1,
        "texts_without_tokens": 1,
    }  # fmt: skip


def test_gzip_members_hold_the_same_records(monkeypatch):
    monkeypatch.setattr("japanese_bert.tfrecord.writing.RECORDS_PER_MEMBER", 3)
    examples = [LabelledText((f"t{number}",), number % 2) for number in range(5, 15)]
    plain = list(render_examples(examples, make_encoder(5), gzip_compress=False))
    packed = list(render_examples(examples, make_encoder(5), gzip_compress=True))
    assert [len(split_records(piece)) for piece in plain] == [3, 3, 3, 1]
    assert [gzip.decompress(piece) for piece in packed] == plain

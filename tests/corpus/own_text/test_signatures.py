"""Signatures against exact similarities."""

import lzma
import random

import numpy as np

from japanese_bert.corpus.own_text.signatures import (
    BANDS,
    NUM_HASHES,
    band_keys,
    hash_constants,
    hash_spans,
    sign_documents,
    similarity,
)
from tests.helpers.places import ROOT

SAMPLE = lzma.decompress((ROOT / "sample_data" / "cc100_sample.txt.xz").read_bytes()).decode().replace("\n", "")


def codes_of(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32), np.cumsum([len(text) for text in texts])


def jaccard(one: str, other: str) -> float:
    sets = [{text[n : n + 5] for n in range(len(text) - 4)} for text in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_estimates_are_unbiased_with_the_spread_of_160_hashes():
    numbers, errors = random.Random(1), []
    for _ in range(300):
        start = numbers.randrange(len(SAMPLE) - 400)
        text = SAMPLE[start : start + 400]
        other = "".join(numbers.choice("あいうえお") if numbers.random() < start % 7 / 60 else c for c in text)
        true = jaccard(text, other)
        signatures = sign_documents(*codes_of([text, other]))
        errors.append(
            (similarity(signatures[:1], signatures[1:])[0] - true) / max(0.01, true * (1 - true) / 160) ** 0.5
        )
    assert abs(np.mean(errors)) < 5 / 300**0.5
    assert 0.2 < np.std(errors) < 1.2


def test_line_ends_do_not_count_and_short_texts_differ():
    texts = ["これは長い文である。", "これは長い\n文である。\n", "猫", "犬", "猫\n", "𠮷😀"]
    signatures = sign_documents(*codes_of(texts))
    equal = [(one, other) for other in range(6) for one in range(other) if (signatures[one] == signatures[other]).all()]
    assert equal == [(0, 1), (2, 4)]


def test_hash_functions_differ():
    flips, factors = hash_constants()
    assert len(set(flips.tolist())) == len(set(factors.tolist())) == NUM_HASHES
    assert (factors % 2 == 1).all()


def test_keys_of_bands():
    signatures = sign_documents(*codes_of([SAMPLE[:300], SAMPLE[:300] + "違う終わり", SAMPLE[1000:1300]]))
    keys = band_keys(signatures)
    bands = signatures.reshape(3, BANDS, -1)
    assert ((keys[0] == keys[1]) == (bands[0] == bands[1]).all(axis=1)).all()
    assert (keys[0] == keys[1]).any() and not (keys[0] == keys[2]).any()
    same = band_keys(np.zeros((1, NUM_HASHES), np.uint8))
    assert len(np.unique(same)) == BANDS


def test_hashes_of_spans():
    codes, ends = codes_of(["猫がいる", "犬がいる", "猫がいる", "", "猫"])
    hashes = np.empty(5, np.uint64)
    hash_spans(codes, ends, hashes)
    assert hashes[0] == hashes[2] and len(set(hashes.tolist())) == 4

import gzip
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.pretraining_data.reading import (
    NO_LABEL,
    InstanceBlock,
    InstanceReader,
    concatenate,
    read_instance_blocks,
)
from tests.helpers.small_pretraining import make_data, write_corpus, write_vocab
from tests.helpers.tfrecord_reader import read_examples
from tests.helpers.tfrecord_writer import example, frame

GOOD = {
    "input_word_ids": [2, 700, 70_000, 3, 0, 0],
    "input_mask": [1, 1, 1, 1, 0, 0],
    "input_type_ids": [0, 0, 1, 1, 0, 0],
    "masked_lm_positions": [1, 2, 0],
    "masked_lm_ids": [9, 300, 0],
    "masked_lm_weights": [1.0, 1.0, 0.0],
    "next_sentence_labels": [1],
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("reading")
    write_vocab(place / "vocab.txt")
    return write_corpus(place / "corpus.txt")


def instances(block: InstanceBlock) -> list[dict[str, list]]:
    """Return the instances of a block as examples without padding."""
    found = []
    for row in range(len(block)):
        tokens = slice(*block.offsets[row : row + 2])
        predictions = slice(*block.prediction_offsets[row : row + 2])
        found.append(
            {
                "ids": block.token_ids[tokens].tolist(),
                "segments": block.segment_ids[tokens].tolist(),
                "positions": block.positions[predictions].tolist(),
                "labels": block.labels[predictions].tolist(),
                "next": int(block.next_sentence_labels[row]),
                "sizes": (int(block.seq_lengths[row]), int(block.prediction_slots[row])),
            }
        )
    return found


def without_padding(features: dict[str, list]) -> dict[str, list]:
    length, count = sum(features["input_mask"]), int(sum(features["masked_lm_weights"]))
    return {
        "ids": features.get("input_word_ids", features.get("input_ids", []))[:length],
        "segments": features.get("input_type_ids", features.get("segment_ids", []))[:length],
        "positions": features["masked_lm_positions"][:count],
        "labels": features["masked_lm_ids"][:count],
        "next": features.get("next_sentence_labels", [NO_LABEL])[0],
        "sizes": (len(features["input_mask"]), len(features["masked_lm_ids"])),
    }


def write(path: Path, *features: dict[str, list]) -> str:
    path.write_bytes(frame(*map(example, features)))
    return str(path)


@pytest.mark.parametrize("flags", [(), ("--no-use_v2_feature_names", "--no-gzip_compress"), ("--no-next_sentence",)])
def test_created_data_equal_those_of_an_independent_reader(corpus, tmp_path, flags):
    suffix = "" if "--no-gzip_compress" in flags else ".gz"
    path = make_data(corpus, corpus.parent / "vocab.txt", tmp_path / f"data.tfrecord{suffix}", *flags)
    expected = [without_padding(features) for features in read_examples(path)]
    blocks = list(read_instance_blocks(str(path), 37))
    assert [len(block) for block in blocks[:-1]] == [37] * (len(blocks) - 1)
    assert len(expected) > 100
    assert [found for block in blocks for found in instances(block)] == expected
    assert instances(concatenate(blocks)) == expected
    assert concatenate(blocks).lengths.tolist() == [len(found["ids"]) for found in expected]


@pytest.mark.parametrize("names", [*itertools.islice(itertools.permutations(GOOD), 0, 5040, 311)])
def test_features_in_any_order_and_others_beside_them(tmp_path, names):
    features = {"example_id": [7], **{name: GOOD[name] for name in names}, "input_wordids": [1]}
    [block] = read_instance_blocks(write(tmp_path / "data", features))
    assert instances(block) == [without_padding(GOOD)]


def test_wanted_instances_only(tmp_path):
    many = [GOOD | {"input_word_ids": [2, number, 5, 3, 0, 0]} for number in range(50)]
    path = write(tmp_path / "data", *many)
    is_wanted = np.arange(30) % 3 == 1
    with InstanceReader(path) as reader:
        assert reader.skip(10) == 10
        block = reader.read_instances(30, is_wanted)
        assert block.token_ids.reshape(-1, 4)[:, 1].tolist() == list(range(11, 40, 3))
        assert reader.position == 40
        assert len(reader.read_instances(30)) == 10
        assert len(reader.read_instances(30)) == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"input_word_ids": [1] * 5}, "ids, segments and input_mask differ in length"),
        ({"input_type_ids": [0] * 7}, "ids, segments and input_mask differ in length"),
        ({"masked_lm_ids": [1]}, "masked_lm_positions, masked_lm_ids and masked_lm_weights differ in length"),
        ({"masked_lm_weights": [1.0]}, "masked_lm_positions, masked_lm_ids and masked_lm_weights differ in length"),
        ({"input_mask": [1, 0, 1, 1, 0, 0]}, "input_mask is not ones for the tokens"),
        ({"input_mask": [0] * 6}, "input_mask is not ones for the tokens"),
        ({"input_word_ids": [2, -5, 7, 3, 0, 0]}, "a token id is negative or above 2147483647"),
        ({"input_word_ids": [2, 2**31, 7, 3, 0, 0]}, "a token id is negative or above 2147483647"),
        ({"masked_lm_ids": [2**31, 1, 0]}, "a token id is negative or above 2147483647"),
        ({"input_type_ids": [0, 2, 0, 0, 0, 0]}, "a segment or next sentence label is not 0 or 1"),
        ({"next_sentence_labels": [2]}, "a segment or next sentence label is not 0 or 1"),
        ({"next_sentence_labels": [0.5]}, "a segment or next sentence label is not 0 or 1"),
        ({"masked_lm_positions": [1, 4, 0]}, "masked_lm_positions has a position that is no token"),
        ({"masked_lm_weights": [1, 1, 0]}, "no pretraining data. Expected the features input_word_ids, input_mask"),
        ({"input_mask": []}, "no pretraining data. Expected the features input_word_ids, input_mask"),
    ],
)
def test_a_record_that_is_no_instance(tmp_path, change, problem):
    path = write(tmp_path / "data", GOOD, GOOD, {name: value for name, value in (GOOD | change).items() if value})
    with pytest.raises(ValueError, match=rf"^{path}: record 3: {problem}.*Make the file again") as caught:
        list(read_instance_blocks(path))
    assert "\n" not in str(caught.value)
    with InstanceReader(path) as reader, pytest.raises(ValueError, match="record 3: "):
        reader.read_instances(3, np.array([True, False, True]))


def test_a_damaged_record(tmp_path):
    data = bytearray(frame(*[example(GOOD)] * 3))
    data[-10] ^= 1
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(ValueError, match=r"data: record 3: checksum of the data differs\. Make"):
        list(read_instance_blocks(str(path)))
    path.write_bytes(frame(example(GOOD), b"no example"))
    with pytest.raises(ValueError, match=r"data: record 2: no tf\.train\.Example"):
        list(read_instance_blocks(str(path)))


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(frame(*[example(GOOD)] * 100) * 500))
    list(read_instance_blocks(str(path), 1000))[:0]
    tracemalloc.start()
    count = sum(len(block) for block in read_instance_blocks(str(path), 1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 50_000
    assert peak < 8 << 20

import io
import random

import numpy as np
import pytest

from japanese_bert.corpus import dealing
from japanese_bert.corpus.dealing import ShardWriter
from japanese_bert.corpus.documents import DOCUMENT, DocumentBatch
from tests.helpers.document_batches import batches_of

GENERATOR = random.Random(1)
TEXTS = [
    "\n".join(f"文書{number}の文{line}。" + "長い" * GENERATOR.randrange(40) for line in range(1 + number % 7))
    for number in range(300)
]


def deal(texts: list[str], num_files: int, per_batch: int) -> list[list[str]]:
    """Documents of each shard."""
    files = [io.BytesIO() for _ in range(num_files)]
    writer = ShardWriter(files, np.random.default_rng(12345))
    parts = (texts[start : start + per_batch] for start in range(0, len(texts), per_batch))
    for batch in batches_of("".join(f"{text}\n\n" for text in part) for part in parts):
        writer.write(batch)
    shards = [file.getvalue().decode("utf-8") for file in files]
    assert writer.sizes.tolist() == [len(shard) - 2 * shard.count("\n\n") for shard in shards]
    return [shard.removesuffix("\n\n").split("\n\n") for shard in shards]


def deal_in_plain_python(texts: list[str], num_files: int, random_seed: int, draws_at_once: int) -> list[list[str]]:
    """The rule: one to each shard first, then to the smaller of two."""
    generator = np.random.default_rng(random_seed)
    pairs = [(shard, shard) for shard in generator.permutation(num_files).tolist()]
    while len(pairs) < len(texts):
        pairs += generator.integers(num_files, size=(draws_at_once, 2)).tolist()
    shards, sizes = [[] for _ in range(num_files)], [0] * num_files
    for text, (one, other) in zip(texts, pairs, strict=False):
        shard = one if sizes[one] <= sizes[other] else other
        shards[shard].append(text)
        sizes[shard] += len(text)
    return shards


@pytest.mark.parametrize("per_batch", [1, 7, 300])
def test_dealing_equals_the_rule_in_batches_of_any_size(monkeypatch, per_batch):
    monkeypatch.setattr(dealing, "DRAWS_AT_ONCE", 50)
    assert deal(TEXTS, 7, per_batch) == deal_in_plain_python(TEXTS, 7, 12345, 50)


def test_dealing_equals_the_rule_where_shards_are_of_one_size():
    texts = [f"{number:03}" for number in range(300)]
    assert deal(texts, 3, 300) == deal_in_plain_python(texts, 3, 12345, dealing.DRAWS_AT_ONCE)


def test_every_document_is_written_when_its_batch_is():
    files = [io.BytesIO() for _ in range(4)]
    writer = ShardWriter(files, np.random.default_rng(1))
    text = np.frombuffer(("字" * 1000 + "\n\n").encode() * 50, np.uint8)
    table = np.zeros(50, DOCUMENT)
    table["end"] = np.arange(1, 51) * 3002
    table["start"] = table["end"] - 3002
    table["num_lines"], table["num_characters"] = 1, 1000
    for number in range(1, 101):
        writer.write(DocumentBatch(text, table))
        assert sum(file.tell() for file in files) == number * 50 * 3002
        assert writer.sizes.sum() == number * 50 * 1000
    assert (writer.num_documents, writer.num_lines, writer.num_characters) == (5000, 5000, 5_000_000)
    assert len(writer._dealt) == len(text)

import gzip
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from japanese_bert.pretraining_data.reading import concatenate, read_instance_blocks
from japanese_bert.torch_training import reading_order
from japanese_bert.torch_training.data import DataError, PretrainingBatches, count_instances_of
from tests.helpers.small_pretraining import PREDICTIONS, SEQ_LENGTH, make_data, write_corpus, write_vocab
from tests.helpers.tfrecord_writer import example, frame

COUNTS = (31, 5, 17)
TOTAL, BATCH = sum(COUNTS), 8
SIZES = {"max_seq_length": 16, "max_predictions_per_seq": 2, "use_next_sentence": True, "max_tokens": 40, "seed": 3}
# Python 3.12 warns of forks in processes with threads, such as those of PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def instance(number: int, **changes: list) -> bytes:
    """Return an instance whose second token tells its number. It has 4 to 12 tokens of 16."""
    length = 4 + number * 7 % 9
    features = {
        "input_ids": [2, 10 + number, *[5] * (length - 3), 3, *[0] * (16 - length)],
        "input_mask": [1] * length + [0] * (16 - length),
        "segment_ids": [0] * 16,
        "masked_lm_positions": [1, 0],
        "masked_lm_ids": [10 + number, 0],
        "masked_lm_weights": [1.0, 0.0],
        "next_sentence_labels": [number % 2],
    }
    return example({name: values for name, values in (features | changes).items() if values})


@pytest.fixture
def files(tmp_path, monkeypatch) -> list[str]:
    """Three files of instances with numbers from 0 on, of which two are read at once in small windows."""
    monkeypatch.setattr(reading_order, "WINDOW_INSTANCES", 12)
    monkeypatch.setattr(reading_order, "FILES_SIDE_BY_SIDE", 2)
    ends = [0, *itertools.accumulate(COUNTS)]
    for index, (start, end) in enumerate(itertools.pairwise(ends)):
        data = frame(*map(instance, range(start, end)))
        (tmp_path / f"data_{index}").write_bytes(gzip.compress(data) if index else data)
    return [f"{tmp_path}/data_{index}" for index in range(3)]


def batches(files: list[str], **settings) -> PretrainingBatches:
    return PretrainingBatches(files, BATCH, **(SIZES | settings))


def numbers(files: list[str], steps: int, ranks: int = 1, processes: int = 0, **settings) -> list[list[int]]:
    """Return the numbers of the instances of each step, those of all ranks together."""
    found: list[list[int]] = [[] for _ in range(steps)]
    for rank in range(ranks):
        data = batches(files, rank=rank, world_size=ranks, **settings)
        loader = DataLoader(data, batch_size=None, num_workers=processes)
        for step, micro_batches in zip(found, loader, strict=False):
            for batch in micro_batches:
                step += (batch["input_ids"][:, 1] - 10).tolist()
    return [sorted(step) for step in found]


@pytest.mark.parametrize(("ranks", "processes"), [(1, 0), (2, 0), (2, 2), (4, 2)])
def test_every_instance_is_seen_once_an_epoch_for_any_ranks_and_loader_processes(files, ranks, processes):
    """An epoch of 53 instances ends inside a step of 8, but the eighth one does not."""
    steps = numbers(files, TOTAL, ranks, processes)
    assert steps == numbers(files, TOTAL)
    assert [len(step) for step in steps] == [BATCH] * TOTAL
    for epochs in range(1, 9):
        inside, cut = divmod(epochs * TOTAL, BATCH)
        seen = np.bincount([number for step in steps[:inside] for number in step], minlength=TOTAL)
        assert seen.max() <= epochs
        assert epochs * TOTAL - seen.sum() == cut


@pytest.mark.parametrize("start", [1, 5, 7, 20])
def test_a_resumed_training_goes_on_with_another_number_of_ranks(files, start):
    assert numbers(files, 20, 2, 2, start_step=start) == numbers(files, start + 20)[start:]


def as_lists(data: PretrainingBatches, steps: int) -> list[list[dict[str, list]]]:
    found = itertools.islice(data, steps)
    return [[{name: tensor.tolist() for name, tensor in batch.items()} for batch in step] for step in found]


def test_tensors_follow_from_the_seed(files):
    assert as_lists(batches(files), 9) == as_lists(batches(files), 9) != as_lists(batches(files, seed=4), 9)


def test_a_rest_that_not_every_rank_has_a_share_of_is_left_out(files):
    for ranks in (2, 4, 8):
        rest = numbers(files, 7, ranks, is_training=False, drop_remainder=False)[6]
        assert rest == list(range(6 * BATCH, 6 * BATCH + (TOTAL - 6 * BATCH) // ranks * ranks))


@pytest.mark.parametrize("processes", [0, 2])
def test_validation_reads_the_files_once_in_order(files, processes):
    steps = numbers(files, 9, 1, processes, is_training=False, drop_remainder=False)
    assert steps[:7] == [list(range(start, min(start + BATCH, TOTAL))) for start in range(0, TOTAL, BATCH)]
    assert steps[7:] == [[], []]
    assert numbers(files, 9, 1, processes, is_training=False) == [*steps[:6], [], [], []]


def test_created_data_arrive_whole(tmp_path):
    vocab = write_vocab(tmp_path / "vocab.txt")
    path = make_data(write_corpus(tmp_path / "corpus.txt"), vocab, tmp_path / "data.tfrecord.gz")
    block = concatenate(list(read_instance_blocks(str(path))))
    expected = []
    for row in range(len(block)):
        tokens, predictions = slice(*block.offsets[row : row + 2]), slice(*block.prediction_offsets[row : row + 2])
        arrays = block.token_ids[tokens], block.segment_ids[tokens], block.positions[predictions]
        label = int(block.next_sentence_labels[row])
        expected.append((*(array.tolist() for array in arrays), block.labels[predictions].tolist(), label))
    data = PretrainingBatches([str(path)], len(block), SEQ_LENGTH, PREDICTIONS, True, 5, max_tokens=200)
    found = []
    for batch in next(iter(data)):
        assert batch["input_ids"].numel() <= 200
        width = batch["input_ids"].shape[1]
        for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
            arrays = batch["input_ids"][row, :length], batch["token_type_ids"][row, :length]
            here = batch["masked_positions"] // width == row
            arrays += (batch["masked_positions"][here] - row * width,)
            labels = batch["masked_lm_labels"][here].tolist()
            label = int(batch["next_sentence_labels"][row])
            found.append((*(array.tolist() for array in arrays), labels, label))
    assert sorted(found) == sorted(expected)
    without = PretrainingBatches([str(path)], 8, SEQ_LENGTH, PREDICTIONS, False, 5)
    assert all("next_sentence_labels" not in batch for batch in next(iter(without)))


def test_few_files_are_open_at_once(files):
    before = len(os.listdir("/proc/self/fd"))
    steps = batches(files).steps()
    assert {len(os.listdir("/proc/self/fd")) - before for _ in itertools.islice(steps, 30)} == {1, 2}
    steps.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_instances_are_counted_by_the_provenance_or_in_the_file(tmp_path):
    vocab = write_vocab(tmp_path / "vocab.txt")
    paths = [tmp_path / f"{name}.tfrecord.gz" for name in "abcd"]
    make_data(write_corpus(tmp_path / "corpus.txt"), vocab, Path(",".join(map(str, paths))))
    counts = [sum(map(len, read_instance_blocks(str(path)))) for path in paths]
    assert len(set(counts)) == 2
    for path in paths:
        path.write_bytes(path.read_bytes()[:-3])
    assert [count_instances_of(str(path)) for path in paths] == counts  # it read no data
    other = tmp_path / "other"
    other.write_bytes(frame(*map(instance, range(9))))
    assert count_instances_of(str(other)) == 9


@pytest.mark.parametrize(("said", "word"), [(30, "more"), (32, "fewer")])
@pytest.mark.parametrize("processes", [0, 1])
def test_another_number_of_instances_than_the_provenance_says(files, said, word, processes):
    found = {"output": {}, "inputs": {}, "counts": {"instances": said}, "method": {"outputs": ["data_0"]}}
    Path(f"{files[0]}.json").write_text(json.dumps({"stage": "create_pretraining_data", **found}), encoding="utf-8")
    message = rf"^{files[0]}: has {word} instances than its \.json says\. Copy both"
    with pytest.raises(DataError, match=message) as caught:
        list(itertools.islice(DataLoader(batches(files[:1]), batch_size=None, num_workers=processes), 20))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "settings", "problem"),
    [
        ({"next_sentence_labels": []}, {}, "an instance has no next_sentence_labels. Set use_next_sentence_label"),
        ({}, {"max_seq_length": 11}, "an instance has 12, and seq_length is 11"),
        ({}, {"max_predictions_per_seq": 0}, "an instance has 1, and max_predictions_per_seq is 0"),
        ({}, {"vocab_size": 40}, "an instance has 40, and vocab_size - 1 is 39"),
    ],
)
def test_an_instance_that_the_model_cannot_take(tmp_path, changes, settings, problem):
    path = tmp_path / "data"
    path.write_bytes(frame(*[instance(number, **changes) for number in range(31)]))
    with pytest.raises(DataError, match=f"^{path}: {problem}"):
        next(iter(batches([str(path)], **settings)))


def test_a_damaged_file_is_one_line_from_a_loader_process(files):
    Path(files[0]).write_bytes(Path(files[0]).read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=rf"^{files[0]}: record 31: checksum of the data differs") as caught:
        list(itertools.islice(DataLoader(batches(files), batch_size=None, num_workers=2), 20))
    assert "\n" not in str(caught.value)


def test_no_instances_and_too_many_processes(files, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match="empty: no instance"):
        batches([f"{tmp_path}/empty"])
    with pytest.raises(ValueError, match="global_batch_size 8: expected 9 or more"):
        batches(files, world_size=9)

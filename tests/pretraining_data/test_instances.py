import tempfile

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from japanese_bert.pretraining_data.instances import PlanSettings, plan_instances, shuffle_instances, truncate_pair
from japanese_bert.pretraining_data.token_store import CorpusCounts, TokenStore, with_separators
from tests.helpers.reference_bert import plan_document

new_file = tempfile.TemporaryFile


def make_store(documents: list[list[int]], dtype=np.uint16) -> TokenStore:
    """Return documents with these sentence lengths. Tokens are numbered, and every second one starts a word."""
    sentence_offsets = np.cumsum([0, *(length for document in documents for length in document)])
    document_offsets = np.cumsum([0, *map(len, documents)])
    tokens = np.arange(sentence_offsets[-1]).astype(dtype) & 0x7FFF
    tokens[::2] |= 0x8000
    return TokenStore(tokens, sentence_offsets, document_offsets, CorpusCounts(documents=len(documents)))


def plan(store: TokenStore, **changes) -> np.ndarray:
    settings = {"max_seq_length": 32, "short_seq_prob": 0.1, "dupe_factor": 3, "random_seed": 5} | changes
    return plan_instances(store, PlanSettings(**settings), new_file())


def random_documents(count: int = 40, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 25, rng.integers(1, 12)).tolist() for _ in range(count)]


def document_of(store: TokenStore, starts: np.ndarray) -> np.ndarray:
    sentences = np.searchsorted(store.sentence_offsets, starts, side="right") - 1
    return np.searchsorted(store.document_offsets, sentences, side="right") - 1


def test_every_pair_fits_and_has_two_segments():
    instances = plan(make_store(random_documents()))
    assert len(instances) > 100
    assert (instances["a_length"] >= 1).all()
    assert (instances["b_length"] >= 1).all()
    assert (instances["a_length"].astype(int) + instances["b_length"] <= 29).all()


def test_random_next_comes_from_another_document_and_actual_next_from_the_same():
    store = make_store(random_documents())
    instances = plan(store)
    same = document_of(store, instances["a_start"]) == document_of(store, instances["b_start"])
    assert np.array_equal(same, instances["is_random_next"] == 0)


def test_actual_next_follows_its_first_segment():
    store = make_store([[5, 6, 7, 4]] * 4)
    instances = plan(store, max_seq_length=64, short_seq_prob=0.0)
    actual = instances[instances["is_random_next"] == 0]
    assert len(actual) > 0
    assert np.array_equal(actual["a_start"] + actual["a_length"], actual["b_start"])


def test_segments_stay_inside_their_document():
    store = make_store(random_documents())
    instances = plan(store)
    for side in ("a", "b"):
        starts = instances[f"{side}_start"]
        assert np.array_equal(document_of(store, starts), document_of(store, starts + instances[f"{side}_length"] - 1))


@pytest.mark.parametrize("changes", [{"max_seq_length": 32}, {"max_seq_length": 64, "short_seq_prob": 0.5}])
def test_distributions_equal_the_reference_algorithm(changes):
    documents = random_documents(60, seed=1)
    settings = {"max_seq_length": 32, "short_seq_prob": 0.1} | changes
    ours = plan(make_store(documents), dupe_factor=60, **settings)
    rng = np.random.default_rng(2)
    reference = [
        instance
        for _ in range(60)
        for number in range(len(documents))
        for instance in plan_document(documents, number, settings["max_seq_length"], settings["short_seq_prob"], rng)
    ]
    a_length, b_length, random_next = map(np.array, zip(*reference, strict=True))
    assert abs(len(ours) / len(reference) - 1) < 0.02
    labels = [
        [ours["is_random_next"].sum(), (1 - ours["is_random_next"]).sum()],
        [random_next.sum(), (~random_next).sum()],
    ]
    assert chi2_contingency(labels).pvalue > 1e-3
    assert ks_2samp(ours["a_length"], a_length).pvalue > 1e-3
    assert ks_2samp(ours["b_length"], b_length).pvalue > 1e-3
    assert ks_2samp(ours["a_length"].astype(int) + ours["b_length"], a_length + b_length).pvalue > 1e-3


def test_truncation_takes_from_both_ends_of_the_longer_segment():
    from japanese_bert.compiled.random_streams import Stream, start_stream

    state = np.zeros(1, np.uint64)
    start_stream(state, 0, Stream.PLAN, 0)
    results = np.array([truncate_pair(0, 40, 100, 110, 30, state) for _ in range(400)])
    assert (results[:, 2:] == [100, 110]).all()  # B is the shorter one
    assert (results[:, 1] - results[:, 0] == 20).all()
    assert abs(results[:, 0].mean() - 10) < 0.6  # Binomial(20, 1/2) tokens from the front


def test_single_segments_cover_every_token_once_and_end_between_words():
    store = make_store([[5, 70, 3], [2], [31, 1, 30]])
    instances = plan(store, next_sentence=False, dupe_factor=1, short_seq_prob=0.0)
    covered = [
        np.arange(start, start + length)
        for start, length in zip(instances["a_start"], instances["a_length"], strict=True)
    ]
    assert np.array_equal(np.sort(np.concatenate(covered)), np.arange(store.sentence_offsets[-1]))
    assert (instances["a_length"] <= 30).all()
    assert (instances["b_length"] == 0).all()
    inner = [start for start in instances["a_start"] if start not in store.sentence_offsets]
    assert inner
    assert all(store.tokens[start] & 0x8000 for start in inner)


def test_single_segments_with_every_document_short():
    store = make_store(random_documents())
    instances = plan(store, next_sentence=False, short_seq_prob=1.0, dupe_factor=2)
    assert instances["a_length"].sum() == 2 * store.sentence_offsets[-1]


def test_single_segments_are_cut_elsewhere_in_every_pass():
    store = make_store(random_documents())
    instances = plan(store, next_sentence=False, short_seq_prob=1.0, dupe_factor=2)
    half = int(np.flatnonzero(instances["a_start"] == 0)[1])
    assert instances["a_length"][:half].tolist() != instances["a_length"][half:].tolist()


def test_texts_run_on_over_documents_and_leave_nothing_out(monkeypatch):
    monkeypatch.setattr("japanese_bert.pretraining_data.instances.DOCUMENTS_PER_BLOCK", 30)
    store = with_separators(make_store(random_documents()), 7, new_file)
    instances = plan(store, next_sentence=False, short_seq_prob=0.0, dupe_factor=2, separator=7 | 0x8000)
    ranges = [store.tokens[start : start + length] for start, length, *_ in instances[["a_start", "a_length"]]]
    is_text = store.tokens != 7 | 0x8000
    whole = [tokens[tokens != 7 | 0x8000] for tokens in ranges]
    assert np.array_equal(np.concatenate(whole), np.tile(store.tokens[is_text], 2))
    assert all(7 | 0x8000 not in (tokens[0], tokens[-1]) for tokens in ranges)
    assert all(store.tokens[start] & 0x8000 or store.tokens[start - 1] == 7 | 0x8000 for start in instances["a_start"])
    lengths = instances["a_length"]
    first = int(np.flatnonzero(instances["a_start"] == 1)[1])
    assert lengths[:first].tolist() != lengths[first:].tolist()
    assert sum(lengths < 28) <= 2 * 2 * 2  # the first and the last of a block. A word or a separator may be missing
    assert (lengths <= 30).all()


def test_short_target_lengths_are_from_2_to_the_limit():
    store = make_store([[1] * 100] * 300)
    instances = plan(store, next_sentence=False, short_seq_prob=1.0, max_seq_length=8)
    first = instances[np.isin(instances["a_start"], np.arange(300) * 100)]
    assert set(first["a_length"].tolist()) == {2, 3, 4, 5, 6}


def test_one_document_larger_than_the_buffer(monkeypatch):
    monkeypatch.setattr("japanese_bert.pretraining_data.instances.MIN_BUFFER", 4)
    documents = random_documents(20)
    small = plan(make_store(documents))
    monkeypatch.undo()
    assert np.array_equal(small, plan(make_store(documents)))


def test_blocks_of_documents_do_not_matter(monkeypatch):
    documents = random_documents(20)
    whole = plan(make_store(documents))
    monkeypatch.setattr("japanese_bert.pretraining_data.instances.DOCUMENTS_PER_BLOCK", 3)
    assert np.array_equal(whole, plan(make_store(documents)))


def test_seeds():
    store = make_store(random_documents())
    assert np.array_equal(plan(store), plan(store))
    assert not np.array_equal(plan(store)[:50], plan(store, random_seed=6)[:50])


def test_shuffle_is_a_permutation_and_every_order_is_as_likely():
    order = shuffle_instances(40_000, 3, new_file())
    assert np.array_equal(np.sort(order), np.arange(40_000))
    assert not np.array_equal(order, shuffle_instances(40_000, 4, new_file()))
    counts = np.zeros((3, 3), int)
    for seed in range(3000):
        counts[np.arange(3), shuffle_instances(3, seed, new_file())] += 1
    assert chi2_contingency(counts).pvalue > 1e-4

"""Processes of a stage: signals that come while they start are not lost."""

import signal

from japanese_bert.common import workers


def blocked_signals(*_) -> set[int]:
    return set(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))


def signal_state(item: int) -> tuple[int, set[int], bool]:
    return item, blocked_signals(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class Executor:
    """Tells what a worker that it forks would inherit."""

    submit = staticmethod(blocked_signals)


def test_signals_are_held_back_while_workers_are_forked():
    assert set(map(int, workers.ENDING_SIGNALS)) <= workers._submit(Executor, None)
    assert blocked_signals() == set()


def test_a_worker_heeds_signals_again():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert list(workers.map_in_order(signal_state, range(9), 2)) == [(item, set(), True) for item in range(9)]
    finally:
        signal.signal(signal.SIGTERM, before)

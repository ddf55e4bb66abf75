"""A parallel map over forked processes, in order: the output never depends on the number of workers."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any

from japanese_bert.common.process import default_signals, end_with_parent

PENDING_PER_WORKER = 3
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def map_in_order(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    num_workers: int,
) -> Iterator[Any]:
    """Yield `function(item)` for each item, in order, from `num_workers` processes. Few items are in memory at a time.

    With one worker everything runs in this process. Fork hands `function` to the workers, so it need not be pickled.
    Items and results must be.

    Raises:
        concurrent.futures.BrokenExecutor: a worker process died.
    """
    if num_workers == 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("fork")
    executor = ProcessPoolExecutor(num_workers, context, initializer=_start_worker, initargs=(function, os.getpid()))
    remaining = iter(items)
    try:
        pending = deque(_submit(executor, item) for item in islice(remaining, PENDING_PER_WORKER * num_workers))
        while pending:
            result = pending.popleft().result()
            pending.extend(_submit(executor, item) for item in islice(remaining, 1))
            yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _submit(executor: ProcessPoolExecutor, item: Any) -> Future:
    """Submit a call. The first one forks the workers, with signals blocked: the handlers of this process lose them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        return executor.submit(_call, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def call_in_child(function: Callable, *arguments: Any) -> Any:
    """Return the result of a call in a new process. Its end frees the memory, which TensorFlow never does."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=end_with_parent, initargs=(os.getpid(),)) as child:
        return child.submit(function, *arguments).result()


_function: Callable | None = None


def _start_worker(function: Callable, parent: int) -> None:
    """Ignore Ctrl-C, which the parent handles. Other signals end a worker."""
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    default_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    end_with_parent(parent)


def _call(item: Any) -> Any:
    assert _function is not None  # set by _start_worker
    return _function(item)

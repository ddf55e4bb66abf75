"""A parallel map over forked processes, in order: the output never depends on the number of workers.

Each worker has a pipe of its own, and nobody else holds the worker's end. So the death of a worker, even in the middle
of a result, is the end of a file for its reader. No lock can die with it.
"""

import multiprocessing
import os
import queue
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, SpawnContext
from typing import Any

from japanese_bert.common.process import default_signals, end_with_parent, uninterrupted

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
        OSError: the system does not allow that many processes.
    """
    if num_workers == 1:
        yield from map(function, items)
        return
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()

    def call(item: Any) -> Any:
        worker = idle.get()
        try:
            return worker.call(item)
        finally:
            idle.put(worker)  # also a dead one: the next call must not wait for it

    remaining = iter(items)
    fork = multiprocessing.get_context("fork")
    with started_workers(fork, function, num_workers) as workers, ThreadPoolExecutor(num_workers) as threads:
        for worker in workers:
            idle.put(worker)
        try:
            pending = deque(threads.submit(call, item) for item in islice(remaining, PENDING_PER_WORKER * num_workers))
            while pending:
                result = pending.popleft().result()
                pending.extend(threads.submit(call, item) for item in islice(remaining, 1))
                yield result
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.kill()  # which ends the calls of all threads


def call_in_child(function: Callable, *arguments: Any) -> Any:
    """Return the result of a call in a new process. Its end frees the memory, which TensorFlow never does.

    Raises:
        concurrent.futures.BrokenExecutor: the process died.
    """
    resource_tracker.ensure_running()  # the start of this process of multiprocessing lets signals through
    with started_workers(multiprocessing.get_context("spawn"), function, 1) as (child,):
        return child.call(*arguments)


class Worker:
    """A process that calls one function again and again."""

    def __init__(self, context: ForkContext | SpawnContext, function: Callable) -> None:
        self._pipe, its_end = context.Pipe()
        # Python ends a daemon at its own end, and would wait for any other process for ever.
        self._process = context.Process(target=_serve, args=(its_end, os.getpid(), function), daemon=True)
        try:
            self._process.start()
        finally:
            its_end.close()

    def call(self, *arguments: Any) -> Any:
        """Return the result of a call. Raise what the function raises, or BrokenExecutor."""
        answer = None
        with suppress(EOFError, OSError):  # kept as a context, the error would hold buffers that Python cannot free
            self._pipe.send(arguments)
            answer = self._pipe.recv()
        if answer is None:
            raise BrokenExecutor
        succeeded, result = answer
        if not succeeded:
            raise result
        return result

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Kill the process, whatever it does, and wait for its end."""
        self.kill()
        self._process.join()
        self._pipe.close()


@contextmanager
@uninterrupted
def started_workers(context: ForkContext | SpawnContext, function: Callable, count: int) -> Iterator[list[Worker]]:
    """Yield workers, and end them after the block. Also end them if the system does not start all of them.

    Signals wait until all have started. Reasons: a signal between the start of a worker and its place in the list would
    leave it alive. A new process would lose a signal until `_serve` sets its own handlers, so they are blocked as well.
    """
    workers: list[Worker] = []
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        try:
            for _ in range(count):
                workers.append(Worker(context, function))
        except OSError as error:
            hint = "Run again with a smaller --num_workers, or raise the limit of the system (`ulimit -a`)"
            message = f"worker {len(workers) + 1} of {count} does not start: {error.strerror}. {hint}"
            raise OSError(error.errno, message) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield workers
    finally:
        for worker in workers:
            worker.close()


def _serve(pipe: Connection, parent: int, function: Callable) -> None:
    """Answer calls until the process is killed. Ignore Ctrl-C, which the parent handles. Other signals end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    default_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    end_with_parent(parent)
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            arguments = pipe.recv()
            try:
                pipe.send((True, function(*arguments)))
            except Exception as error:
                error.add_note(f"in a worker process:\n{traceback.format_exc()}")
                pipe.send((False, error))

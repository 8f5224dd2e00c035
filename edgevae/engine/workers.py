"""Many rows at once: chunks that stay in cache, handed to one worker a core as it gets free.

A worker's operators run on its own thread alone, so that workers never wait for each other and a
chunk's activations stay in the cache of one core. What a chunk needs beside its slice of the
caller's array is allocated by the worker, so memory is bounded by chunk and workers, not by n.
"""

import threading
from collections import deque
from collections.abc import Callable

from edgevae._core import gather, scatter

__all__ = ["gather", "scatter", "spread"]


def spread(rows: int, chunk: int, workers: int, work: Callable[[int, int], None]) -> None:
    """Calls work(first, last) for stretches of at most `chunk` rows that make up range(rows).

    The calling thread is one of the workers. The first exception, an interrupt among them, stops
    the handing out; it is raised here, when no worker is at work any more.
    """
    # As many chunks for each worker, of the same size but for one row, so that none is left
    # waiting for a last full chunk.
    count = -(-rows // chunk)
    count = min(rows, -(-count // workers) * workers)
    todo = deque((rows * i // count, rows * (i + 1) // count) for i in range(count))
    failures: list[BaseException] = []

    def toil() -> None:
        try:
            while True:
                try:
                    first, last = todo.popleft()
                except IndexError:
                    return
                work(first, last)
        except BaseException as failure:
            todo.clear()
            failures.append(failure)

    helpers = [threading.Thread(target=toil, daemon=True) for _ in range(min(workers, count) - 1)]
    for helper in helpers:
        helper.start()
    toil()
    for helper in helpers:
        _join(helper, todo, failures)
    if failures:
        raise failures[0]


def _join(
    helper: threading.Thread, todo: deque[tuple[int, int]], failures: list[BaseException]
) -> None:
    """Waits, through interrupts too: the helper writes into memory that the caller may free."""
    while helper.is_alive():
        try:
            helper.join()
        except KeyboardInterrupt as interrupt:
            todo.clear()
            failures.append(interrupt)

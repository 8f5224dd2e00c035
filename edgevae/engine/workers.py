"""Divide many rows into chunks and run them on a pool of threads.

Each worker runs its operators on its own thread only, so workers do not wait for each other and
the activations of a chunk stay in the cache of one core. A worker allocates what a chunk needs
beside its slice of the caller's array, so that memory depends on the chunk and the number of
workers, not on the number of rows.
"""

import threading
from collections import deque
from collections.abc import Callable


def run_chunks(rows: int, chunk: int, workers: int, work: Callable[[int, int], None]) -> None:
    """Call work(first, last) for chunks of at most `chunk` rows that cover range(rows).

    The calling thread is one of the workers. After the first exception, including an interrupt, no
    further chunk is started; the exception is raised when all workers have stopped.
    """
    # Every worker gets the same number of chunks, whose sizes differ by one row at most, so that
    # no worker waits while another runs a last full chunk.
    count = -(-rows // chunk)
    count = min(rows, -(-count // workers) * workers)
    queue = deque((rows * i // count, rows * (i + 1) // count) for i in range(count))
    failures: list[BaseException] = []
    # A lock for each thread, held while it runs. An interrupt may hide that a thread was started;
    # but once the queue is empty, a thread that holds no lock here yet takes no chunk.
    running: list[threading.Lock] = []

    def run_from_queue() -> None:
        try:
            while True:
                try:
                    first, last = queue.popleft()
                except IndexError:
                    return
                work(first, last)
        except BaseException as failure:
            queue.clear()
            failures.append(failure)

    def run_in_thread() -> None:
        lock = threading.Lock()
        with lock:
            running.append(lock)
            run_from_queue()

    threads = [
        threading.Thread(target=run_in_thread, daemon=True) for _ in range(min(workers, count) - 1)
    ]
    try:
        for thread in threads:
            thread.start()
        run_from_queue()
    except BaseException as failure:
        queue.clear()
        failures.append(failure)
    for lock in running:
        _wait(lock, queue, failures)
    for thread in threads:
        if thread.is_alive():
            thread.join()
    if failures:
        raise failures[0]


def _wait(
    lock: threading.Lock, queue: deque[tuple[int, int]], failures: list[BaseException]
) -> None:
    """Wait for a thread, even through interrupts: it writes into the caller's memory."""
    while lock.locked():
        try:
            lock.acquire()
        except KeyboardInterrupt as interrupt:
            queue.clear()
            failures.append(interrupt)
        else:
            lock.release()

"""Divide many rows into chunks and run them on a pool of threads.

Each worker runs its operators on its own thread only, so workers do not wait for each other and
the activations of a chunk stay in the cache of one core. A worker allocates what a chunk needs
beside its slice of the caller's array, so that memory depends on the chunk and the number of
workers, not on the number of rows.

The threads of the pool are started when they are first needed and kept; a call wakes them. All
callers of a process share them. A caller is itself one of its workers, so it makes progress if
every thread of the pool is busy.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from edgevae.engine import cores, gate

Work = Callable[[int, int], None]  # work(first, last) runs the rows first .. last - 1


def run_chunks(rows: int, chunk: int, workers: int, work: Work) -> None:
    """Call work(first, last) for chunks of at most `chunk` rows that cover range(rows).

    The calling thread is one of the workers. After the first exception, including an interrupt, no
    further chunk is started; the exception is raised when all workers have stopped.
    """
    # Every worker gets the same number of chunks, whose sizes differ by one row at most, so that
    # no worker waits while another runs a last full chunk.
    count = -(-rows // chunk)
    count = min(rows, -(-count // workers) * workers)
    job = _Job(deque((rows * i // count, rows * (i + 1) // count) for i in range(count)), work)
    try:
        if workers > 1 and count > 1 and gate.is_open():
            _pool.help(job, min(workers, count) - 1)
        job.run_chunks()
    except BaseException as failure:  # an interrupt between two chunks
        job.stop(failure)
    job.wait()
    if job.failures:
        raise job.failures[0]


class _Job:
    """The chunks of one call that no worker has taken yet, and the failures of those that ran."""

    def __init__(self, chunks: deque[tuple[int, int]], work: Work) -> None:
        self._chunks = chunks
        self._work = work
        self.failures: list[BaseException] = []
        # A lock for each thread of the pool, held while it runs. A thread that has none here yet
        # when the chunks are used up finds no chunk, so it need not be waited for.
        self._running: list[threading.Lock] = []

    def run_chunks(self) -> None:
        """Run chunks until none is left."""
        try:
            while True:
                try:
                    first, last = self._chunks.popleft()
                except IndexError:
                    return
                self._work(first, last)
        except BaseException as failure:
            self.stop(failure)

    def help(self) -> None:
        """Run chunks in a thread of the pool."""
        lock = threading.Lock()
        with lock:
            self._running.append(lock)
            self.run_chunks()

    def stop(self, failure: BaseException) -> None:
        """Keep a failure, and drop the chunks that no worker has taken."""
        self._chunks.clear()
        self.failures.append(failure)

    def wait(self) -> None:
        """Wait for the pool, even through interrupts: it writes into the caller's memory.

        The job may still be in the queue of the pool afterwards; it then holds no array.
        """
        for lock in self._running:
            while lock.locked():
                try:
                    lock.acquire()
                except KeyboardInterrupt as interrupt:
                    self.stop(interrupt)
                else:
                    lock.release()
        self._work = _nothing


def _nothing(first: int, last: int) -> None:
    """Do no work, as a job whose chunks were all taken."""


class _Pool:
    """The threads of a process that help callers.

    A job waits in a queue until a thread is free; a thread that comes after all chunks were taken
    drops it. The threads are daemons, which end with the process.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._threads = 0
        self._identifiers: list[int] = []
        self._avoided: int | None = None

    def help(self, job: _Job, threads: int) -> None:
        """Let up to `threads` threads run chunks of a job."""
        # Two callers that come here at the same time may start a few threads more than needed.
        while self._threads < threads:
            self._threads += 1
            threading.Thread(target=self._serve, name="edgevae worker", daemon=True).start()
        self._leave_core_to_caller()
        for _ in range(threads):
            self._jobs.put(job)

    def _leave_core_to_caller(self) -> None:
        """Keep the threads off the caller's core. With several callers, the last one is served."""
        core = cores.current()
        if core is not None and core != self._avoided:
            self._avoided = core
            cores.keep_off(core, self._identifiers.copy())

    def _serve(self) -> None:
        self._identifiers.append(threading.get_native_id())
        self._avoided = None  # so that the next caller moves this thread as well
        while True:
            # Without a local variable, which would keep the caller's arrays while it waits.
            self._jobs.get().help()


_pool = _Pool()


def _abandon_pool() -> None:
    """Start with an empty pool in a forked child, where the parent's threads do not exist."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_pool)

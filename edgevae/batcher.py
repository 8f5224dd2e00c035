"""Serve single items to many threads and tasks, in merged batches.

One free worker, the leader, watches the waiting requests. When it has taken its share of them, the
next free worker leads; while they run, the next requests queue up and become the next batch. Each
calling thread sleeps on a lock of its own, and each task on a future of its event loop; one wake-up
serves all futures of a loop. Nothing polls.

A caller takes no lock: it appends its request to a deque, which is atomic, and sends the leader a
signal only if that one sleeps or has as many requests as it expects.
"""

import atexit
import copy
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.data import class_numbers
from edgevae.errors import InputError
from edgevae.latents import Posterior, read_latents
from edgevae.vae import VAE

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from edgevae.data import Labels
    from edgevae.engine import Arrays, Graph, Plan

Floats = npt.NDArray[np.float32]


class Batcher:
    """Serve `decode` and `encode` of single items to any thread or task, in merged batches.

    A result is that of the same call of `vae`, within the bundle's tolerance: a batch of another
    size may add floats in another order. An item is checked by its caller, before it joins a
    batch. If a graph fails, all callers of that batch get the error.

    A batch has at most `max_batch` items, and at most a chunk of the VAE's plan. A worker with
    fewer requests than in its last batch waits for more, until the oldest request has waited for
    `max_delay` seconds. A lone caller, whose last batch had one item, never waits. If a task is
    cancelled or a thread interrupted, its item is withdrawn unless a batch already has it.

    `close`, or the end of a `with` block, serves the waiting requests and refuses later ones. A
    Batcher holds threads, so it belongs to one process: it is neither pickled nor used after a
    fork.
    """

    def __init__(self, vae: VAE, max_batch: int = 64, max_delay: float = 0.002) -> None:
        self._max_batch = checks.integer(max_batch, "max_batch", least=1)
        if not isinstance(max_delay, (int, float)) or not 0 <= max_delay < float("inf"):
            raise InputError(f"max_delay: expected seconds, at least 0, got {max_delay!r:.60}")
        self._max_delay = float(max_delay)
        self._runner = runner = vae.runner
        roles = set(runner.bundle.roles) - {"activations"}  # which no verb for single items runs
        self._queues = {role: _Queue(runner.graph(role), runner.plan(role)) for role in roles}
        self._leading = threading.Lock()  # is held by the leader
        self._signals: SimpleQueue[None] = SimpleQueue()  # for the leader
        self._sleeping = False  # whether the leader sleeps until there is a request
        self._running: list[None] = []  # one for each batch that runs
        self._closed = False
        self._process = os.getpid()
        count = max(queue.plan.workers for queue in self._queues.values())
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for worker in self._workers:
            worker.start()
        # A daemon thread that runs a graph while the interpreter ends could crash it.
        atexit.register(self.close)

    def decode(self, z: npt.ArrayLike, *, labels: "Labels | None" = None) -> Floats:
        """Return `VAE.decode` of one latent, (*latent_shape) or (1, *latent_shape)."""
        inputs, single = self._latent(z, labels)
        (x_hat,) = self._run("decoder", inputs)
        return x_hat[0] if single else x_hat

    async def adecode(self, z: npt.ArrayLike, *, labels: "Labels | None" = None) -> Floats:
        """Return `decode` of one latent without blocking the event loop."""
        inputs, single = self._latent(z, labels)
        (x_hat,) = await self._arun("decoder", inputs)
        return x_hat[0] if single else x_hat

    def encode(self, x: Any) -> Posterior:
        """Return `VAE.encode` of one item."""
        return Posterior(*self._run("encoder", self._item(x)))

    async def aencode(self, x: Any) -> Posterior:
        """Return `encode` of one item without blocking the event loop."""
        return Posterior(*await self._arun("encoder", self._item(x)))

    def close(self) -> None:
        """Serve the waiting requests, then end the workers. Later calls are refused."""
        if os.getpid() != self._process:  # a fork copies no threads that could be waited for
            return
        self._closed = True
        self._signals.put(None)
        for worker in self._workers:
            worker.join()
        atexit.unregister(self.close)

    def __enter__(self) -> "Batcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Batcher holds threads and cannot be pickled: send its VAE instead")

    # --- in the caller's thread --------------------------------------------------------------

    def _latent(self, z: npt.ArrayLike, labels: "Labels | None") -> "tuple[Arrays, bool]":
        bundle = self._runner.bundle
        rows, single = read_latents(z, bundle.latent_shape)
        y = class_numbers(labels, bundle.classes, len(rows))
        return {"z": rows} if y is None else {"z": rows, "y": y}, single

    def _item(self, x: Any) -> "Arrays":
        self._runner.graph("encoder")  # raises if there is none
        return {"x": self._runner.bundle.data.read(x).rows}

    def _run(self, role: str, inputs: "Arrays") -> list[Floats]:
        queue = self._queues[role]
        request = _Request(inputs)
        request.lock = threading.Lock()
        request.lock.acquire()
        self._submit(queue, request)
        try:
            request.lock.acquire()  # which a worker releases
        except BaseException:
            queue.withdraw(request)
            raise
        return request.result()

    async def _arun(self, role: str, inputs: "Arrays") -> list[Floats]:
        from asyncio import CancelledError, get_running_loop

        queue = self._queues[role]
        request = _Request(inputs)
        request.loop = get_running_loop()
        request.future = request.loop.create_future()
        self._submit(queue, request)
        try:
            await request.future
        except CancelledError:
            queue.withdraw(request)
            raise
        return request.result()

    def _submit(self, queue: "_Queue", request: "_Request") -> None:
        if os.getpid() != self._process:
            raise InputError("this Batcher belongs to the process that forked: create another here")
        refused = self._closed
        if not refused:
            queue.waiting.append(request)
            # The first request starts a worker's delay; the last expected one ends it.
            if self._sleeping or len(queue.waiting) == queue.expected_rows:
                self._sleeping = False
                self._signals.put(None)
            # The workers may have ended before the request was appended.
            refused = self._closed and queue.withdraw(request)
        if refused:
            raise InputError("this Batcher is closed: create another, or call the VAE itself")

    # --- in a worker's thread ----------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._leading:
                taken = self._take()
            if taken is None:
                return
            queue, batch, threads = taken
            try:
                queue.run(batch, threads)
            except BaseException as failure:
                for request in batch:
                    request.failure = failure
            self._running.pop()
            _wake(batch)

    def _take(self) -> "tuple[_Queue, list[_Request], int] | None":
        """Wait for the next batch; return its queue, the batch and the threads for its operators.

        Returns None when the Batcher is closed and nothing waits.
        """
        while True:
            queues = [queue for queue in self._queues.values() if queue.waiting]
            if queues:
                delay = 0.0 if self._closed else self._max_delay
                queue = min(queues, key=lambda queue: queue.due(delay))
                remaining = queue.due(delay) - time.monotonic()
                if remaining > 0:
                    self._sleep(remaining)
                elif batch := queue.take(self._max_batch, len(self._workers)):
                    break
            elif self._closed:
                return None
            else:
                self._sleeping = True
                # A caller that appended its request before that sends no signal.
                if not self._closed and not any(q.waiting for q in self._queues.values()):
                    self._sleep(None)
                self._sleeping = False
        alone = not self._running and not any(queue.waiting for queue in self._queues.values())
        self._running.append(None)
        single_call = alone and len(batch) <= queue.plan.single_call_rows
        return queue, batch, queue.plan.call_threads if single_call else queue.plan.threads

    def _sleep(self, seconds: float | None) -> None:
        """Sleep until there is a signal, or for some seconds."""
        try:
            self._signals.get(timeout=seconds)
        except Empty:
            return


class _Request:
    """One item: its inputs, its row of a batch's outputs, and the caller that waits for them."""

    __slots__ = ("failure", "future", "inputs", "lock", "loop", "outputs", "row", "since")

    def __init__(self, inputs: "Arrays") -> None:
        rows = len(next(iter(inputs.values())))
        if rows != 1:
            raise InputError(f"expected a single item, got {rows}; call the VAE itself")
        self.inputs = inputs
        self.outputs: list[Floats] = []
        self.row = 0
        self.since = time.monotonic()
        self.failure: BaseException | None = None
        self.lock: threading.Lock | None = None
        self.loop: AbstractEventLoop | None = None
        self.future: Future[None] | None = None

    def result(self) -> list[Floats]:
        """Return the outputs, or raise the failure of the batch."""
        if self.failure is not None:
            # A copy for each caller: threads that raise one exception extend one traceback.
            raise copy.copy(self.failure) from self.failure
        # Copies, as a view would keep the whole batch.
        return [rows[self.row : self.row + 1].copy() for rows in self.outputs]


class _Queue:
    """The requests that wait for one graph. Only the leader takes requests."""

    def __init__(self, graph: "Graph", plan: "Plan") -> None:
        self.graph = graph
        self.plan = plan
        self.waiting: deque[_Request] = deque()
        self.expected_rows = 1  # as many as in the last batch, whose callers are likely to return

    def due(self, delay: float) -> float:
        """Return the time at which to run the waiting requests, in seconds of `time.monotonic`.

        Fewer requests than expected wait until `delay` seconds after the first; others are due at
        once.
        """
        try:
            oldest = self.waiting[0]
        except IndexError:  # its caller has just withdrawn it
            return float("-inf")
        return oldest.since + (delay if len(self.waiting) < self.expected_rows else 0)

    def take(self, limit: int, workers: int) -> list[_Request]:
        """Remove and return one worker's share of the waiting requests, at most `limit`."""
        waiting = len(self.waiting)
        share = max(-(-waiting // workers), min(self.expected_rows, waiting))
        self.expected_rows = max(1, min(share, limit, self.plan.chunk))
        batch: list[_Request] = []
        try:
            for _ in range(self.expected_rows):
                batch.append(self.waiting.popleft())
        except IndexError:  # callers have withdrawn requests
            pass
        return batch

    def withdraw(self, request: _Request) -> bool:
        """Remove a request, if it still waits; return whether it did."""
        try:
            self.waiting.remove(request)
        except ValueError:
            return False
        return True

    def run(self, batch: Sequence[_Request], threads: int) -> None:
        """Run the graph on the merged inputs of a batch, and give its requests the outputs."""
        inputs = {
            name: np.concatenate([request.inputs[name] for request in batch])
            for name in self.graph.inputs
        }
        outputs = self.graph.call(inputs, len(batch), threads=threads)
        for row, request in enumerate(batch):
            request.outputs = outputs
            request.row = row


def _wake(batch: Sequence[_Request]) -> None:
    """Wake the callers that wait for a batch."""
    futures: dict[AbstractEventLoop, list[Future[None]]] = {}
    for request in batch:
        if request.lock is not None:
            request.lock.release()
        elif request.loop is not None and request.future is not None:
            futures.setdefault(request.loop, []).append(request.future)
    for loop, waiting in futures.items():
        try:
            loop.call_soon_threadsafe(_settle, waiting)
        except RuntimeError:  # the loop is closed, so nothing waits in it
            continue


def _settle(futures: "Sequence[Future[None]]") -> None:
    for future in futures:
        if not future.done():  # it may have been cancelled
            future.set_result(None)

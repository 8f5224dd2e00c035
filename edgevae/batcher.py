"""Serve single items to many threads and tasks, in merged batches.

The requests for an expensive graph are run by workers. One free worker, the leader, watches the
waiting requests. When it has taken its share of them, the next free worker leads; while they run,
the next requests queue up and become the next batch. A caller takes no lock: it appends its
request to a deque, which is atomic, and sends the leader a signal only if that one sleeps or has as
many requests as it expects. Nothing polls.

A row of a cheap graph costs less than to wake another thread, which must wait for the GIL besides.
So a thread runs its own request at once, and an event loop runs the requests of all tasks that were
ready at the same time, after the last one.

Threads that are likely to share a batch sleep at one gate, and one call of the system wakes all of
them. Tasks sleep on a future each, and one wake-up serves all futures of an event loop.
"""

import asyncio
import atexit
import copy
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae._core import Gate
from edgevae.data import class_numbers
from edgevae.errors import InputError
from edgevae.latents import Posterior, read_latents
from edgevae.vae import VAE

if TYPE_CHECKING:
    from edgevae.data import Labels
    from edgevae.engine import Arrays, Graph, Plan

Floats = npt.NDArray[np.float32]
_Future: TypeAlias = "asyncio.Future[None]"


# A cheap graph is one whose plan gives a worker two rows or more. An event loop runs up to this
# many times as many rows at a time, which takes about a millisecond.
_LOOP_SHARES = 25
_CLOSED = "this Batcher is closed: create another, or call the VAE itself"
_FORKED = "this Batcher belongs to the process that forked: create another here"


class Batcher:
    """Serve `decode` and `encode` of single items to any thread or task, in merged batches.

    A result is that of the same call of `vae`, within the bundle's tolerance: a batch of another
    size may add floats in another order. An item is checked by its caller, before it joins a
    batch. If a graph fails, all callers of that batch get the error.

    A batch has at most `max_batch` items, and at most a chunk of the VAE's plan. Fewer requests
    than in the last batch wait for more, until the oldest one has waited for `max_delay` seconds.
    A lone caller, whose last batch had one item, never waits. If a task is cancelled or a thread
    interrupted, its item is withdrawn unless a batch already has it.

    Where a row of the graph costs less than to wake a thread, about 60 microseconds, a thread runs
    its item itself and an event loop a batch of its tasks, which blocks it for about a millisecond
    at most. Other graphs are left to the Batcher's threads.

    `close`, or the end of a `with` block, serves the waiting requests and refuses later ones. A
    Batcher holds threads, so it belongs to one process: it is neither pickled nor used after a
    fork.
    """

    def __init__(self, vae: VAE, max_batch: int = 64, max_delay: float = 0.002) -> None:
        self._max_batch = checks.integer(max_batch, "max_batch", least=1)
        self._max_delay = checks.nonnegative(max_delay, "max_delay", "in seconds")
        self._runner = runner = vae.runner
        roles = set(runner.bundle.roles) - {"activations"}  # which no verb for single items runs
        self._queues = {
            role: _Queue(runner.graph(role), runner.plan(role), self._max_batch) for role in roles
        }
        self._leading = threading.Lock()  # is held by the leader
        self._signals: SimpleQueue[None] = SimpleQueue()  # for the leader
        self._sleeping = False  # whether the leader sleeps until there is a request
        self._running: list[None] = []  # one for each batch that runs
        self._closed = False
        self._refusal = ""  # why requests are refused
        count = max(queue.plan.workers for queue in self._queues.values())
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for worker in self._workers:
            worker.start()
        _batchers.add(self)
        # A daemon thread that runs a graph while the interpreter ends could crash it.
        atexit.register(self.close)

    def decode(self, z: npt.ArrayLike, *, labels: "Labels | None" = None) -> Floats:
        """Return `VAE.decode` of one latent, (*latent_shape) or (1, *latent_shape)."""
        inputs, single = self._latent(z, labels)
        (x_hat,) = self._run("decoder", inputs)
        return x_hat if single else x_hat[None]

    async def adecode(self, z: npt.ArrayLike, *, labels: "Labels | None" = None) -> Floats:
        """Return `decode` of one latent; other tasks run meanwhile."""
        inputs, single = self._latent(z, labels)
        (x_hat,) = await self._arun("decoder", inputs)
        return x_hat if single else x_hat[None]

    def encode(self, x: Any) -> Posterior:
        """Return `VAE.encode` of one item."""
        mu, logvar = self._run("encoder", self._item(x))
        return Posterior(mu[None], logvar[None])

    async def aencode(self, x: Any) -> Posterior:
        """Return `encode` of one item; other tasks run meanwhile."""
        mu, logvar = await self._arun("encoder", self._item(x))
        return Posterior(mu[None], logvar[None])

    def close(self) -> None:
        """Serve the waiting requests, then end the workers. Later calls are refused."""
        if self._refusal == _FORKED:  # there are no threads that could be waited for
            return
        self._refusal = _CLOSED
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
        _check_single(rows)
        y = class_numbers(labels, bundle.classes, 1)
        return {"z": rows} if y is None else {"z": rows, "y": y}, single

    def _item(self, x: Any) -> "Arrays":
        self._runner.graph("encoder")  # raises if there is none
        rows = self._runner.bundle.data.rows(x)
        _check_single(rows)
        return {"x": rows}

    def _run(self, role: str, inputs: "Arrays") -> list[Floats]:
        queue = self._queue(role)
        if queue.loop_rows:
            outputs = queue.graph.call(inputs, 1, threads=queue.plan.threads)
            return [output[0] for output in outputs]
        request = _Request(inputs, gate=queue.gate)
        self._submit(queue, request)
        try:
            request.wait()
        except BaseException:
            queue.withdraw(request)
            raise
        return request.result()

    async def _arun(self, role: str, inputs: "Arrays") -> list[Floats]:
        queue = self._queue(role)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        request = _Request(inputs, future=future)
        if queue.loop_rows:
            self._join_round(queue, request, loop)
        else:
            self._submit(queue, request)
        try:
            await future
        except asyncio.CancelledError:
            queue.withdraw(request)
            raise
        return request.result()

    def _queue(self, role: str) -> "_Queue":
        """Return the queue of a role's graph. Raises `InputError` if requests are refused."""
        if self._refusal:
            raise InputError(self._refusal)
        return self._queues[role]

    def _submit(self, queue: "_Queue", request: "_Request") -> None:
        """Leave a request to the workers."""
        queue.waiting.append(request)
        if self._sleeping or len(queue.waiting) == queue.expected_rows:
            # The first request starts a worker's delay; the last expected one ends it.
            self._sleeping = False
            self._signals.put(None)
        # The workers may have ended before the request was appended.
        if self._refusal and queue.withdraw(request):
            raise InputError(self._refusal)

    def _join_round(
        self, queue: "_Queue", request: "_Request", loop: asyncio.AbstractEventLoop
    ) -> None:
        """Add a request to those of the tasks that the loop runs in this round."""
        current = queue.round
        if current is None or current.loop is not loop:
            queue.round = current = _Round(loop)
            loop.call_soon(self._run_round, queue, current)
        current.requests.append(request)

    def _run_round(self, queue: "_Queue", current: "_Round") -> None:
        """Run the requests of a round in its event loop, a batch between other events."""
        if queue.round is current:
            queue.round = None
        waiting = [request for request in current.requests if not request.cancelled()]
        batch, current.requests = waiting[: queue.loop_rows], waiting[queue.loop_rows :]
        if current.requests:
            current.loop.call_soon(self._run_round, queue, current)
        if batch:
            queue.run(batch, queue.plan.threads)
            _settle([request.future for request in batch])

    # --- in a worker's thread ----------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._leading:
                taken = self._take()
            if taken is None:
                return
            queue, batch, threads = taken
            queue.run(batch, threads)
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


class _Answer:
    """The outputs of a batch, or the reason why there are none."""

    __slots__ = ("failure", "outputs")

    def __init__(self) -> None:
        self.outputs: list[Floats] = []
        self.failure: BaseException | None = None


class _Request:
    """One item: its inputs, the caller that waits, and the row of the answer that it waits for.

    The caller is a thread, at a gate, or a task, which awaits a future.
    """

    __slots__ = ("answer", "future", "gate", "inputs", "row", "since")

    def __init__(
        self, inputs: "Arrays", *, gate: Gate | None = None, future: "_Future | None" = None
    ) -> None:
        self.inputs = inputs
        self.gate = gate
        self.future = future
        self.answer: _Answer | None = None
        self.row = 0
        self.since = time.monotonic()

    def wait(self) -> None:
        """Sleep until there is an answer."""
        while self.answer is None:
            gate = self.gate
            assert gate is not None
            gate.wait()
            # The gate may have been opened for others that came at the same time.
            self.gate = Gate()

    def cancelled(self) -> bool:
        """Return whether a task made the request and no longer waits for it."""
        return self.future is not None and self.future.done()

    def result(self) -> list[Floats]:
        """Return the item's outputs, or raise the failure of the batch."""
        answer = self.answer
        assert answer is not None
        if answer.failure is not None:
            # A copy for each caller: threads that raise one exception extend one traceback.
            raise copy.copy(answer.failure) from answer.failure
        # Copies, as a view would keep the whole batch.
        return [rows[self.row].copy() for rows in answer.outputs]


class _Round:
    """The requests of the tasks that one event loop runs before it looks for other events."""

    __slots__ = ("loop", "requests")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.requests: list[_Request] = []


def _check_single(rows: npt.NDArray[Any]) -> None:
    if len(rows) != 1:
        raise InputError(f"expected a single item, got {len(rows)}; call the VAE itself")


class _Queue:
    """The requests that wait for one graph. Only the leader takes requests."""

    def __init__(self, graph: "Graph", plan: "Plan", max_batch: int) -> None:
        self.graph = graph
        self.plan = plan
        self.waiting: deque[_Request] = deque()
        # The rows of a cheap graph that an event loop runs at a time; 0 for other graphs.
        cheap_rows = _LOOP_SHARES * plan.worker_rows if plan.worker_rows > 1 else 0
        self.loop_rows = min(cheap_rows, plan.chunk, max_batch)
        self.round: _Round | None = None  # of the last event loop that had a request
        self.gate = Gate()  # of the threads that come until a batch is taken
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
        self.gate = Gate()
        batch: list[_Request] = []
        try:
            for _ in range(self.expected_rows):
                batch.append(self.waiting.popleft())
        except IndexError:  # the others were withdrawn
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
        """Run the graph on the merged inputs of a batch, and answer its requests."""
        answer = _Answer()
        try:
            inputs = {
                name: np.concatenate([request.inputs[name] for request in batch])
                for name in self.graph.inputs
            }
            answer.outputs = self.graph.call(inputs, len(batch), threads=threads)
        except BaseException as failure:
            answer.failure = failure
        for row, request in enumerate(batch):
            request.row = row
            request.answer = answer


def _wake(batch: Sequence[_Request]) -> None:
    """Wake the callers that wait for a batch."""
    gates: set[Gate] = set()
    futures: dict[asyncio.AbstractEventLoop, list[_Future]] = {}
    for request in batch:
        if request.gate is not None:
            gates.add(request.gate)
        elif request.future is not None:
            futures.setdefault(request.future.get_loop(), []).append(request.future)
    for gate in gates:
        gate.open()
    for loop, waiting in futures.items():
        try:
            loop.call_soon_threadsafe(_settle, waiting)
        except RuntimeError:  # the loop is closed, so nothing waits in it
            continue


def _settle(futures: "Iterable[_Future | None]") -> None:
    for future in futures:
        if future is not None and not future.done():  # it may have been cancelled
            future.set_result(None)


_batchers: weakref.WeakSet[Batcher] = weakref.WeakSet()


def _disown() -> None:
    """Mark the Batchers of a forked child, where their threads do not exist."""
    for batcher in _batchers:
        batcher._refusal = _FORKED


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)

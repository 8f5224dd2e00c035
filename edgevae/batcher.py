"""One item at a time from many threads and tasks, run in merged batches.

A free worker takes what waits, shared evenly with the other workers, and while it runs, the next
callers queue up: what has come during one batch is the next. Callers sleep on a lock of their
own, or on a future of their event loop, all of whose futures one wake-up serves; nobody polls.
"""

import atexit
import copy
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae._core import gather, scatter
from edgevae.data.labels import numbers
from edgevae.errors import InputError
from edgevae.latents import Posterior, read_latents
from edgevae.vae import VAE

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from edgevae.data import Labels
    from edgevae.engine import Arrays, Graph, Plan

Floats = npt.NDArray[np.float32]


class Batcher:
    """Serves `decode` and `encode` of single items, to any thread or task, in merged batches.

    A result is that of the same call of `vae`, but for float sums that a batch of another size
    takes in another order: within the bundle's tolerance. An item is checked in its caller,
    before it joins a batch; where a graph fails, everybody in that batch gets the error.

    At most `max_batch` items make a batch, and at most a chunk of the VAE's plan. A worker that
    finds fewer than the last batch had waits for company, until the first has waited `max_delay`
    seconds; a lone caller, whose last batch was its own, never waits. A task that is cancelled,
    or a thread that is interrupted, takes its item back where no batch has it yet.

    `close`, or the end of a `with`, serves whoever waits, and refuses whoever comes later. A
    Batcher holds threads, so it is one process's: it is neither pickled nor used after a fork.
    """

    def __init__(self, vae: VAE, max_batch: int = 64, max_delay: float = 0.002) -> None:
        self._max_batch = checks.integer(max_batch, "max_batch", least=1)
        if not isinstance(max_delay, (int, float)) or not 0 <= max_delay < float("inf"):
            raise InputError(f"max_delay: expected seconds, at least 0, got {max_delay!r:.60}")
        self._max_delay = float(max_delay)
        self._runner = runner = vae.runner
        roles = set(runner.bundle.roles) - {"activations"}  # which no verb of a single item runs
        self._queues = {role: _Queue(runner.graph(role), runner.plan(role)) for role in roles}
        # Guards all that follows, and what waits in the queues; workers with nothing to do wait.
        self._changed = threading.Condition(threading.Lock())
        self._busy = 0
        self._closed = False
        self._process = os.getpid()
        count = max(queue.plan.workers for queue in self._queues.values())
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for worker in self._workers:
            worker.start()
        # A daemon that is inside a graph when the interpreter goes could crash its end.
        atexit.register(self.close)

    def decode(self, z: npt.ArrayLike, *, labels: "Labels | None" = None) -> Floats:
        """`VAE.decode` of one latent, (*latent_shape) or (1, *latent_shape)."""
        given, single = self._latent(z, labels)
        (x_hat,) = self._run("decoder", given)
        return x_hat[0] if single else x_hat

    async def adecode(self, z: npt.ArrayLike, *, labels: "Labels | None" = None) -> Floats:
        """`decode` for tasks: their event loop goes on meanwhile."""
        given, single = self._latent(z, labels)
        (x_hat,) = await self._arun("decoder", given)
        return x_hat[0] if single else x_hat

    def encode(self, x: Any) -> Posterior:
        """`VAE.encode` of one item."""
        return Posterior(*self._run("encoder", self._item(x)))

    async def aencode(self, x: Any) -> Posterior:
        """`encode` for tasks: their event loop goes on meanwhile."""
        return Posterior(*await self._arun("encoder", self._item(x)))

    def close(self) -> None:
        """Serves whoever waits, and returns when that is done. Later calls are refused."""
        if os.getpid() != self._process:  # a fork copies no threads that could be waited for
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()
        atexit.unregister(self.close)

    def __enter__(self) -> "Batcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Batcher holds threads and cannot be pickled: send its VAE instead")

    # --- a caller's side ---------------------------------------------------------------------

    def _latent(self, z: npt.ArrayLike, labels: "Labels | None") -> "tuple[Arrays, bool]":
        bundle = self._runner.bundle
        rows, single = read_latents(z, bundle.latent_shape)
        y = numbers(labels, bundle.classes, len(rows))
        return {"z": rows} if y is None else {"z": rows, "y": y}, single

    def _item(self, x: Any) -> "Arrays":
        self._runner.graph("encoder")  # raises if there is none
        return {"x": self._runner.read(x).rows}

    def _run(self, role: str, given: "Arrays") -> list[Floats]:
        queue = self._queues[role]
        request = _Request(queue, given)
        request.lock = threading.Lock()
        request.lock.acquire()
        self._submit(queue, request)
        try:
            request.lock.acquire()  # which a worker releases
        except BaseException:
            self._withdraw(queue, request)
            raise
        return request.result()

    async def _arun(self, role: str, given: "Arrays") -> list[Floats]:
        from asyncio import CancelledError, get_running_loop

        queue = self._queues[role]
        request = _Request(queue, given)
        request.loop = get_running_loop()
        request.future = request.loop.create_future()
        self._submit(queue, request)
        try:
            await request.future
        except CancelledError:
            self._withdraw(queue, request)
            raise
        return request.result()

    def _submit(self, queue: "_Queue", request: "_Request") -> None:
        if os.getpid() != self._process:
            raise InputError("this Batcher's threads are in the process that forked: make another")
        with self._changed:
            if self._closed:
                raise InputError("this Batcher is closed: make another, or call the VAE itself")
            queue.waiting.append(request)
            # The first starts a worker's clock, the last that it hopes for stops it.
            if len(queue.waiting) in (1, queue.hoped):
                self._changed.notify()

    def _withdraw(self, queue: "_Queue", request: "_Request") -> None:
        with self._changed:
            if request in queue.waiting:
                queue.waiting.remove(request)

    # --- a worker's side ---------------------------------------------------------------------

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            queue, batch, threads = taken
            try:
                queue.run(batch, threads)
            except BaseException as failure:
                for request in batch:
                    request.failure = failure
            with self._changed:
                self._busy -= 1
            _wake(batch)

    def _take(self) -> "tuple[_Queue, list[_Request], int] | None":
        """The next batch and the threads of its operators, when it is due; None at the end."""
        with self._changed:
            while True:
                some = [queue for queue in self._queues.values() if queue.waiting]
                if not some and self._closed:
                    return None
                if not some:
                    self._changed.wait()
                    continue
                delay = 0.0 if self._closed else self._max_delay
                queue = min(some, key=lambda queue: queue.due(delay))
                patience = queue.due(delay) - time.monotonic()
                if patience <= 0:
                    break
                self._changed.wait(patience)
            batch = queue.take(self._max_batch, len(self._workers))
            alone = not self._busy and not any(queue.waiting for queue in self._queues.values())
            self._busy += 1
            if not alone:
                self._changed.notify()
            single_call = alone and len(batch) <= queue.plan.single_call_rows
            return queue, batch, self._runner.threads if single_call else queue.plan.threads


class _Request:
    """One item on its way: its inputs, room for what a graph makes of them, and who waits."""

    __slots__ = ("failure", "future", "given", "lock", "loop", "made", "since")

    def __init__(self, queue: "_Queue", given: "Arrays") -> None:
        rows = len(next(iter(given.values())))
        if rows != 1:
            raise InputError(f"expected a single item, got {rows}; call the VAE itself")
        self.given = given
        self.made = [np.empty((1, *shape), np.float32) for shape in queue.graph.outputs.values()]
        self.since = time.monotonic()
        self.failure: BaseException | None = None
        self.lock: threading.Lock | None = None
        self.loop: AbstractEventLoop | None = None
        self.future: Future[None] | None = None

    def result(self) -> list[Floats]:
        if self.failure is not None:
            # Of one exception, threads would extend the one traceback.
            raise copy.copy(self.failure) from self.failure
        return self.made


class _Queue:
    """What waits for one graph."""

    def __init__(self, graph: "Graph", plan: "Plan") -> None:
        self.graph = graph
        self.plan = plan
        self.waiting: deque[_Request] = deque()
        self.hoped = 1  # as many as the last batch had are likely to come again

    def due(self, delay: float) -> float:
        """When to run what waits: now, or, with fewer than hoped, after the first's delay."""
        return self.waiting[0].since + (delay if len(self.waiting) < self.hoped else 0)

    def take(self, limit: int, workers: int) -> list[_Request]:
        share = max(-(-len(self.waiting) // workers), min(self.hoped, len(self.waiting)))
        self.hoped = min(share, limit, self.plan.chunk)
        return [self.waiting.popleft() for _ in range(self.hoped)]

    def run(self, batch: Sequence[_Request], threads: int) -> None:
        n = len(batch)
        inputs = {
            name: _gathered([request.given[name] for request in batch], shape)
            for name, shape in self.graph.inputs.items()
        }
        outputs = {
            name: np.empty((n, *shape), np.float32) for name, shape in self.graph.outputs.items()
        }
        self.graph.run(inputs, outputs, threads=threads)
        for i, rows in enumerate(outputs.values()):
            scatter(rows, [request.made[i] for request in batch])


def _gathered(parts: Sequence[npt.NDArray[Any]], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Single rows as one array; the kernel that copies them knows no class numbers."""
    if parts[0].dtype != np.float32:
        return np.concatenate(parts)
    rows = np.empty((len(parts), *shape), np.float32)
    gather(parts, rows)
    return rows


def _wake(batch: Sequence[_Request]) -> None:
    futures: dict[AbstractEventLoop, list[Future[None]]] = {}
    for request in batch:
        if request.lock is not None:
            request.lock.release()
        elif request.loop is not None and request.future is not None:
            futures.setdefault(request.loop, []).append(request.future)
    for loop, waiting in futures.items():
        try:
            loop.call_soon_threadsafe(_settle, waiting)
        except RuntimeError:  # the loop is closed, and with it whoever waited
            continue


def _settle(futures: "Sequence[Future[None]]") -> None:
    for future in futures:
        if not future.done():  # cancelled meanwhile
            future.set_result(None)

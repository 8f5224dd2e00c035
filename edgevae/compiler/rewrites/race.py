"""How long graphs take, run in turns on this machine.

One thread's work is timed by its own clock, which stops while others have the core. Sessions of
several threads could not take turns: the threads of the last one spin, on a core of the next.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from edgevae.compiler.graphs import class_input as classes
from edgevae.compiler.graphs import cpu_session as on_cpu
from edgevae.compiler.graphs.parity import Floats

_ROUNDS = 9  # at least
_LEAST_ROUNDS = 3
_SECONDS = 0.6  # at least, unless the graphs are very slow
_LEAST = 0.01  # a gain that is worth a rewrite, whatever the noise


class Race(NamedTuple):
    """Seconds of each, as medians; `gain` is the median of before / after of single rounds, and
    `noise` twice the standard error of that."""

    before: float
    after: float
    gain: float
    noise: float

    @property
    def faster(self) -> bool:
        return self.gain > 1 + max(self.noise, _LEAST)

    @property
    def slower(self) -> bool:
        return self.gain < 1 - max(self.noise, _LEAST)


def run(before: bytes, after: bytes, items: Floats) -> Race:
    """Two graphs on the same items, each on one thread."""
    works = [_work(graph, items) for graph in (before, after)]
    times: list[list[float]] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _ROUNDS or time.perf_counter() < end:
        times.append([_seconds(work) for work in works])
    rounds = np.array(times)
    ratios = rounds[:, 0] / rounds[:, 1]
    gain = float(np.median(ratios))
    # The median absolute deviation times 1.4826 is a standard deviation that outliers leave alone.
    deviation = 1.4826 * float(np.median(np.abs(ratios - gain)))
    middle = np.median(rounds, axis=0)
    return Race(float(middle[0]), float(middle[1]), gain, 2 * deviation / len(rounds) ** 0.5)


def by_rows(
    graph: bytes, items: Floats, sizes: Sequence[int], *, seconds: float
) -> dict[int, float]:
    """Seconds a row of one thread's work, as medians, in batches of each size in turn."""
    works = {size: _work(graph, np.resize(items, (size, *items.shape[1:]))) for size in sizes}
    times: dict[int, list[float]] = {size: [] for size in sizes}
    end = time.perf_counter() + seconds
    while len(times[sizes[-1]]) < _LEAST_ROUNDS or time.perf_counter() < end:
        for size, work in works.items():
            batches = max(sizes) // size  # so that each has as many rows
            times[size].append(_seconds(work, batches) / (batches * size))
    return {size: float(np.median(found)) for size, found in times.items()}


def _work(graph: bytes, items: Floats) -> Callable[[], object]:
    session = on_cpu.session(graph, threads=1)
    work = partial(session.run, None, classes.feeds(session, items))
    work()  # which allocates
    return work


def _seconds(work: Callable[[], object], times: int = 1) -> float:
    begin = time.thread_time()
    for _ in range(times):
        work()
    return time.thread_time() - begin

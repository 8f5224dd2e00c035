"""Time graphs in turns on this machine.

Each graph runs on one thread, timed by the thread's own clock, which stops while other processes
have the core. Sessions of several threads cannot take turns, as the threads of the last one spin
on a core of the next.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from edgevae.compiler.graphs import Floats, class_input, cpu_session

_ROUNDS = 9  # the fewest of a race
_ROUNDS_BY_ROWS = 3  # the fewest of `by_rows`
_SECONDS = 0.6  # the shortest race
_MIN_GAIN = 0.01  # a smaller gain does not justify a rewrite, whatever the noise


class Race(NamedTuple):
    """The result of a race: median seconds before and after.

    `gain` is the median of before / after of single rounds, `noise` twice its standard error.
    """

    before: float
    after: float
    gain: float
    noise: float

    @property
    def faster(self) -> bool:
        """True if the gain exceeds the noise."""
        return self.gain > 1 + max(self.noise, _MIN_GAIN)

    @property
    def slower(self) -> bool:
        """True if the loss exceeds the noise."""
        return self.gain < 1 - max(self.noise, _MIN_GAIN)


def run(before: bytes, after: bytes, items: Floats) -> Race:
    """Race two graphs on the same items."""
    runs = [_runner(graph, items) for graph in (before, after)]
    times: list[list[float]] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _ROUNDS or time.perf_counter() < end:
        times.append([_seconds(run) for run in runs])
    rounds = np.array(times)
    ratios = rounds[:, 0] / rounds[:, 1]
    gain = float(np.median(ratios))
    # The median absolute deviation times 1.4826 estimates a standard deviation, robust to outliers.
    deviation = 1.4826 * float(np.median(np.abs(ratios - gain)))
    middle = np.median(rounds, axis=0)
    return Race(float(middle[0]), float(middle[1]), gain, 2 * deviation / len(rounds) ** 0.5)


def by_rows(
    graph: bytes, items: Floats, sizes: Sequence[int], *, seconds: float
) -> dict[int, float]:
    """Return the median seconds per row on one thread, by batch size, measured in turns."""
    runs = {size: _runner(graph, np.resize(items, (size, *items.shape[1:]))) for size in sizes}
    times: dict[int, list[float]] = {size: [] for size in sizes}
    end = time.perf_counter() + seconds
    while len(times[sizes[-1]]) < _ROUNDS_BY_ROWS or time.perf_counter() < end:
        for size, run in runs.items():
            batches = max(sizes) // size  # so that each has as many rows
            times[size].append(_seconds(run, batches) / (batches * size))
    return {size: float(np.median(measured)) for size, measured in times.items()}


def _runner(graph: bytes, items: Floats) -> Callable[[], object]:
    """Return a function that runs a graph on the items, after a first call, which allocates."""
    session = cpu_session.session(graph, threads=1)
    run = partial(session.run, None, class_input.feeds(session, items))
    run()
    return run


def _seconds(run: Callable[[], object], times: int = 1) -> float:
    begin = time.thread_time()
    for _ in range(times):
        run()
    return time.thread_time() - begin

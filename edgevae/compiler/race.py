"""How much faster one graph is than another, run in turns on this machine."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from edgevae.compiler.parity import Floats
from edgevae.runtime import runtime

_ROUNDS = 9  # at least
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


def run(before: bytes, after: bytes, items: Floats, *, threads: int) -> Race:
    """Two graphs of one input on the same items, by sessions of so many threads.

    One thread's work is timed by its own clock, which stops while others have the core.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    sessions = [_session(graph, threads) for graph in (before, after)]
    feed = {sessions[0].get_inputs()[0].name: items}
    for session in sessions:
        session.run(None, feed)  # which allocates
    times: list[list[float]] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _ROUNDS or time.perf_counter() < end:
        times.append([_seconds(session, feed, clock) for session in sessions])
    rounds = np.array(times)
    ratios = rounds[:, 0] / rounds[:, 1]
    gain = float(np.median(ratios))
    # The median absolute deviation times 1.4826 is a standard deviation that outliers leave alone.
    deviation = 1.4826 * float(np.median(np.abs(ratios - gain)))
    middle = np.median(rounds, axis=0)
    return Race(float(middle[0]), float(middle[1]), gain, 2 * deviation / len(rounds) ** 0.5)


def _session(graph: bytes, threads: int) -> Any:
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(graph, options, ["CPUExecutionProvider"])


def _seconds(session: Any, feed: dict[str, Floats], clock: Callable[[], float]) -> float:
    begin = clock()
    session.run(None, feed)
    return clock() - begin

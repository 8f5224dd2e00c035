"""Measure how many rows each graph of a bundle should run at a time on this machine.

Candidates are measured in turn, round after round, and compared by medians, so that a phase in
which the machine is busy slows all of them alike. Of the sizes that are nearly as fast as the
fastest, the smallest is chosen: it takes the least memory and divides rows most evenly among
workers.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from math import log
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevae.engine import Runner, Tuned, plans, run_chunks

# A size whose rate is below this share of the highest rate is not measured again. After two such
# sizes in a row, larger ones are not tried.
_TOO_SLOW = 0.85
# The duration of one measurement in seconds, if there are enough rows for it.
_DURATION = 0.05
# The largest memory of the rows in flight in bytes, by the plan's estimate; it bounds the sizes.
_MEMORY = 1 << 30

Work = Callable[[int, int], None]  # work(first, last) runs the rows first .. last - 1


class Measurement(NamedTuple):
    """The measured speed of one graph and the choice that follows from it.

    `rates` maps the rows of a chunk to the rows that all workers together run in a second.
    `calls` maps a number of rows to the speed-up of one call, whose operators use all threads,
    over the workers; it is empty for one worker. `tuned` is the choice for later runs.
    """

    role: str
    rates: Mapping[int, float]
    calls: Mapping[int, float]
    tuned: Tuned


def measure(runner: Runner, *, seconds: float = 3.0) -> Iterator[Measurement]:
    """Measure the encoder and the decoder of a runner, each for about `seconds` seconds."""
    for role in runner.bundle.roles:
        if role != "activations":  # only one method of scoring runs it, as often as the encoder
            yield _measure_graph(runner, role, seconds)


def _measure_graph(runner: Runner, role: str, seconds: float) -> Measurement:
    plan = runner.plan(role)
    larger = 1 if runner.device_type == "CPU" else plans.ACCELERATED
    sizes = [larger * size for size in plans.CHUNK_SIZES]
    most = _MEMORY // plans.row_bytes(runner.bundle, role)
    rows = max(plan.workers, min(sizes[-1] * plan.workers, most))
    run = _graph_work(runner, role, rows)
    work, call = partial(run, plan.threads), partial(run, runner.threads)
    rates = measure_chunk(work, rows, plan.workers, sizes=sizes, seconds=seconds * 2 / 3)
    chunk = best_chunk(rates)
    if plan.workers == 1:  # a chunk is a single call
        return Measurement(role, rates, {}, Tuned(chunk, single_call_rows=chunk))
    calls = measure_calls(call, work, chunk, plan.workers, seconds=seconds / 3)
    return Measurement(role, rates, calls, Tuned(chunk, best_single_call_rows(calls)))


def measure_chunk(
    work: Work,
    rows: int,
    workers: int,
    *,
    sizes: Sequence[int] = plans.CHUNK_SIZES,
    seconds: float = 2.0,
) -> dict[int, float]:
    """Return the rows per second of all workers together, by the rows of a chunk.

    `work` runs any of `rows` rows on the thread that calls it. The result has the `sizes`, in
    ascending order, that are small enough to give each of the `workers` a chunk, up to the second
    of two sizes in a row that are much slower than a smaller one.
    """
    samples: dict[int, list[float]] = {}
    slow_sizes = 0  # in a row
    for size in sizes:
        if samples and (size * workers > rows or slow_sizes == 2):
            break
        work(0, min(size, rows))  # a warm-up, which allocates the memory
        best = max((max(rates) for rates in samples.values()), default=0.0)
        samples[size] = [_rate(work, rows, workers, size, best) for _ in range(3)]
        slow_sizes = slow_sizes + 1 if max(samples[size]) < _TOO_SLOW * best else 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = max(median(rates) for rates in samples.values())
        for size, rates in samples.items():
            if median(rates) >= _TOO_SLOW * best:
                rates.append(_rate(work, rows, workers, size, best))
    return {size: median(rates) for size, rates in samples.items()}


def best_chunk(rates: Mapping[int, float]) -> int:
    """Return the smallest chunk whose rate is nearly the highest (`plans.NEARLY_BEST`)."""
    limit = plans.NEARLY_BEST * max(rates.values())
    return min(size for size, rate in rates.items() if rate >= limit)


def measure_calls(
    call: Work, work: Work, chunk: int, workers: int, *, seconds: float = 1.0
) -> dict[int, float]:
    """Return the speed-up of one call over the workers, for 1, 2, 4, ... rows.

    `call` is `work` with all threads for its operators.
    """
    numbers = [n for n in plans.CHUNK_SIZES if n <= chunk * workers]
    ratios: dict[int, list[float]] = {n: [] for n in numbers}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not ratios[numbers[-1]]:
        for n in numbers:
            one_call = _median_seconds(partial(call, 0, n))
            shared = _median_seconds(partial(run_chunks, n, chunk, workers, work))
            ratios[n].append(shared / one_call)
    return {n: median(samples) for n, samples in ratios.items()}


def best_single_call_rows(calls: Mapping[int, float]) -> int:
    """Return the largest number of rows that should be one call; 0 if workers are always faster.

    It is the number up to which the product of all speed-ups is largest, so that one outlier does
    not decide.
    """
    gains = accumulate(log(calls[n]) for n in sorted(calls))
    return max([(0.0, 0), *zip(gains, sorted(calls), strict=True)])[1]


def _rate(work: Work, rows: int, workers: int, size: int, expected: float) -> float:
    """Return the rows per second of one measurement of about `_DURATION`.

    At the `expected` rate, that duration determines the number of rows: one chunk for each worker
    or a multiple of it.
    """
    one_each = size * workers
    n = one_each * max(1, min(int(_DURATION * expected), rows) // one_each)
    start = time.perf_counter()
    run_chunks(n, size, workers, work)
    return n / (time.perf_counter() - start)


def _median_seconds(run: Callable[[], None]) -> float:
    """Return the median duration of a few runs.

    A first run is not counted, since threads of an earlier measurement may still be spinning.
    """
    run()
    times: list[float] = []
    end = time.perf_counter() + _DURATION / 5
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


def _graph_work(runner: Runner, role: str, rows: int) -> Callable[[int, int, int], None]:
    """Return run(threads, first, last), which runs a graph on some of `rows` rows.

    The decoder's inputs are drawn from the prior, or from N(0, I) if the bundle has none; those of
    another graph are decoded from them.
    """
    graph = runner.graph(role)
    z = runner.prior.draw(rows, seed=0)
    y = np.zeros(rows, np.int64)
    inputs: dict[str, NDArray[Any]] = {"z": z, "y": y}
    if role != "decoder":
        inputs = {"x": runner.decode(z, y if runner.bundle.classes else None)}
    outputs = {name: np.zeros((rows, *shape), np.float32) for name, shape in graph.outputs.items()}

    def run(threads: int, first: int, last: int) -> None:
        part = slice(first, last)
        graph.run(
            {name: inputs[name][part] for name in graph.inputs},
            {name: array[part] for name, array in outputs.items()},
            threads=threads,
        )

    return run


def table(precision: str, measurement: Measurement) -> str:
    """Return the measurement of one graph as text."""
    best = max(measurement.rates.values())
    lines = [f"{measurement.role} in {precision}", "  chunk     rows/s   of best"]
    for size, rate in measurement.rates.items():
        mark = "  <- chunk" if size == measurement.tuned.chunk else ""
        lines.append(f"  {size:>5} {rate:>10,.0f} {rate / best:>9.2f}{mark}")
    if measurement.calls:
        lines.append("   rows   one call with all threads / workers")
    for n, ratio in measurement.calls.items():
        mark = "  <- one call up to here" if n == measurement.tuned.single_call_rows else ""
        lines.append(f"  {n:>5} {ratio:>20.2f}x{mark}")
    return "\n".join(lines)

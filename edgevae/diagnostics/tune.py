"""Measure, on this device, how many rows at a time are best.

Candidates are measured in turn, round after round, and compared by medians, so that a machine
that is busy for a while counts for all of them. Among sizes as good as the best, the smallest is
taken: it needs the least memory, and leaves workers the least uneven.
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

from edgevae import sampling
from edgevae.engine import plans, run_chunks
from edgevae.vae import VAE

SIZES = tuple(1 << power for power in range(10))

# As good as the best, of figures that repeat within a few per cent.
AS_GOOD = 0.97
# Not to be measured again; after two in a row, larger ones are not tried.
_HOPELESS = 0.85
# Seconds of one measurement, where there are rows enough.
_STRETCH = 0.05
# Bytes of rows in flight, by the plan's estimate, beyond which no size is tried.
_MEMORY = 1 << 30

Work = Callable[[int, int], None]


class Found(NamedTuple):
    """What was measured for one graph.

    `rates` has rows a second by size of chunk, all workers at work. `calls` has, by number of
    rows, how many times as fast as the workers one call is whose operators use all threads.
    """

    role: str
    rates: Mapping[int, float]
    calls: Mapping[int, float]
    tuned: plans.Tuned


def measure(vae: VAE, *, seconds: float = 3.0) -> Iterator[Found]:
    """Measures the encoder and the decoder of a VAE, for about so many seconds each."""
    for role in vae.bundle.roles:
        if role == "activations":  # which only one score runs, and as often as the encoder
            continue
        plan = vae.plan(role)
        larger = 1 if vae.provider == "cpu" else plans.ACCELERATED
        sizes = [larger * size for size in SIZES]
        most = _MEMORY // plans.row_bytes(vae.bundle, role)
        rows = max(plan.workers, min(sizes[-1] * plan.workers, most))
        run = _runner(vae, role, rows)
        work, call = partial(run, plan.threads), partial(run, vae.threads)
        rates = measure_chunk(work, rows, plan.workers, sizes=sizes, seconds=seconds * 2 / 3)
        chunk = best_chunk(rates)
        calls: dict[int, float] = {}
        single_call_rows = chunk  # which is one call, where there is one worker
        if plan.workers > 1:
            calls = measure_calls(call, work, chunk, plan.workers, seconds=seconds / 3)
            single_call_rows = best_single_call_rows(calls)
        yield Found(role, rates, calls, plans.Tuned(chunk, single_call_rows))


def measure_chunk(
    work: Work, rows: int, workers: int, *, sizes: Sequence[int] = SIZES, seconds: float = 2.0
) -> dict[int, float]:
    """Rows a second, by size of chunk, of so many workers at work at once.

    work(first, last) runs rows first .. last - 1 of `rows`, on the thread that calls it. Sizes
    too large to give each worker a chunk are left out, and so are those after rates have fallen.
    """
    found: dict[int, list[float]] = {}
    fallen = 0
    for size in sizes:
        if found and (size * workers > rows or fallen == 2):
            break
        work(0, min(size, rows))  # which takes the memory
        best = max((max(rates) for rates in found.values()), default=0.0)
        found[size] = [_rate(work, rows, workers, size, best) for _ in range(3)]
        fallen = fallen + 1 if max(found[size]) < _HOPELESS * best else 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = max(median(rates) for rates in found.values())
        for size, rates in found.items():
            if median(rates) >= _HOPELESS * best:
                rates.append(_rate(work, rows, workers, size, best))
    return {size: median(rates) for size, rates in found.items()}


def best_chunk(rates: Mapping[int, float]) -> int:
    """The smallest size that is as good as the best."""
    return min(size for size, rate in rates.items() if rate >= AS_GOOD * max(rates.values()))


def measure_calls(
    call: Work, work: Work, chunk: int, workers: int, *, seconds: float = 1.0
) -> dict[int, float]:
    """How many times as fast one call is as the workers, for 1, 2, 4, ... rows.

    call(first, last) is `work` with all threads for its operators.
    """
    numbers = [n for n in SIZES if n <= min(chunk * workers, SIZES[-1])]
    ratios: dict[int, list[float]] = {n: [] for n in numbers}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not ratios[numbers[-1]]:
        for n in numbers:
            whole = _seconds(partial(call, 0, n))
            shared = _seconds(partial(run_chunks, n, chunk, workers, work))
            ratios[n].append(shared / whole)
    return {n: median(of) for n, of in ratios.items()}


def best_single_call_rows(calls: Mapping[int, float]) -> int:
    """The rows up to which one call is the better, on the whole; 0 where it never is.

    Where the product of all ratios up to there is largest: one figure gone wrong decides nothing.
    """
    gains = accumulate(log(calls[n]) for n in sorted(calls))
    return max([(0.0, 0), *zip(gains, sorted(calls), strict=True)])[1]


def _rate(work: Work, rows: int, workers: int, size: int, guess: float) -> float:
    """Rows a second, over about `_STRETCH` at the rate that is guessed, in whole rounds."""
    round_ = size * workers
    n = round_ * max(1, min(int(_STRETCH * guess), rows) // round_)
    before = time.perf_counter()
    run_chunks(n, size, workers, work)
    return n / (time.perf_counter() - before)


def _seconds(run: Callable[[], None]) -> float:
    """Of one run among several, the first left out: threads of what ran before may still spin."""
    run()
    times: list[float] = []
    end = time.perf_counter() + _STRETCH / 5
    while len(times) < 3 or time.perf_counter() < end:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return median(times)


def _runner(vae: VAE, role: str, rows: int) -> Callable[[int, int, int], None]:
    """run(threads, first, last) on rows of the prior, of N(0, I) where there is none, or on what
    the decoder makes of them."""
    graph = vae.graph(role)
    z = sampling.draw(vae.prior, rows, vae.bundle.dims, seed=0)
    z = z.reshape(rows, *vae.bundle.latent_shape)
    y = np.zeros(rows, np.int64)
    given: dict[str, NDArray[Any]] = {"z": z, "y": y}
    if role != "decoder":
        given = {"x": vae.decode(z, labels=y if vae.bundle.classes else None)}
    made = {key: np.zeros((rows, *shape), np.float32) for key, shape in graph.outputs.items()}

    def run(threads: int, first: int, last: int) -> None:
        stretch = slice(first, last)
        outputs = {key: array[stretch] for key, array in made.items()}
        graph.run({key: given[key][stretch] for key in graph.inputs}, outputs, threads=threads)

    return run


def table(precision: str, found: Found) -> str:
    """What was measured for one graph, as text."""
    best = max(found.rates.values())
    lines = [f"{found.role} in {precision}", "  chunk     rows/s   of best"]
    for size, rate in found.rates.items():
        taken = "  <- chunk" if size == found.tuned.chunk else ""
        lines.append(f"  {size:>5} {rate:>10,.0f} {rate / best:>9.2f}{taken}")
    if found.calls:
        lines.append("   rows   one call with all threads / workers")
    for n, ratio in found.calls.items():
        taken = "  <- one call up to here" if n == found.tuned.single_call_rows else ""
        lines.append(f"  {n:>5} {ratio:>20.2f}x{taken}")
    return "\n".join(lines)

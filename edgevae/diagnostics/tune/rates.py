"""Measure how many rows a second a graph runs, for several divisions of the rows in turn.

Candidates are measured one after the other, round after round, and compared by the upper quartile
of their rates: other work on the machine can only slow a measurement, so that the fast ones say
more about the candidate than the others.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from math import log
from statistics import median
from typing import NamedTuple, TypeVar

from edgevae.engine import plans, run_chunks

# The least number of rounds in which every candidate is measured.
_ROUNDS = 3
# A candidate whose rate is below this share of the highest rate is not measured in later rounds.
_TOO_SLOW = 0.85
# The duration of one measurement in seconds, if there are enough rows for it. Short measurements
# often fall between two turns of another process, long ones never do.
_DURATION = 0.02
# The pause before a measurement in seconds. The threads of the one before spin for up to 0.2 ms
# (`session`), those of some providers for longer, and would slow the next one.
_PAUSE = 0.005

Key = TypeVar("Key")
# work(first, last, threads) runs the rows first .. last - 1, `threads` threads for each operator.
Work = Callable[[int, int, int], None]


class Division(NamedTuple):
    """The division of rows among `workers` workers.

    Each runs `chunk` rows at a time, with `threads` threads for its operators.
    """

    chunk: int
    workers: int
    threads: int


def run(work: Work, rows: int, division: Division) -> None:
    """Run some rows, divided among workers."""
    chunk, workers, threads = division
    run_chunks(rows, chunk, workers, lambda first, last: work(first, last, threads))


class Stopwatch:
    """Measure the rate of a division of at most `rows` rows, again at each call."""

    def __init__(self, work: Work, rows: int, division: Division) -> None:
        self._work = work
        self._division = division
        self._chunks = max(1, rows // (division.chunk * division.workers))  # for each worker
        self._expected = 0.0

    def __call__(self) -> float:
        """Return the rows per second of one measurement of about `_DURATION`.

        It takes one chunk for each worker, or a multiple of it by the rate of the last call. A
        chunk before it is not counted: it wakes the threads and fills the caches again.
        """
        chunk, workers, _ = self._division
        one_each = chunk * workers
        time.sleep(_PAUSE)
        run(self._work, one_each, self._division)
        n = one_each * min(self._chunks, max(1, int(_DURATION * self._expected) // one_each))
        start = time.perf_counter()
        run(self._work, n, self._division)
        self._expected = n / (time.perf_counter() - start)
        return self._expected


def race(
    candidates: Mapping[Key, Callable[[], float]], seconds: float
) -> tuple[dict[Key, float], dict[Key, Exception]]:
    """Return the rate of each candidate, and the exceptions of those that fail.

    Each candidate returns the rate of one measurement. All are measured in turn for about
    `seconds` seconds, and in at least `_ROUNDS` rounds. A first round is not counted, since it
    allocates memory.
    """
    samples: dict[Key, list[float]] = {}
    failures: dict[Key, Exception] = {}

    def measure(key: Key) -> float | None:
        try:
            return candidates[key]()
        except Exception as error:  # of any kind: a provider may raise its own
            failures[key] = error
            samples.pop(key, None)
            return None

    for key in candidates:
        if measure(key) is not None:
            samples[key] = []
    end = time.perf_counter() + seconds
    rounds = 0
    while samples and (rounds < _ROUNDS or time.perf_counter() < end):
        limit = _TOO_SLOW * max(quartile(rates) for rates in samples.values()) if rounds else 0.0
        for key, rates in [*samples.items()]:
            due = rounds < _ROUNDS or quartile(rates) >= limit
            if due and (rate := measure(key)) is not None:
                rates.append(rate)
        rounds += 1
    return {key: quartile(rates) for key, rates in samples.items()}, failures


def quartile(rates: Sequence[float]) -> float:
    """Return the upper quartile: of up to four rates the highest one."""
    return sorted(rates)[3 * len(rates) // 4]


def nearly_best(rates: Mapping[Key, float]) -> Key:
    """Return the first key whose rate is nearly the highest (`plans.NEARLY_BEST`)."""
    limit = plans.NEARLY_BEST * max(rates.values())
    return next(key for key, rate in rates.items() if rate >= limit)


def splits(threads: int) -> list[tuple[int, int]]:
    """Return the ways to give all threads to workers: (4, 1), (2, 2), (1, 4) for 4 threads."""
    return [(n, threads // n) for n in range(threads, 0, -1) if threads % n == 0]


def best_division(
    work: Work, rows: int, sizes: Sequence[int], ways: Sequence[tuple[int, int]], seconds: float
) -> dict[Division, float]:
    """Return the rates of divisions of `rows` rows, of those measured; the best one comes first.

    First the chunk's `sizes`, in ascending order, are compared for the first of the `ways`, pairs
    of workers and threads; then the other ways, with that chunk and with one that grows with a
    worker's threads. Of the sizes that are nearly as good as the best, the smallest is taken: it
    needs the least memory and divides rows most evenly.
    """
    workers, threads = ways[0]
    fitting = [size for size in sizes if size * workers <= rows] or [max(1, rows // workers)]
    rates = _rates(work, rows, [Division(size, workers, threads) for size in fitting], seconds)
    best = nearly_best(rates)
    others = [
        Division(chunk, n, each)
        for n, each in ways[1:]
        for chunk in dict.fromkeys([best.chunk, best.chunk * workers // n])
        if chunk * n <= rows
    ]
    if others:
        compared = _rates(work, rows, [best, *others], seconds / 2)
        best = nearly_best(compared)
        rates.update(compared)
    return {best: rates[best], **rates}


def _rates(
    work: Work, rows: int, divisions: Sequence[Division], seconds: float
) -> dict[Division, float]:
    """Return the rates of divisions in their order. Raises their exception if all of them fail."""
    rates, failures = race({each: Stopwatch(work, rows, each) for each in divisions}, seconds)
    if not rates:
        raise next(iter(failures.values()))
    return rates


class FewRows(NamedTuple):
    """The speed-ups of two ways to run a few rows over all workers.

    `one_call` is that of one call with all threads, `one_worker` that of a single worker.
    """

    one_call: float
    one_worker: float


def few_rows(
    work: Work, division: Division, threads: int, rows: int, seconds: float
) -> dict[int, FewRows]:
    """Return the speed-ups for 1, 2, 4, ... rows, of `rows` rows at most.

    One call has all `threads` threads for its operators.
    """
    chunk, workers, _ = division
    numbers = [n for n in plans.CHUNK_SIZES if n <= min(chunk * workers, rows)]
    samples: dict[int, list[FewRows]] = {n: [] for n in numbers}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not samples[numbers[-1]]:
        for n in numbers:
            call, one, all_workers = (
                seconds_of(partial(run, work, n, each))
                for each in (Division(n, 1, threads), division._replace(workers=1), division)
            )
            samples[n].append(FewRows(all_workers / call, all_workers / one))
    return {n: FewRows(*map(median, zip(*got, strict=True))) for n, got in samples.items()}


def single_call_rows(speed_ups: Mapping[int, FewRows]) -> int:
    """Return the largest number of rows that should be one call with all threads; 0 if none."""
    return _better_up_to(
        {n: each.one_call / max(1, each.one_worker) for n, each in speed_ups.items()}
    )


def worker_rows(speed_ups: Mapping[int, FewRows]) -> int:
    """Return the least rows of a worker beside the caller, for which waking it takes less time.

    With twice as many rows, two workers are faster than one.
    """
    return _better_up_to({n: each.one_worker for n, each in speed_ups.items()}) // 2 + 1


def _better_up_to(speed_ups: Mapping[int, float]) -> int:
    """Return the largest number of rows for which the speed-ups are above 1; 0 if there is none.

    It is the number up to which the product of all speed-ups is largest, so that one outlier does
    not decide.
    """
    gains = accumulate(log(speed_ups[n]) for n in sorted(speed_ups))
    return max([(0.0, 0), *zip(gains, sorted(speed_ups), strict=True)])[1]


def seconds_of(call: Callable[[], None]) -> float:
    """Return the duration of the fast ones among a few calls, after one that is not counted."""
    time.sleep(_PAUSE)
    call()
    speeds: list[float] = []
    end = time.perf_counter() + _DURATION / 4
    while not speeds or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        speeds.append(1 / (time.perf_counter() - start))
    return 1 / quartile(speeds)

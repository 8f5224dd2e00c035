"""Decide between the present way to run a graph and another one, by measurements in pairs."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from math import comb, exp, log
from statistics import fmean, median

from edgevae.diagnostics.tune import rates
from edgevae.diagnostics.tune.rates import Division, Work
from edgevae.engine import Plan, plans

# The fewest pairs, of which the interval of the median is from the second to the second last.
_PAIRS = 9
# The most pairs that are added while the median is high enough and the interval is too wide.
_MOST_PAIRS = 27
# The probability that the median is below the interval's lower bound.
_CHANCE = 0.025


def is_faster(other: Callable[[], float], present: Callable[[], float], seconds: float) -> bool:
    """Return True if the rate of another way is higher than the present one's beyond the noise.

    Both are measured in turn, as pairs of neighbouring measurements, for about `seconds` seconds.
    The other way is faster if the 95 % interval of the median ratio, by order statistics, lies
    above 1, and the median exceeds 1 by as much as `plans.NEARLY_BEST` asks for.
    """
    other(), present()  # which are not counted
    ratios: list[float] = []
    end = time.perf_counter() + seconds
    while (
        len(ratios) < _PAIRS
        or time.perf_counter() < end
        or (len(ratios) < _MOST_PAIRS and _is_promising(ratios) and lower_bound(ratios) <= 1)
    ):
        if len(ratios) % 2:
            rate = other()
            ratios.append(rate / present())
        else:
            rate = present()
            ratios.append(other() / rate)
    return _is_promising(ratios) and lower_bound(ratios) > 1


def _is_promising(ratios: Sequence[float]) -> bool:
    return median(ratios) * plans.NEARLY_BEST > 1


def lower_bound(values: Sequence[float]) -> float:
    """Return the lower bound of the 95 % interval of the median: the k-th smallest value.

    The median is below it if fewer than k of n values are, which has the probability that fewer
    than k of n tosses of a coin are heads.
    """
    n, k, heads = len(values), 0, 0
    while (heads := heads + comb(n, k)) <= _CHANCE * 2**n:
        k += 1
    return sorted(values)[max(0, k - 1)]


def confirmed(work: Work, other: Plan, present: Plan, most: int, rows: int, seconds: float) -> Plan:
    """Return another plan if it is faster than the present one, which it else returns.

    Up to `most` of the `rows` rows that there are, and at least so many that each worker has a
    chunk, both run every power of two of rows that they divide in different ways.
    """
    most = min(rows, max(most, *(plan.chunk * plan.workers for plan in (other, present))))
    numbers = [n for n in dict.fromkeys([*plans.CHUNK_SIZES, most]) if n <= most]
    different = [n for n in numbers if _division(other, n) != _division(present, n)]
    if not different:
        return present
    timers = [_Timer(work, plan, different) for plan in (other, present)]
    return other if is_faster(timers[0], timers[1], seconds) else present


def _division(plan: Plan, rows: int) -> Division:
    chunk, workers, threads = plan.division(rows)
    return Division(min(chunk, rows), workers, threads)


class _Timer:
    """Measure the rate of a plan, as the geometric mean of those for several numbers of rows."""

    def __init__(self, work: Work, plan: Plan, numbers: Sequence[int]) -> None:
        self._calls = [partial(rates.run, work, n, _division(plan, n)) for n in numbers]

    def __call__(self) -> float:
        return exp(fmean(-log(rates.seconds_of(call)) for call in self._calls))

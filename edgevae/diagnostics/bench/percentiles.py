"""Percentiles of measured durations, and how many calls a percentile takes."""

import math
from collections.abc import Sequence

# The percentiles that are reported. "Earned" means that at least `BEYOND` calls were slower, so
# that a few outliers do not decide the figure.
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
BEYOND = 10


def calls_needed(q: float) -> int:
    """Return how many calls earn the percentile q: 20 for p50, 1,000 for p99, 10,000 for p99.9."""
    return round(BEYOND / (1 - q / 100))


def label(q: float) -> str:
    """Return the name of a percentile, such as "p99.9"."""
    return f"p{q:g}"


def median(values: Sequence[float]) -> float:
    """Return the nearest-rank median: of an even number of values, the lower middle one."""
    return percentile(values, 50)


def percentile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank percentile, q in (0, 100], which is one of the values."""
    ordered = sorted(values)
    # Rounded, since 99.9 / 100 * 10_000 is 9990.000000000002 in binary.
    return ordered[max(0, math.ceil(round(q / 100 * len(ordered), 6)) - 1)]


def earned(values: Sequence[float]) -> dict[str, float | None]:
    """Return each of PERCENTILES by its label; None for one that the values do not earn.

    The median is always returned: it is what ratios compare.
    """
    return {
        label(q): percentile(values, q) if q == 50 or len(values) >= calls_needed(q) else None
        for q in PERCENTILES
    }

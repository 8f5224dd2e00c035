"""Percentiles are values that were measured, and are reported if enough calls were slower."""

import pytest

from edgevae.diagnostics import bench
from edgevae.diagnostics.bench import percentiles


def test_percentiles_are_values_that_were_measured():
    values = [float(i) for i in range(100, 0, -1)]
    assert [bench.percentile(values, q) for q in (50, 90, 99, 100)] == [50, 90, 99, 100]
    assert bench.percentile([3.0], 99) == 3.0
    assert bench.percentile([1.0, 2.0], 1) == 1.0


@pytest.mark.parametrize(("q", "calls"), [(50, 20), (90, 100), (99, 1000), (99.9, 10_000)])
def test_ten_calls_are_beyond_a_percentile_that_is_earned(q, calls):
    assert percentiles.calls_needed(q) == calls
    values = [float(i) for i in range(calls)]
    assert sum(value > bench.percentile(values, q) for value in values) == percentiles.BEYOND


def test_a_percentile_that_is_not_earned_is_none():
    found = percentiles.earned([1.0] * 999)
    assert found == {"p50": 1.0, "p90": 1.0, "p99": None, "p99.9": None}
    assert percentiles.earned([1.0] * 1000)["p99"] == 1.0
    assert percentiles.earned([2.0])["p50"] == 2.0  # ratios compare it

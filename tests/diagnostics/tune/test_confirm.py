"""Another plan replaces the present one only if it is faster beyond the noise."""

import itertools

import pytest

from edgevae.diagnostics.tune import confirm
from edgevae.engine import Plan

PRESENT = Plan(0, 8, 1, 1, "present")


def rate(*values):
    """Return a way to run whose rates are these in turn."""
    return itertools.cycle(values).__next__


@pytest.mark.parametrize(
    ("other", "faster"),
    [
        (rate(110.0), True),
        (rate(102.0), False),  # less than `plans.NEARLY_BEST` asks for
        (rate(90.0), False),
        (rate(110.0, 60.0, 300.0), False),  # noise
    ],
)
def test_a_way_is_faster_beyond_the_noise(other, faster):
    assert confirm.is_faster(other, rate(100.0), 0) == faster


def test_a_busy_machine_that_slows_both_hides_nothing():
    slow = [1.0, 1.0, 0.3, 0.5, 1.0]
    times = iter([factor for factor in slow * 10 for _ in range(2)])
    assert confirm.is_faster(lambda: 110 * next(times), lambda: 100 * next(times), 0)


@pytest.mark.parametrize(("n", "k"), [(6, 1), (9, 2), (15, 4), (100, 40)])
def test_the_interval_of_a_median_is_that_of_order_statistics(n, k):
    """The values of k are those of tables, such as Conover's."""
    assert confirm.lower_bound(range(1, n + 1)) == k


def test_plans_are_compared_where_they_divide_in_different_ways(monkeypatch):
    timed = {}

    def is_faster(other, present, seconds):
        timed["numbers"] = [call.args[1] for call in other._calls]
        return True

    monkeypatch.setattr(confirm, "is_faster", is_faster)
    other = PRESENT._replace(chunk=16)
    assert confirm.confirmed(print, other, PRESENT, 100, 1000, 0) == other
    assert timed.pop("numbers") == [16, 32, 64, 100]
    few = PRESENT._replace(single_call_rows=4, call_threads=2)
    assert confirm.confirmed(print, few, PRESENT, 1, 1000, 0) == few
    assert timed.pop("numbers") == [1, 2, 4]
    assert confirm.confirmed(print, PRESENT, PRESENT, 100, 1000, 0) == PRESENT
    assert not timed

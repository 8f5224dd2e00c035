"""Rows of a summary: pooled calls, medians of processes, and ratios of rounds."""

from dataclasses import replace

import pytest
from reports import BASE, OURS, report

from edgevae.diagnostics import bench


def test_a_row_pools_calls_and_takes_medians_of_processes():
    (row,) = bench.summarise([report(OURS, scale) for scale in (1, 2, 100)])
    assert bench.Case.from_json(row) == OURS
    assert row["cold"] == {"import_ms": 200, "session_ms": 20, "first_ms": 2, "total_ms": 222}
    assert (row["peak_rss_mib"], row["steady_rss_mib"], row["processes"]) == (100, 80, 3)
    calls = row["calls"]["8"]
    assert (calls["calls"], calls["p50_ms"], calls["p90_ms"]) == (30, 16, None)
    assert calls["process_p50_ms"] == [8, 16, 800]
    assert calls["mean_ms"] == pytest.approx((8 + 16 + 800) / 3)
    assert calls["rows_per_s"] == pytest.approx(1e3 * 8 * 30 / (10 * (8 + 16 + 800)))
    assert calls["cpu_ms"] == pytest.approx(2 * calls["mean_ms"])
    assert row["calls"]["1"]["p90_ms"] is not None


def test_ratios_are_medians_over_rounds_of_the_ratio_in_one():
    reports = []
    for plain, ours in ((2, 1), (9, 3), (40, 10)):  # a machine that slows down
        reports += [report(BASE, plain), report(OURS, ours)]
    plain, ours = bench.summarise(reports)
    assert ours["calls"]["1"]["round_times_plain"] == [2, 3, 4]
    assert ours["calls"]["1"]["times_plain"] == 3
    assert ours["times_plain"] == {"cold": 3, "peak_memory": 3}
    assert plain["calls"]["8"]["times_plain"] == 1


def test_without_its_baseline_a_case_has_no_ratios():
    alone = replace(OURS, threads=4)
    _, row = bench.summarise([report(BASE, 1), report(alone, 1)])
    assert "times_plain" not in row
    assert "times_plain" not in row["calls"]["1"]


def test_unknown_memory_stays_unknown():
    unknown = {"peak_rss_mib": None, "steady_rss_mib": None}
    plain, ours = bench.summarise([report(BASE, 1, **unknown), report(OURS, 1)])
    assert plain["peak_rss_mib"] is None
    assert ours["times_plain"]["peak_memory"] is None

"""Medians, percentiles and ratios of reports, and the table of them."""

import pytest

from edgevae.diagnostics import bench


def report(runner: str, scale: float, provider: str = "cpu") -> bench.Report:
    return {
        "runner": runner,
        "provider": provider,
        "cold": {"import_ms": 100 * scale, "session_ms": 10 * scale, "first_ms": 1 * scale},
        "latencies_ms": {"1": [scale * ms for ms in range(1, 101)], "8": [8 * scale] * 10},
        "peak_rss_mib": 50 * scale,
    }


def test_percentiles_are_values_that_were_measured():
    values = [float(i) for i in range(100, 0, -1)]
    assert [bench.percentile(values, q) for q in (50, 90, 99, 100)] == [50, 90, 99, 100]
    assert bench.percentile([3.0], 99) == 3.0
    assert bench.percentile([1.0, 2.0], 1) == 1.0


def test_a_row_pools_latencies_and_takes_medians_of_processes():
    rows = bench.summarise([report("edgevae", scale) for scale in (1, 2, 100)])
    assert len(rows) == 1
    assert rows[0]["cold"] == {
        "import_ms": 200, "session_ms": 20, "first_ms": 2, "total_ms": 222
    }  # fmt: skip
    assert rows[0]["peak_rss_mib"] == 100
    assert rows[0]["batches"]["8"]["calls"] == 30
    assert rows[0]["batches"]["8"]["p50_ms"] == 16
    expected = 1e3 * 8 * 30 / (10 * (8 + 16 + 800))
    assert rows[0]["batches"]["8"]["images_per_s"] == pytest.approx(expected)


def test_ratios_are_against_sess_run_on_the_same_provider():
    reports = [report("edgevae", 1), report("sess.run", 2), report("edgevae", 3, "cuda")]
    ours, plain, alone = bench.summarise(reports)
    assert ours["ratios"] == {"batches": {"1": 2, "8": 2}, "cold": 2, "memory": 2}
    assert "ratios" not in plain
    assert "ratios" not in alone


def test_the_table_names_every_case():
    rows = bench.summarise([report("edgevae", 1), report("sess.run", 2)])
    lines = bench.table(rows).splitlines()
    assert [line.split()[:3] for line in lines[2:]] == [
        ["cpu", "edgevae", "1"],
        ["cpu", "edgevae", "8"],
        ["cpu", "sess.run", "1"],
        ["cpu", "sess.run", "8"],
    ]
    assert "2.00x" in lines[2]
    rows[0]["nodes"] = {"openvino": 24, "cpu": 2}
    assert bench.table(rows).splitlines()[2].endswith("   24 openvino, 2 cpu")

"""Summarise the reports of processes: percentiles, spread between processes, ratios."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from edgevae.diagnostics.bench.cases import Case
from edgevae.diagnostics.bench.percentiles import earned, median
from edgevae.diagnostics.bench.process import PHASES
from edgevae.diagnostics.bench.rounds import Report

_MEMORY = ("peak_rss_mib", "steady_rss_mib")


def summarise(reports: Sequence[Report]) -> list[Report]:
    """Return one row for each case, in the order of the reports.

    Beside the fields of the case, a row has

    files, nodes: the ONNX file of each role, and its nodes on each provider; None if unknown
    processes: their number
    cold: the medians over processes of import_ms, session_ms, first_ms and their total_ms
    peak_rss_mib, steady_rss_mib: medians over processes; None if unknown
    calls: by the number of rows of one call, as `_calls` describes
    times_plain: the cold start and the peak memory of the baseline, divided by those of this case
    """
    by_case: dict[Case, list[Report]] = {}
    for report in reports:
        by_case.setdefault(Case.from_json(report), []).append(report)
    rows = []
    for case, own in by_case.items():
        row: Report = {**case.as_json(), "files": own[0]["files"], "nodes": own[0].get("nodes")}
        row["processes"] = len(own)
        row["cold"] = {phase: median([r["cold"][phase] for r in own]) for phase in PHASES}
        row["cold"]["total_ms"] = median([sum(r["cold"].values()) for r in own])
        for key in _MEMORY:
            known = [r[key] for r in own if r[key] is not None]
            row[key] = median(known) if known else None
        row["calls"] = {
            batch: _calls(int(batch), [r["calls"][batch] for r in own]) for batch in own[0]["calls"]
        }
        rows.append(row)
    by_key = {Case.from_json(row): row for row in rows}
    for case, row in by_key.items():
        if base := by_key.get(case.baseline):
            _compare(row, base)
    return rows


def _calls(rows: int, processes: Sequence[Mapping[str, Any]]) -> Report:
    """Return the figures of the calls with some number of rows, of all processes together.

    calls: their number
    mean_ms; p50_ms, p90_ms, p99_ms, p99.9_ms: None for a percentile that is not earned
    rows_per_s: of all callers together
    cpu_ms: the processor time of one call, of all threads
    process_p50_ms: the median of each process
    times_plain: the median over rounds of the baseline's median divided by this one's
    round_times_plain: that ratio in each round
    """
    times = [ms for process in processes for ms in process["ms"]]
    wall, cpu = (sum(process[key] for process in processes) for key in ("wall_ms", "cpu_ms"))
    return {
        "calls": len(times),
        "mean_ms": fmean(times),
        **{f"{name}_ms": value for name, value in earned(times).items()},
        "rows_per_s": 1e3 * rows * len(times) / wall,
        "cpu_ms": cpu / len(times),
        "process_p50_ms": [median(process["ms"]) for process in processes],
    }


def _compare(row: Report, base: Report) -> None:
    """Add the ratios to the baseline's row; above 1, this row is better."""
    for batch, calls in row["calls"].items():
        pairs = zip(base["calls"][batch]["process_p50_ms"], calls["process_p50_ms"], strict=False)
        calls["round_times_plain"] = [plain / own for plain, own in pairs]
        calls["times_plain"] = median(calls["round_times_plain"])
    own, plain = row["peak_rss_mib"], base["peak_rss_mib"]
    row["times_plain"] = {
        "cold": base["cold"]["total_ms"] / row["cold"]["total_ms"],
        "peak_memory": plain / own if own and plain else None,
    }

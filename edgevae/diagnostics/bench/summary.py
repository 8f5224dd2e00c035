"""Summarise the reports of processes: medians, percentiles, ratios, and a table of them."""

import math
from collections.abc import Sequence

from edgevae.diagnostics.bench.cases import Case, Report
from edgevae.diagnostics.bench.process import PHASES


def summarise(reports: Sequence[Report]) -> list[Report]:
    """Return one row for each case, in the order of the reports.

    The cold start and the memory are medians of the processes; latencies are percentiles of the
    calls of all processes together. Times are in milliseconds, memory in MiB, throughput in images
    per second. `nodes` counts the decoder's nodes on each provider, if known. The `ratios` of
    edgevae's rows compare with the row of sess.run on the same provider; above 1, edgevae is
    better.
    """
    rows = []
    for case in dict.fromkeys(_case(report) for report in reports):
        own = [report for report in reports if _case(report) == case]
        cold = {phase: median([r["cold"][phase] for r in own]) for phase in PHASES}
        memory = [r["peak_rss_mib"] for r in own if r["peak_rss_mib"] is not None]
        row: Report = {**case._asdict(), "processes": len(own), "nodes": own[0].get("nodes")}
        row["cold"] = {**cold, "total_ms": median([sum(r["cold"].values()) for r in own])}
        row["peak_rss_mib"] = median(memory) if memory else None
        row["batches"] = {
            batch: _latency(int(batch), [ms for r in own for ms in r["latencies_ms"][batch]])
            for batch in own[0]["latencies_ms"]
        }
        rows.append(row)
    for row in rows:
        compared = Case("sess.run", row["provider"])
        plain = next((other for other in rows if _case(other) == compared), None)
        if plain and row is not plain:
            row["ratios"] = _ratios(row, plain)
    return rows


def table(rows: Sequence[Report]) -> str:
    """Return the rows of `summarise` as text, one line for each provider, runner and batch."""
    head = (
        f"{'provider':<10} {'runner':<9} {'batch':>5} {'p50 ms':>8} {'p90 ms':>8} {'p99 ms':>8} "
        f"{'img/s':>8} {'ratio':>6}   {'import':>6} {'session':>7} {'first':>6} {'cold ms':>8} "
        f"{'RSS MiB':>8}   nodes"
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        for i, (batch, latency) in enumerate(row["batches"].items()):
            ratio = row.get("ratios", {}).get("batches", {}).get(batch)
            line = (
                f"{row['provider']:<10} {row['runner']:<9} {batch:>5} {latency['p50_ms']:>8.3f} "
                f"{latency['p90_ms']:>8.3f} {latency['p99_ms']:>8.3f} "
                f"{latency['images_per_s']:>8.0f} {f'{ratio:.2f}x' if ratio else '':>6}"
            )
            lines.append(line if i else f"{line}   {_process_columns(row)}".rstrip())
    return "\n".join(lines)


def _process_columns(row: Report) -> str:
    """Return the columns that do not depend on the batch: cold start, memory and nodes."""
    cold, rss = row["cold"], row["peak_rss_mib"]
    nodes = ", ".join(f"{count} {name}" for name, count in (row["nodes"] or {}).items())
    return (
        f"{cold['import_ms']:>6.0f} {cold['session_ms']:>7.0f} {cold['first_ms']:>6.1f} "
        f"{cold['total_ms']:>8.0f} {'-' if rss is None else f'{rss:.0f}':>8}   {nodes}"
    )


def median(values: Sequence[float]) -> float:
    """Return the nearest-rank median: of an even number of values, the lower middle one."""
    return percentile(values, 50)


def percentile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank percentile, q in (0, 100], which is one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q / 100 * len(ordered)) - 1)]


def _case(report: Report) -> Case:
    return Case(report["runner"], report["provider"])


def _latency(batch: int, times: Sequence[float]) -> Report:
    percentiles = {f"p{q}_ms": percentile(times, q) for q in (50, 90, 99)}
    throughput = 1e3 * batch * len(times) / sum(times)
    return {**percentiles, "images_per_s": throughput, "calls": len(times)}


def _ratios(row: Report, plain: Report) -> Report:
    """Return sess.run / edgevae of the median latencies, of the cold start and of the memory."""
    rss = row["peak_rss_mib"], plain["peak_rss_mib"]
    return {
        "batches": {
            batch: plain["batches"][batch]["p50_ms"] / row["batches"][batch]["p50_ms"]
            for batch in row["batches"]
        },
        "cold": plain["cold"]["total_ms"] / row["cold"]["total_ms"],
        "memory": rss[1] / rss[0] if rss[0] and rss[1] else None,
    }

"""The table of a benchmark, at most 100 columns wide."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from edgevae.diagnostics.bench.cases import Case
from edgevae.diagnostics.bench.percentiles import BEYOND, PERCENTILES, calls_needed, label, median
from edgevae.diagnostics.bench.rounds import Report

_CASE = 24  # the width of a case's name
# The largest spread of the processes of plain onnxruntime on a quiet machine.
_QUIET = 0.15
_FIGURES = ("mean_ms", *(f"{label(q)}_ms" for q in PERCENTILES))
_CALLS = (
    f"{'':<{_CASE}} {'x plain':>7} {'rounds':>9} {'mean ms':>7} {'p50 ms':>7} {'p90 ms':>7} "
    f"{'p99 ms':>7} {'p99.9':>7} {'rows/s':>8} {'CPU ms':>7}"
)
_PROCESSES = (
    f"{'start of a process':<{_CASE}} {'x plain':>7} {'cold ms':>9} {'import':>7} {'session':>7} "
    f"{'1st row':>7} {'peak MiB':>8} {'steady':>6}  nodes"
)


def table(rows: Sequence[Report]) -> str:
    """Return the rows of `summarise` as text: a section for each baseline, notes at the end."""
    sections: dict[Case, list[Report]] = {}
    for row in rows:
        sections.setdefault(Case.from_json(row).baseline, []).append(row)
    lines: list[str] = []
    for base, own in sections.items():
        lines += [setting(base), *_section(own), ""]
    return "\n".join([*lines, *_notes(rows)])


def setting(case: Case) -> str:
    """Return what all cases of a baseline have in common, in words."""
    threads = "default threads" if case.threads is None else count(case.threads, "thread")
    options = "".join(f" {name}={value}" for name, value in case.options)
    return f"{case.provider}{options}: {case.verb}, {threads}, {count(case.concurrency, 'caller')}"


def name(row: Mapping[str, object]) -> str:
    """Return the name of a case among those of its baseline, such as "edgevae compiled int8"."""
    precision = "" if row["precision"] == "float32" else f" {row['precision']}"
    return f"{row['runner']} {row['graph']}{precision}"


def short(value: float | None) -> str:
    """Return a number in three digits, or in all digits before the point; "-" for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def count(number: int, unit: str) -> str:
    """Return a number with its unit, such as "1 row" or "4,096 rows"."""
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _section(rows: Sequence[Report]) -> Iterator[str]:
    yield _CALLS
    for number in rows[0]["calls"]:
        yield count(int(number), "row")
        for row in rows:
            calls = row["calls"][number]
            figures = " ".join(f"{short(calls[key]):>7}" for key in _FIGURES)
            yield (
                f"  {name(row):<{_CASE - 2}} {_times(calls.get('times_plain')):>7} "
                f"{_range(calls):>9} {figures} {short(calls['rows_per_s']):>8} "
                f"{short(calls['cpu_ms']):>7}"
            )
    yield _PROCESSES
    for row in rows:
        cold = row["cold"]
        yield (
            f"  {name(row):<{_CASE - 2}} {_times(row.get('times_plain', {}).get('cold')):>7} "
            f"{cold['total_ms']:>9,.0f} {cold['import_ms']:>7,.0f} {cold['session_ms']:>7,.0f} "
            f"{short(cold['first_ms']):>7} {short(row['peak_rss_mib']):>8} "
            f"{short(row['steady_rss_mib']):>6}  {_nodes(row['nodes'])}"
        ).rstrip()


def _range(calls: Report) -> str:
    """Return the lowest and the highest ratio of the rounds.

    For the baseline, whose ratios are 1, they are the medians of its processes over their median.
    """
    ratios = calls.get("round_times_plain", [])
    if set(ratios) == {1.0}:
        processes = calls["process_p50_ms"]
        ratios = [ms / median(processes) for ms in processes]
    return "-".join(_ratio(pick(ratios)) for pick in (min, max)) if ratios else ""


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{_ratio(ratio)}x"


def _ratio(ratio: float) -> str:
    return f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}"


def _nodes(by_role: Mapping[str, Mapping[str, int] | None] | None) -> str:
    """Return the nodes of all roles on each provider; "" if they are not known."""
    counts: dict[str, int] = {}
    for nodes in (by_role or {}).values():
        for provider, number in (nodes or {}).items():
            counts[provider] = counts.get(provider, 0) + number
    return ", ".join(f"{number} {provider}" for provider, number in counts.items())


def _notes(rows: Sequence[Report]) -> Iterator[str]:
    """Yield the notes below the table, in lines."""
    notes = [
        "x plain: the median time of `sess.run` on the plain float32 graph, divided by that of the "
        "case; above 1, the case is faster. rounds: the lowest and the highest of these ratios."
    ]
    calls = [calls for row in rows for calls in row["calls"].values()]
    missing = [q for q in PERCENTILES if any(each[f"{label(q)}_ms"] is None for each in calls)]
    if missing:
        needs = ", ".join(f"{label(q)} takes {calls_needed(q):,}" for q in missing)
        fewest = min(each["calls"] for each in calls)
        notes.append(
            f"-: too few calls, at the fewest {fewest:,}. {BEYOND} calls must be slower than a "
            f"percentile: {needs}. Raise --seconds."
        )
    if (wide := _spread(rows)) > _QUIET:
        notes.append(
            f"The machine was not quiet: the processes of plain onnxruntime differ by up to "
            f"{wide:.0%}. Run nothing else, or more --rounds."
        )
    for role, file in _only_graphs(rows).items():
        notes.append(
            f"The bundle has one graph of the {role}, {file}: compiling gained nothing here, or "
            f"the bundle is of schema 1, which does not keep the plain graph."
        )
    for note in notes:
        yield from wrap(note, 100)


def _spread(rows: Sequence[Report]) -> float:
    """Return by how much the slowest process of a baseline was above the fastest, at most."""
    medians = [
        calls["process_p50_ms"]
        for row in rows
        if (row["runner"], row["graph"]) == ("sess.run", "plain")
        for calls in row["calls"].values()
    ]
    return max((max(each) / min(each) - 1 for each in medians), default=0.0)


def _only_graphs(rows: Sequence[Report]) -> dict[str, str]:
    """Return the file of each role whose compiled graph is also the plain one."""
    plain = {pair for row in rows if row["graph"] == "plain" for pair in row["files"].items()}
    compiled = [
        pair
        for row in rows
        if row["graph"] == "compiled" and row["precision"] != "int8"
        for pair in row["files"].items()
    ]
    return {role: file for role, file in compiled if (role, file) in plain}

"""Compare a measurement with an earlier one, and say which differences are beyond the noise."""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

from edgevae.diagnostics.bench.cases import Case
from edgevae.diagnostics.bench.percentiles import median
from edgevae.diagnostics.bench.rounds import SCHEMA, Report
from edgevae.diagnostics.bench.tables import name, setting
from edgevae.errors import InputError

FASTER, SLOWER, NOISE = "faster", "slower", "within the noise"
FEW = "too few processes"
# A verdict is given only if processes whose times are drawn from one distribution would be
# separated less often than this.
_CHANCE = 0.05
# Facts that a comparison of times needs to be equal, and further ones that it names.
_MACHINE = ("cpu", "threads")
_VERSIONS = ("system", "edgevae", "python", "numpy", "onnxruntime")


def read(path: str) -> Report:
    """Return the report of an earlier measurement. Raises `InputError` if it is none."""
    try:
        report = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        raise InputError(f"{path}: {reason}; expected a file of `edgevae bench --out`") from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise InputError(
            f"{path}: expected a file of `edgevae bench --out` with schema {SCHEMA}, got "
            f"{'none' if schema is None else repr(schema)}; measure the baseline again with this "
            f"version"
        )
    return dict(report)


def compare(old: Report, new: Report) -> Report:
    """Return how the cases that both reports have differ.

    date: of the old report
    notes: sentences on what else differs: machine, versions, graphs
    rows: for each case and number of rows the fields of the case, `rows`, `time` and `times_plain`

    `time` compares the medians in ms, and is None if the machines differ. `times_plain` compares
    the ratios to the baseline of each run, and is None for the baseline itself. Both have `ratio`
    (above 1, the new run is faster), `low` and `high`, its bounds, and a `verdict`. Raises
    `InputError` for reports of bundles of different names.
    """
    if old["model"]["name"] != new["model"]["name"]:
        raise InputError(
            f"baseline: expected a measurement of {new['model']['name']!r}, got one of "
            f"{old['model']['name']!r}"
        )
    same_machine = all(old[key] == new[key] for key in _MACHINE)
    before = {Case.from_json(row): row for row in old["rows"]}
    rows = []
    for row in new["rows"]:
        case = Case.from_json(row)
        earlier = before.get(case, {"calls": {}})["calls"]
        for number in [number for number in row["calls"] if number in earlier]:
            ours, theirs = row["calls"][number], earlier[number]
            times = theirs["process_p50_ms"], ours["process_p50_ms"]
            ratios = theirs.get("round_times_plain"), ours.get("round_times_plain")
            rows.append({
                **case.as_json(),
                "rows": int(number),
                "time": judge(*times) if same_machine else None,
                "times_plain": None if case == case.baseline or None in ratios
                else judge(*reversed(ratios)),
            })  # fmt: skip
    if not rows:
        raise InputError(
            "baseline: expected a measurement with at least one of these cases and numbers of "
            "rows, got none; measure with the options that the baseline was measured with"
        )
    return {"date": old["date"], "notes": [*_notes(old, new)], "rows": rows}


def judge(above: Sequence[float], below: Sequence[float]) -> Report:
    """Return the ratio of two samples' medians, its bounds, and whether it differs from 1.

    The bounds divide the extremes of the samples, so that a ratio is beyond the noise if no value
    of one sample lies among those of the other. Equal distributions would be separated with
    probability 2 / C(n + m, n): 0.8 % for five values each, 10 % for three each.
    """
    ratio = median(above) / median(below)
    low, high = min(above) / max(below), max(above) / min(below)
    verdict = FASTER if low > 1 else SLOWER if high < 1 else NOISE
    if 2 / comb(len(above) + len(below), len(above)) > _CHANCE:
        verdict = FEW
    return {"ratio": ratio, "low": low, "high": high, "verdict": verdict}


def slower(comparison: Report) -> list[str]:
    """Return the names of the cases that are slower beyond the noise.

    What counts is the ratio to the baseline of the same run, which the state of the machine does
    not change; without it, the time.
    """
    return [
        f"{_title(row)}, {row['rows']} rows"
        for row in comparison["rows"]
        if (row["times_plain"] or row["time"] or {}).get("verdict") == SLOWER
    ]


def comparison_table(comparison: Report) -> str:
    """Return a comparison as text, at most 100 columns wide."""
    lines = [
        f"Compared with the baseline of {comparison['date']}; above 1, this run is faster.",
        *comparison["notes"],
    ]
    section = None
    for row in comparison["rows"]:
        if section != (section := setting(Case.from_json(row).baseline)):
            head = f"{'rows':>6}  {'':<23} {'time':<34} {'x plain':<34}".rstrip()
            lines += [section, head]
        cells = " ".join(f"{_cell(row[key]):<34}" for key in ("time", "times_plain"))
        lines.append(f"{row['rows']:>6}  {name(row):<23} {cells}".rstrip())
    return "\n".join(lines)


def _cell(change: Mapping[str, Any] | None) -> str:
    if change is None:
        return "-"
    bounds = f"{change['low']:.2f}-{change['high']:.2f}"
    return f"{change['ratio']:.2f}x {bounds:<10} {change['verdict']}"


def _title(row: Report) -> str:
    return f"{name(row)} ({setting(Case.from_json(row).baseline)})"


def _notes(old: Report, new: Report) -> Iterator[str]:
    if machines := _changes(old, new, _MACHINE):
        yield (
            f"The baseline is of another machine ({machines}): only the ratios to plain are "
            f"compared."
        )
    if versions := _changes(old, new, _VERSIONS):
        yield f"Versions differ: {versions}."
    ours, theirs = new["model"]["files"], old["model"]["files"]
    if changed := sorted(file for file in ours if ours[file] != theirs.get(file)):
        yield f"Files of the bundle differ: {', '.join(changed)}."


def _changes(old: Report, new: Report, keys: Sequence[str]) -> str:
    """Return the facts that differ, in words."""
    differing = [key for key in keys if old[key] != new[key]]
    return "; ".join(f"{key} {old[key]}, now {new[key]}" for key in differing)

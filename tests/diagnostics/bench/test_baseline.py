"""Comparison with an earlier report."""

import json
from dataclasses import replace

import pytest
from reports import BASE, OURS, report

from edgevae.diagnostics import bench
from edgevae.diagnostics.bench import baseline
from edgevae.errors import InputError

NOISE = (1.0, 1.01, 0.99, 1.02, 0.98)


def measured(plain: float = 2, ours: float = 1, *, noise=NOISE, **facts) -> bench.Report:
    """Return a report of two cases whose times are `plain` and `ours`."""
    pairs = [(report(BASE, plain * n), report(OURS, ours * n**0.5)) for n in noise]
    return {
        "schema": bench.rounds.SCHEMA,
        "date": "2026-01-01T00:00:00+00:00",
        "model": {"name": "fashion", "files": {"decoder.onnx": "ab"}},
        **dict.fromkeys(("cpu", "system", "edgevae", "python", "numpy", "onnxruntime"), "a"),
        "threads": 2,
        "rows": bench.summarise([each for pair in pairs for each in pair]),
        **facts,
    }


def verdicts(comparison: bench.Report, key: str) -> list[str | None]:
    return [row[key] and row[key]["verdict"] for row in comparison["rows"] if row["rows"] == 1]


def test_the_same_figures_are_within_the_noise():
    found = baseline.compare(measured(), measured())
    assert verdicts(found, "time") == [baseline.NOISE] * 2
    assert verdicts(found, "times_plain") == [None, baseline.NOISE]
    assert found["notes"] == baseline.slower(found) == []


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [(0.8, baseline.FASTER), (1.25, baseline.SLOWER), (1.02, baseline.NOISE)],
)
def test_what_is_beyond_the_spread_of_processes_is_named(ours, verdict):
    found = baseline.compare(measured(), measured(ours=ours))
    assert verdicts(found, "time") == [baseline.NOISE, verdict]
    assert verdicts(found, "times_plain") == [None, verdict]
    change = found["rows"][2]["times_plain"]
    assert change["ratio"] == pytest.approx(1 / ours)
    assert change["low"] < change["ratio"] < change["high"]
    slower = [] if verdict != baseline.SLOWER else ["edgevae compiled"] * 2
    assert [name.partition(" (")[0] for name in baseline.slower(found)] == slower


def test_a_slower_machine_does_not_count_as_slower():
    found = baseline.compare(measured(), measured(plain=3, ours=1.5))
    assert verdicts(found, "time") == [baseline.SLOWER] * 2
    assert verdicts(found, "times_plain") == [None, baseline.NOISE]
    assert [name.partition(" (")[0] for name in baseline.slower(found)] == ["sess.run plain"] * 2


def test_few_processes_earn_no_verdict():
    few = measured(ours=9, noise=NOISE[:3])
    found = baseline.compare(measured(noise=NOISE[:3]), few)
    assert set(verdicts(found, "time")) == {baseline.FEW}
    assert baseline.slower(found) == []
    found = baseline.compare(measured(), few)  # five against three suffice
    assert verdicts(found, "times_plain")[1] == baseline.SLOWER


def test_another_machine_compares_ratios_to_plain_alone():
    found = baseline.compare(measured(cpu="b"), measured(ours=0.5))
    assert verdicts(found, "time") == [None, None]
    assert verdicts(found, "times_plain") == [None, baseline.FASTER]
    assert "another machine (cpu b, now a)" in found["notes"][0]


def test_versions_and_files_that_differ_are_named():
    other = {"name": "fashion", "files": {"decoder.onnx": "cd"}}
    found = baseline.compare(measured(), measured(onnxruntime="b", model=other))
    assert found["notes"] == [
        "Versions differ: onnxruntime a, now b.",
        "Files of the bundle differ: decoder.onnx.",
    ]


def test_reports_without_a_common_case_are_refused():
    other = {"name": "names", "files": {}}
    with pytest.raises(InputError, match="a measurement of 'fashion', got one of 'names'"):
        baseline.compare(measured(model=other), measured())
    rows = bench.summarise([report(replace(BASE, threads=1), 1)])
    with pytest.raises(InputError, match="at least one of these cases"):
        baseline.compare(measured(rows=rows), measured())


def test_the_table_shows_both_comparisons():
    lines = baseline.comparison_table(baseline.compare(measured(), measured(ours=0.8))).splitlines()
    assert lines[1] == "cpu: generate, default threads, 1 caller"
    assert lines[-1].split()[:4] == ["8", "edgevae", "compiled", "1.25x"]
    assert lines[-1].count("faster") == 2
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "with schema 2, got none"),
        ('{"schema": 3}', "with schema 2, got 3"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, content, message):
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        baseline.read(str(path))
    with pytest.raises(InputError, match="No such file"):
        baseline.read(str(tmp_path / "none.json"))
    path.write_text(json.dumps(measured()))
    assert baseline.read(str(path)) == measured()

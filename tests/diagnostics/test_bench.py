"""The arithmetic of the benchmark, and one short run of all of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from edgevae import cli
from edgevae.diagnostics import bench
from edgevae.errors import CheckError, ProviderError
from edgevae.plots import bench_chart, canvas


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


@pytest.mark.parametrize("memory", [50.0, None])
@pytest.mark.parametrize("providers", [("cpu",), ("cpu", "cuda", "openvino", "coreml")])
def test_the_chart_draws_every_row(providers, memory):
    runs = [(p, r) for p in providers for r in bench.RUNNERS]
    reports = [{**report(r, 1, p), "peak_rss_mib": memory} for p, r in runs]
    rows = bench.summarise(reports)
    image = bench_chart.draw_bench_chart(rows, title="title", subtitle="subtitle")
    colours = {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in image.getcolors(2**24)}
    assert set(bench_chart.inks(rows)) <= colours
    assert image.width == canvas.WIDTH * canvas.SCALE


def test_an_axis_covers_its_values_with_round_ticks():
    linear = canvas.Axis([3.0, 870.0], 0, 100, log=False)
    assert linear.ticks == [0, 250, 500, 750, 1000]
    assert linear.at(500) == 50
    decades = canvas.Axis([0.2, 31.0], 0, 300, log=True)
    assert decades.ticks == pytest.approx([0.1, 1, 10, 100])
    assert decades.at(1) == pytest.approx(100)


def test_peak_rss_is_that_of_this_process_not_of_its_parent():
    """Linux hands ru_maxrss down to children; a child of a large process must not look large."""
    ballast = bytearray(400 << 20)
    code = "from edgevae.diagnostics.bench import peak_rss; print(peak_rss())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(ballast) > float(done.stdout) * 2**20


def test_a_process_imports_the_standard_library_alone_before_its_clock():
    script = Path(bench.process.__file__).absolute()

    def loaded(code: str) -> set[str]:
        command = [sys.executable, "-P", "-c", f"import runpy, sys; {code}; print(*sys.modules)"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {name.partition(".")[0] for name in done.stdout.split()}

    before_the_clock = loaded(f"runpy.run_path({str(script)!r})") - loaded("pass")
    assert {"json", "time"} <= loaded(f"runpy.run_path({str(script)!r})")
    assert before_the_clock <= sys.stdlib_module_names


def test_bench_measures_both_runners_in_processes_of_their_own(tiny_paths, tmp_path, capsys):
    model, picture = str(tiny_paths["colour"]), tmp_path / "bench.png"
    run = ["bench", "--model", model, "--provider", "cpu", "--rounds", "1", "--seconds", "0"]
    assert cli.main([*run, "--batch", "1", "--batch", "3", "--json", "--chart", str(picture)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == "tiny-image"
    assert [row["runner"] for row in facts["rows"]] == ["edgevae", "sess.run"]
    for row in facts["rows"]:
        assert list(row["batches"]) == ["1", "3"]
        assert 0 < row["batches"]["1"]["p50_ms"] <= row["batches"]["1"]["p99_ms"]
        assert min(row["cold"].values()) > 0
    assert set(facts["rows"][0]["nodes"]) == {"cpu"}
    assert facts["rows"][1]["nodes"] is None  # the plain script does not ask
    with Image.open(picture) as image:
        assert image.size[0] == canvas.WIDTH * canvas.SCALE


def test_a_child_that_fails_says_why(tiny_paths):
    model = str(tiny_paths["grey"])
    with pytest.raises(ProviderError, match="openvino"):
        bench.run_once(bench.Case("edgevae", "openvino"), model)
    with pytest.raises(CheckError, match="InputError"):
        bench.run_once(bench.Case("edgevae", "cpu"), model, batches=(-1,))
    assert "openvino" in (bench.refusal(model, "openvino") or "")
    assert bench.refusal(model, "cpu") is None

"""The chart of a benchmark."""

import pytest

from edgevae.plots import bench_chart, canvas


def row(runner: str, provider: str, memory: float | None) -> bench_chart.Row:
    latency = {"p50_ms": 3.0, "p90_ms": 4.0, "p99_ms": 5.0, "images_per_s": 300.0}
    return {
        "runner": runner,
        "provider": provider,
        "cold": {"import_ms": 100.0, "session_ms": 10.0, "first_ms": 1.0, "total_ms": 111.0},
        "batches": {"1": latency, "8": latency},
        "peak_rss_mib": memory,
    }


@pytest.mark.parametrize("memory", [50.0, None])
@pytest.mark.parametrize("providers", [("cpu",), ("cpu", "cuda", "openvino", "coreml")])
def test_the_chart_draws_every_row(providers, memory):
    rows = [row(r, p, memory) for p in providers for r in ("edgevae", "sess.run")]
    image = bench_chart.draw_bench_chart(rows, title="title", subtitle="subtitle")
    colours = {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in image.getcolors(2**24)}
    assert set(bench_chart.inks(rows)) <= colours
    assert image.width == canvas.WIDTH * canvas.SCALE

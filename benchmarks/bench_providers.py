"""Measure each provider at each batch size, beside plain onnxruntime on the same graph.

    python -m pytest benchmarks/bench_providers.py
    EDGEVAE_BENCH_MODEL=BUNDLE python -m pytest benchmarks/bench_providers.py

`edgevae bench` measures the same in processes that take turns, with memory. These tests are for
following one figure while changing code. The cold start is that of a fresh process, imports
included.
"""

import os

import pytest

from edgevae import bundle
from edgevae.diagnostics import bench
from edgevae.engine import providers

MODEL = bundle.read(bundle.find(os.environ.get("EDGEVAE_BENCH_MODEL", "fashion")))
CASES = bench.Sweep(providers.available()).cases(MODEL)

pytestmark = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.provider}-{case.runner}-{case.graph}"
)


@pytest.mark.parametrize("rows", bench.rounds.BATCHES)
def test_latency(benchmark, tmp_path, case, rows):
    benchmark.group = f"{case.provider}, {rows} rows"
    task = bench.rounds.task_of(MODEL, case, bench.Effort((rows,)), tmp_path)
    running = bench.process.RUNNERS[case.runner](task)
    next(running)
    next(running)
    generate = next(running)
    x_hat = benchmark(generate, rows)
    benchmark.extra_info["images_per_s"] = rows / benchmark.stats["median"]
    assert len(x_hat) == rows


def test_cold_start(benchmark, case):
    benchmark.group = f"{case.provider}, fresh process to first image"
    nothing = bench.Effort(rows=())
    report = benchmark.pedantic(bench.run_once, (MODEL, case, nothing), rounds=7, warmup_rounds=1)
    benchmark.extra_info.update(report["cold"], peak_rss_mib=report["peak_rss_mib"])
    assert min(report["cold"].values()) > 0

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

MODEL = os.environ.get("EDGEVAE_BENCH_MODEL", "fashion")

pytestmark = [
    pytest.mark.parametrize("runner", bench.RUNNERS),
    pytest.mark.parametrize("provider", providers.available()),
]


def stages(runner: str, provider: str):
    path = bundle.find(MODEL)
    if runner == "edgevae":
        return bench.run_edgevae(provider, str(path))
    decoder = path / bundle.read(path).graph("decoder").file
    return bench.run_plain(bench.plain_provider(provider), str(decoder))


@pytest.mark.parametrize("batch", bench.BATCHES)
def test_latency(benchmark, provider, runner, batch):
    benchmark.group = f"{provider}, batch {batch}"
    running = stages(runner, provider)
    next(running)
    generate = next(running)
    x_hat = benchmark(generate, batch)
    benchmark.extra_info["images_per_s"] = batch / benchmark.stats["median"]
    assert len(x_hat) == batch


def test_cold_start(benchmark, provider, runner):
    benchmark.group = f"{provider}, fresh process to first image"
    case = bench.Case(runner, provider)
    report = benchmark.pedantic(
        bench.run_once, (case, MODEL), {"batches": ()}, rounds=7, warmup_rounds=1
    )
    benchmark.extra_info.update(report["cold"], peak_rss_mib=report["peak_rss_mib"])
    assert min(report["cold"].values()) > 0

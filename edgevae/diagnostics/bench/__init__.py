"""Measure a bundle on execution providers, beside a plain onnxruntime script on the same graph.

Each measurement runs in a fresh process (`process`). The processes of all cases run in turns,
several rounds of them (`cases`), so that a machine that warms up or is shared slows all cases
alike. Compare the ratios of one run; never compare figures of two runs. `summary` computes the
medians, percentiles and ratios.

The comparison has a known bias. `sess.run` stands for a user who draws normals with numpy and calls
the decoder with onnxruntime's defaults, with the options of a provider that make it compute in
float32. That script does less than edgevae: it draws from N(0, I) even if the bundle has a mixture
prior, checks no sha256, and does not promise that a seed gives the same latents everywhere.
"""

from edgevae.diagnostics.bench.cases import (
    BATCHES,
    Case,
    Report,
    machine,
    measure,
    plain_provider,
    refusal,
    run_once,
)
from edgevae.diagnostics.bench.process import RUNNERS, peak_rss, run_edgevae, run_plain
from edgevae.diagnostics.bench.summary import median, percentile, summarise, table

__all__ = [
    "BATCHES",
    "RUNNERS",
    "Case",
    "Report",
    "machine",
    "measure",
    "median",
    "peak_rss",
    "percentile",
    "plain_provider",
    "refusal",
    "run_edgevae",
    "run_once",
    "run_plain",
    "summarise",
    "table",
]

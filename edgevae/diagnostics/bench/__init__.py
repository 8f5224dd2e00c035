"""Measure a bundle on execution providers, beside plain onnxruntime on the graph as given.

Each measurement runs in a fresh process (`process`). The processes of all cases (`cases`) run in
turns, several rounds of them (`rounds`), so that a machine that warms up or is shared slows all
cases alike. `summary` computes percentiles and ratios, `tables` shows them, and `baseline` compares
them with those of an earlier run. docs/measuring.md explains the figures and their biases.
"""

from edgevae.diagnostics.bench import baseline, cases, percentiles, process, rounds, tables
from edgevae.diagnostics.bench.cases import Case, Sweep
from edgevae.diagnostics.bench.percentiles import median, percentile
from edgevae.diagnostics.bench.process import peak_rss
from edgevae.diagnostics.bench.rounds import Effort, Report, machine, measure, run_once
from edgevae.diagnostics.bench.summary import summarise
from edgevae.diagnostics.bench.tables import table

__all__ = [
    "Case",
    "Effort",
    "Report",
    "Sweep",
    "baseline",
    "cases",
    "machine",
    "measure",
    "median",
    "peak_rss",
    "percentile",
    "percentiles",
    "process",
    "rounds",
    "run_once",
    "summarise",
    "table",
    "tables",
]

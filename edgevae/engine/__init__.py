"""Graphs on execution providers: sessions, plans and workers, and `Runner`, which holds them."""

from edgevae.engine import cuda, machine, ort, plans, plugins, providers, tuned
from edgevae.engine.binding import Arrays
from edgevae.engine.graph import Graph, Placement
from edgevae.engine.machine import cpu_name, usable_threads
from edgevae.engine.ort import onnxruntime
from edgevae.engine.plans import Plan
from edgevae.engine.providers import ProviderSpec
from edgevae.engine.runner import PRECISIONS, Runner
from edgevae.engine.targets import targets
from edgevae.engine.tuned import Setting, Tuned
from edgevae.engine.workers import run_chunks

__all__ = [
    "PRECISIONS",
    "Arrays",
    "Graph",
    "Placement",
    "Plan",
    "ProviderSpec",
    "Runner",
    "Setting",
    "Tuned",
    "cpu_name",
    "cuda",
    "machine",
    "onnxruntime",
    "ort",
    "plans",
    "plugins",
    "providers",
    "run_chunks",
    "targets",
    "tuned",
    "usable_threads",
]

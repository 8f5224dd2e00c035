"""Graphs on execution providers: sessions, plans and workers, and `Runner`, which holds them."""

from edgevae.engine import automatic, cuda, machine, ort, plans, plugins, providers, tuned
from edgevae.engine.binding import Arrays
from edgevae.engine.graph import Graph, Placement
from edgevae.engine.machine import cpu_name, usable_threads
from edgevae.engine.ort import onnxruntime
from edgevae.engine.plans import Plan
from edgevae.engine.providers import ProviderSpec
from edgevae.engine.runner import PRECISIONS, Runner
from edgevae.engine.targets import GENERIC, architecture, targets, why
from edgevae.engine.tuned import UNTUNED, Measured, Setting, TunedPlan, TunedSetting, Tuning
from edgevae.engine.workers import run_chunks

__all__ = [
    "GENERIC",
    "PRECISIONS",
    "UNTUNED",
    "Arrays",
    "Graph",
    "Measured",
    "Placement",
    "Plan",
    "ProviderSpec",
    "Runner",
    "Setting",
    "TunedPlan",
    "TunedSetting",
    "Tuning",
    "architecture",
    "automatic",
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
    "why",
]
